"""Putting back what was changed, and nothing else.

What is to be put back ``decide`` says; a conflict is said and left alone unless it is forced. A change that was never
seen to arrive may still be on its way, so where the old value is found it is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct

from loadgen.targets.functiongraph.settings.again import Patience, Platform, read, settled, write
from loadgen.targets.functiongraph.settings.decide import Decision, conflict, decide, unasked, under_way
from loadgen.targets.functiongraph.settings.edit import (
    Document,
    DocumentError,
    Edit,
    at,
    differences,
    name,
    private,
    public,
    same,
    shown,
)
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.journal import Back, Done, Log, Resource, Undone
from loadgen.targets.functiongraph.settings.journalfile import JournalError
from loadgen.targets.functiongraph.settings.mark import NAME, is_mark, marked, own_marks
from loadgen.targets.functiongraph.settings.outstanding import Step, outstanding
from loadgen.text import foreign
from loadgen.text.secret import MASK

_ROUNDS = 3
CHOICE = "What somebody else has set since is kept for good with --keep, and overwritten with --force"


class Undoing(Struct, frozen=True):
    """How putting back one step went. ``fault`` is why it is not done, None when it is; ``notes`` what else differs.

    ``ours`` says that the platform may still hold values of ours; with a fault it need not. ``theirs`` says that it
    holds values of somebody else's: left, where there is a fault, and kept for good where there is none.
    """

    step: Step
    back: tuple[Edit, ...]
    fault: str | None
    notes: tuple[str, ...] = ()
    ours: bool = False
    theirs: bool = False


async def undo(
    log: Log,
    platform: Platform,
    *,
    patience: Patience = Patience(),  # noqa: B008 - it is frozen
) -> list[Undoing]:
    """Put back everything that ``log`` says is still changed, the newest change first, and write down what was.

    What cannot be put back, or not be written down, is in the result and does not keep the rest from it, unless there
    is a hurry.
    """
    until_ns = patience.after_ns(patience.back_s)
    undone: list[Undoing] = []
    for step in outstanding(log.entries):
        if patience.hurried and any(each.fault is not None for each in undone):
            undone.append(Undoing(step, (), f"{step.resource.text}: not tried, as that was interrupted", ours=True))
            continue
        undone.append(await undo_step(log, step, platform, undone, patience=patience, until_ns=until_ns))
    return undone


async def undo_step(
    log: Log,
    step: Step,
    platform: Platform,
    others: Sequence[Undoing],
    *,
    force: bool = False,
    keep: bool = False,
    patience: Patience,
    until_ns: int,
) -> Undoing:
    """Put back one step, after those ``others``; see ``undo``. What fails in passing is tried until that instant.

    What somebody else has set since is overwritten with ``force``, and is settled as it is with ``keep``.

    A request of it that was never seen to arrive is waited for, and what it brings is put back, before the step is
    done. The mark goes last: where anything else of ours may be left, it stays.
    """
    stays = any(each.ours and each.step.resource.owner == step.resource.owner for each in others)
    work = _Work(log, step, platform, stays, force, keep, patience, until_ns)
    fault: str | None
    try:
        fault = await work.put_back()
        if fault is None:
            for number in step.numbers:
                log.append(Undone(number))
    except (ControlError, DocumentError, JournalError) as error:
        fault = str(error)
    except (ValueError, TypeError, LookupError, RecursionError) as error:  # values that no loadgen writes down
        fault = _impossible(step, error)
    return Undoing(step, tuple(work.back), fault, tuple(work.notes), work.ours, work.theirs)


class _Work:
    """Putting back one step: what has been done so far, and what is to be said of it."""

    def __init__(
        self,
        log: Log,
        step: Step,
        platform: Platform,
        stays: bool,
        force: bool,
        keep: bool,
        patience: Patience,
        until_ns: int,
    ) -> None:
        self.back: list[Edit] = []
        self.notes: list[str] = []
        self.ours = True
        self.theirs = False
        self._log = log
        self._step = step
        self._platform = platform
        self._own = own_marks(log.entries, step.resource)
        self._stays = stays
        self._force = force
        self._keep = keep
        self._patience = patience
        self._until_ns = until_ns
        self._late_ns: int | None = None

    async def put_back(self) -> str | None:
        """Why it is not done; None when it is."""
        step = self._step
        now = await self._read(step.resource)
        if step.seen and not step.returning and any(map(is_mark, step.values)):
            self.notes.extend(_gone(step, now, self._own))
        late_ns = self._late_ns = self._patience.after_ns(self._patience.late_s) if under_way(step, now) else None
        rounds = 0
        while True:
            decision = self._decide(now)
            due = decision.back + (decision.conflicts if self._force else ())
            if due and rounds < _ROUNDS:
                if not self._force and (fault := self._anothers(now)) is not None:
                    return fault
                now = await self._write(now, due)
                rounds = rounds + 1 if self._decide(now).back else 0
            elif late_ns is None or self._patience.clock() >= late_ns:
                break
            elif not await self._patience.pause(self._patience.settle_s):
                self.ours = True
                return f"{step.resource.text}: a request of it was never seen to arrive, and may do so yet"
            else:
                now = await self._read(step.resource)
        if not step.seen:
            self.notes.extend(_notes(step, now))
        self.theirs = bool(decision.conflicts)
        if self.theirs and self._keep and (fault := self._anothers(now)) is not None:
            return fault
        return self._fault(decision)

    def _fault(self, decision: Decision) -> str | None:
        where = self._step.resource.text
        if decision.conflicts and not self._keep:
            return f"{conflict(self._step, decision.conflicts)}. Left as it is"
        if decision.back:
            left = ", ".join(f"{name(edit.path)} is {shown(edit.path, edit.before)}" for edit in decision.back)
            return f"{where}: it was put back, and still {left}"
        if self._stays and any(map(is_mark, self._step.values)):
            self.ours = True
            return f"{where}: {NAME} stays until the rest is put back"
        if decision.conflicts:
            self.notes.append(f"{conflict(self._step, decision.conflicts)}. Kept as it is")
        return None

    def _decide(self, now: Document) -> Decision:
        values = [value for value in self._step.values if not (self._stays and is_mark(value))]
        decision = decide(values, now)
        self.ours = bool(decision.back)
        return decision

    async def _write(self, now: Document, due: Sequence[Edit]) -> dict[str, Any]:
        """Write what is due, and see what the platform made of it: what there is then."""
        step = self._step
        with suppress(JournalError):  # on a full disk it is better put back than announced; it is said in the end
            self._log.append(Back(step.numbers))
        try:
            wanted = await write(self._platform, step.resource, now, due, self._patience, self._until_ns)
        except ControlError as error:
            if not error.unsure:
                self._arrived()
            raise
        self.back.extend(due)
        held = await settled(self._platform, step.resource, due, self._patience, self._until_ns)
        changed = (edit for edit in differences(wanted, held) if not same(at(now, edit.path), edit.after))
        if lost := [edit for edit in changed if private(edit.path)]:
            raise ControlError(_lost(step, lost))
        self._decide(held)  # whatever cannot be written down of it
        also = unasked(due, wanted, held)  # is to be put back, too
        self._arrived(also)
        if also:
            self._step = next(each for each in outstanding(self._log.entries) if step.numbers[0] in each.numbers)
        return held

    def _arrived(self, also: tuple[Edit, ...] = ()) -> None:
        """Write down that our request is under way no more; but where an older one may be, that one is, still."""
        if self._late_ns is not None and not also:
            return
        first, *others = self._step.numbers
        self._log.append(Done(first, also))
        for number in others:
            self._log.append(Done(number))
        if self._late_ns is not None:
            self._log.append(Back(self._step.numbers))

    def _anothers(self, now: Document) -> str | None:
        """Why nothing may be written, where another run holds the function."""
        if not self._own:  # an older journal, of a run that had no mark
            return None
        mark = marked(now)
        if mark is None or mark in self._own:
            return None
        return (
            f"{self._step.resource.text}: the function is held by another run now ({foreign.quote(mark)}), which may "
            "need it as it is. Left as it is; put it back once that run has ended"
        )

    async def _read(self, resource: Resource) -> dict[str, Any]:
        return await read(self._platform, resource, self._patience, self._until_ns)


def _gone(step: Step, now: Document, own: frozenset[str]) -> Iterator[str]:
    """About a mark that is not there any more."""
    mark = marked(now)
    if mark is None:
        yield (
            f"{step.resource.text}: {NAME} is gone from its environment: somebody has removed it, so another run may "
            "have changed the function in the meantime"
        )
    elif mark not in own:
        yield (
            f"{step.resource.text}: {NAME} was overwritten, by {foreign.quote(mark)}: both runs may have met settings "
            "of the other"
        )


def _impossible(step: Step, error: Exception) -> str:
    return (
        f"{step.resource.text}: what the journal says of it cannot be put back ({type(error).__name__}: {error}). "
        "Check it in the console"
    )


def _lost(step: Step, lost: Sequence[Edit]) -> str:
    parts = ", ".join(name(edit.path) for edit in lost)
    return (
        f"{step.resource.text}: when it was put back, {parts} became something else, which is written down nowhere, "
        "as it may be secret. Check it in the console"
    )


def _notes(step: Step, now: Document) -> Iterator[str]:
    """What differs from the time before a change that was not seen to arrive, and may be its doing."""
    ours = {value.path for value in step.values}
    for edit in differences(step.original, public(now)):
        if edit.path not in ours and MASK not in str(edit.before):
            yield (
                f"{step.resource.text}: {name(edit.path)} was {shown(edit.path, edit.before)} and is now "
                f"{shown(edit.path, edit.after)}; loadgen was not asked to change it, and leaves it as it is"
            )
