"""What must not be written anywhere, found in whatever is written and masked: whole, escaped, cut off or in Base64."""

from __future__ import annotations

import re
from array import array
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Any
from urllib.parse import unquote

from loadgen.text.echo import STOP, likely, occurrences

MASK = "***"
"""What stands in the place of a secret."""
_BACKSLASHED = re.compile(r"\\+(?:u(?P<code>[0-9a-fA-F]{4})|(?P<char>.))")
SHORTEST = 4
"""Characters of a secret that is looked for in what is written."""
LONG = 8
"""Characters of one that is looked for everywhere, in Base64, too; a shorter one only where it stands by itself."""
_TELLING = 16
"""So many characters of a longer secret give it away."""
_ESCAPED = re.compile(r"(?:\\(?:u[0-9a-f]{4}|x[0-9a-f]{2}|[bfnrt])|%(?:25)*[0-9a-f]{2})\Z", re.IGNORECASE)
"""Characters of words, of which what follows them is no part."""
_ESCAPES = 12
"""Characters of one of them that are looked at."""
_MANY, _RUN, _STARTS = 1 << 15, 1 << 16, 1 << 22
_NEVER = re.compile(r"(?!)")


def hideable(found: Iterable[str]) -> tuple[str, ...]:
    """The secrets that are looked for, and what they are in Base64, the longest first."""
    sought = _sought(found)
    return tuple(_longest_first(sought.union(*map(_in_base64, sought))))


def _sought(found: Iterable[str]) -> set[str]:
    return {value for value in found if len(value) >= SHORTEST}


def _in_base64(value: str) -> Iterator[str]:
    """What is the same of it in every Base64 text that holds it, by where in a group of three bytes it begins."""
    raw = value.encode("utf-8", "surrogatepass")
    for before in range(3) if len(value) >= LONG else ():
        text = b64encode(b"\0" * before + raw).decode()
        whole = (before + len(raw)) * 8 // 6  # of what follows, the rest depends on that
        yield text[-(-before * 8 // 6) : whole]


def _longest_first(found: Iterable[str]) -> list[str]:
    return sorted(found, key=len, reverse=True)


def _unbackslashed(found: re.Match[str]) -> str:
    return chr(int(found["code"], 16)) if found["code"] else found["char"]


class Fed:
    """Secrets of which there may be millions, in 8 bytes each: hashes, which tell whether a text holds one.

    Of a long one its beginning counts, as that gives it away. They are taken in many at a time, into runs of hashes
    that are sorted one by one, so that adding them takes little time and memory.
    """

    def __init__(self) -> None:
        self._new: list[str] = []
        """Those not yet taken in, as much of each as counts."""
        self._runs: dict[int, list[array[int]]] = {}
        """By the number of characters that were hashed."""
        self._starts = bytearray()
        """Which beginnings there may be at all, a byte for the hash of each."""

    def __bool__(self) -> bool:
        return bool(self._new or self._runs)

    def add(self, value: str) -> None:
        """Hide this one, too; one that is too short is not looked for."""
        if len(value) >= SHORTEST:
            self._new.append(value[:_TELLING])
            if len(self._new) == _MANY:
                self._take_in()

    def _take_in(self) -> None:
        """Keep the hashes of the new ones, and not them."""
        new, self._new = self._new, []
        starts = self._starts = self._starts or bytearray(_STARTS)
        for value in new:
            starts[hash(value[:SHORTEST]) & (_STARTS - 1)] = 1
        for length in set(map(len, new)):
            hashes = [hash(value) for value in new if len(value) == length]
            runs = self._runs.setdefault(length, [])
            if runs and len(runs[-1]) < _RUN:
                hashes += runs.pop()
            runs.append(array("q", sorted(hashes)))

    def within(self, text: str) -> set[str]:
        """Those that stand in a text; a long one up to the next quote or blank."""
        if self._new:
            self._take_in()
        found: set[str] = set()
        for at in range(len(text) - SHORTEST + 1) if self._runs else ():
            if self._starts[hash(text[at : at + SHORTEST]) & (_STARTS - 1)]:
                found.update(self._at(text, at))
        return found

    def _at(self, text: str, at: int) -> Iterator[str]:
        for length, runs in self._runs.items():
            part = text[at : at + length]
            if len(part) == length and self._holds(runs, hash(part)):
                yield part if length < _TELLING else STOP.split(text[at:], maxsplit=1)[0]

    @staticmethod
    def _holds(runs: list[array[int]], value: int) -> bool:
        places = ((run, bisect_left(run, value)) for run in runs)
        return any(place < len(run) and run[place] == value for run, place in places)


class Secrets:
    """What is hidden in everything that a run writes: the secrets known, and what is obtained on the way.

    ``fed`` are those in a feeder's rows.
    """

    def __init__(self, known: Iterable[str], fed: Fed | None = None) -> None:
        self._known = set(known)
        self._values = hideable(self._known)
        self._spared = _NEVER
        self._fed = fed or Fed()

    def add(self, known: Iterable[str]) -> None:
        """Hide these too, from now on."""
        self._known |= set(known)
        self._values = hideable(self._known)

    def spare(self, path: str) -> None:
        """Have short secrets left in a path that the user chose, from now on; alone, one word may be a secret yet."""
        self._spared = re.compile(re.escape(path) + ("" if "/" in path else "(?=/)"))

    def hide(self, text: str, spared: re.Pattern[str] | None = None) -> str:
        """The text with every secret masked, see ``hidden``, but for short ones in what is ``spared``, as a path is."""
        spared = self._spared if spared is None else spared
        secrets = (*self._values, *self._fed_in(text)) if self._fed else self._values
        text = hidden(text, tuple(each for each in secrets if len(each) >= LONG))
        short = tuple(each for each in secrets if len(each) < LONG)
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

    def _fed_in(self, text: str) -> list[str]:
        """Those of a feeder that a text holds, found where its escapes are undone."""
        found = set()
        for each in {text, unquote(text), unescape(text), _BACKSLASHED.sub(_unbackslashed, text)}:
            found |= self._fed.within(each)
        return _longest_first(found)


def hidden(text: str, secrets: tuple[str, ...]) -> str:
    """The text with every secret masked: targets repeat what they get, escaped or not, and sometimes cut off.

    Of one that is not all there, whatever follows up to the next quote or blank is masked too. A short one is masked
    as a whole word only.
    """
    for secret in likely(text, secrets):
        shown, seen = "", 0
        for begin, end in occurrences(text, secret, _TELLING):
            if len(secret) >= LONG or _by_itself(text, begin, end):
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
