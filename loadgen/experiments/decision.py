"""What an experiment is: a pure decision that asks for runs of phases and is told what was seen.

A decision is a generator. It yields an ``Ask``, is sent the ``Seen`` of that run, and returns its result in the end. It
knows neither clock nor network, so the same code decides over real runs (``loadgen.run``) and over the
platform model in virtual time, where its error rates are measured on thousands of functions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from loadgen.invocation.sample import Sample
from loadgen.invocation.start import Cuts
from loadgen.load.phase import Phase
from loadgen.targets.port import MemoryTurns

if TYPE_CHECKING:
    from loadgen.measure.merge import PhaseTotal
    from loadgen.measure.summary import Verdict

Result = TypeVar("Result")


Enough = Callable[[Sequence[Sample]], bool]
"""Whether a run may end early, from its samples so far in the order in which invocations ended."""


class Ask(Struct, frozen=True):
    """The next run: phases in order, after ``idle_ns`` of silence.

    ``samples`` is the share of the invocations whose Samples are wanted; True is all of them. ``memory_mb`` asks for
    that memory size, None for the target's own; of several phases each may have its own size, or several sizes, which
    its invocations take in turns, by their index. ``versions`` names the version that each phase calls, or ``!`` and an
    alias, None for the target's own. Before the phases, and after the silence, settings of the function are changed:
    with ``renewed`` so that all its instances are new, with ``resized_mb`` to that memory size. ``enough`` is asked
    about once a second; when it says yes, nothing more is started in the phase under way, and later phases do not
    begin. From ``cuts`` on, cold invocations are told from warm ones by them; None leaves that as it was.

    For who watches: ``purpose`` is what it is for, in a few words, and ``found`` what is known by now; ``standing`` is
    asked after ``enough``, and says how what is looked at stands.
    """

    phases: tuple[Phase, ...]
    samples: float = 0.0
    idle_ns: int = 0
    memory_mb: tuple[MemoryTurns, ...] = ()
    versions: tuple[str | None, ...] = ()
    renewed: bool = False
    resized_mb: int | None = None
    enough: Enough | None = None
    cuts: Cuts | None = None
    purpose: str = ""
    found: str = ""
    standing: Callable[[], str] | None = None


class Seen(Struct, frozen=True):
    """What a run showed: a total per phase that began, in order; the samples in order of intended start, if asked for.

    ``verdict`` judges the generator: what an invalid run shows must not be used. ``stopped`` says that the run as a
    whole was interrupted or its budget spent: nothing more is run, and the decision returns what it knows.
    """

    totals: tuple[PhaseTotal, ...]
    samples: tuple[Sample, ...]
    verdict: Verdict
    stopped: bool = False


Decision = Generator[Ask, Seen, Result]
