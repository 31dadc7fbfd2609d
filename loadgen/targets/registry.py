"""Which tenants there are: those that come with loadgen, and those that installed distributions offer.

A distribution offers one as an entry point of the group ``loadgen.targets``, which is the tenant itself. A scenario
never names a module: its target is a tenant's by the tenant's own keys. Agents are processes of their own; they read
the name of the tenant in the target that they are sent, and look it up here as the parent does.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import cache, reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from loadgen.targets.functiongraph.protocol.tenant import FUNCTIONGRAPH
from loadgen.targets.http.tenant import HTTP
from loadgen.targets.port import TargetError, Tenant
from loadgen.targets.target import Target
from loadgen.text.form import words
from loadgen.text.units import megabytes

if TYPE_CHECKING:
    from loadgen.text.yaml import Node

BUILT_IN: tuple[Tenant[Any], ...] = (FUNCTIONGRAPH, HTTP)
GROUP = "loadgen.targets"
FORM: Any = reduce(or_, (tenant.form for tenant in BUILT_IN))
MEMORY_SIZES_MB = tuple(sorted({size for tenant in BUILT_IN for size in tenant.memory_sizes_mb}))
Memory = Annotated[int, words({f"{size}MB": size for size in MEMORY_SIZES_MB}, others=megabytes)]
"""A memory size beside a target, whosever it is: it may be one that only another distribution's tenant has."""
ABOUT = f"What is invoked: {' or '.join(tenant.about for tenant in BUILT_IN)}."


@cache
def installed() -> tuple[Tenant[Any], ...]:
    """The tenants of other distributions. Looking for them takes time, so it is done when no other tenant fits.

    Raises TargetError for one that cannot be loaded, or has the name or the key of another.
    """
    from importlib.metadata import entry_points

    found: list[Tenant[Any]] = []
    for entry in entry_points(group=GROUP):
        try:
            tenant = entry.load()
        except Exception as error:  # whatever it is, it is not ours
            raise TargetError(
                f"the target {entry.name} of {entry.value} cannot be loaded ({type(error).__name__}: {error}): correct "
                "or remove the distribution that brings it"
            ) from error
        if fault := _fault(tenant, (*BUILT_IN, *found)):
            raise TargetError(f"the target {entry.name} of {entry.value} {fault}: correct the distribution")
        found.append(tenant)
    return tuple(found)


def _fault(tenant: object, others: Iterable[Tenant[Any]]) -> str | None:
    """Why something cannot be a tenant beside others, whose names and keys are their own; None when it can."""
    if not isinstance(tenant, Tenant):
        return "is no Tenant"
    if not tenant.name:
        return "has a form without a tag"
    for other in others:
        if tenant.name == other.name:
            return f"has the tag {tenant.name}, which is that of {other.about}"
        if tenant.key == other.key:
            return f"is told by its key {tenant.key}, which is that of {other.about}"
    return None


def tenant_written(keys: Container[str]) -> Tenant[Any] | None:
    """Whose target is meant by a mapping with these keys; None where nobody's.

    The last of ours that fits, as a url is one whatever else is written beside it. Raises TargetError, see
    ``installed``.
    """
    found = [tenant for tenant in BUILT_IN if tenant.key in keys]
    return found[-1] if found else next((tenant for tenant in installed() if tenant.key in keys), None)


def form_of(node: Node) -> Any:
    """The form that a target has to have which is written so; raises ValueError, see ``installed``."""
    from loadgen.text.yaml import Fields  # agents, which read no document, do without YAML

    if not isinstance(node, Fields) or any(tenant.key in node.nodes for tenant in BUILT_IN):
        return FORM
    try:
        tenant = tenant_written(node.nodes)
    except TargetError as error:
        raise ValueError(str(error)) from error
    return FORM if tenant is None else tenant.form


def tenant_of(target: Target) -> Tenant[Any]:
    """Whose target it is."""
    found = _first(lambda tenant: tenant.form is type(target))
    assert found is not None, "a target is made by its tenant"
    return found


def tenant_named(name: str) -> Tenant[Any]:
    """The tenant of this name; raises TargetError where there is none."""
    found = _first(lambda tenant: tenant.name == name)
    if found is None:
        raise TargetError(f"there is no target {name} here: install the distribution that brings it")
    return found


def _first(fits: Callable[[Tenant[Any]], bool]) -> Tenant[Any] | None:
    """The first that fits; others than ours are looked for only where none of ours does."""
    return next(filter(fits, BUILT_IN), None) or next(filter(fits, installed()), None)


def decoded(form: type, said: Any) -> Any:
    """What msgspec cannot make by itself of a message: the target of any tenant; see its ``dec_hook``."""
    if form is not Target:
        raise NotImplementedError(f"got {form}, expected a target")
    return msgspec.convert(said, tenant_named(said["type"]).form)
