"""Putting back what a run left behind, with the credentials of its scenario, while no run holds the function."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from loadgen.targets.endpoint import loopback
from loadgen.targets.functiongraph.protocol.target import FunctionTarget
from loadgen.targets.functiongraph.settings.again import Patience, read
from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.client import Control, control_of
from loadgen.targets.functiongraph.settings.decide import under_way
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.journal import Begun, Undone
from loadgen.targets.functiongraph.settings.journalfile import JournalError, JournalFile
from loadgen.targets.functiongraph.settings.journalfile import begun as begin
from loadgen.targets.functiongraph.settings.lock import FunctionLock, HeldError
from loadgen.targets.functiongraph.settings.outstanding import Step, outstanding
from loadgen.targets.functiongraph.settings.undo import Undoing, undo_step
from loadgen.targets.request import origin_of


async def put_back(
    journal: JournalFile,
    begun: Begun | None,
    target: FunctionTarget | None,
    *,
    force: bool = False,
    keep: bool = False,
    note: Callable[[str], None] = lambda text: None,
    patience: Patience = Patience(),  # noqa: B008 - it is frozen
) -> list[Undoing]:
    """Put back what a journal says, each step while no run holds its function.

    ``begun`` is whose journal it is, None where it does not say. ``target`` is that of the run's scenario, for its
    credentials and certificates, None for a run that had no scenario file; they are sent to its endpoint and for its
    project only. ``force`` and ``keep`` are as in ``undo_step``; ``note`` is told what is worth saying to the user.
    """
    me = begin(journal.path.stem, scenario=None, emulated=False)
    undone: list[Undoing] = []
    for step in outstanding(journal.entries):
        try:
            with FunctionLock.take(journal.path.parent, step.resource, me):
                if begun is not None and begun.emulated and await _gone(step):
                    undone.append(_ended(journal, step))
                    continue
                place = _control(step, target, emulated=begun is not None and begun.emulated)
                undone.append(await _undo_step(journal, step, place, undone, force, keep, note, patience))
        except (ControlError, HeldError, JournalError) as error:
            undone.append(Undoing(step, (), str(error), ours=True))
    return undone


async def _undo_step(
    journal: JournalFile,
    step: Step,
    place: Control,
    undone: list[Undoing],
    force: bool,
    keep: bool,
    note: Callable[[str], None],
    patience: Patience,
) -> Undoing:
    """Put back one step, if its platform answers: where it does not, whoever asked for this can ask again."""
    async with place as control:
        if under_way(step, await read(control, step.resource, patience)):
            note(
                f"{step.resource.text}: its last request was never seen to arrive; it is looked for until it "
                f"must have been lost, {patience.late_s:g} s"
            )
        until_ns = patience.after_ns(patience.back_s)
        return await undo_step(
            journal, step, control, undone, force=force, keep=keep, patience=patience, until_ns=until_ns
        )


async def _gone(step: Step) -> bool:
    """Whether nothing answers any more where the emulator of a run was; asks without credentials."""
    place = step.resource
    if not loopback(place.endpoint):
        return False
    async with Control(place.endpoint, place.project_id, Nobody()) as control:
        try:
            await control.read(place)
        except ControlError as error:
            return error.status is None
    return False


def _ended(journal: JournalFile, step: Step) -> Undoing:
    for number in step.numbers:
        journal.append(Undone(number))
    return Undoing(step, (), None, ("it was the emulator's, which ended with its run",))


def _control(step: Step, target: FunctionTarget | None, *, emulated: bool) -> Control:
    """The management API of the endpoint that was changed. Raises ControlError, also for somebody else's credentials.

    A journal names an endpoint, a scenario has credentials: these are for the scenario's endpoint and project alone.
    """
    place = step.resource
    if target is None:
        return Control(place.endpoint, place.project_id, Nobody())
    if not _meant(step, target, emulated=emulated):
        raise ControlError(
            f"{place.text}: the change was made at {place.endpoint} in project {place.project_id}, and the scenario's "
            f"credentials are for {target.endpoint}, project {target.project_id}: they are not sent elsewhere. "
            "Name the scenario that the run had with --scenario"
        )
    return control_of(replace(target, endpoint=place.endpoint))


def _meant(step: Step, target: FunctionTarget, *, emulated: bool) -> bool:
    """Whether the target's credentials are for where the change was made. An emulator has another port in each run."""
    place = step.resource
    if place.project_id != target.project_id:
        return False
    if target.emulated:
        return emulated and loopback(place.endpoint)
    return origin_of(place.endpoint) == origin_of(target.endpoint)
