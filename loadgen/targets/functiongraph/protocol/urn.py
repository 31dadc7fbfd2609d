"""Names of functions.

A full name is ``urn:fss:<region>:<project>:function:<package>:<name>`` and, optionally, ``:<version>`` or
``:!<alias>``; no version means ``latest``. As a parameter the API also accepts ``name``, ``package:name``,
``project:package:name`` and ``project:package:name:<version or !alias>``; the package is ``default`` unless said
otherwise. As no name begins with ``!``, an alias may follow the shorter ones too. A version may not: ``hello:latest``
is the function ``latest`` of the package ``hello``, and refused, with what to write for either.

On the wire goes ``Urn.text``, percent-encoded in the path as the vendor's SDK does (``:`` is ``%3A``, ``!`` is
``%21``): the full form when the region is known, from the name itself or from the endpoint's host, and otherwise the
short form with the project in it, which says the same without inventing a region.

Source: FunctionGraph API reference, Function Model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from loadgen.targets.functiongraph.protocol.function import Named, named
from loadgen.targets.functiongraph.protocol.target import FunctionTarget

DEFAULT_PACKAGE = "default"
LATEST = "latest"
"""The version that a name without one means, and the only one whose settings can be changed."""

_FORMS = (
    "name, package:name, project:package:name, project:package:name:version, any of them with :!alias, or "
    "urn:fss:<region>:<project>:function:<package>:<name>[:<version>|:!<alias>]"
)
_LIKE_A_VERSION = re.compile(rf"{LATEST}|v[0-9][\w.-]*")


class UrnError(ValueError):
    """A text that names no function, or one that another setting contradicts; says seen, expected and remedy."""


class Urn(Struct, frozen=True):
    """One function; ``qualifier`` is a version, ``!`` and an alias, or None for the latest version.

    ``region`` is None where no source gives it. Fields are not empty and are not percent-encoded.
    """

    region: str | None
    project_id: str
    package: str
    name: str
    qualifier: str | None

    @property
    def text(self) -> str:
        """The full form, or without a region ``project:package:name[:qualifier]``; ``parse`` reads both."""
        project = self.project_id if self.region is None else f"urn:fss:{self.region}:{self.project_id}:function"
        short = f"{project}:{self.package}:{self.name}"
        return short if self.qualifier is None else f"{short}:{self.qualifier}"

    @property
    def path_segment(self) -> str:
        """The text as one percent-encoded segment of a URL's path."""
        return quote(self.text, safe="")


def build(
    *, region: str | None, project_id: str, name: str, package: str = DEFAULT_PACKAGE, qualifier: str | None = None
) -> Urn:
    """The name made of these parts; raises UrnError when one is empty or has a character that no name has."""
    for what, value in (("region", region), ("project", project_id), ("package", package), ("function name", name)):
        if value is not None:
            _check(what, value)
    if qualifier is not None:
        _check("alias" if qualifier.startswith("!") else "version", qualifier.removeprefix("!"))
    return Urn(region, project_id, package, name, qualifier)


def parse(text: str, *, project_id: str, region: str | None = None) -> Urn:
    """The function that ``text`` names, in any accepted form, raw or percent-encoded.

    ``project_id`` fills the short forms ("" when unknown) and ``region``, where given, those without one. Raises
    UrnError when the text is malformed, or when its project or region is not the one given.
    """
    urn = read(text, project_id, region)
    if faults := list(contradictions(urn, project_id, region)):
        raise UrnError("; ".join(faults))
    return urn


def endpoint_region(endpoint: str) -> str | None:
    """The region in a vendor's host, ``functiongraph.<region>.…``; None for every other endpoint."""
    match = re.match(r"functiongraph\.([a-z0-9-]+)\.[a-z]", urlsplit(endpoint).hostname or "")
    return match[1] if match else None


def function_urn(target: FunctionTarget) -> Urn:
    """The target's function; raises UrnError, see ``parse``."""
    return parse(target.function, project_id=target.project_id, region=endpoint_region(target.endpoint))


def of_version(target: FunctionTarget, qualifier: str) -> FunctionTarget:
    """The same target at another version, or at ``!`` and an alias; raises UrnError, see ``parse``."""
    return replace(target, function=replace(function_urn(target), qualifier=qualifier).text)


def contradictions(urn: Urn, project_id: str, region: str | None) -> Iterator[str]:
    """What the project or region that is set says against a name, one sentence each."""
    if project_id and urn.project_id != project_id:
        yield (
            f'the function is in project "{urn.project_id}", but project_id is "{project_id}": '
            f"write project_id: {urn.project_id}, or name a function of project {project_id}"
        )
    if region is not None and urn.region != region:
        yield (
            f'the function is in region "{urn.region}", but the endpoint is in "{region}": '
            f"use the endpoint of {urn.region}, or name a function of {region}"
        )


def read(text: str, project_id: str, region: str | None) -> Urn:
    """The function that ``text`` names, whatever project or region contradicts it; as ``parse`` otherwise."""
    fields = unquote(text).split(":")
    found = named(text)
    if found is None or not text:
        what = "a URN with" if fields[0] == "urn" else "with"
        expected = f"7 or 8, as in {_FORMS}" if fields[0] == "urn" else _FORMS
        raise UrnError(f'got "{text}", {what} {len(fields)} fields: expected {expected}')
    if found.region is not None:
        for seen, expected in ((fields[1], "fss"), (fields[4], "function")):
            if seen != expected:
                raise UrnError(f'got "{text}": expected "{expected}" in place of "{seen}", as in {_FORMS}')
    if not (found.project or project_id) and not text.startswith(":"):
        raise UrnError(f'got "{text}", which names no project: set target.project_id, or write the full URN')
    if found.qualifier is None and found.region is None:
        _refuse_version(text, found, project_id)
    return build(
        region=region if found.region is None else found.region,
        project_id=project_id if found.project is None else found.project,
        package=DEFAULT_PACKAGE if found.package is None else found.package,
        name=found.name,
        qualifier=found.qualifier,
    )


def _refuse_version(text: str, found: Named, project_id: str) -> None:
    """Refuse a short form that the platform reads as other than what is surely meant: ``hello:latest``."""
    package, name = found.package, found.name
    if package is None or not _LIKE_A_VERSION.fullmatch(name) or found.project == project_id or not project_id:
        return
    own = "" if found.project else f"; if that is meant, write {project_id}:{package}:{name}"
    raise UrnError(
        f'got "{text}", which names the function {name} of package {package}: to call version {name} of {package}, '
        f"write {project_id}:{found.project or DEFAULT_PACKAGE}:{package}:{name}{own}"
    )


def _check(what: str, value: str) -> None:
    if not value:
        raise UrnError(f"the {what} is empty: expected {_FORMS}")
    if match := re.search(r"[^\w.~-]", value):
        raise UrnError(
            f'got {match[0]!r} in the {what} "{value}": expected letters, digits, hyphens, underscores, dots'
        )
