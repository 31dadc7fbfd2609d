"""What is written down of a run while it goes on, and the Summary that is made of that when it was cut short.

Theory of operation. All that a Summary is made of comes to the parent as it happens: the Terms before the load, each
phase as it begins, the frames of agents, each phase as it ends, and what the run found out in the end. Each is a record
of frames.journal (``loadgen.history.journal``), in that order, without secrets. So whatever the journal has holds as
far as it goes: its frames are added up by the same code as those of a run that is under way (``PhaseTotal.add``, which
takes none twice and tells of missing ones by their numbers), and judged by the same code as at the end of one.

A journal grows by the frames of a second, so from time to time it is written anew with the sums in place of the
frames, which are of bounded size (``shortened``). Samples are in no record, as samples.ndjson.gz has them.

What was in flight when the record ends counts as unfinished. A decision cannot be made of a part, so an experiment has
no result unless it had come to one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from loadgen.history import journal
from loadgen.history.journal import Lost
from loadgen.invocation.cell import Cell
from loadgen.measure.cost import Spent
from loadgen.measure.floor import Floor
from loadgen.measure.interval import Frame, checked
from loadgen.measure.merge import Kept, Loss, PhasePlan, PhaseTotal
from loadgen.measure.rule import Rule
from loadgen.measure.summary import Environment, Experiment, Preflight, Run, Summary, ThresholdResult, texts
from loadgen.run.play import Played
from loadgen.run.summary import Cut, Record, Terms, charged, summary, verdict_on

_MOST_SAID = 5  # of what cannot be read


class Opening(Struct, frozen=True, tag="opening"):
    """What a Record has before the load. One that follows it says more, and stands in its place."""

    run: Run
    terms: Terms
    machine: Environment
    preflights: tuple[Preflight, ...] = ()
    first: Spent = Spent()
    floor: Floor | None = None


class Began(Struct, frozen=True, tag="began"):
    """A phase; the frames that follow are of it."""

    plan: PhasePlan


class Parted(Struct, frozen=True, tag="parted"):
    """An agent was lost; what was in flight at it then is unfinished."""

    agent: int
    loss: Loss


class Ended(Struct, frozen=True, tag="ended"):
    """The phase under way is over; the plan says for how long there was load.

    ``clocks`` are by how much each agent's clock may be off, in ns.
    """

    plan: PhasePlan
    clocks: dict[int, int] = {}


class Sum(Struct, frozen=True, tag="sum"):
    """A phase, and the sum of its frames so far."""

    plan: PhasePlan
    kept: Kept
    ended: bool


class Over(Struct, frozen=True, tag="over"):
    """The run came to its end; only its Summary was not written yet."""

    run: Run
    experiment: Experiment | None
    watched: tuple[ThresholdResult, ...]
    stopped: bool


Entry = Opening | Began | Frame | Parted | Ended | Sum | Over
"""A record."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


class JournalError(ValueError):
    """No Summary can be made of a journal. The message says why."""


def encode(entry: Entry, hide: Callable[[str], str] = str) -> bytes:
    """The body of a record; ``hide`` masks secrets."""
    return _ENCODER.encode(_hidden(entry, hide))


def shortened(held: bytes) -> list[bytes]:
    """The bodies of the records of a journal with sums in place of frames; ValueError for one that is none."""
    return [_ENCODER.encode(entry) for entry in Told(held).entries()]


class Rebuilt(Struct, frozen=True):
    """The Summary of what a run left, and sentences about what of it could not be used."""

    summary: Summary
    lost: tuple[str, ...]


def rebuilt(held: bytes) -> Rebuilt:
    """What a journal tells of a run. Raises JournalError where it does not tell so much as what ran."""
    try:
        state = Told(held)
    except ValueError as error:
        raise JournalError(str(error)) from error
    opening, over = state.opening, state.over
    if opening is None:
        raise JournalError("the record of what ran is damaged" if state.lost else "it has no record of what ran")
    cut = None
    if over is None or state.damage:
        in_phase = bool(over is None and state.phases and not state.phases[-1].whole)
        cut = Cut(in_phase, tuple(state.damage[:_MOST_SAID]))
    if cut is not None and cut.in_phase:
        state.phases[-1].total.cut(bills=opening.terms.bills)
    record = Record(
        terms=opening.terms,
        machine=opening.machine,
        preflights=opening.preflights,
        played=tuple(state.played()),
        experiment=None if over is None else over.experiment,
        first=opening.first,
        floor=opening.floor,
        watched={} if over is None else dict(_by_rule(opening.terms.rules, over.watched)),
        cut=cut,
    )
    run = msgspec.structs.replace(opening.run if over is None else over.run, partial=cut is not None)
    if over is None:
        run = msgspec.structs.replace(run, ended_at=_later(run.started_at, state.until_ns))
    verdict = verdict_on(record, stopped=over is None or over.stopped)
    return Rebuilt(summary(record, run, verdict, charged(record)), tuple(state.lost[:_MOST_SAID]))


def _by_rule(rules: Iterable[Rule], ended: Iterable[ThresholdResult]) -> Iterator[tuple[Rule, ThresholdResult]]:
    by_text = {each.rule: each for each in ended}
    return ((rule, by_text[rule.text]) for rule in rules if rule.text in by_text)


@dataclass(slots=True)
class _Phase:
    """A phase as far as it is known; everything of it changes with what is read."""

    plan: PhasePlan
    total: PhaseTotal
    ended: bool = False

    @property
    def whole(self) -> bool:
        """Whether it ended as it should: with the last frame of every agent but those that were known to be lost."""
        total = self.total
        return self.ended and all(frames.final or agent in total.losses for agent, frames in total.agents.items())


class Told:
    """What the records of a journal say together.

    ``lost`` are sentences about what cannot be used, ``damage`` those of them that leave the record in doubt: all but
    the end of a journal whose writer died.
    """

    def __init__(self, held: bytes) -> None:
        """Raises ValueError where nothing in the journal can be told apart."""
        self.opening: Opening | None = None
        self.phases: list[_Phase] = []
        self.over: Over | None = None
        self.lost: list[str] = []
        self.damage: list[str] = []
        for body in journal.bodies(held):
            if isinstance(body, Lost):
                self._lose(body)
                continue
            try:
                self._take(checked(body, _DECODER))
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                self._doubt(f"a record of frames.journal cannot be used ({type(error).__name__})")

    def entries(self) -> Iterator[Entry]:
        """As few records as say the same."""
        if self.opening is not None:
            yield self.opening
        for phase in self.phases:
            yield Sum(phase.plan, phase.total.kept(), phase.ended)
        if self.over is not None:
            yield self.over

    def played(self) -> Iterator[Played]:
        """The phases; one that was cut short sent load for as long as its frames say."""
        for phase in self.phases:
            plan = phase.plan
            if not phase.ended:
                lasted_ns = min(plan.duration_ns, phase.total.lasted_ns)
                plan = msgspec.structs.replace(plan, duration_ns=lasted_ns, drawn=None)
            yield Played(plan, phase.total)

    @property
    def until_ns(self) -> int:
        """When the last frame ended, since the run began."""
        agents = (agent for phase in self.phases for agent in phase.total.agents.values())
        return max((agent.until_ns for agent in agents), default=0)

    def _take(self, entry: Entry) -> None:
        match entry:
            case Opening():
                self.opening = entry
            case Began(plan):
                self.phases.append(_Phase(plan, PhaseTotal(plan.name)))
            case Sum(plan, kept, ended):
                self.phases.append(_Phase(plan, PhaseTotal.restored(plan.name, kept), ended))
            case Ended(plan, clocks) if self.phases and self.phases[-1].plan.name == plan.name:
                self.phases[-1].plan, self.phases[-1].ended = plan, True
                self.phases[-1].total.note_clocks(clocks)
            case Parted(agent, loss) if self.phases:
                self.phases[-1].total.lose(agent, loss)
            case Frame() if self.phases and not self.phases[-1].ended:
                self.phases[-1].total.add(entry)
            case Over():
                self.over = entry
            case _:
                self._doubt("a record of frames.journal is of a phase whose beginning is missing")

    def _lose(self, lost: Lost) -> None:
        if lost.torn:
            self.lost.append(
                f"the last {lost.size} bytes of frames.journal are no whole record and were left out: "
                "its writer died, or its disk was full"
            )
        else:
            self._doubt(f"{lost.size} bytes of frames.journal are damaged, from byte {lost.at} on, and were left out")

    def _doubt(self, said: str) -> None:
        self.lost.append(said)
        self.damage.append(said)


def _hidden(entry: Entry, hide: Callable[[str], str]) -> Entry:
    """The record without secrets, and without samples."""
    match entry:
        case Frame():
            phase, calls = hide(entry.phase), {call: hide(call) for call in entry.calls}

            def hidden(packed: dict[Cell, bytes]) -> dict[Cell, bytes]:
                return {
                    cell._replace(phase=phase, call=calls.get(cell.call, cell.call)): each
                    for cell, each in packed.items()
                }

            return msgspec.structs.replace(
                entry,
                phase=phase,
                tally=texts(entry.tally, hide),
                calls={calls[call]: texts(tally, hide) for call, tally in entry.calls.items()},
                hist=hidden(entry.hist),
                least=hidden(entry.least),
                samples=[],
                failures=texts(entry.failures, hide),
                slowest=texts(entry.slowest, hide),
            )
        case Opening(run, terms, machine, preflights, first, floor):
            bare = msgspec.structs.replace(
                terms,
                rules=tuple(_hidden_rules(terms.rules, hide)),
                document=texts(terms.document, hide, keys=True),
                asked_mb={hide(call): size for call, size in terms.asked_mb.items()},
            )
            return Opening(texts(run, hide), bare, texts(machine, hide), texts(preflights, hide), first, floor)
        case Sum():
            return entry  # made of records that were written down
        case _:
            return texts(entry, hide)


def _hidden_rules(rules: tuple[Rule, ...], hide: Callable[[str], str]) -> Iterator[Rule]:
    for rule in rules:
        names = {name: getattr(rule, name) for name in ("text", "phase", "call")}
        hidden = {name: hide(text) for name, text in names.items() if text is not None}
        yield msgspec.structs.replace(rule, **hidden)


def _later(started_at: str, ns: int) -> str:
    """An instant so much later, in the same form."""
    at = datetime.fromisoformat(started_at) + timedelta(microseconds=ns // 1000)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
