"""A scenario that a command line says: what is invoked, and a single phase of load.

It is made of settings of an empty document, and loads as a file does: each of its faults names the option that it is a
fault of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from loadgen.targets.endpoint import EMULATOR, loopback
from loadgen.text.fault import Fault, Place, ScenarioError
from loadgen.text.override import Setting

WORKERS = "10"
DURATION = "10s"
_LOAD = "load"
"""The name of the phase."""
_OURS = "loadgen run"
"""What is said by no option."""
_HEADER = "-H"


class Asked(Struct, frozen=True):
    """What the command line says; None where it says nothing. ``headers`` are ``Name: value`` each."""

    invoked: str
    rate: str | None = None
    workers: str | None = None
    duration: str | None = None
    event: str | None = None
    method: str | None = None
    headers: Sequence[str] = ()
    endpoint: str | None = None

    def __repr__(self) -> str:
        return "Asked(***)"


def says_url(invoked: str) -> bool:
    """Whether the word is meant as a URL, and not as the name of a file."""
    return "://" in invoked


def says_urn(invoked: str) -> bool:
    """Whether the word is meant as the URN of a function, and not as the name of a file."""
    return invoked.lower().startswith("urn:")


def settings(asked: Asked) -> list[Setting]:
    """The settings that make an empty document the scenario. Raises ScenarioError for a header that is none."""
    return [
        Setting(_what(asked.invoked), ("name",), _name(asked.invoked), as_is=True),
        *_target(asked),
        *([] if asked.event is None else [Setting("--event", ("event",), asked.event)]),
        *_phase(asked),
    ]


def _what(invoked: str) -> str:
    return "URN" if says_urn(invoked) else "URL"


def _name(invoked: str) -> str:
    """A name for the scenario: the function's, or the host's."""
    if says_urn(invoked):
        said = dict(enumerate(invoked.split(":"))).get(6, "")
    else:
        said = re.split(r"[/?#:]", invoked.partition("://")[2].rpartition("@")[2])[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", said).strip("-_")[:100] or _LOAD


def _target(asked: Asked) -> Iterator[Setting]:
    if says_urn(asked.invoked):
        yield Setting("URN", ("target", "function"), asked.invoked, as_is=True)
        if asked.endpoint != EMULATOR and not loopback(asked.endpoint or ""):
            yield Setting(_OURS, ("target", "auth"), "environment")
    else:
        yield Setting("URL", ("target", "url"), asked.invoked, as_is=True)
    for key in ("endpoint", "method"):
        if (said := getattr(asked, key)) is not None:
            yield Setting(f"--{key}", ("target", key), said, as_is=True)
    names: set[str] = set()
    for header in asked.headers:
        name, colon, value = header.partition(":")
        name = name.strip()
        if not colon or not name:
            raise ScenarioError([Fault(Place(_HEADER), (), "got no name and colon, expected 'Name: value'")])
        if name in names:
            raise ScenarioError(
                [Fault(Place(f"{_HEADER} {name}"), (), "this header is written twice; keep one of them")]
            )
        names.add(name)
        yield Setting(f"{_HEADER} {name}", ("target", "headers", name), value.strip(), as_is=True)


def _phase(asked: Asked) -> Iterator[Setting]:
    yield Setting(_OURS, ("phases",), f"[{{name: {_LOAD}}}]")
    if asked.rate is not None:
        yield Setting("--rate", ("phases", 0, "rate"), asked.rate)
    if asked.workers is not None or asked.rate is None:
        yield _or_ours("--workers", "workers", asked.workers, WORKERS)
    yield _or_ours("--duration", "duration", asked.duration, DURATION)


def _or_ours(option: str, key: str, said: str | None, ours: str) -> Setting:
    return Setting(_OURS if said is None else option, ("phases", 0, key), ours if said is None else said)
