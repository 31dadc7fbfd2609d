"""The states of docs/control.md, tried in virtual time against a platform in memory.

Two machines, each with its lock and its journals, know of each other only what the platform holds. Runs and restores
are the product's own coroutines: each read, write and sleep of theirs is a step that the model takes when and how it
likes. Requests are slow or lost, writes are carried out up to half a minute after nobody waits for them any more,
processes are killed between any two steps, somebody edits the function, and the time of day jumps.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Coroutine, Generator, Sequence
from types import coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct
from msgspec.structs import replace

from loadgen.targets.functiongraph.settings.again import LATE_S, Patience, read
from loadgen.targets.functiongraph.settings.edit import Document
from loadgen.targets.functiongraph.settings.failure import ControlError, refused, unanswered
from loadgen.targets.functiongraph.settings.journal import Begun, Change, Done, Entry, Resource
from loadgen.targets.functiongraph.settings.lock import HeldError
from loadgen.targets.functiongraph.settings.make import change, check_mark, set_mark
from loadgen.targets.functiongraph.settings.mark import NAME, mark_text, marked, variables
from loadgen.targets.functiongraph.settings.outstanding import outstanding
from loadgen.targets.functiongraph.settings.undo import undo
from tests.targets.functiongraph.settings.entries import CONFIG

SLOWEST_S = 4.0
"""How long a request waits at most for the model to answer it; those that are late take longer."""
EDITS = range(-1000, 0)
"""The values that somebody gives, each another."""
KEYS = ("memory_size", "description", "V")
"""What somebody edits: what runs change, what they do not, and a variable."""
MACHINES = ("here", "there")
MEMORY = ("memory_size",)
VARIABLE = ("user_data", "LOADGEN_RUN")


class Read(Struct, frozen=True):
    """The platform is asked what it holds."""


class Write(Struct, frozen=True):
    """The platform is told what to hold."""

    wanted: dict[str, Any]


class Sleep(Struct, frozen=True):
    """Nothing is to happen for so long."""

    seconds: float


Step = Read | Write | Sleep


@coroutine
def ask(step: Step) -> Generator[Step, Any, Any]:
    """Have the model take a step; what it says."""
    return (yield step)


class Remote:
    """The platform as a process reaches it."""

    async def read(self, resource: Resource) -> dict[str, Any]:
        found: dict[str, Any] = await ask(Read())
        return found

    async def write(self, resource: Resource, wanted: Document) -> None:
        await ask(Write(dict(wanted)))


class Journal:
    """A journal on the disk of one machine."""

    def __init__(self, begun: Begun) -> None:
        self.begun = begun
        self.entries: list[Entry] = [begun]


class Meant(Struct, frozen=True):
    """A value that somebody other than loadgen gave.

    It is not ``sure`` where it was given between a write of ours and our look at what became of it: there it cannot be
    told from what the platform does on its own, which is put back.
    """

    value: Any
    sure: bool


class Process:
    """A run or a restore, with the step that it waits for."""

    def __init__(self, machine: str, work: Coroutine[Step, Any, None], now_ns: int) -> None:
        self.machine = machine
        self.work = work
        self.holds = False
        self.since_ns = now_ns
        self.based_on: dict[str, tuple[Meant, ...]] = {}
        self.writing = False
        self.step: Step | None = None

    def go_on(self, now_ns: int, result: Any = None, error: Exception | None = None) -> None:
        """Give it what it waits for, and have it come to its next step; None when it has ended."""
        self.since_ns = now_ns
        try:
            self.step = self.work.send(result) if error is None else self.work.throw(error)
        except StopIteration:
            self.step = None


class Log:
    """A journal as a living process writes it."""

    def __init__(self, world: World, machine: str, journal: Journal) -> None:
        self._world = world
        self._machine = machine
        self._journal = journal

    @property
    def entries(self) -> Sequence[Entry]:
        return self._journal.entries

    def append(self, entry: Entry) -> None:
        self._world.written(self._journal, entry)
        if isinstance(entry, Done):
            self._world.processes[self._machine].writing = False
        self._journal.entries.append(entry)


class World:
    """The platform, the machines and the time."""

    def __init__(self, variables_text: str) -> None:
        self.now_ns = 0
        self.day_s = 0
        self.config: dict[str, Any] = {"memory_size": 128, "description": "", "user_data": variables_text}
        self.late: list[tuple[int, dict[str, tuple[Meant, ...]], dict[str, Any]]] = []
        self.journals: dict[str, list[Journal]] = {machine: [] for machine in MACHINES}
        self.processes: dict[str, Process] = {}
        self.edits = 0
        self.variables = variables(variables_text)
        self.meant: dict[str, tuple[Meant, ...]] = {key: (Meant(self.held(key), sure=True),) for key in KEYS}
        self.tampered = False
        self.runs = 0
        self.patience = Patience(clock=lambda: self.now_ns, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        await ask(Sleep(seconds))

    def written(self, journal: Journal, entry: Entry) -> None:
        """No original is a value of another journal that is still open."""
        if not isinstance(entry, Change) or self.tampered:
            return
        others = [each for kept in self.journals.values() for each in kept if each is not journal]
        steps = [step for each in others for step in outstanding(each.entries)]
        written = {ours for step in steps for value in step.values for ours in value.ours if ours not in EDITS}
        assert not [edit for edit in entry.edits if edit.path == MEMORY and edit.before in written]

    async def run(self, machine: str, journal: Journal) -> None:
        """What a run does: as ``Changes``, for two sizes and a variable."""
        log, platform, mark = Log(self, machine, journal), Remote(), mark_text(journal.begun)
        me = self.processes[machine]
        try:
            await set_mark(log, platform, CONFIG, mark, self.patience)
            await self._sleep(self.patience.mark_s)
            check_mark(CONFIG, await read(platform, CONFIG, self.patience), {mark})
            me.holds = True
            first, second = self.runs * 1000 + 1, self.runs * 1000 + 2
            for path, value in ((MEMORY, first), (VARIABLE, journal.begun.run), (MEMORY, second)):
                await change(log, platform, CONFIG, {path: value}, self.patience)
                await self._sleep(1)
        except (ControlError, HeldError):
            pass
        me.holds = False
        await self._undo(machine, journal)

    async def restore(self, machine: str) -> None:
        """What ``loadgen restore`` does."""
        for journal in list(self.journals[machine]):
            await self._undo(machine, journal)

    async def _undo(self, machine: str, journal: Journal) -> None:
        await undo(Log(self, machine, journal), Remote(), patience=self.patience)
        if not outstanding(journal.entries):
            self.journals[machine].remove(journal)

    def apply(self, based_on: dict[str, tuple[Meant, ...]], wanted: dict[str, Any]) -> None:
        """Carry out a write. What somebody edited since its writer looked is lost with it, which nothing can help."""
        self.config = copy.deepcopy(wanted)
        if any(process.writing for process in self.processes.values()):  # who may take it for the platform's doing
            self.meant = {
                key: (*values, *(each for each in self.meant[key] if each not in values))
                for key, values in based_on.items()
            }
            self.meant = {
                key: tuple(replace(each, sure=False) for each in values) for key, values in self.meant.items()
            }
        else:
            self.meant = dict(based_on)

    def held(self, key: str) -> Any:
        """What the platform has there; V is a variable."""
        return variables(self.config["user_data"]).get(key) if key == "V" else self.config[key]

    def edit(self, key: str) -> None:
        """Somebody gives a value that nobody gave before."""
        self.edits += 1
        value: Any = EDITS[-self.edits]
        if key == "V":
            value = str(value)
            self.config["user_data"] = json.dumps(variables(self.config["user_data"]) | {key: value})
        else:
            self.config[key] = value
        sure = not any(process.writing for process in self.processes.values())
        self.meant[key] += (Meant(value, sure),)

    def may_be(self, key: str) -> list[Any]:
        """The values of which one has to be there in the end."""
        values: list[Any] = []
        for meant in reversed(self.meant[key]):
            values.append(meant.value)
            if meant.sure:
                break
        return values

    def pass_until(self, then_ns: int) -> None:
        """Let time pass, and what is late arrive."""
        for late in sorted(self.late, key=lambda each: each[0]):
            if late[0] <= then_ns:
                self.late.remove(late)
                self.apply(late[1], late[2])
        self.now_ns = then_ns
        for process in list(self.processes.values()):
            if isinstance(process.step, Sleep) and process.since_ns + process.step.seconds * 1e9 <= then_ns:
                process.go_on(then_ns)
        self.reap()

    def next_ns(self) -> int | None:
        """When something happens by itself; None when nothing will."""
        sleeping = [
            process.since_ns + round(process.step.seconds * 1e9)
            for process in self.processes.values()
            if isinstance(process.step, Sleep)
        ]
        return min([*sleeping, *(due for due, _, _ in self.late)], default=None)

    def reap(self) -> None:
        """What has ended lets go of its machine's lock."""
        self.processes = {machine: each for machine, each in self.processes.items() if each.step is not None}

    def start(self, machine: str, journal: Journal | None) -> None:
        """Start a run with a new journal, or a restore."""
        work = self.restore(machine) if journal is None else self.run(machine, journal)
        process = Process(machine, work, self.now_ns)
        self.processes[machine] = process
        process.go_on(self.now_ns)
        self.reap()

    def answer(self, process: Process, fate: str, after_s: float = 0.0) -> None:
        """Answer the request that a process waits for."""
        error: ControlError | None = None
        match process.step, fate:
            case Read(), ("answered" | "done unseen" | "late"):
                process.based_on = dict(self.meant)
                process.go_on(self.now_ns, copy.deepcopy(self.config))
            case Read(), _:
                process.go_on(self.now_ns, error=refused("GET", 503, None, None))
            case Write(wanted), _:
                process.writing = False
                if fate in ("answered", "done unseen"):
                    self.apply(process.based_on, wanted)
                process.writing = True
                if fate == "late":
                    self.late.append((self.now_ns + round(after_s * 1e9), process.based_on, wanted))
                if fate == "busy":
                    error = refused("PUT", 429, None, None)
                elif fate != "answered":
                    error = unanswered("PUT", "reset", write=True)
                process.go_on(self.now_ns, error=error)
        self.reap()

    def kill(self, process: Process, after_s: float | None) -> None:
        """End a process; a write that it waits for is carried out after that time, or has not left."""
        if isinstance(process.step, Write) and after_s is not None:
            self.late.append((self.now_ns + round(after_s * 1e9), process.based_on, process.step.wanted))
        del self.processes[process.machine]
        process.work.close()

    def on_with(self, process: Process | None) -> None:
        """Let what is next happen, with nothing going wrong: to this process, if it waits for an answer."""
        if process is not None and not isinstance(process.step, Sleep):
            self.answer(process, "answered")
        elif (then_ns := self.next_ns()) is not None:
            self.pass_until(then_ns)

    def to_the_end(self) -> None:
        """Let everything end by itself, with nothing going wrong any more."""
        while self.processes or self.late:
            self.on_with(next((each for each in self.processes.values() if not isinstance(each.step, Sleep)), None))


class Machines(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    @initialize(variables=st.sampled_from(["", '{"HOST": "db"}']))
    def begin(self, variables: str) -> None:
        self.world = World(variables)

    def waiting(self) -> list[Process]:
        return [each for each in self.world.processes.values() if not isinstance(each.step, Sleep)]

    @rule(machine=st.sampled_from(MACHINES))
    def run(self, machine: str) -> None:
        world = self.world
        if machine in world.processes or world.journals[machine]:
            return  # its lock, or a journal that is open, has it refused
        world.runs += 1
        journal = Journal(Begun(f"run-{world.runs}", world.runs, str(world.day_s)))
        world.journals[machine].append(journal)
        world.start(machine, journal)

    @rule(machine=st.sampled_from(MACHINES))
    def restore_here(self, machine: str) -> None:
        self.restore(machine)

    def restore(self, machine: str) -> None:
        if machine not in self.world.processes and self.world.journals[machine]:
            self.world.start(machine, None)

    @precondition(lambda self: self.waiting())
    @rule(
        data=st.data(),
        fate=st.sampled_from(["answered"] * 4 + ["done unseen", "late", "late", "lost", "busy"]),
        after_s=st.floats(0.1, LATE_S - 1),
    )
    def answer(self, data: st.DataObject, fate: str, after_s: float) -> None:
        self.world.answer(data.draw(st.sampled_from(self.waiting())), fate, after_s)

    @precondition(lambda self: self.waiting())
    @rule(count=st.integers(2, 12))
    def answer_many(self, count: int) -> None:
        for _ in range(count):
            self.world.on_with(next(iter(self.waiting()), None))

    @rule(seconds=st.floats(0.1, 50))
    def wait(self, seconds: float) -> None:
        """Time passes, from one thing that happens to the next, but for as long as requests are under way."""
        world = self.world
        until_ns = world.now_ns + round(seconds * 1e9)
        while world.now_ns < until_ns:
            slowest = [each.since_ns + round(SLOWEST_S * 1e9) for each in self.waiting()]
            then_ns = min([until_ns, *slowest])
            if then_ns <= world.now_ns:
                return
            next_ns = world.next_ns()
            world.pass_until(then_ns if next_ns is None else min(then_ns, next_ns))

    @precondition(lambda self: self.world.processes)
    @rule(data=st.data(), sent=st.sampled_from([None, 0.5, 20.0, LATE_S - 1]))
    def kill(self, data: st.DataObject, sent: float | None) -> None:
        """Kill a process, before the request that it waits for has left, or when that is still to be carried out."""
        self.world.kill(data.draw(st.sampled_from(list(self.world.processes.values()))), sent)

    @precondition(lambda self: not self.world.processes)
    @rule(machine=st.sampled_from(MACHINES), writes=st.integers(1, 6), after_s=st.floats(0.1, LATE_S - 1))
    def kill_at_a_write(self, machine: str, writes: int, after_s: float) -> None:
        """Let a run come as far as a write that leaves when it is killed, and restore at once."""
        world = self.world
        self.run(machine)
        while machine in world.processes:
            process = world.processes[machine]
            if isinstance(process.step, Write):
                writes -= 1
                if writes == 0:
                    world.kill(process, after_s)
                    break
            world.on_with(process)
        self.restore(machine)

    @rule(key=st.sampled_from(KEYS))
    def edit(self, key: str) -> None:
        self.world.edit(key)

    @precondition(lambda self: marked(self.world.config) is not None)
    @rule()
    def remove_the_mark(self) -> None:
        world = self.world
        left = {key: value for key, value in variables(world.config["user_data"]).items() if key != NAME}
        world.config["user_data"] = json.dumps(left)
        world.tampered = True  # whoever takes a mark away gives up what it is for

    @rule(seconds=st.integers(-100_000, 100_000))
    def set_the_clock(self, seconds: int) -> None:
        self.world.day_s += seconds

    @invariant()
    def no_two_hold_it(self) -> None:
        world = getattr(self, "world", None)
        if world is not None and not world.tampered:
            assert sum(process.holds for process in world.processes.values()) <= 1

    def teardown(self) -> None:
        """After restore, and after all that was late has arrived, it is as before, or a journal names what is not."""
        world = getattr(self, "world", None)
        if world is None:
            return
        for machine in MACHINES:  # at once, while much is under way
            self.restore(machine)
        world.to_the_end()
        for machine in MACHINES * 2:
            if world.journals[machine]:
                world.start(machine, None)
                world.to_the_end()
        named = {
            value.path[0]
            for kept in world.journals.values()
            for journal in kept
            for step in outstanding(journal.entries)
            for value in step.values
        }
        for key in KEYS:
            held, meant = world.held(key), world.may_be(key)
            taken = world.tampered and (key == "memory_size" or key in named)  # two runs may have had it at once
            assert held in meant or taken, (key, held, meant)
        left = {key: value for key, value in variables(world.config["user_data"]).items() if key != "V"}
        assert left == world.variables or world.tampered or "user_data" in named, left
        if named:  # somebody set another value, which is theirs now
            assert world.tampered or any(world.held(key) in EDITS for key in named - {"user_data"}), world.config


@pytest.mark.timeout(300)  # to shrink what fails takes a while
def test_whatever_happens_the_function_is_as_it_was_or_a_journal_says_what_is_not() -> None:
    examples = 3 * settings().max_examples
    run_state_machine_as_test(Machines, settings=settings(stateful_step_count=60, max_examples=examples))
