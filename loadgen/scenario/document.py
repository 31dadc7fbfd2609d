"""A YAML text as a tree with the faults found in it, none of which tells a secret; and the files that it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from loadgen.scenario import feeder, leftout
from loadgen.scenario.model import Scenario
from loadgen.targets import secret
from loadgen.text import file, foreign, walk, yaml
from loadgen.text.excerpt import literals, resembles_key
from loadgen.text.fault import Fault, Found, Place, ScenarioError
from loadgen.text.fault import Path as KeyPath
from loadgen.text.override import Override, as_line, override
from loadgen.text.secret import MASK
from loadgen.text.substitution import substitute
from loadgen.text.walk import Read

Check = Callable[[Scenario], Iterable[tuple[KeyPath, str]]]
"""A rule of an upper layer: what is wrong with a Scenario, as (path in the document, message)."""

T = TypeVar("T")

_PLAIN_WORD = re.compile("[a-z_]+")


class Document:
    """The tree of a text, and the faults found in it so far.

    One with ``foreign`` is a file that a scenario names: of it nothing is quoted but these names of fields.
    """

    def __init__(
        self,
        text: str,
        source: str,
        environment: Mapping[str, str],
        overrides: Sequence[Override],
        *,
        foreign: frozenset[str] | None = None,
    ) -> None:
        self._foreign = foreign
        self._secret_lines: set[tuple[str, int]] = set()
        self._literals = literals("\n".join((text, *map(as_line, overrides))))
        try:
            root, self.faults = yaml.parse(text, source)
        except ScenarioError as error:
            self.faults = list(error.faults)
            raise self.error(self._literals) from error
        if not isinstance(root, yaml.Fields):
            seen = "nothing" if root is None or yaml.data(root) is None else "a single value or a list"
            place = Place(source, 1, 1) if root is None else root.place
            self.faults.append(Fault(place, (), f"got {seen}, expected a mapping such as name: hello"))
            raise self.error()
        tree: yaml.Node = root
        for option in overrides:
            tree = self.gather(lambda option=option, tree=tree: override(tree, option)) or tree  # type: ignore[misc]
        unread: list[Fault] = []
        self.root = substitute(tree, environment, unread)
        self._unread = {fault.path for fault in unread}
        self.faults.extend(unread)
        self.said = Read(None, {}, set())

    def error(self, words: Iterable[str] | None = None) -> ScenarioError:
        """All faults, without secrets; ``words`` are what is masked in their messages.

        What is in a place for secrets is looked for in messages as well, unless it is a plain word, as these are made
        of such.
        """
        masked = [word for word in self._literals if not _PLAIN_WORD.fullmatch(word)] if words is None else words
        return ScenarioError(self._told(fault, sorted(masked, key=len, reverse=True)) for fault in self.faults)

    def _told(self, fault: Fault, words: Sequence[str]) -> Fault:
        path, message, place = fault.path, fault.message, self._shown(fault.place)
        if path[:2] == ("target", "auth"):
            path = (*path[:2], *(step if resembles_key(str(step)) else MASK for step in path[2:]))
        for word in words:
            path = tuple(step.replace(word, MASK) if isinstance(step, str) else step for step in path)
            message = message.replace(word, MASK)
        if self._foreign is not None:
            path = tuple(step for step in path if step in self._foreign)
            message, place = _unquoted(message), msgspec.structs.replace(place, text="")
        return Fault(place, path, message)

    def gather(self, step: Callable[[], T]) -> T | None:
        """The result of a step; None when it raised a ScenarioError, whose faults are kept."""
        try:
            return step()
        except ScenarioError as error:
            self.faults.extend(error.faults)
            return None

    def check(self, struct: type, rules: Callable[[dict[str, Any]], Found]) -> dict[str, Any]:
        """The document's data; what does not fit the form of ``struct`` or ``rules`` is added to the faults."""
        data: dict[str, Any]
        self.said = walk.read(self.root, struct, self.report, self._report_unknown)
        self._secret_lines = {(place.source, place.line) for place in secret.places(self.root, self.said.secret)}
        self._literals |= secret.literals_of(self.root, self.said.secret)
        data = self.said.data
        for path, message in rules(data):
            self.report(path, message)
        return data

    def located(self, path: KeyPath) -> KeyPath:
        """Where a path in the data of a call leads in the document, see ``calls.View``."""
        return path

    def report(self, path: KeyPath, message: str) -> None:
        """Add a fault of the value at ``path``, unless it is one that could not even be substituted."""
        if path not in self._unread:
            self.faults.append(Fault(yaml.place_of(self.root, path), path, message))

    def report_key(self, path: KeyPath, message: str) -> None:
        """Add a fault of the key that ends ``path``."""
        parent = yaml.find(self.root, path[:-1])
        assert isinstance(parent, yaml.Fields)
        self.faults.append(Fault(parent.keys[str(path[-1])], path, message))

    def _report_unknown(self, path: KeyPath, message: str) -> None:
        self.report_key(path, leftout.why(str(path[-1])) or message)

    def _shown(self, place: Place) -> Place:
        """The place, without its line where that holds a secret which is not blanked out."""
        hidden = (place.source, place.line) in self._secret_lines
        return msgspec.structs.replace(place, text="") if hidden else place

    def judge(self, scenario: Scenario, checks: Sequence[Check]) -> None:
        """Add what ``checks`` find, except about parts that have a fault already."""
        faulty = {fault.path[:1] for fault in self.faults}
        for check in checks:
            for path, message in check(scenario):
                if path[:1] not in faulty:
                    self.report(path, message)


def _unquoted(message: str) -> str:
    """A message without what it quotes of the file."""
    got, _, expected = message.rpartition(", expected ")
    return f"expected {expected}" if got.startswith("got ") else foreign.unquoted(message)


def read_text(path: Path) -> str:
    """The text of a scenario file, which may be a pipe: the user names it, and no scenario does."""
    return _text(str(path), lambda: path.open("rb"))


def text_of(source: BinaryIO, name: str) -> str:
    """The text of a scenario that is read from ``source``, such as stdin, which messages call ``name``; left open."""
    return _text(name, lambda: nullcontext(source))


def price_book_text(path: Path) -> str:
    """The text of a price book, which a scenario names."""
    return _text(str(path), lambda: file.opened(path))


def _text(name: str, opened: Callable[[], AbstractContextManager[BinaryIO]]) -> str:
    """The text of a YAML file, of which no more is read than is needed to see that it is too large."""
    try:
        with opened() as source:
            raw = source.read(4 * yaml.MAX_CHARACTERS + 4)
    except (OSError, ValueError) as error:
        reason = file.reason(error) if isinstance(error, OSError) else str(error)
        raise ScenarioError([Fault(Place(name), (), f"cannot read this file: {reason}")]) from error
    if len(raw) > yaml.MAX_CHARACTERS:
        message = f"the file holds more than {yaml.MAX_CHARACTERS >> 20} MiB, far more than a scenario needs"
        raise ScenarioError([Fault(Place(name), (), message)])
    return feeder.decoded(raw, name)


def no_file(path: Path) -> str | None:
    """Why there is nothing to read at a path; None when there is."""
    try:
        file.opened(path).close()
    except OSError as error:
        shown, missing = foreign.quote(str(path)), isinstance(error, FileNotFoundError)
        seen = f"there is no file {shown}" if missing else f"cannot read {shown}: {file.reason(error)}"
        return f"{seen}; expected a file, relative to the scenario's directory"
    return None
