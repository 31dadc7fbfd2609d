"""Loading a scenario: text in, a Scenario out, or every fault at once.

The steps, each in a module of its own: ``yaml`` parses text to a tree of located nodes, ``override`` sets the values of
``--set``, ``substitution`` replaces ``${NAME}`` (these in ``document``), ``form`` reads the values as the structs of
the blocks say, ``rules`` checks what goes together, ``filled`` and ``prices`` read the files that it names, and
``assemble`` makes the Scenario. Faults are collected over all steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from loadgen.load import trace
from loadgen.load.trace import Trace
from loadgen.scenario import assemble, rules
from loadgen.scenario.assemble import Sent
from loadgen.scenario.calls import View, merged
from loadgen.scenario.document import Check, Document, no_file, read_text
from loadgen.scenario.filled import Source, content_of, event_of, in_request, report_unfilled, rows_of
from loadgen.scenario.fingerprint import fingerprint
from loadgen.scenario.model import Scenario
from loadgen.scenario.prices import scenario_prices
from loadgen.targets import secret
from loadgen.targets.functiongraph.protocol.platform import Emulator, emulator
from loadgen.targets.port import PEM_FILES, is_pem
from loadgen.text.form import doc, listed
from loadgen.text.override import Override
from loadgen.text.secret import Fed
from loadgen.text.units import NS_PER_S

_STAND_IN_PHASES = [{"name": "x", "workers": 1, "duration": NS_PER_S}]


class EmulatorFile(Struct):
    """The file of `loadgen emulate FILE`."""

    emulator: Annotated[Emulator, doc("The emulated platform.")]


class Loaded(Struct, frozen=True):
    """A Scenario and the document it came from.

    ``document`` is plain data as written, with overrides and variables resolved. ``as_run`` is the same as YAML text
    that loads again. In both a secret is ``***``, or ``${NAME}`` where it came from the environment.
    ``fed_secrets`` are what the feeder's rows put into headers that are secret, and what is in columns of such a name.
    """

    scenario: Scenario
    document: dict[str, Any]
    as_run: str
    fed_secrets: Fed = msgspec.field(default_factory=Fed)

    def __repr__(self) -> str:
        return f"Loaded({self.document!r})"


def load(
    text: str,
    *,
    source: str,
    directory: Path,
    environment: Mapping[str, str],
    overrides: Sequence[Override] = (),
    checks: Sequence[Check] = (),
) -> Loaded:
    """The Scenario of a YAML text.

    ``source`` names the text in messages; files that the scenario names are relative to ``directory`` and read here.
    ``overrides`` are ``key.path=value`` or Settings, applied in order before ``environment`` is substituted. Raises
    ScenarioError with every fault found.
    """
    read = Document(text, source, environment, overrides)
    data = read.check(Scenario, rules.scenario)
    fed = Fed()
    sent = [_sent(one, source_, read, directory, fed) for one, source_ in _calls(data, read)]
    prices = read.gather(lambda: scenario_prices(data, read, directory))
    traces = (read.gather(lambda: _traces(data, read, directory)) or {}) if not read.faults else {}
    if not read.faults:
        _check_files(data, read, directory)
    report_unfilled(read)
    scenario = None
    if not read.faults:
        scenario = assemble.scenario(data, sent, directory, prices, traces)
        scenario = msgspec.structs.replace(scenario, sha256=fingerprint(scenario))
        read.judge(scenario, checks)
    elif stand_in := _stand_in(data, read, directory):
        read.judge(stand_in, checks)
    if scenario is None or read.faults:
        raise read.error()
    return Loaded(
        scenario,
        secret.masked_document(read.root, read.said),
        secret.as_run(read.root, read.said),
        fed,
    )


def _calls(data: dict[str, Any], read: Document) -> Iterator[tuple[dict[str, Any], Source]]:
    """The data of each call, and where it is written."""
    if "calls" not in data:
        yield data, read
    for number, call in enumerate(listed(data, "calls")):
        if isinstance(call, dict):
            yield merged(data, number), View(read, call, number)


def _sent(data: dict[str, Any], source: Source, read: Document, directory: Path, fed: Fed) -> Sent:
    """What a call sends; its secrets are added to ``fed``, and its faults to those of the document."""
    event_json, needed = read.gather(lambda: event_of(data, source, directory)) or ("", [])
    content, in_body = read.gather(lambda: content_of(data, source, directory)) or (None, [])
    needed += [*in_body, *in_request(data, source)]
    index = read.gather(lambda: rows_of(needed, data, source, directory, fed))
    return Sent(event_json, content, index)


def load_file(
    path: str | Path,
    *,
    environment: Mapping[str, str],
    overrides: Sequence[Override] = (),
    checks: Sequence[Check] = (),
) -> Loaded:
    """The Scenario of a file, see ``load``. Raises ScenarioError also when the file cannot be read or decoded."""
    path = Path(path)
    text = read_text(path)
    return load(
        text, source=str(path), directory=path.parent, environment=environment, overrides=overrides, checks=checks
    )


def load_emulator(
    text: str, *, source: str, environment: Mapping[str, str], overrides: Sequence[str] = (), seed: int = 1
) -> Emulator:
    """The Emulator of a file that holds an ``emulator:`` block alone; ``seed`` is used where it names none.

    Raises ScenarioError with every fault found.
    """
    read = Document(text, source, environment, overrides)
    data = read.check(EmulatorFile, rules.emulator)
    if read.faults:
        raise read.error()
    return emulator(data["emulator"], seed=seed)


def load_emulator_file(path: str | Path, *, environment: Mapping[str, str], seed: int = 1) -> Emulator:
    """The Emulator of a file, see ``load_emulator``."""
    path = Path(path)
    return load_emulator(read_text(path), source=str(path), environment=environment, seed=seed)


def _check_files(data: dict[str, Any], read: Document, directory: Path) -> None:
    tls = data["target"].get("tls", {})
    for key in PEM_FILES:
        if key in tls and not is_pem(tls[key]) and (fault := no_file(directory / tls[key])):
            read.report(("target", "tls", key), fault)


def _traces(data: dict[str, Any], read: Document, directory: Path) -> dict[int, Trace]:
    """The arrivals of each phase that replays a trace, by its number."""
    found = {}
    for number, phase in enumerate(data.get("phases", [])):
        if "trace" not in phase:
            continue
        asked = phase["trace"]
        path = directory / asked["file"]
        if fault := no_file(path):
            read.report(("phases", number, "trace", "file"), fault)
            continue
        span_ns = int(phase["duration"] * asked.get("speed", 1.0))
        wanted = msgspec.convert({**asked, "span": span_ns, "seed": data.get("seed", 1)}, trace.Wanted)
        found[number] = trace.read_trace(path, wanted)
    return found


def _stand_in(data: dict[str, Any], read: Document, directory: Path) -> Scenario | None:
    """What can be said of the target while other parts are faulty: a Scenario for the checks, never for a run."""
    faulty = {fault.path[:1] for fault in read.faults}
    if ("target",) in faulty or "target" not in data or "calls" in data:
        return None
    return assemble.scenario(
        {"name": "x", "target": data["target"], "phases": _STAND_IN_PHASES}, [Sent("{}")], directory
    )
