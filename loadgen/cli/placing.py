"""Where the agents of a run are: on this machine, or on the cluster that ``--cluster`` names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from loadgen.cli import output
from loadgen.measure.summary import AgentHost

if TYPE_CHECKING:
    from types import ModuleType

    from loadgen.engine.cores import Own
    from loadgen.fleet.cluster import Reached
    from loadgen.fleet.port import Fleet
    from loadgen.run.agents import Agents
    from loadgen.scenario.load import Loaded


class Placed(Struct, frozen=True):
    """The ``agents`` of a run and what they are on: machines of a ``cluster``, or this one and maybe cores of it."""

    fleet: Fleet
    agents: Agents
    own: Sequence[Own] = ()
    hosts: Sequence[AgentHost] = ()
    cluster: str | None = None


@contextmanager
def placing(
    loaded: Loaded, cluster: str | None, asked: int | None, here: Agents | None, *, insecure: bool, quiet: bool
) -> Iterator[Placed]:
    """Where a run's agents go: ``here``, or on a cluster, which lasts as long as the context where it is ours.

    Raises click.UsageError for a cluster that cannot be used, or not with this scenario.
    """
    if cluster is None:
        from loadgen.engine.cores import parted, shared, usable
        from loadgen.fleet.local import LocalFleet

        assert here is not None
        beside = loaded.scenario.target.emulated and not shared()
        own = parted(here.number, usable()) if beside else ()
        yield Placed(LocalFleet(own), here, own)
        return
    from loadgen.fleet.cluster import ClusterError, parsed

    try:
        parsed(cluster)
        dask = _dask()
        with dask.reached(cluster) as reached:
            yield _placed(dask, loaded, cluster, reached, asked, insecure=insecure, quiet=quiet)
    except ClusterError as error:
        raise click.UsageError(f"--cluster: {error}") from error


def _dask() -> ModuleType:
    """The fleet on Dask. Raises ClusterError where that is not installed."""
    from loadgen.fleet.cluster import ClusterError

    try:
        from loadgen.fleet import dask
    except ImportError as error:
        raise ClusterError(
            f"what it needs is not installed ({error}), expected dask.distributed: pip install 'loadgen[distributed]'"
        ) from error
    return dask


def _placed(
    dask: ModuleType,
    loaded: Loaded,
    cluster: str,
    reached: Reached,
    asked: int | None,
    *,
    insecure: bool,
    quiet: bool,
) -> Placed:
    from loadgen.fleet.cluster import doubts

    agents = _agents(loaded, len(reached.workers), asked)
    workers = reached.workers[: agents.number]
    _refuse(loaded, cluster, reached, agents.number, insecure=insecure)
    if not quiet:
        for doubt in doubts(workers, reached):
            output.say(f"warning: {doubt}")
    return Placed(dask.DaskFleet(reached), agents, hosts=_hosts(reached, agents.number), cluster=cluster)


def _agents(loaded: Loaded, workers: int, asked: int | None) -> Agents:
    """One for each worker, or as many as are asked for."""
    from msgspec.structs import replace

    from loadgen.run.agents import agents_of

    number = min(asked or workers, workers)
    agents = agents_of(loaded.scenario, number, workers)
    if agents.number < number:
        return replace(agents, why=agents.why.replace("--agents", "one for each worker would be", 1))
    if asked is None:
        return replace(agents, why="one for each worker of the cluster")
    return replace(agents, why="--agents" if asked == number else f"--agents {asked}, but there are {workers} workers")


def _refuse(loaded: Loaded, cluster: str, reached: Reached, agents: int, *, insecure: bool) -> None:
    """Raises ClusterError where the scenario and the cluster do not go together."""
    from loadgen.engine.limits import files_needed
    from loadgen.experiments.registry import widest
    from loadgen.fleet.cluster import ClusterError
    from loadgen.targets.endpoint import loopback
    from loadgen.targets.registry import tenant_of
    from loadgen.targets.secret import sent

    scenario = loaded.scenario
    secret = any(map(sent, scenario.targets)) or bool(loaded.fed_secrets)
    if secret and not (reached.encrypted or reached.here or insecure):
        raise ClusterError(
            f"{cluster} is not encrypted, and the scenario has secrets, which everybody on the way could read; "
            "expected tls://… Have scheduler and workers speak TLS (docs/cluster.md), or send them all the same with "
            "--insecure-cluster"
        )
    if not reached.here:
        for target in scenario.targets:
            urls = tenant_of(target).urls(target)
            if target.emulated or any(map(loopback, urls)):
                raise ClusterError(
                    f"the target {'is the embedded emulator' if target.emulated else urls[0]}, which is reached from "
                    "this machine alone, and the agents are on others; expected an address that they reach, too, or "
                    "local:N"
                )
    for worker in reached.workers[:agents]:
        phase = max(widest(scenario), key=lambda phase: phase.max_workers)
        if (needed := files_needed(phase, agents)) > worker.files:
            raise ClusterError(
                f"{worker.host} lets a process open {worker.files} files, expected {needed}, one for each call in "
                "flight: raise the hard limit of open files there (ulimit -Hn), or lower max_in_flight or the workers"
            )


def _hosts(reached: Reached, agents: int) -> list[AgentHost]:
    """The machines, each once, with the numbers of their agents."""
    on: dict[tuple[str, str], AgentHost] = {}
    for number, worker in enumerate(reached.workers[:agents]):
        machine = worker.environment
        host = on.setdefault(
            (worker.host, worker.ip),
            AgentHost(
                agents=[],
                host=worker.host,
                address=worker.ip,
                kernel=machine.kernel,
                cpu_model=machine.cpu_model,
                usable_cores=machine.usable_cores,
                arrival_clock=machine.arrival_clock,
                clock_off_ns=worker.clock_off_ns,
            ),
        )
        host.agents.append(number)
    return list(on.values())
