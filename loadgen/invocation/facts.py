"""What an answer says about its invocation.

The compiled build has this class in C (``facts.pyx``), with the same behaviour and the same tests: one is made of each
answer, and the recorder reads all of it.
"""

from __future__ import annotations

from msgspec import Struct, structs

from loadgen.invocation.outcome import Outcome


class Facts(Struct, frozen=True, gc=False):
    """What an answer says; a field is None when no source in the answer gives it (nothing is guessed).

    ``reason`` is a short slug that tells apart the causes of one outcome (``ok``, ``status_404``, ``code_4002``,
    ``APIG.0308``, …). ``error_code`` is the platform's own code (from X-Func-Err-Code or the error body). Times are ns.
    ``start`` is ``cold`` or ``warm`` where the answer shows which, ``start_source`` how (``probe`` or ``log``);
    ``instance`` is what the function calls the instance that answered. ``unbelieved`` names figures that are None
    because what the answer says of them cannot be (``metering.UNBELIEVABLE``).
    """

    outcome: Outcome
    reason: str
    status: int
    error_code: str | None = None
    request_id: str | None = None
    duration_ns: int | None = None
    billed_duration_ns: int | None = None
    memory_size_mb: int | None = None
    memory_used_bytes: int | None = None
    log: str | None = None
    start: str | None = None
    start_source: str | None = None
    instance: str | None = None
    unbelieved: tuple[str, ...] = ()

    def labelled(self, start: str | None, start_source: str | None, instance: str | None) -> Facts:
        """The same with another label, and what tells of it."""
        return structs.replace(self, start=start, start_source=start_source, instance=instance)
