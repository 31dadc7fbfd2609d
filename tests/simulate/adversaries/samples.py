"""Samples of made-up calls: what an agent would say of a call with these times, and nothing else."""

from __future__ import annotations

from loadgen.invocation.sample import Sample

MS = 1_000_000


def sample(
    phase: str,
    index: int,
    started_ns: int,
    service_ns: int,
    duration_ns: int | None,
    *,
    intended_ns: int | None = None,
    memory_mb: int = 512,
    outcome: str = "ok",
    reason: str = "ok",
    status: int = 200,
) -> Sample:
    """One call; the bill is for whole milliseconds of its duration."""
    return Sample(
        intended_ns=started_ns if intended_ns is None else intended_ns,
        started_ns=started_ns,
        ended_ns=started_ns + service_ns,
        arrived_ns=started_ns + service_ns,
        read_ns=started_ns + service_ns,
        phase=phase,
        agent=0,
        index=index,
        outcome=outcome,
        reason=reason,
        status=status,
        error_code=None,
        duration_ns=duration_ns,
        billed_duration_ns=None if duration_ns is None else max(1, -(-duration_ns // MS)) * MS,
        memory_size_mb=None if duration_ns is None else memory_mb,
        memory_used_bytes=None,
        connect_ns=0,
        start="unknown",
        start_source="none",
        request_id=None,
    )
