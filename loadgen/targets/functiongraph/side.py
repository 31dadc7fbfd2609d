"""FunctionGraph as its parent knows it: the settings side of the tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from loadgen.scenario.model import Scenario
from loadgen.targets.endpoint import encrypted, loopback
from loadgen.targets.functiongraph.protocol.credentials import resolve
from loadgen.targets.functiongraph.protocol.platform import emulated_function
from loadgen.targets.functiongraph.protocol.target import (
    EnvironmentAuth,
    FunctionTarget,
    IamAuth,
    NoAuth,
    ResponseVersion,
    TokenAuth,
)
from loadgen.targets.functiongraph.settings.concurrency import Limits, limits_of
from loadgen.targets.functiongraph.settings.names import check_target
from loadgen.targets.port import Surroundings, TargetError, Timeout, Tls
from loadgen.targets.settings import Changing, Note, Renewal, Resolved, Settings
from loadgen.targets.target import Target
from loadgen.text.fault import Found
from loadgen.text.units import NS_PER_S

_IDLE_NS = 5 * NS_PER_S

# aiohttp takes a third of a second to import, which runs that need nothing of it do not spend: hence the late imports.


class FunctionGraphSettings(Settings[FunctionTarget]):
    """What is read of FunctionGraph and its environment, changed there, and put back."""

    def check(self, scenario: Scenario) -> Found:
        """See Settings."""
        return check_target(scenario)

    def credentials(self, target: FunctionTarget, seen: Callable[[], Surroundings]) -> Resolved | None:
        """See Settings; raises CredentialsError."""
        if not isinstance(target.auth, EnvironmentAuth):
            return None
        found = resolve(target, seen())
        return Resolved(replace(target, auth=found.auth), found.source, found.warnings)

    async def limits(self, scenario: Scenario, target: FunctionTarget) -> Limits | None:
        """See Settings."""
        return await limits_of(scenario, target)

    def call_mb(self, scenario: Scenario, configured_mb: int | None) -> int | None:
        """See Settings. The emulator's functions keep their memory unless they allow for another."""
        target = scenario.target
        assert isinstance(target, FunctionTarget)
        if scenario.emulator is not None and (found := emulated_function(target, scenario.emulator)) is not None:
            return target.memory_mb if target.memory_mb and found.dynamic_memory else found.memory_mb
        return target.memory_mb or configured_mb

    @asynccontextmanager
    async def emulated(
        self, scenario: Scenario, truth: Path, died: Callable[[TargetError], None]
    ) -> AsyncIterator[Target]:
        """See Settings; raises EmulatorError."""
        target = scenario.target
        assert isinstance(target, FunctionTarget)
        assert scenario.emulator is not None
        from loadgen.targets.functiongraph.emulator.process import embedded

        async with embedded(scenario.emulator, target.project_id, truth, died) as url:
            auth = target.auth
            if isinstance(auth, IamAuth) and auth.url == target.endpoint:
                auth = replace(auth, url=url)
            yield replace(target, endpoint=url, auth=auth)

    def renewal(self, target: FunctionTarget, renewed: Callable[[Target], None], note: Note) -> Renewal | None:
        """See Settings; raises AddressError for an unusable CA file."""
        if not isinstance(target.auth, IamAuth):
            return None
        from loadgen.engine.address import tls_context
        from loadgen.targets.functiongraph.settings.renewal import Renewal as Renewing
        from loadgen.targets.functiongraph.settings.renewal import obtain

        def told(auth: TokenAuth) -> None:
            renewed(replace(target, auth=auth))

        tls = tls_context(target.tls) if encrypted(target.auth.url) else None
        return Renewing(partial(obtain, target.auth, tls), told, note)

    def beside_changes(self, target: FunctionTarget) -> Iterator[str]:
        """See Settings."""
        from loadgen.targets.functiongraph.settings.again import Patience

        yield "marks the function with LOADGEN_HELD_BY in its environment, so that no other run changes it meanwhile"
        if not target.emulated and not loopback(target.endpoint):
            yield f"the load begins {Patience().mark_s:g} s after that, once no other run can have marked it, too"

    def changing(self, target: FunctionTarget, run: str, journal: Callable[[str], Any], note: Note) -> Changing:
        """See Settings."""
        from loadgen.targets.functiongraph.settings import changing

        return changing.Changing(target, run, journal, note)

    def journal(self, state: Path, run: str, scenario: Path | None, *, emulated: bool) -> Any:
        """See Settings; raises JournalError."""
        from loadgen.targets.functiongraph.settings.journalfile import DIRECTORY, JournalFile, begun

        return JournalFile.create(state / DIRECTORY, begun(run, scenario=scenario, emulated=emulated))

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Target]:
        """See Settings; raises EmulatorError."""
        from loadgen.targets.functiongraph.emulator.process import embedded

        async with embedded(None, "", None) as url:
            yield FunctionTarget(
                endpoint=url,
                project_id="demo",
                function="urn:fss:local:demo:function:default:hello:latest",
                auth=NoAuth(),
                response=ResponseVersion.V0,
                tail_share=0.0,
                memory_mb=None,
                fresh_connections=False,
                timeout=Timeout(_IDLE_NS, _IDLE_NS, _IDLE_NS),
                tls=Tls(verify=True, ca=None),
                preflight=False,
            )


FUNCTIONGRAPH: Final = FunctionGraphSettings()
