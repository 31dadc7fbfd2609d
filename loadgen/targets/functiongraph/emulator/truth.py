"""The truth log: what was decided for each call, one JSON object a line; the same decisions give the same bytes."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from loadgen.targets.functiongraph.emulator.model import Admitted, ColdStart, Rejected
from loadgen.text import foreign


class _Truth(Struct, frozen=True, gc=False):
    """A line of the truth log; the order of the fields is that of the file."""

    request_id: str
    function: str
    version: str
    received_ns: int
    memory_mb: int
    status: int
    code: str = "0"
    reason: str | None = None
    instance: str | None = None
    ordinal: int | None = None
    cold: bool | None = None
    cold_start: ColdStart | None = None
    starts: int = 0
    init_ns: int | None = None
    queue_wait_ns: int = 0
    slow: bool = False
    cpu_share: float | None = None
    work_ns: int | None = None
    duration_ns: int | None = None
    billed_duration_ns: int | None = None
    overhead_ns: int | None = None
    memory_used_bytes: int | None = None
    failed: bool | None = None
    ends_at_ns: int | None = None


_encode = msgspec.json.Encoder().encode


def truth_line(call: Admitted | Rejected) -> bytes:
    """A JSON object and a line feed; the same keys for every call, null where there is nothing to say.

    ``status`` is that of the answer, 0 for none at all; ``code`` the error code in it, "0" for success.
    """
    return foreign.json(_encode(_truth(call))) + b"\n"


def _truth(call: Admitted | Rejected) -> _Truth:
    if isinstance(call, Rejected):
        return _Truth(
            request_id=call.request_id,
            function=call.function,
            version=call.version,
            received_ns=call.received_ns,
            memory_mb=call.memory_mb,
            status=call.status,
            code=call.code,
            reason=call.reason,
            queue_wait_ns=call.ends_at_ns - call.received_ns,
            ends_at_ns=call.ends_at_ns,
        )
    return _Truth(
        request_id=call.request_id,
        function=call.function,
        version=call.version,
        received_ns=call.received_ns,
        memory_mb=call.memory_mb,
        status=call.status,
        code=str(call.code),
        reason=call.reason,
        instance=call.instance,
        ordinal=call.ordinal,
        cold=call.cold,
        cold_start=call.cold_start,
        starts=call.starts,
        init_ns=call.init_ns,
        queue_wait_ns=call.queue_wait_ns,
        slow=call.slow,
        cpu_share=call.cpu_share,
        work_ns=call.work_ns,
        duration_ns=call.duration_ns,
        billed_duration_ns=call.billed_duration_ns,
        overhead_ns=call.overhead_ns,
        memory_used_bytes=call.memory_used_bytes,
        failed=call.code != 0,
        ends_at_ns=call.ends_at_ns,
    )
