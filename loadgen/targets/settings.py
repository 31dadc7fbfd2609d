"""The settings side of a tenant: what the parent of a run asks of a platform and does to it, and agents never do.

It may know whole scenarios, sockets and what takes long to import, so nobody imports it but for a run that needs it;
see ``loadgen.targets.port`` for the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct, structs

from loadgen.experiments.registry import changes
from loadgen.scenario.model import Scenario
from loadgen.targets.port import Surroundings, TargetError, Tenant
from loadgen.targets.registry import BUILT_IN, tenant_of
from loadgen.targets.target import Target
from loadgen.text.fault import Found

T = TypeVar("T")

Note = Callable[[str], None]
"""Is told what is worth saying to the user."""


class SettingsError(TargetError):
    """Settings of the platform could not be changed, or not be put back; the message says why and what to do."""


class Resolved(Struct, frozen=True):
    """A target with credentials of the environment, where they came from, and what is doubtful about that."""

    target: Target
    source: str
    warnings: tuple[str, ...] = ()


class Quota(Protocol):
    """What the platform allows; None where it does not say, or has no limit."""

    @property
    def instances(self) -> tuple[int, str] | None:
        """How many instances there may be at once and what sets it; 0 where nothing may be called."""

    @property
    def per_instance(self) -> int:
        """How many calls each serves at once."""

    @property
    def memory_mb(self) -> int | None:
        """The memory that calls get which ask for none."""

    @property
    def unread(self) -> tuple[str, ...]:
        """Why something could not be read."""


class Renewal(Protocol):
    """Keeps credentials good beside a load."""

    async def first(self) -> None:
        """Obtain the first ones, and tell of the target that has them. Raises TargetError."""

    async def keep(self) -> None:
        """Renew them whenever they are due, for ever; ends when that has become impossible."""

    def refused(self) -> None:
        """The platform said that they are out of date: renew them now."""


class Changing(AbstractAsyncContextManager["Changing"], Protocol):
    """Changes settings as an experiment asks; however the context is left, all is as it was, or a SettingsError says.

    The error takes the place of whatever ended the context.
    """

    async def resize(self, memory_mb: int) -> None:
        """Give what is invoked this memory size; new calls run on new instances of it. Raises SettingsError."""

    async def renew(self) -> None:
        """Change nothing that matters, so that new calls run on new instances. Raises SettingsError."""

    def hurry(self) -> None:
        """Try nothing again and wait for nothing any more, but for a request that is under way."""


class Settings(Generic[T]):
    """The settings side of a tenant without any: nothing is read, found or changed."""

    def check(self, scenario: Scenario) -> Found:
        """What is wrong with a scenario for this tenant, as pairs of the key's path and a message."""
        if changes(scenario):
            yield ("kind",), "this changes settings of what is called, and of this target none can be; leave that out"

    def credentials(self, target: T, seen: Callable[[], Surroundings]) -> Resolved | None:
        """The target with credentials from where the tenant's tools find theirs; None where it asks for none of them.

        Raises TargetError when there are none, or when what is there cannot be used.
        """
        return None

    async def limits(self, scenario: Scenario, target: T) -> Quota | None:
        """The limits of what is invoked; None where nobody is to be asked, or there are no credentials to ask with.

        ``target`` is the scenario's, with the credentials that are in use. Takes a few seconds at most.
        """
        return None

    def call_mb(self, scenario: Scenario, configured_mb: int | None) -> int | None:
        """The memory of each call: what it asks for, else ``configured_mb``; None if that is unknown."""
        asked: int | None = tenant_of(scenario.target).asked_mb(scenario.target)
        return asked or configured_mb

    def emulated(
        self, scenario: Scenario, truth: Path, died: Callable[[TargetError], None]
    ) -> AbstractAsyncContextManager[Target]:
        """Start what an ``emulated`` target stands for, and give the target to call, for as long as the context lasts.

        ``truth`` is where it writes down what it decided. ``died`` is told when it ends before it was told to. Raises
        TargetError when it does not start, and at the end of the context, when it ended before.
        """
        raise NotImplementedError

    def renewal(self, target: T, renewed: Callable[[Target], None], note: Note) -> Renewal | None:
        """What obtains and renews the target's credentials, None where nothing has to; ``renewed`` is told of each."""
        return None

    def beside_changes(self, target: T) -> Iterable[str]:
        """What a run that changes settings does besides, each completing "the run …"."""
        return ()

    def changing(self, target: T, run: str, journal: Callable[[str], Any], note: Note) -> Changing:
        """Changes the settings of what the target names, for the run of this id.

        ``target`` has the credentials that are in use; ``journal`` opens the run's, before the first change.
        """
        raise NotImplementedError

    def journal(self, state: Path, run: str, scenario: Path | None, *, emulated: bool) -> Any:
        """The journal of a run, in which it writes what it changes, before it does. Raises TargetError.

        ``state`` is the directory of what outlives runs, ``scenario`` the run's file, None where
        it has none.
        """
        raise NotImplementedError

    def idle(self) -> AbstractAsyncContextManager[Target] | None:
        """A target on this machine that does nothing, for as long as the context lasts; None where there is none.

        Raises TargetError when it does not start.
        """
        return None


def settings_of(target: Target) -> Settings[Any]:
    """The settings side of the tenant whose target it is."""
    return _settings(tenant_of(target))


def _settings(tenant: Tenant[Any]) -> Settings[Any]:
    found: Settings[Any] = Settings() if tenant.settings is None else resolve_name(tenant.settings)
    return found


def check(scenario: Scenario) -> Found:
    """What the tenant finds wrong with a scenario, and with each call of a mix; see ``Settings.check``."""
    if not scenario.calls:
        yield from settings_of(scenario.target).check(scenario)
    for number, call in enumerate(scenario.calls):
        found = settings_of(call.target).check(structs.replace(scenario, target=call.target))
        yield from ((("calls", number, *path[1:]), message) for path, message in found)


def idle() -> AbstractAsyncContextManager[Target]:
    """A target that does nothing, of the first tenant that has one; see ``Settings.idle``."""
    found = (_settings(tenant).idle() for tenant in BUILT_IN)
    return next(each for each in found if each is not None)
