"""Scenarios for tests, built without YAML."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loadgen.load.constant import ConstantRate
from loadgen.load.phase import Phase, Shape
from loadgen.load.workers import Workers
from loadgen.scenario.model import Feeder, FeederOrder, Index, OnAgentLoss, Scenario
from loadgen.scenario.rows import indexed
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, NoAuth, ResponseVersion
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.port import Timeout, Tls
from loadgen.targets.target import Target
from loadgen.text.units import Rate

S = 1_000_000_000
TIMEOUT = Timeout(connect_ns=5 * S, first_byte_ns=10 * S, total_ns=10 * S)


def function(
    endpoint: str,
    *,
    response: ResponseVersion = ResponseVersion.V0,
    timeout: Timeout = TIMEOUT,
    fresh: bool = False,
    tls: Tls = Tls(verify=True, ca=None),  # noqa: B008 - immutable
    preflight: bool = True,
) -> FunctionTarget:
    """The function ``hello`` behind an endpoint."""
    return FunctionTarget(
        endpoint=endpoint,
        project_id="demo",
        function="urn:fss:local:demo:function:default:hello:latest",
        auth=NoAuth(),
        response=response,
        tail_share=0.0,
        memory_mb=None,
        fresh_connections=fresh,
        timeout=timeout,
        tls=tls,
        preflight=preflight,
    )


def http(url: str, *, method: str = "POST", timeout: Timeout = TIMEOUT) -> HttpTarget:
    """A plain HTTP target."""
    return HttpTarget(
        url=url,
        method=method,
        headers=(),
        fresh_connections=False,
        timeout=timeout,
        tls=Tls(verify=True, ca=None),
        preflight=True,
    )


def open_phase(rate: int, seconds: float, *, name: str = "steady", limit: int = 1000, grace_s: float = 10) -> Phase:
    """Constant arrivals at ``rate`` per second."""
    return phase(ConstantRate(Rate(rate, S)), seconds, name=name, limit=limit, grace_s=grace_s)


def closed_phase(workers: int, seconds: float, *, name: str = "closed", warmup: bool = False) -> Phase:
    """Workers that invoke back to back."""
    return phase(Workers(workers, workers), seconds, name=name, warmup=warmup)


def phase(
    shape: Shape,
    seconds: float,
    *,
    name: str = "steady",
    warmup: bool = False,
    limit: int = 1000,
    grace_s: float = 10,
) -> Phase:
    """Any phase."""
    return Phase(name, shape, int(seconds * S), warmup, max_in_flight=limit, grace_ns=int(grace_s * S))


def feeder(path: Path | str, order: FeederOrder = FeederOrder.LOOP, rows: int | None = None) -> Feeder:
    """A feeder of a file, or of one that only is said to have so many rows."""
    of = Feeder(str(path), order)
    index = indexed(Path(path), of) if rows is None else Index(bytes(4 * (rows + 1)))
    return msgspec.structs.replace(of, index=index)


def scenario(
    target: Target,
    *phases: Phase,
    sample_share: float = 0.0,
    event: str = '{"k":"v"}',
    on_agent_loss: OnAgentLoss = OnAgentLoss.DEGRADE,
) -> Scenario:
    """A scenario without thresholds, budget or feeder."""
    return Scenario(
        name="test",
        kind="load",
        seed=1,
        target=target,
        event=event,
        phases=phases,
        sample_share=sample_share,
        on_agent_loss=on_agent_loss,
        sha256="0" * 64,
    )
