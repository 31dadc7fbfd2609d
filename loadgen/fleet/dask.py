"""Agents beside the workers of a Dask cluster. The only module that knows Dask.

Theory of operation. One worker process has one agent, which is a process of its own beside it (``loadgen.fleet.berth``)
and is reached through an actor of that worker. Everything is called through the scheduler, which alone has to be
reachable from here. Nothing goes by Dask's topics or queues, of which a scheduler keeps the last thousand messages
each, and nothing of a run is in a task, a key or a log: what an agent is told, secrets included, is an argument
of a call.

Where an agent is lost nothing is tried again elsewhere: an actor is bound to the address of its worker, and that a
worker which a nanny starts in its place would hold another one is never asked for. So settings of the scheduler
(allowed-failures, work-stealing, worker-ttl, no-workers-timeout) do not matter: what has to be noticed within seconds,
the crew notices by what agents say.

A cluster of this machine is a process of its own in a session of its own, so that Ctrl-C does not reach its workers,
and speaks TLS by certificates made for it: whoever reaches a scheduler can run code as its user.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from select import select
from typing import Any
from urllib.parse import urlsplit

import dask

# they read what logs they are to write when they are imported
_QUIET = ("distributed", "distributed.client", "distributed.worker", "bokeh", "tornado")
dask.config.set(logging=dict.fromkeys(_QUIET, "critical"))

from distributed import Client, LocalCluster, Security  # noqa: E402
from distributed.comm import CommClosedError  # noqa: E402

from loadgen.engine.child import child_command, child_environment, die_with_parent  # noqa: E402
from loadgen.engine.clock import monotonic_ns  # noqa: E402
from loadgen.fleet import berth  # noqa: E402
from loadgen.fleet.berth import About, Berth  # noqa: E402
from loadgen.fleet.cluster import ClusterError, Reached, Seen, differing, parsed, spread  # noqa: E402
from loadgen.fleet.offset import Offset, refined  # noqa: E402
from loadgen.fleet.port import FleetError, Gone, Said  # noqa: E402

_CONNECT_S = 5.0
_ANSWER_S = 5.0
_PLACE_S = 10.0
_LOCAL_S = 30.0
_CLOSE_S = 8.0
_AGAIN_S = 0.05
_PROBES = 12
_PROBE_S = 1.0
_AT_ONCE_BYTES = 2**23
_LEAST_LEAD_NS = 100_000_000
_LOST = (OSError, CommClosedError, RuntimeError)
"""What a call raises whose worker or scheduler is gone; an actor's is a RuntimeError."""


class DaskFleet:
    """See Fleet. Agents are on the workers ``reached``, one each, in that order.

    What changes: ``start`` makes the berths and the tasks that speak with them; ``_offsets`` gets better with every
    probe, and ``_slowest_ns`` is how long one took at most.
    """

    patience_s = 10.0
    has_our_files = False

    def __init__(self, reached: Reached) -> None:
        self._reached = reached
        self._client: Client | None = None
        self._berths: list[Any] = []
        self._outgoing: list[asyncio.Queue[bytes | None]] = []
        self._received: asyncio.Queue[Said | Gone | FleetError] = asyncio.Queue()
        self._tasks: list[list[asyncio.Task[None]]] = []
        self._gone: set[int] = set()
        self._offsets: dict[int, Offset] = {}
        self._slowest_ns = 0
        self._closing = False
        self._killing: set[asyncio.Future[Any]] = set()

    @property
    def lead_ns(self) -> int:
        """See Fleet: a message may take several times as long as the slowest probe did."""
        return max(_LEAST_LEAD_NS, 5 * self._slowest_ns)

    async def start(self, agents: int) -> None:
        """See Fleet."""
        try:
            self._client = await _connected(self._reached)
            places = self._reached.workers[:agents]
            self._outgoing = [asyncio.Queue() for _ in places]
            async with asyncio.TaskGroup() as group:
                placing = [group.create_task(self._placed(place.address)) for place in places]
            self._berths = [task.result() for task in placing]
            async with asyncio.TaskGroup() as group:
                for number in range(agents):
                    group.create_task(self._synchronised(number))
            self._tasks = [
                [asyncio.create_task(work(number)) for work in (self._speak, self._listen, self._keep_synchronised)]
                for number in range(agents)
            ]
        except BaseException as error:
            await self.close()
            raise _first(error) from error

    def ahead_ns(self, agent: int) -> int:
        """See Fleet."""
        return self._offsets[agent].ahead_ns

    def error_ns(self, agent: int) -> int:
        """See Fleet."""
        return self._offsets[agent].error_ns

    def send(self, agent: int, message: bytes) -> None:
        """See Fleet."""
        if agent not in self._gone:
            self._outgoing[agent].put_nowait(message)

    async def receive(self) -> Said | Gone:
        """See Fleet."""
        received = await self._received.get()
        if isinstance(received, FleetError):
            raise received
        return received

    def end(self) -> None:
        """See Fleet: what was said before arrives before."""
        for agent in range(len(self._tasks)):
            if agent not in self._gone:
                self._outgoing[agent].put_nowait(None)

    def drop(self, agent: int) -> None:
        """See Fleet."""
        self._gone.add(agent)
        for task in self._tasks[agent]:
            task.cancel()
        killing = asyncio.ensure_future(_asked(self._berths[agent], "kill", _ANSWER_S))
        self._killing.add(killing)
        killing.add_done_callback(self._killed)

    def _killed(self, killing: asyncio.Future[Any]) -> None:
        self._killing.discard(killing)
        if not killing.cancelled():
            killing.exception()  # it could not be reached, which is why it was dropped

    async def close(self) -> None:
        """See Fleet. One that cannot be reached ends by itself, when its lease does."""
        self._closing = True
        self.end()
        listening = [tasks[1] for number, tasks in enumerate(self._tasks) if number not in self._gone]
        if listening:
            await asyncio.wait(listening, timeout=_CLOSE_S)
        for berth_ in self._berths[len(self._tasks) :]:  # of a start that failed
            with suppress(Exception):
                await _asked(berth_, "kill", 1)
        if self._killing:
            await asyncio.wait(self._killing, timeout=1)
        everything = [task for tasks in self._tasks for task in tasks] + list(self._killing)
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        if self._client is not None:
            client, self._client = self._client, None
            self._berths = []
            with suppress(*_LOST, TimeoutError):
                await asyncio.wait_for(client.close(), _CLOSE_S)

    async def _placed(self, address: str) -> Any:
        """A berth at a worker, with its agent started. Raises FleetError."""
        assert self._client is not None
        placed = self._client.submit(
            Berth,
            actor=True,
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
            key=f"loadgen-{os.urandom(8).hex()}",
        )
        try:
            actor = await asyncio.wait_for(placed, _PLACE_S)
        except TimeoutError:
            raise FleetError(
                f"the scheduler {self._reached.address} answers, but has had no agent placed on its worker {address} "
                f"within {_PLACE_S:g} s: is that worker busy with other tasks, paused for want of memory, or gone? "
                "dask worker --nworkers 1 --nthreads 1 --memory-limit 0 starts one that is free"
            ) from None
        except Exception as error:
            raise FleetError(
                f"no agent could be placed on the worker {address}: {error or type(error).__name__}"
            ) from error
        self._berths.append(actor)
        try:
            await _asked(actor, "start", _PLACE_S)
        except (Exception, asyncio.CancelledError) as error:
            with suppress(Exception):
                await _asked(actor, "kill", 1)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise FleetError(
                f"no agent could be started by the worker {address}: {error or type(error).__name__}"
            ) from error
        return actor

    async def _synchronised(self, number: int) -> None:
        for _ in range(_PROBES):
            try:
                await self._probe(number)
            except (*_LOST, TimeoutError) as error:
                raise FleetError(
                    f"the worker {self._reached.workers[number].address} was lost while its clock was looked at"
                ) from error

    async def _keep_synchronised(self, number: int) -> None:
        while True:
            await asyncio.sleep(_PROBE_S)
            with suppress(*_LOST, TimeoutError):  # who speaks and listens notices
                await self._probe(number)

    async def _probe(self, number: int) -> None:
        sent_ns = monotonic_ns()
        theirs_ns, _ = await _asked(self._berths[number], "clock", _ANSWER_S)
        answered_ns = monotonic_ns()
        if number not in self._offsets or len(self._tasks) == 0:
            self._slowest_ns = max(self._slowest_ns, answered_ns - sent_ns)
        self._offsets[number] = refined(self._offsets.get(number), sent_ns, theirs_ns, answered_ns)

    async def _speak(self, number: int) -> None:
        """Carry to an agent what it is told, all that there is at once."""
        outgoing, told = self._outgoing[number], 0
        while True:
            message = await outgoing.get()
            batch = bytearray()
            while message is not None:
                batch += message
                if len(batch) > _AT_ONCE_BYTES or outgoing.empty():
                    break
                message = outgoing.get_nowait()
            if batch:
                told += 1
                await self._tried(number, "tell", told, bytes(batch))
            if message is None:
                await self._tried(number, "end")
                return

    async def _listen(self, number: int) -> None:
        """Hear what an agent says, until it has ended."""
        heard = 0
        while True:
            words = await self._tried(number, "said", heard)
            if words is None:
                return
            for body in words.bodies[heard - words.first :]:
                self._received.put_nowait(Said(number, body))
                heard += 1
            if words.ended is not None:
                self._lose(number, words.ended)
                return

    async def _tried(self, number: int, call: str, *arguments: object) -> Any:
        """What a call of a berth returns, which is made until it is answered; None once there is nobody to answer."""
        while number not in self._gone:
            try:
                return await getattr(self._berths[number], call)(*arguments)
            except _LOST as error:
                why = await self._why_lost(number, error)
                if isinstance(why, FleetError):
                    self._received.put_nowait(why)
                    return None
                if why is not None:
                    self._lose(number, why, surely=False)
                    return None
                await asyncio.sleep(_AGAIN_S)
        return None

    async def _why_lost(self, number: int, error: BaseException) -> str | FleetError | None:
        """Why a berth does not answer; None where it may again."""
        address = self._reached.workers[number].address
        try:
            known = await _workers(self._client)
        except (*_LOST, TimeoutError, AttributeError):
            if self._closing:
                return "was left"
            return FleetError(
                f"the scheduler {self._reached.address} is gone, and with it the way to all agents, which end by "
                "themselves: see what it said last, and run again"
            )
        if address not in known:
            return f"is gone with its worker {address}, which the scheduler has lost"
        if isinstance(error, RuntimeError):
            return f"is gone: its worker {address} holds it no more ({error})"
        return None

    def _lose(self, number: int, how: str, *, surely: bool = True) -> None:
        if number not in self._gone:
            self._gone.add(number)
            where = f" on {self._reached.workers[number].host}" if how.startswith("died") else ""
            self._received.put_nowait(Gone(number, how.replace("died", f"died{where}", 1) if where else how, surely))


def _first(error: BaseException) -> BaseException:
    """What a group of tasks failed with."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return FleetError(str(error)) if isinstance(error, (*_LOST, ClusterError)) else error


async def _asked(actor: Any, call: str, within_s: float) -> Any:
    """What a call of a berth returns within that time. Raises TimeoutError, and what the call raises."""

    async def asked() -> Any:
        return await getattr(actor, call)()  # an actor that is lost has no attributes

    return await asyncio.wait_for(asked(), within_s)


async def _workers(client: Client | None) -> Mapping[str, Any]:
    """The workers that the scheduler knows now, by address. Raises OSError or TimeoutError."""
    if client is None:
        raise OSError("closed")

    async def identity() -> Mapping[str, Any]:
        known: Mapping[str, Any] = (await client.scheduler.identity(n_workers=-1))["workers"]
        return known

    return await asyncio.wait_for(identity(), 1.5)


async def _connected(reached: Reached) -> Client:
    """A client of a scheduler. Raises ClusterError."""
    security = None if reached.security is None else Security(**reached.security)
    if reached.address.startswith("tls://") and security is None:
        security = Security(require_encryption=True)
        if not security.tls_ca_file:
            raise ClusterError(
                f"{reached.address} speaks TLS, but Dask's configuration here names no certificates, expected ca-file "
                "and the client's cert and key: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
                "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"
            )
    if reached.address.startswith("tcp://"):
        await _looked_for(reached.address)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # versions are compared below, and what differs is said there
        client = Client(
            reached.address,
            asynchronous=True,
            security=security,
            timeout=_CONNECT_S,
            set_as_default=True,  # by which actors find it
            name="loadgen",
        )
        try:
            await asyncio.wait_for(_entered(client), _CONNECT_S + 1)
        except (*_LOST, TimeoutError, ValueError, TypeError, KeyError) as error:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), 1)
            raise ClusterError(_unreached(reached.address, error)) from error
        except BaseException:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), 1)
            raise
    return client


async def _looked_for(address: str) -> None:
    """Whether anybody listens there, which Dask would go on asking for seconds. Raises ClusterError."""
    url = urlsplit(address)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(url.hostname, url.port), _CONNECT_S)
    except (OSError, TimeoutError) as error:
        connecting = not isinstance(error, socket.gaierror)
        raise ClusterError(_unreached(address, error, connecting=connecting)) from error
    writer.close()


async def _entered(client: Client) -> None:
    await client


def _unreached(address: str, error: BaseException, *, connecting: bool = False) -> str:
    """Why there is no scheduler to be spoken to."""
    causes = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    told = " ".join(causes)
    if isinstance(error, ConnectionRefusedError) or "refused" in told.lower():
        seen = "nobody listens there"
    elif connecting:
        seen = "nobody answers there; is a firewall in between"
    elif isinstance(error, socket.gaierror) or "getaddrinfo" in told or "not known" in told or "resolution" in told:
        seen = "the name cannot be resolved"
    elif "ssl" in told.lower() or "certificate" in told.lower():
        seen = f"no TLS connection was made ({causes[-1]})"
    else:
        seen = "what listens there does not answer as a Dask scheduler does"
    return (
        f"no Dask scheduler was reached at {address} within {_CONNECT_S:g} s: {seen}. Expected the address that "
        "dask scheduler prints, such as tcp://10.0.0.5:8786 (8787 is its web page), or tls://… where it speaks TLS"
    )


async def survey(address: str, security: Mapping[str, Any] | None) -> Reached:
    """What there is at a scheduler, see ``reached``."""
    empty = Reached(address, (), security)
    client = await _connected(empty)
    try:
        known = await _workers(client)
        if not known:
            raise ClusterError(
                f"the cluster at {address} has no workers, expected at least one: start some with "
                f"dask worker {address} --nworkers 1 --nthreads 1 --memory-limit 0, and see that they reach "
                "the scheduler"
            )
        asked = await asyncio.gather(*(_looked_at(client, each) for each in known))
    except TimeoutError as error:
        raise ClusterError(f"the scheduler at {address} was reached, and then fell silent: run again") from error
    except _LOST as error:
        raise ClusterError(f"the scheduler at {address} was reached, and then lost ({error}): run again") from error
    finally:
        with suppress(*_LOST, TimeoutError):
            await asyncio.wait_for(client.close(), _CLOSE_S)
    workers = [each for each in asked if isinstance(each, Seen)]
    silent = tuple(each for each in asked if isinstance(each, str))
    if not workers:
        raise ClusterError(
            f"none of the {len(known)} workers at {address} answers within {_ANSWER_S:g} s: "
            f"{', '.join(sorted(silent)[:5])}. Are they stopped, or cut off from the scheduler?"
        )
    return Reached(address, tuple(spread(workers)), security, silent)


async def _looked_at(client: Client, address: str) -> Seen | str:
    """What a worker is; its address where it does not answer. Raises ClusterError where it is not as it has to be."""
    try:
        version = await _run(client, address, metadata.version, "loadgen")
        python = await _run(client, address, platform.python_version)
        if isinstance(version, BaseException):
            raise ClusterError(differing(address, None, None, None))
        if (wrong := differing(address, version, python, None)) is not None:
            raise ClusterError(wrong)
        versions = await _run(client, address, berth.versions)
        if isinstance(versions, BaseException):
            raise ClusterError(f"the worker {address} cannot load loadgen {version}: {versions}. Install it anew there")
        if (wrong := differing(address, *versions)) is not None:
            raise ClusterError(wrong)
        asked_ns = time.time_ns()
        seen = await _run(client, address, berth.about)
        answered_ns = time.time_ns()
    except (*_LOST, TimeoutError):
        return address
    if not isinstance(seen, About):
        raise ClusterError(f"the worker {address} cannot say what machine it is on: {seen}")
    early, late = seen.time_ns - answered_ns, seen.time_ns - asked_ns
    off_ns = early if early > 0 else min(0, late)
    return Seen(address, urlsplit(address).hostname or address, seen.host, seen.environment, seen.files, off_ns)


async def _run(client: Client, address: str, function: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns on a worker, or the exception that it raises there. Raises OSError or TimeoutError."""

    async def ran() -> Any:
        found = await client.run(function, *arguments, workers=[address], on_error="return")
        return found[address]

    found = await asyncio.wait_for(ran(), _ANSWER_S)
    if isinstance(found, OSError):
        raise found
    return found


@contextmanager
def reached(address: str) -> Iterator[Reached]:
    """The cluster at an address, as long as the context lasts: ``tcp://…``, ``tls://…`` or ``local:N``.

    What is found is fit for agents of this loadgen. Raises ClusterError.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    workers = parsed(address)
    if workers is None:
        yield asyncio.run(survey(address, None))
        return
    with _local(workers) as (where, security):
        yield asyncio.run(survey(where, security))


@contextmanager
def _local(workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A cluster of this machine: its scheduler, and what it takes to be let in."""
    cluster = subprocess.Popen(  # noqa: S603 - this very program
        child_command("loadgen.fleet.dask", str(workers)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=child_environment(os.environ),
    )
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    assert cluster.stderr is not None
    try:
        ready, _, _ = select([cluster.stdout], [], [], _LOCAL_S)
        line = cluster.stdout.readline() if ready else b""
        if not line:
            cluster.kill()
            said = cluster.stderr.read().decode("utf-8", "replace").strip().splitlines()
            raise ClusterError(
                f"no cluster of {workers} workers could be started on this machine within {_LOCAL_S:g} s: "
                f"{said[-1] if said else 'it said nothing'}"
            )
        told = json.loads(line)
        yield told["address"], told["security"]
    finally:
        cluster.stdin.close()  # which ends it
        try:
            cluster.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            cluster.kill()  # its workers notice, and their agents do
            cluster.wait()
        cluster.stdout.close()
        cluster.stderr.close()


def main() -> None:
    """Be a cluster of this machine with so many workers, until the end of stdin; says where it is on stdout."""
    die_with_parent()
    security = Security.temporary()
    with LocalCluster(
        n_workers=int(sys.argv[1]),
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        protocol="tls",
        security=security,
        dashboard_address=None,
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        names = ("tls_ca_file", "tls_client_cert", "tls_client_key")
        told = {name: getattr(security, name) for name in names} | {"require_encryption": True}
        sys.stdout.write(json.dumps({"address": cluster.scheduler_address, "security": told}) + "\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
