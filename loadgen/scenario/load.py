"""Loading a scenario: text in, a Scenario out, or every fault at once.

The steps, each in a module of its own: ``yaml`` parses text to a tree of located nodes, ``override`` sets the values of
``--set``, ``substitution`` replaces ``${NAME}``, ``form`` reads the values as the structs of the blocks
say, ``rules`` checks what goes together, ``build`` makes the Scenario. Faults are collected over all steps.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec
from msgspec import Meta, Struct

from loadgen.invocation.bill import PriceBook
from loadgen.load import trace
from loadgen.load.trace import Trace
from loadgen.measure.rule import CostRule
from loadgen.scenario import build, event, feeder, rules
from loadgen.scenario.fingerprint import fingerprint
from loadgen.scenario.model import Scenario
from loadgen.targets import secret
from loadgen.targets.functiongraph.protocol.platform import Emulator, emulator
from loadgen.text import file, foreign, form, yaml
from loadgen.text.excerpt import literals, resembles_key, secret_name
from loadgen.text.fault import Fault, Found, Place, ScenarioError, written
from loadgen.text.fault import Path as KeyPath
from loadgen.text.form import listed, mapping
from loadgen.text.override import override
from loadgen.text.substitution import MASK, substitute
from loadgen.text.template import PLACEHOLDER, Encode, header_text, json_text, json_value, placeholders, url_text
from loadgen.text.units import NS_PER_S, Money

Check = Callable[[Scenario], Iterable[tuple[KeyPath, str]]]
"""A rule of an upper layer: what is wrong with a Scenario, as (path in the document, message)."""

T = TypeVar("T")

_SHIPPED = files("loadgen.scenario") / "prices"
_FREE = frozenset({("event",), ("tags",), ("target", "url"), ("target", "headers")})
"""Where a placeholder is filled in, or means nothing: tags are anybody's."""
_Needed = tuple[KeyPath, feeder.Need]
"""What is taken from the feeder, and where that is written."""
_PLAIN_WORD = re.compile("[a-z_]+")
_STAND_IN_PHASES = [{"name": "x", "workers": 1, "duration": NS_PER_S}]


class EmulatorFile(Struct):
    """The file of `loadgen emulate FILE`."""

    emulator: Annotated[Emulator, Meta(description="The emulated platform.")]


class Loaded(Struct, frozen=True):
    """A Scenario and the document it came from.

    ``document`` is plain data as written, with overrides and variables resolved. ``as_run`` is the same as YAML text
    that loads again. In both a secret is ``***``, or ``${NAME}`` where it came from the environment.
    ``fed_secrets`` are what the feeder's rows put into headers that are secret.
    """

    scenario: Scenario
    document: dict[str, Any]
    as_run: str
    fed_secrets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Loaded({self.document!r})"


def load(
    text: str,
    *,
    source: str,
    directory: Path,
    environment: Mapping[str, str],
    overrides: Sequence[str] = (),
    checks: Sequence[Check] = (),
) -> Loaded:
    """The Scenario of a YAML text.

    ``source`` names the text in messages; files that the scenario names are relative to ``directory`` and read here.
    ``overrides`` are ``key.path=value``, applied in order before ``environment`` is substituted. Raises ScenarioError
    with every fault found.
    """
    read = _Document(text, source, environment, overrides)
    data = read.check(Scenario, rules.scenario)
    event_json, needed = read.gather(lambda: _event(data, read, directory)) or ("", [])
    needed += _in_request(data)
    rows = read.gather(lambda: _rows(needed, data, read, directory)) or []
    prices = read.gather(lambda: _prices(data, read, directory))
    traces = (read.gather(lambda: _traces(data, read, directory)) or {}) if not read.faults else {}
    if not read.faults:
        _check_files(data, read, directory)
    _unfilled(read)
    scenario = None
    if not read.faults:
        scenario = build.scenario(data, event_json, directory, prices, traces, len(rows))
        scenario = msgspec.structs.replace(scenario, sha256=fingerprint(scenario, _rows_digest(scenario)))
        read.judge(scenario, checks)
    elif stand_in := _stand_in(data, read, directory):
        read.judge(stand_in, checks)
    if scenario is None or read.faults:
        raise read.error()
    return Loaded(
        scenario,
        secret.masked_document(read.root, read.written),
        secret.as_run(read.root, read.written),
        _fed_secrets(needed, rows),
    )


def load_file(
    path: str | Path,
    *,
    environment: Mapping[str, str],
    overrides: Sequence[str] = (),
    checks: Sequence[Check] = (),
) -> Loaded:
    """The Scenario of a file, see ``load``. Raises ScenarioError also when the file cannot be read or decoded."""
    path = Path(path)
    text = _read(path)
    return load(
        text, source=str(path), directory=path.parent, environment=environment, overrides=overrides, checks=checks
    )


def load_emulator(
    text: str, *, source: str, environment: Mapping[str, str], overrides: Sequence[str] = (), seed: int = 1
) -> Emulator:
    """The Emulator of a file that holds an ``emulator:`` block alone; ``seed`` is used where it names none.

    Raises ScenarioError with every fault found.
    """
    read = _Document(text, source, environment, overrides)
    data = read.check(EmulatorFile, rules.emulator)
    if read.faults:
        raise read.error()
    return emulator(data["emulator"], seed=seed)


def load_emulator_file(path: str | Path, *, environment: Mapping[str, str], seed: int = 1) -> Emulator:
    """The Emulator of a file, see ``load_emulator``."""
    path = Path(path)
    return load_emulator(_read(path), source=str(path), environment=environment, seed=seed)


def shipped_price_books() -> list[str]:
    """The names of the price books that come with loadgen."""
    return sorted(file.name.removesuffix(".yaml") for file in _SHIPPED.iterdir() if file.name.endswith(".yaml"))


def load_price_book(name: str, directory: Path = Path()) -> PriceBook:
    """The PriceBook of this name that comes with loadgen, else that of a YAML file, relative to ``directory``.

    Raises ScenarioError with every fault found.
    """
    if name in shipped_price_books():
        text, source = (_SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml"
    else:
        source = str(directory / name)
        text = _price_book(Path(source))
    read = _Document(text, source, {}, (), foreign=frozenset(form.keys(PriceBook)))
    data = read.check(PriceBook, lambda _: iter(()))
    if read.faults:
        raise read.error()
    return msgspec.convert({**data, "name": name}, PriceBook)


class _Document:
    """The tree of a text, and the faults found in it so far.

    One with ``foreign`` is a file that a scenario names: of it nothing is quoted but these names of fields.
    """

    def __init__(
        self,
        text: str,
        source: str,
        environment: Mapping[str, str],
        overrides: Sequence[str],
        *,
        foreign: frozenset[str] | None = None,
    ) -> None:
        self._foreign = foreign
        self._literals = literals("\n".join((text, *overrides)))
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
        self._secret_lines = {place.line for place in secret.places(self.root)}

    def error(self, words: Iterable[str] | None = None) -> ScenarioError:
        """All faults, without secrets; ``words`` are what is masked in their messages.

        What is in a place for secrets is looked for in messages as well, unless it is a plain word, as these are made
        of such.
        """
        masked = [word for word in self._literals if not _PLAIN_WORD.fullmatch(word)] if words is None else words
        return ScenarioError(self._told(fault, sorted(masked, key=len, reverse=True)) for fault in self.faults)

    def _told(self, fault: Fault, words: Sequence[str]) -> Fault:
        path, message, place = fault.path, fault.message, fault.place
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
        data, self.written = form.read(self.root, struct, self.report, self.report_key)
        for path, message in rules(data):
            self.report(path, message)
        return data

    def report(self, path: KeyPath, message: str) -> None:
        """Add a fault of the value at ``path``, unless it is one that could not even be substituted."""
        if path not in self._unread:
            place = yaml.place_of(self.root, path)
            self.faults.append(Fault(self._shown(place), path, message))

    def report_key(self, path: KeyPath, message: str) -> None:
        """Add a fault of the key that ends ``path``."""
        parent = yaml.find(self.root, path[:-1])
        assert isinstance(parent, yaml.Fields)
        self.faults.append(Fault(self._shown(parent.keys[str(path[-1])]), path, message))

    def _shown(self, place: Place) -> Place:
        """The place, without its line where that holds a secret which is not blanked out."""
        hidden = place.line in self._secret_lines
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


def _read(path: Path) -> str:
    """The text of a scenario file, which may be a pipe: the user names it, and no scenario does."""
    return _text(path, lambda: path.open("rb"))


def _price_book(path: Path) -> str:
    return _text(path, lambda: file.opened(path))


def _text(path: Path, opened: Callable[[], BinaryIO]) -> str:
    """The text of a YAML file, of which no more is read than is needed to see that it is too large."""
    try:
        with opened() as source:
            raw = source.read(4 * yaml.MAX_CHARACTERS + 4)
    except (OSError, ValueError) as error:
        reason = file.reason(error) if isinstance(error, OSError) else str(error)
        raise ScenarioError([Fault(Place(str(path)), (), f"cannot read this file: {reason}")]) from error
    if len(raw) > yaml.MAX_CHARACTERS:
        message = f"the file holds more than {yaml.MAX_CHARACTERS >> 20} MiB, far more than a scenario needs"
        raise ScenarioError([Fault(Place(str(path)), (), message)])
    return feeder.decoded(raw, str(path))


def _event(data: dict[str, Any], read: _Document, directory: Path) -> tuple[str, list[_Needed]]:
    """The event's JSON text, and what it takes from the feeder."""
    base: KeyPath
    if isinstance(data.get("event_file"), str):
        text, base = _event_file(data["event_file"], directory, read), ("event_file",)
        value = json.loads(text)
    else:
        value, base = mapping(data, "event"), ("event",)
        text = json.dumps(value, ensure_ascii=False)
        _inexact(read)
    needed = []
    for path, string in _event_strings(value, base):
        encode = json_value if PLACEHOLDER.fullmatch(string) else json_text
        at = path if base == ("event",) else base
        needed += [(at, feeder.Need(field, "the event", encode)) for field in placeholders(string)]
    for path in _event_keys(value, base):
        at = path if base == ("event",) else base
        read.report(at, "got a placeholder in a key, expected placeholders in values only")
    without_body = "url" in mapping(data, "target") and "event" not in data and "event_file" not in data
    return "" if without_body else event.compact(text), needed


def _inexact(read: _Document) -> None:
    """Report numbers of the event that would not be sent with the value that is written."""
    for path, number in yaml.scalars(read.root):
        if (
            path[:1] == ("event",)
            and isinstance(number.value, float)
            and Decimal(number.text) != Decimal(repr(number.value))
        ):
            message = f"got {number.text}, which would be sent as {number.value!r}"
            read.report(path, f"{message}; write fewer digits, text, or an event_file, whose numbers stay as written")


def _in_request(data: dict[str, Any]) -> Iterator[_Needed]:
    """What the URL and the headers of a plain HTTP target take from the feeder."""
    target = mapping(data, "target")
    texts: list[tuple[KeyPath, Any, Encode]] = [(("target", "url"), target.get("url"), url_text)]
    headers = target.get("headers")
    for name, value in headers if isinstance(headers, tuple) else ():
        texts.append((("target", "headers", name), value, header_text))
    for path, text, encode in texts:
        for field in placeholders(text) if isinstance(text, str) else ():
            yield path, feeder.Need(field, written(path), encode)


def _event_file(name: str, directory: Path, read: _Document) -> str:
    """The JSON text of an event's file."""
    path = directory / name
    if fault := _no_file(path):
        read.report(("event_file",), fault)
        return "{}"
    text = feeder.read_text(path)
    try:
        value = feeder.parse_json(text)
    except ValueError as error:
        message, column = feeder.not_json(error)
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise ScenarioError([Fault(Place(path.name, line, column), (), message)]) from error
    if not isinstance(value, dict):
        raise ScenarioError([Fault(Place(path.name, 1, 1), (), "expected a JSON object such as {...}")])
    return text


def _event_strings(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _event_strings(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _event_strings(item, (*path, index))


def _event_keys(value: object, path: KeyPath) -> Iterator[KeyPath]:
    """The paths of keys that hold a placeholder."""
    if isinstance(value, dict):
        for key, item in value.items():
            if placeholders(key):
                yield (*path, key)
            yield from _event_keys(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _event_keys(item, (*path, index))


def _rows(needed: Sequence[_Needed], data: dict[str, Any], read: _Document, directory: Path) -> list[feeder.Row]:
    """The feeder's rows, each of them with what is needed; none where there is no feeder."""
    if "feeder" not in data:
        for at, need in needed:
            read.report(at, f"{{{{{need.field}}}}} needs a feeder; write feeder: {{file: rows.csv}}")
    name = mapping(data, "feeder").get("file")
    if not isinstance(name, str):
        return []
    path = directory / name
    if fault := _no_file(path):
        read.report(("feeder", "file"), fault)
        return []
    return feeder.read_rows(path, list(dict.fromkeys(need for _, need in needed)))


def _fed_secrets(needed: Sequence[_Needed], rows: Sequence[feeder.Row]) -> frozenset[str]:
    """What the rows put into headers that are secret."""
    fields = {need.field for path, need in needed if secret.is_secret(path) and secret_name(str(path[-1]))}
    return frozenset(header_text(row[field]).decode() for row in rows for field in fields)


def _unfilled(read: _Document) -> None:
    """Report placeholders where nothing fills them, unless the value has a fault already."""
    faulty = {fault.path for fault in read.faults}
    for path, value in yaml.scalars(read.root):
        # what a secret holds that came from the environment is nobody's placeholder
        found = placeholders(value.raw if secret.is_secret(path) else value.text)
        if found and path not in faulty and path[:1] not in _FREE and path[:2] not in _FREE:
            read.report(
                path,
                f"{{{{{found[0]}}}}} would not be filled in here, but in event, target.url and target.headers only",
            )


def _check_files(data: dict[str, Any], read: _Document, directory: Path) -> None:
    ca = data["target"].get("tls", {}).get("ca")
    if ca is not None and (fault := _no_file(directory / ca)):
        read.report(("target", "tls", "ca"), fault)


def _traces(data: dict[str, Any], read: _Document, directory: Path) -> dict[int, Trace]:
    """The arrivals of each phase that replays a trace, by its number."""
    found = {}
    for number, phase in enumerate(data.get("phases", [])):
        if "trace" not in phase:
            continue
        asked = phase["trace"]
        path = directory / asked["file"]
        if fault := _no_file(path):
            read.report(("phases", number, "trace", "file"), fault)
            continue
        span_ns = int(phase["duration"] * asked.get("speed", 1.0))
        wanted = msgspec.convert({**asked, "span": span_ns, "seed": data.get("seed", 1)}, trace.Wanted)
        found[number] = trace.read_trace(path, wanted)
    return found


def _prices(data: dict[str, Any], read: _Document, directory: Path) -> PriceBook | None:
    """The price book that the scenario names; sums of money in another currency are faults."""
    name = data.get("prices")
    if not isinstance(name, str):
        return None
    if name not in shipped_price_books() and (fault := _no_file(directory / name)):
        shipped = ", ".join(shipped_price_books())
        read.report(("prices",), f"{fault}, or a price book that comes with loadgen: {shipped}")
        return None
    book = load_price_book(name, directory)
    for path, sum_ in _sums(data):
        if sum_.currency != book.currency:
            read.report(path, f"got {sum_}, expected an amount in {book.currency}, the currency of {name}")
    return book


def _sums(data: dict[str, Any]) -> Iterator[tuple[KeyPath, Money]]:
    """The sums of money in a document that fit, and where they stand."""
    if isinstance(cost := mapping(data, "budget").get("cost"), Money):
        yield ("budget", "cost"), cost
    for index, parsed in enumerate(listed(data, "thresholds")):
        if isinstance(parsed, CostRule):
            yield ("thresholds", index), parsed.limit


def _no_file(path: Path) -> str | None:
    """Why there is nothing to read at a path; None when there is."""
    try:
        file.opened(path).close()
    except OSError as error:
        shown, missing = foreign.quote(str(path)), isinstance(error, FileNotFoundError)
        seen = f"there is no file {shown}" if missing else f"cannot read {shown}: {file.reason(error)}"
        return f"{seen}; expected a file, relative to the scenario's directory"
    return None


def _stand_in(data: dict[str, Any], read: _Document, directory: Path) -> Scenario | None:
    """What can be said of the target while other parts are faulty: a Scenario for the checks, never for a run."""
    faulty = {fault.path[:1] for fault in read.faults}
    if ("target",) in faulty or "target" not in data:
        return None
    return build.scenario({"name": "x", "target": data["target"], "phases": _STAND_IN_PHASES}, "{}", directory)


def _rows_digest(scenario: Scenario) -> str:
    """The sha256 of the feeder's file; empty where there is none."""
    return "" if scenario.feeder is None else hashlib.sha256(file.read(scenario.feeder.path)).hexdigest()
