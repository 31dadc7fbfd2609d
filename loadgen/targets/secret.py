"""What may be written out of a scenario: everything but its secrets.

Secret are the credentials under ``target.auth``, and the header fields and the values of the emulator's account whose
names say so (Authorization, Cookie, anything with token, key, secret or password in it).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import unescape
from typing import Any
from urllib.parse import unquote

from loadgen.targets.endpoint import encrypted, loopback
from loadgen.targets.functiongraph.protocol.platform import Account
from loadgen.targets.functiongraph.protocol.target import (
    Auth,
    EnvironmentAuth,
    FunctionTarget,
    IamAuth,
    KeyAuth,
    NoAuth,
    TokenAuth,
)
from loadgen.targets.target import Target
from loadgen.text import yaml
from loadgen.text.echo import likely, occurrences
from loadgen.text.excerpt import secret_name
from loadgen.text.fault import Path, Place
from loadgen.text.substitution import MASK, escaped, holds_literal, masked, unescaped
from loadgen.text.template import GAP, PLACEHOLDER, without_fields

_BACKSLASHED = re.compile(r"\\+(?:u(?P<code>[0-9a-fA-F]{4})|(?P<char>.))")
SHORTEST = 4
"""Characters of a secret that is looked for in what is written."""
_LONG = 8
"""Characters of one that is looked for everywhere, in Base64, too; a shorter one only where it stands by itself."""
_TELLING = 16
"""So many characters of a longer secret give it away."""
_PUBLISHED = {Account().password, Account().access_key, Account().secret_key}
"""What the emulator's user has unless told otherwise: it is in the documentation, and an ordinary word."""
_SCHEME = re.compile(r"\s*(?:bearer|basic|token)\s+", re.IGNORECASE)
_BASIC = re.compile(r"basic\s+([A-Za-z0-9+/]+)=*", re.IGNORECASE)
_ESCAPED = re.compile(r"(?:\\(?:u[0-9a-f]{4}|x[0-9a-f]{2}|[bfnrt])|%(?:25)*[0-9a-f]{2})\Z", re.IGNORECASE)
"""Characters of words, of which what follows them is no part."""
_ESCAPES = 12
"""Characters of one of them that are looked at."""
_ADDRESS = re.compile(rf"\A[^/?#]*//[^/?#]*|{PLACEHOLDER.pattern}")
"""What the grammar restricts in a URL; the rest of it is free text, as the tags and the event are."""
_NEVER, _ALL = re.compile(r"(?!)"), re.compile(r"(?s:.+)")
_MODES = ("none", "environment")
"""What target.auth may be, other than a mapping of secrets."""


def is_secret(path: Path) -> bool:
    """Whether the value at this path of a scenario document is never written out."""
    if path[:2] == ("emulator", "account"):
        return secret_name(str(path[-1]))
    if path[:1] != ("target",):
        return False
    return path[1:2] == ("auth",) or path[1:] == ("headers",) or secret_name(str(path[-1]))


def places(root: yaml.Node) -> Iterator[Place]:
    """Where a secret is written, not a ``${NAME}``, and would be seen in a line as it is shown."""
    for path, value in yaml.scalars(root):
        written = is_secret(path) and value.value not in _MODES and holds_literal(value)
        if written and any(word in value.place.text for word in value.raw.split()):
            yield value.place


def values(target: Target) -> tuple[str, ...]:
    """The secrets that are sent to a target, the longest first; what is shorter than any real one is left out."""
    return _hideable(_sent(target))


def _sent(target: Target) -> set[str]:
    return {part for _, parts in _parts(target) for part in parts}


def _parts(target: Target) -> Iterator[tuple[str, set[str]]]:
    """Each place of secrets in a target, and what is secret of it."""
    if isinstance(target, FunctionTarget):
        published = _PUBLISHED if loopback(target.endpoint) else set()
        for key, value in _credentials(target.auth).items():
            yield f"auth.{key}", {value} - published
        return
    for name, value in target.headers:
        if secret_name(name):
            yield f"headers.{name}", _of_header(name, value)


def _of_header(name: str, value: str) -> set[str]:
    """What is secret of a header field: all of it, its last word, the values of cookies, and the user of Basic.

    Of one that a feeder fills, that is what is the same in all calls. Source: RFC 6265, 4.2.1; RFC 7617, 2.
    """
    constant = without_fields(value)
    texts = [text.strip() for text in constant.split(GAP)]
    found = {part for text in texts for part in (text, text.split(" ")[-1])}
    if "cookie" in name.lower():
        values = (pair.partition("=")[2] for pair in constant.split(";"))
        found |= {text.strip(' \t"') for each in values for text in each.split(GAP)}
    if basic := _BASIC.fullmatch(value.strip()):
        found |= _user(basic[1])
    return {part for part in found if not _SCHEME.fullmatch(f"{part} ")}


def _user(in_base64: str) -> set[str]:
    """The ``name:password`` of Basic, and its password."""
    try:
        raw = b64decode(in_base64 + "=" * (-len(in_base64) % 4))
    except ValueError:
        return set()
    try:
        pair = raw.decode()
    except UnicodeDecodeError:
        pair = raw.decode("latin-1")
    return {pair, pair.partition(":")[2]}


def doubts(target: Target) -> Iterator[str]:
    """What is unsafe about the credentials of a target, in words."""
    if isinstance(target, FunctionTarget):
        urls = [target.endpoint] + ([target.auth.url] if isinstance(target.auth, IamAuth) else [])
        holds = not isinstance(target.auth, NoAuth)
        whole = set(_credentials(target.auth).values())
    else:
        urls = [target.url]
        secrets = [value for name, value in target.headers if secret_name(name)]
        holds = bool(secrets)
        whole = {_SCHEME.sub("", value) for value in secrets}
    if holds and not target.tls.verify and any(map(encrypted, urls)):
        yield (
            "target.tls.verify is false and credentials are sent: whoever answers in the server's place gets them. Set "
            "target.tls.ca to the file of the authority that signed its certificate instead"
        )
    if any(0 < len(value) < SHORTEST for value in whole):
        yield (
            f"a secret of the target has fewer than {SHORTEST} characters: it is not looked for in what is written, as "
            "it would be found in other words. Where it is repeated, it can be read"
        )
    for place, parts in _parts(target):
        if any(SHORTEST <= len(part) < _LONG for part in parts):
            yield f"the secret of {place} is a short or common word: it is masked wherever it stands by itself"


def _hideable(found: Iterable[str]) -> tuple[str, ...]:
    """The secrets that are looked for, and what they are in Base64, the longest first."""
    sought = _sought(found)
    return tuple(_longest_first(sought.union(*map(_in_base64, sought))))


def _sought(found: Iterable[str]) -> set[str]:
    return {value for value in found if len(value) >= SHORTEST}


def _in_base64(value: str) -> Iterator[str]:
    """What is the same of it in every Base64 text that holds it, by where in a group of three bytes it begins."""
    raw = value.encode("utf-8", "surrogatepass")
    for before in range(3) if len(value) >= _LONG else ():
        text = b64encode(b"\0" * before + raw).decode()
        whole = (before + len(raw)) * 8 // 6  # of what follows, the rest depends on that
        yield text[-(-before * 8 // 6) : whole]


def _longest_first(found: Iterable[str]) -> list[str]:
    return sorted(found, key=len, reverse=True)


def _unbackslashed(found: re.Match[str]) -> str:
    return chr(int(found["code"], 16)) if found["code"] else found["char"]


def _credentials(auth: Auth) -> dict[str, str]:
    match auth:
        case TokenAuth(token=token):
            return {"token": token}
        case KeyAuth(access_key=access, secret_key=secret, security_token=temporary):
            keys = {"access_key": access, "secret_key": secret}
            return keys if temporary is None else {**keys, "security_token": temporary}
        case IamAuth(password=password):
            return {"iam.password": password}
        case NoAuth() | EnvironmentAuth():
            return {}


class Secrets:
    """What is hidden in everything that a run writes: the target's secrets, and what is obtained on the way.

    ``fed`` are what a feeder's rows put into secret headers, of which there may be very many.
    """

    def __init__(self, target: Target, fed: Iterable[str] = ()) -> None:
        self._known = _sent(target)
        self._values = _hideable(self._known)
        self._spared = _NEVER
        self._fed = sorted(_sought(fed))
        self._longest = max(map(len, self._fed), default=0)
        self._starts = {value[:SHORTEST] for value in self._fed}
        self._brief = {value for value in self._fed if len(value) < _TELLING}
        self._lengths = {len(value) for value in self._brief}

    def add(self, auth: Auth) -> None:
        """Hide these credentials too, from now on."""
        self._known |= set(_credentials(auth).values())
        self._values = _hideable(self._known)

    def spare(self, path: str) -> None:
        """Have short secrets left in a path that the user chose, from now on; alone, one word may be a secret yet."""
        self._spared = re.compile(re.escape(path) + ("" if "/" in path else "(?=/)"))

    def hide(self, text: str) -> str:
        """The text with every secret masked, see ``hidden``."""
        return self._hide(text, self._spared)

    def _hide(self, text: str, spared: re.Pattern[str]) -> str:
        """The text with every secret masked, but for the short ones in what is spared."""
        secrets = (*self._values, *self._fed_in(text)) if self._fed else self._values
        text = hidden(text, tuple(each for each in secrets if len(each) >= _LONG))
        short = tuple(each for each in secrets if len(each) < _LONG)
        shown, seen = "", 0
        for found in spared.finditer(text) if short else ():
            shown += hidden(text[seen : found.start()], short) + found[0]
            seen = found.end()
        return shown + hidden(text[seen:], short)

    def hide_in(self, value: Any) -> Any:
        """Plain data with every secret in it masked, keys and whole numbers included."""
        if isinstance(value, dict):
            return {self.hide_in(key): self.hide_in(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide_in(inner) for inner in value]
        if isinstance(value, str):
            return self.hide(value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return MASK if number and self.hide(str(value)) == MASK else value

    def hide_in_yaml(self, as_run: str) -> str:
        """What ``as_run`` wrote with every secret masked; a short one in free text only, so that it still loads."""
        root, _ = yaml.parse(as_run, "")
        return as_run if root is None else _dumped(self._hidden_values(yaml.data(root), ()))

    def _hidden_values(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {
                self._hide(key, _restricted((*path, key), key=True)): self._hidden_values(inner, (*path, key))
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self._hidden_values(inner, path) for inner in value]
        if isinstance(value, str):
            meant = unescaped(value)
            shown = self._hide(meant, _restricted(path))
            return value if shown == meant else escaped(shown)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return MASK if number and self._hide(str(value), _restricted(path)) == MASK else value

    def _fed_in(self, text: str) -> list[str]:
        """Those of a feeder that a text may hold, found where its escapes are undone: of many, the most alike."""
        found = set()
        for each in {text, unquote(text), unescape(text), _BACKSLASHED.sub(_unbackslashed, text)}:
            for at in (at for at in range(len(each)) if each[at : at + SHORTEST] in self._starts):
                found |= {each[at : at + length] for length in self._lengths} & self._brief
                place = bisect(self._fed, each[at : at + self._longest])
                found |= {v for v in self._fed[max(0, place - 1) : place + 1] if each.startswith(v[:_TELLING], at)}
        return _longest_first(found)


def _restricted(path: Path, *, key: bool = False) -> re.Pattern[str]:
    """What a short secret is left in at a path of a scenario: all that the grammar restricts."""
    if path[:1] in (("tags",), ("event",)) and len(path) > 1:
        return PLACEHOLDER
    if path[:2] == ("target", "headers") and not key:
        return PLACEHOLDER
    return _ADDRESS if path == ("target", "url") and not key else _ALL


def hidden(text: str, secrets: tuple[str, ...]) -> str:
    """The text with every secret masked: targets repeat what they get, escaped or not, and sometimes cut off.

    Of one that is not all there, whatever follows up to the next quote or blank is masked too. A short one is masked
    as a whole word only.
    """
    for secret in likely(text, secrets):
        shown, seen = "", 0
        for begin, end in occurrences(text, secret, _TELLING):
            if len(secret) >= _LONG or _by_itself(text, begin, end):
                shown += text[seen:begin] + MASK
                seen = end
        text = shown + text[seen:]
    return text


def _by_itself(text: str, begin: int, end: int) -> bool:
    """Whether neither a letter, a digit nor a ``_`` stands beside a part of a text."""
    before = text[max(0, begin - _ESCAPES) : begin]
    return not _in_word(text[end : end + 1]) and (not _in_word(before[-1:]) or _ESCAPED.search(before) is not None)


def _in_word(char: str) -> bool:
    return char.isalnum() or char == "_"


_Written = Mapping[Path, yaml.Value]
"""What is written where that is not what YAML makes of it, see ``walk.read``."""


def masked_document(root: yaml.Node, written: _Written) -> dict[str, Any]:
    """The plain data of a document with its secrets masked."""
    shown: dict[str, Any] = yaml.data(_mapped(root, written, lambda value: value))
    return shown


def as_run(root: yaml.Node, written: _Written) -> str:
    """The document as YAML text that loads again, with its secrets masked."""
    shown = _mapped(root, written, lambda value: escaped(value) if isinstance(value, str) else value)
    return _dumped(yaml.data(shown))


def _dumped(data: Any) -> str:
    return "# As run: options and variables resolved, secrets masked.\n" + yaml.dump(data)


def _mapped(
    node: yaml.Node, written: _Written, write: Callable[[yaml.Value], yaml.Value], path: Path = ()
) -> yaml.Node:
    """The tree with its values as ``write`` gives them, secrets masked."""
    if isinstance(node, yaml.Items):
        items = (_mapped(item, written, write, (*path, i)) for i, item in enumerate(node.items))
        return yaml.Items(tuple(items), node.place)
    if isinstance(node, yaml.Fields):
        nodes = {key: _mapped(value, written, write, (*path, key)) for key, value in node.nodes.items()}
        return yaml.Fields(nodes, node.keys, node.place)
    value = written.get(path, node.value)
    shown = masked(node) if is_secret(path) and value not in _MODES else write(value)
    return yaml.Scalar(shown, node.text, node.raw, node.plain, node.place)
