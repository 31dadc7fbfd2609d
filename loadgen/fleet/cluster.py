"""What a cluster has to be before agents are placed on it, whoever runs it. Pure."""

from __future__ import annotations

import ipaddress
import platform
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

import loadgen
from loadgen.build import build
from loadgen.measure.summary import Environment
from loadgen.text.units import NS_PER_S

MOST_LOCAL = 64
CLOCK_NS = NS_PER_S
"""How far a machine's time of day may be off: signatures of requests and placeholders tell it."""
_LOCAL = re.compile(r"local:([1-9][0-9]{0,3})")


class ClusterError(Exception):
    """A cluster that cannot be used; the message says what was seen, what was expected and what to do."""


class Seen(Struct, frozen=True):
    """A worker: its ``address``, the ``ip`` in it, the name of its ``host``, and what machine that is.

    ``files`` is how many each of its processes may have open, ``clock_off_ns`` by how much its time of day is ahead of
    ours at least; 0 where they may agree.
    """

    address: str
    ip: str
    host: str
    environment: Environment
    files: int
    clock_off_ns: int = 0


class Reached(Struct, frozen=True):
    """A cluster: the ``address`` of its scheduler and its ``workers``, in the order in which they are taken.

    ``security`` is what it takes to be let in, where Dask's configuration does not say that; ``silent`` are the
    addresses of workers that do not answer.
    """

    address: str
    workers: tuple[Seen, ...]
    security: Mapping[str, Any] | None = None
    silent: tuple[str, ...] = ()

    @property
    def encrypted(self) -> bool:
        """Whether nobody on the way can read what agents are told."""
        return self.address.startswith("tls:")

    @property
    def here(self) -> bool:
        """Whether all of it is on this machine's loopback."""
        return loopback(self.address) and all(loopback(each.address) for each in self.workers)


def parsed(address: str) -> int | None:
    """The number of workers of ``local:N``, None of a scheduler's address. Raises ClusterError for neither."""
    if (found := _LOCAL.fullmatch(address)) is not None and int(found[1]) <= MOST_LOCAL:
        return int(found[1])
    try:
        url = urlsplit(address)
        if url.scheme in ("tcp", "tls") and url.hostname and url.port and not url.path.strip("/"):
            return None
    except ValueError:
        pass
    raise ClusterError(
        f'got "{address}", expected tcp://HOST:PORT or tls://HOST:PORT, the address of a Dask scheduler, or local:N '
        f"for N workers on this machine, 1 to {MOST_LOCAL}"
    )


def loopback(address: str) -> bool:
    """Whether an address is one of this machine's own that nobody else reaches."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def differing(address: str, version: str | None, python: str | None, made: str | None) -> str | None:
    """What is wrong with the loadgen of a worker, which is not installed where ``version`` is None; None for nothing.

    A Python or build that is None was not asked for.
    """
    install = f"pip install 'loadgen[distributed]=={loadgen.__version__}'"
    if version is None:
        return (
            f"the worker {address} has no loadgen, expected {loadgen.__version__} as here: in the environment that the "
            f"worker runs in, {install}, and start it again"
        )
    if version != loadgen.__version__:
        return (
            f"the worker {address} has loadgen {version}, expected {loadgen.__version__} as here: agents of another "
            f"version measure in another way. There, {install}, and start the worker again"
        )
    ours = platform.python_version()
    if python is not None and _minor(python) != _minor(ours):
        return (
            f"the worker {address} runs Python {python}, expected {_minor(ours)} as here: what agents cost depends on "
            f"it. Start workers with Python {_minor(ours)}, or run loadgen with Python {_minor(python)}"
        )
    if made is not None and made != build():
        return (
            f"the worker {address} has the {made} build of loadgen, expected the {build()} one as here: they drive "
            "different loads. Install the same wheel in both places, or set LOADGEN_PURE=1 in both"
        )
    return None


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def spread(workers: Sequence[Seen]) -> Iterator[Seen]:
    """One of each host, then a second of each that has another, and so on; in an order that does not change."""
    by_host: dict[str, list[Seen]] = defaultdict(list)
    for worker in sorted(workers, key=lambda each: each.address):
        by_host[f"{worker.host} {worker.ip}"].append(worker)
    rounds = zip_longest(*(by_host[host] for host in sorted(by_host)))
    return (worker for worker in chain.from_iterable(rounds) if worker is not None)


def doubts(workers: Sequence[Seen], reached: Reached) -> Iterator[str]:
    """What is to be known of the workers that agents are on."""
    for address in reached.silent:
        yield f"the worker {address} does not answer, and gets no agent"
    on: dict[str, list[Seen]] = defaultdict(list)
    for worker in workers:
        on[worker.host].append(worker)
    for host, there in sorted(on.items()):
        cores = there[0].environment.usable_cores
        if cores < 2:
            yield (
                f"{host} has one core, expected at least two: its agent shares it with the worker, and what it "
                "measures may be ranges"
            )
        elif len(there) > cores:
            yield f"{host} has {cores} cores for {len(there)} agents, expected a core each: they disturb each other"
        off_ns = max((worker.clock_off_ns for worker in there), key=abs)
        if abs(off_ns) > CLOCK_NS:
            yield (
                f"the time of day of {host} is {abs(off_ns) / NS_PER_S:.0f} s {'ahead of' if off_ns > 0 else 'behind'} "
                "this machine's, expected less than 1 s: nothing is measured by it, but signatures of requests and "
                "{{$now}} tell it; let NTP set it"
            )
