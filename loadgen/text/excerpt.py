"""The text of a scenario as a message may quote it: character for character, but with its secrets blanked out.

A message about a scenario shows the line and a caret, and the text may be no YAML at all, so what is secret is found
without parsing it. Secret is what follows a key that says so, as far as it may reach: to the end of its line, quotation
or brackets, and over all lines that belong to it; where quotes or brackets do not end as they should, whatever follows
them is taken for a part of the secret, as it is the text that went wrong. So is the user in a URL, and a private key
in PEM. Rather too much is blanked than too little. References to the environment (``${NAME}``) stay.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

BLANK = "*"
_WORDS = ("authorization", "cookie", "token", "secret", "password", "passwd", "credential", "key", "signature")

# Nothing below is tried from within a run of characters that it cannot begin in, so the time is linear in the text.
_KEY = re.compile(r"""(?<![\w.-])["']?(?P<name>[\w.-]++)["']?(?P<then>\s*+[:=]|[ \t])""")
_TELLS = re.compile(
    r"(?:\A|\.)auth\Z|authorization|cookie|token|secret|password|passwd|credential|signature"
    r"|(?:api|access|secret|private|[_.-])key",
    re.IGNORECASE,
)
"""What the name of a key has in it that says it is secret."""
_URL = re.compile(r"//(?P<rest>[^\s\"'<>]*+)")
_MODES = re.compile(r"[ \t]*(?:none|environment|emulator)\b[ \t]*(?=[,}\n#]|\Z)")
"""What target.auth may be, other than something secret."""
_END = re.compile(r"[ \t]*(?=[,}\]\n]|\Z)|[ \t]+(?=#)")
_PRIVATE_KEY = re.compile(r"(?<=PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL)
_OPEN, _CLOSE = "{[", "}]"
AUTH_KEYS = (
    "token", "access_key", "secret_key", "security_token", "iam", "username", "password", "domain", "project", "url",
    "agency", "agency_domain",
)  # fmt: skip
"""The keys below target.auth, which are no secrets themselves."""
_KEPT = re.compile(rf"\$\{{[A-Za-z_]\w*\}}|\s+|\b(?:{'|'.join(AUTH_KEYS)})\s*:[ \t]*[\[{{\"']*")
_AT_FIRST, _AT_LAST = re.compile(r"""\A\s*["'{\[]*"""), re.compile(r"""(?<!["'}\]\s])["'}\]\s]*+\Z""")
_BETWEEN = re.compile(r"""\$\{\w*:-|[\s"'{}\[\],:=]+""")
_SCHEMES = ("bearer", "basic", "token")
_SHORTEST = 4


def secret_name(name: str) -> bool:
    """Whether what has this name, such as a header field, holds a secret."""
    return any(word in name.lower() for word in _WORDS)


def tells_secret(name: str) -> bool:
    """Whether a name says that what it names is a secret; ``key`` alone does not, as it may be that of anything."""
    return _TELLS.search(name) is not None


def blanked(text: str) -> str:
    """The text with everything that may be secret blanked out; every character that is left stands where it stood."""
    shown = list(text)
    for begin, end, _ in _spans(text):
        for part in re.finditer(r"\S+", _without_marks(text[begin:end])):
            shown[begin + part.start() : begin + part.end()] = BLANK * len(part[0])
    return "".join(shown)


def _without_marks(value: str) -> str:
    """A value in which what may be shown is blanks: known keys, references, quotes and brackets around it."""
    for form in (_AT_FIRST, _KEPT, _AT_LAST):
        value = form.sub(lambda found: " " * len(found[0]), value)
    return value


def literals(text: str) -> set[str]:
    """The words that stand behind keys which say that they are secret, to be looked for in messages."""
    return {word for begin, end, sure in _spans(text) if sure for word in secret_words(text[begin:end])}


def secret_words(value: str) -> set[str]:
    """Those of the words of a secret that are looked for in messages."""
    words = _BETWEEN.split(_KEPT.sub(" ", value))
    return {word for word in words if len(word) >= _SHORTEST and word.lower() not in _SCHEMES and word[:2] != "//"}


def resembles_key(name: str) -> bool:
    """Whether a name under target.auth is a misspelt key, and not a secret that is where a key should be."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z_-]*", name) is not None
    near = difflib.get_close_matches(name.lower(), AUTH_KEYS, len(AUTH_KEYS), 0.7)
    return plain and any(abs(len(name) - len(key)) <= 2 for key in near)


def _spans(text: str) -> list[tuple[int, int, bool]]:
    """Where secrets may stand, from the beginning to the end of each; and whether it was a key that said so."""
    found = [(begin, end, True) for begin, end in _users(text)]
    found += [(key.start(), key.end(), False) for key in _PRIVATE_KEY.finditer(text)]
    at = 0
    while (key := _KEY.search(text, at)) is not None:
        if not _TELLS.search(key["name"]):
            at = key.end("name")
            continue
        at = begin = key.end()
        if mode := _MODES.match(text, begin):
            at = mode.end()
            continue
        at = max(begin, _end(text, key.start(), begin))
        found.append((begin, at, not key["then"].isspace() or _stands_as_key(text, key.start())))
    return found


def _users(text: str) -> Iterator[tuple[int, int]]:
    """Where the user of each URL stands, which may have an @ in it."""
    for url in _URL.finditer(text):
        if (last := url["rest"].rfind("@")) >= 0:
            yield url.start("rest"), url.start("rest") + last


def _stands_as_key(text: str, at: int) -> bool:
    while at and text[at - 1].isspace():
        at -= 1
        if text[at] == "\n":
            return True
    return not at or text[at - 1] in "{[,-"


def _end(text: str, key: int, begin: int) -> int:
    """Where the value ends that begins after a key."""
    value = _skip_blanks(text, begin)
    first = text[value : value + 1]
    if first in ("'", '"'):
        return _properly(text, _quoted(text, value))
    if first and first in _OPEN:
        return _properly(text, _bracketed(text, value))
    return _block(text, key, _line_end(text, begin))


def _properly(text: str, end: int) -> int:
    """The end of what is in quotes or brackets, which is that of the line where something else follows it."""
    return end if _END.match(text, end) else _line_end(text, end)


def _quoted(text: str, begin: int) -> int:
    """The end of what a quote begins; that of the text where it never ends."""
    end = r'"(?:[^"\\]|\\.)*+"' if text[begin] == '"' else r"'(?:[^']|'')*'"
    found = re.compile(end, re.DOTALL).match(text, begin)
    return len(text) if found is None else found.end()


def _bracketed(text: str, begin: int) -> int:
    depth, at = 0, begin
    while at < len(text):
        char = text[at]
        if char in "'\"" and text[at - 1] in " \t\n:,[{":
            at = _quoted(text, at)
            continue
        depth += (char in _OPEN) - (char in _CLOSE)
        at += 1
        if not depth:
            return at
    return len(text)


def _block(text: str, key: int, end: int) -> int:
    """The end of a value without quotes: that of its line, or of the last line below that is indented more."""
    indent = _indent(text[text.rfind("\n", 0, key) + 1 : key + 1])
    while end < len(text):
        after = _line_end(text, end + 1)
        line = text[end + 1 : after]
        if line.strip() and _indent(line) <= indent:
            break
        end = after
    return end


def _indent(line: str) -> int:
    """How far a line is indented; the dash of a list's item is a part of it."""
    found = re.match(r"[ \t]*(?:-[ \t]+)*", line)
    return 0 if found is None else found.end()


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at
