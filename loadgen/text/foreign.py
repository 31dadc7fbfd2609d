r"""Text from outside, made safe for what it is written to: one function for each medium, and nothing else does it.

Inside the program such text is kept as it came, so that nothing is compared, counted or masked in another form; it is
cleaned where it enters a medium. What is no printable character (control characters, among them ESC and the C1 set;
format characters, which turn the direction of what follows; halves of surrogate pairs; line separators) stands there as
its escape, such as ``\x1b``, so that it is seen and does nothing.

Sources: ECMA-48 (control functions, 5.4 and 8.3.6: C1 controls begin sequences too); Unicode Technical Report 36, 2.2
(bidirectional text); GitHub Flavored Markdown, 2.4 (backslash escapes), 6.9 (autolinks); RFC 8259, 7.
"""

from __future__ import annotations

import re
from html import escape

THIN = "\N{NARROW NO-BREAK SPACE}"
"""Between groups of three digits, as in 12 345."""
GAP = "\N{NO-BREAK SPACE}"
"""Between a number and its unit."""
LONGEST_QUOTE = 200
"""Characters quoted of what a server says."""

_QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)
_BEYOND_ASCII = re.compile("[^\\x00-\\x7e]")
_SPECIAL = re.compile(
    r"[\\`*\[\]#|~&$@]"
    r"|<(?! )|^>"  # a rule's limit stays readable, a tag does not come about
    r"|:(?=//)|(?<=www)\."  # GitHub makes links of bare addresses
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])",  # within a word it is not emphasis
    re.IGNORECASE,
)


def line(text: str) -> str:
    """For a terminal or a log, one line of it."""
    return text if text.isprintable() else "".join(map(_shown, text))


def lines(text: str) -> str:
    """The same of text that has lines and tabs of its own, which stay."""
    return text if text.isprintable() else "".join(c if c in "\n\t" else _shown(c) for c in text)


def quote(text: str, longest: int = LONGEST_QUOTE) -> str:
    """For a sentence that quotes it: one line, without needless blanks, of at most ``longest`` characters."""
    shown = line(" ".join(text.split()))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def unquoted(message: str) -> str:
    """A message about something that is not to be shown, without what it quotes of it."""
    return _QUOTED.sub("…", message)


def markdown(text: str) -> str:
    """For Markdown: one line that is neither formatted nor taken for HTML, a link, a mention or a cell border."""
    return _SPECIAL.sub(r"\\\g<0>", line(text))


def html(text: str) -> str:
    """For HTML: one line of text, between tags and within quoted attributes."""
    return escape(line(text))


def json(encoded: bytes) -> bytes:
    r"""For a file of JSON, which keeps the text as it is: in its strings the unprintable is escaped, as in ``\u202e``.

    ``encoded`` is JSON, in which line feeds may stand between the tokens.
    """
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    return _BEYOND_ASCII.sub(_as_json, encoded.decode()).encode()


def printable(char: str) -> bool:
    """Whether a character may be written anywhere as it is."""
    return char.isprintable() or char in (THIN, GAP)


def _shown(char: str) -> str:
    return char if printable(char) else char.encode("unicode_escape").decode()


def _as_json(found: re.Match[str]) -> str:
    if printable(found[0]):
        return found[0]
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
