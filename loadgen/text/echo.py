"""Finding a text in what a target says, however the target escaped it: as JSON, URL, HTML or base64url, or a mixture.

Theory of operation. Each character may stand for itself or be written in any of its escapes. Candidates are places
where the first few characters match, which a regular expression finds; from there on the text is walked through one
character at a time. An escape may begin with what could be the character itself, as a backslash does that is escaped
by another, so the walk keeps every place it may have come to. Escapes are of bounded length, so each step is too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_FIRST = 4
STOP = re.compile(r"""["'`\s]""")
"""What ends a word that was cut off, or goes on otherwise."""
_ESCAPE = frozenset("\\%&")
_CONTROL = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_NAMED = {"&": "amp", '"': "quot", "'": "apos", "<": "lt", ">": "gt", "/": "sol", "+": "plus", "=": "equals"}
_ALIKE = {"+": "- ", "/": "_", "-": "+", "_": "/", " ": "+"}
"""What base64url, and a form's encoding, write instead."""
_FOLDED = str.maketrans("- _", "++/")
"""One character for all that may stand for each other."""


def likely(text: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Those that a text may hold at all; in one without escapes, which most are, that is seen at once."""
    if "\\" in text or "%" in text or "&" in text:
        return wanted
    folded = text.translate(_FOLDED)
    return tuple(each for each, first in zip(wanted, _folded(wanted), strict=True) if first in folded)


@lru_cache(maxsize=64)
def _folded(wanted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each[:_FIRST].translate(_FOLDED) for each in wanted)


def occurrences(text: str, wanted: str, least: int) -> Iterator[tuple[int, int]]:
    """Where ``wanted`` is written in a text, from the beginning to the end of each.

    Where only a beginning of it is, of at least ``least`` characters, it ends with the next quote or blank.
    """
    first = _beginning(wanted)
    found = first.search(text)
    while found is not None:
        begin = found.start()
        count, end = _walked(text, begin, wanted)
        if count >= min(least, len(wanted)):
            if count < len(wanted):
                end += len(STOP.split(text[end:], maxsplit=1)[0])
            yield begin, end
        else:
            end = begin + 1
        found = first.search(text, end)


def _walked(text: str, start: int, wanted: str) -> tuple[int, int]:
    """How many characters of ``wanted`` stand at a place, and where the last of them ends."""
    places = {start}
    for count, char in enumerate(wanted):
        after = {end for at in places for end in _ends(text, at, char)}
        if not after:
            return count, max(places)
        places = after
    return len(wanted), max(places)


def _ends(text: str, at: int, char: str) -> Iterator[int]:
    """Where a character may end that begins at a place."""
    here = text[at : at + 1]
    if here and here in _plain(char):
        yield at + 1
    if here in _ESCAPE and (escaped := _escape(char).match(text, at)):
        yield escaped.end()


@lru_cache(maxsize=64)
def _beginning(wanted: str) -> re.Pattern[str]:
    """What finds the first characters of a text."""
    forms = (f"(?:{'|'.join(map(re.escape, _plain(char)))}|{_escapes(char)})" for char in wanted[:_FIRST])
    return re.compile("".join(forms))


@lru_cache(maxsize=512)
def _escape(char: str) -> re.Pattern[str]:
    return re.compile(_escapes(char))


def _plain(char: str) -> str:
    """The single characters that a character may be written as."""
    return char + _ALIKE.get(char, "")


def _escapes(char: str) -> str:
    """A regular expression for all escapes of a character, also for those that were escaped once or twice more."""
    utf_16 = char.encode("utf-16-be", "surrogatepass").hex()
    slashes = r"\\" if char == "\\" else r"\\{1,3}"
    unicode = "".join(f"{slashes}u(?i:{utf_16[i : i + 4]})" for i in range(0, len(utf_16), 4))
    brief = f"{slashes}x(?i:{ord(char):02x})"
    single = f"{slashes}{re.escape(_CONTROL.get(char, char))}"
    again = "" if char == "%" else "(?:25){0,2}"
    percent = "".join(f"%{again}(?i:{byte:02x})" for byte in char.encode("utf-8", "surrogatepass"))
    names = f"#0{{0,6}}{ord(char)}|#[xX]0{{0,6}}(?i:{ord(char):x})"
    if char in _NAMED:
        names = f"{_NAMED[char]}|{names}"
    entity = f"&{'' if char == '&' else '(?:amp;){0,2}'}(?:{names});"
    ways = [unicode, brief, percent, entity] if char.isalnum() else [single, unicode, brief, percent, entity]
    return "|".join(ways)
