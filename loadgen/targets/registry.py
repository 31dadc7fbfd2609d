"""Which tenants there are: those that come with loadgen, and those that installed distributions offer.

A distribution offers one as an entry point of the group ``loadgen.targets``, which is the tenant itself. A scenario
never names a module: its target is a tenant's by the tenant's own keys. Agents are processes of their own; they read
the name of the tenant in the target that they are sent, and look it up here as the parent does.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from loadgen.targets.functiongraph.protocol.tenant import FUNCTIONGRAPH
from loadgen.targets.http.tenant import HTTP
from loadgen.targets.port import TargetError, Tenant
from loadgen.targets.target import Target

BUILT_IN: tuple[Tenant[Any], ...] = (FUNCTIONGRAPH, HTTP)
GROUP = "loadgen.targets"


@cache
def installed() -> tuple[Tenant[Any], ...]:
    """The tenants of other distributions. Looking for them takes time, so it is done when no other tenant fits.

    Raises TargetError for one that cannot be loaded.
    """
    from importlib.metadata import entry_points

    found = []
    for entry in entry_points(group=GROUP):
        try:
            tenant = entry.load()
        except Exception as error:  # whatever it is, it is not ours
            raise TargetError(
                f"the target {entry.name} of {entry.value} cannot be loaded ({type(error).__name__}: {error}): correct "
                "or remove the distribution that brings it"
            ) from error
        if not isinstance(tenant, Tenant):
            raise TargetError(f"the target {entry.name} of {entry.value} is no Tenant: correct the distribution")
        found.append(tenant)
    return tuple(found)


def tenant_of(target: Target) -> Tenant[Any]:
    """Whose target it is."""
    form = type(target)
    for tenant in BUILT_IN:
        if tenant.form is form:
            return tenant
    return next(tenant for tenant in installed() if tenant.form is form)


def tenant_named(name: str) -> Tenant[Any]:
    """The tenant of this name; raises TargetError where there is none."""
    for tenant in (*BUILT_IN, *(() if name in _OWN else installed())):
        if tenant.name == name:
            return tenant
    raise TargetError(f"there is no target {name} here: install the distribution that brings it")


_OWN = frozenset(tenant.name for tenant in BUILT_IN)


def decoded(form: type, said: Any) -> Any:
    """What msgspec cannot make by itself of a message: the target of any tenant; see its ``dec_hook``."""
    if form is not Target:
        raise NotImplementedError(f"got {form}, expected a target")
    return msgspec.convert(said, tenant_named(said["type"]).form)
