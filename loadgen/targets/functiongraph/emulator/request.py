"""What a request to the emulator asks for, from its method, path, headers and body; no I/O.

Every check answers as the platform does, in the order in which it is likely to check: sizes, the path, the credentials
(``iam``), the function, headers, body. What the platform has and the emulator does not model says so (501), so that
nobody takes it for a missing function. Sources: FunctionGraph API reference, its paths and Error Codes; the paths of
the vendor's SDK (huaweicloudsdkfunctiongraph 3.1); API Gateway user guide, Error Codes, for the gateway's limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from loadgen.targets.functiongraph.emulator.answer import Refusal, message
from loadgen.targets.functiongraph.protocol.target import MEMORY_SIZES_MB, ResponseVersion
from loadgen.targets.functiongraph.protocol.urn import DEFAULT_PACKAGE, Urn, UrnError, parse

MAX_EVENT_BYTES: Final = 6 * 1024 * 1024
"""The largest event. Source: FunctionGraph service overview, Notes and Constraints: 6 MB."""

MAX_BODY_BYTES: Final = 12 * 1024 * 1024
MAX_PATH_BYTES: Final = 32 * 1024
MAX_HEADER_BYTES: Final = 32 * 1024
MAX_HEADERS_BYTES: Final = 128 * 1024
"""The gateway's limits: a body, a path with its query, the value of one header, all headers together.

Source: API Gateway user guide, Error Codes (statuses 413, 414 and 494 of APIG.0201).
"""

PATH_TOO_LONG: Final = Refusal(414, "APIG.0201", f"Request-URI too large: over {MAX_PATH_BYTES} bytes")
HEADERS_TOO_LARGE: Final = Refusal(
    494,
    "APIG.0201",
    f"Request header or cookie too large: over {MAX_HEADER_BYTES} bytes in one or {MAX_HEADERS_BYTES} bytes in all",
)

_OF_FUNCTION: Final[dict[str, tuple[str, ...]]] = {
    "functions/": ("DELETE",),
    "invocations": ("POST",),
    "config": ("GET", "PUT"),
    "config-max-instance": ("PUT",),
    "code": ("PUT",),
    "versions": ("GET", "POST"),
    "aliases": ("GET", "POST"),
    "reservedinstances": ("PUT",),
}
_OF_ALIAS: Final = ("GET", "PUT", "DELETE")
_OF_PROJECT: Final[dict[str, tuple[str, ...]]] = {
    "functions": ("GET",),
    "functions/reservedinstances": ("GET",),
    "functions/reservedinstanceconfigs": ("GET",),
    "quotas": ("GET",),
}
_OF_IAM: Final[dict[str, tuple[str, ...]]] = {
    "/v3": ("GET",),
    "/v3/": ("GET",),
    "/v3/auth/tokens": ("POST",),
    "/v3/projects": ("GET",),
}

_UNMODELLED: Final[dict[str, tuple[str, ...]]] = {
    "metrics": (
        "functions/statistics",
        "functions/*/statistics/*",
        "functions/*/slareports/*",
        "functions/*/instancereports",
        "function/report",
    ),
    "asynchronous invocations": (
        "functions/*/invocations-async",
        "functions/*/async-invocations",
        "functions/*/active-async-invocations",
        "functions/*/async-invoke-config",
        "functions/*/async-invoke-configs",
        "functions/*/cancel",
        "functions/async-status-log-detail",
        "functions/enable-async-status-logs",
    ),
    "triggers": ("triggers/*", "triggers/*/*/*"),
    "tracing": ("functions/*/tracing",),
    "log groups": ("functions/*/lts-log-detail", "functions/enable-lts-logs"),
    "test events": ("functions/*/events", "functions/*/events/*"),
    "snapshots": ("functions/*/snapshots/*",),
    "making, importing and exporting functions": ("POST functions", "functions/import", "functions/*/export"),
    "the text of a function's code": ("GET functions/*/code",),
    "marking functions": ("functions/*/collect/*",),
    "dependencies": ("dependencies", "dependencies/*", "dependencies/*/*", "dependencies/*/*/*"),
    "applications and templates": (
        "application/*/*",
        "application/*",
        "applications",
        "applications/*",
        "templates",
        "templates/*",
    ),
    "workflows": (
        "workflows",
        "workflows/*",
        "workflows/*/*",
        "workflows/*/*/*",
        "workflows/*/*/*/*",
        "workflow-statistic",
        "workflow-statistic/*",
    ),
    "VPC endpoints": ("vpc-endpoint", "vpc-endpoint/*/*"),
    "service bridges": ("functions/*/servicebridge/relation", "servicebridge/version"),
}
"""What is not modelled, and its paths below a project's, ``*`` for a name; with a method where others are modelled."""

_UNMODELLED_PATHS: Final = tuple(
    (re.compile((path if " " in path else f"\\w+ {path}").replace("*", "[^/]+")), what)
    for what, paths in _UNMODELLED.items()
    for path in paths
)
_PROJECT_PATH: Final = re.compile(r"/v2/([^/]+)/fgs/(.+)")
_FUNCTION_PATH: Final = re.compile(r"functions/([^/]+)(?:/([^/]+)(?:/([^/]+))?)?")
_VERSIONS: Final = {"": ResponseVersion.V0, "v0": ResponseVersion.V0, "v1": ResponseVersion.V1}
_MEMORY_BY_TEXT: Final = {str(size): size for size in MEMORY_SIZES_MB}

_scan_json = msgspec.json.Decoder(msgspec.Raw).decode


class Route(Struct, frozen=True):
    """What a path leads to.

    ``resource`` is the last part of the path that is no name: ``invocations``, ``config``, ``quotas``, ``/v3``, …;
    ``functions/`` is a function or version itself, ``aliases/`` one alias, whose name is ``item``. ``urn`` is the
    function, None where the resource is of a project or of IAM. ``refusal`` says why there is no such function or
    project; whether the caller may know comes first.
    """

    resource: str
    project_id: str = ""
    urn: Urn | None = None
    item: str = ""
    refusal: Refusal | None = None

    @property
    def invokes(self) -> bool:
        """Whether this is an invocation, and not a call of the management API."""
        return self.resource == "invocations"


class Invocation(Struct, frozen=True, gc=False):
    """A request that may be given to a function; ``memory_mb`` is None when it asks for no size."""

    memory_mb: int | None
    form: ResponseVersion
    tail: bool


def over_limit(path_bytes: int, headers: Iterable[tuple[bytes, bytes]], body_bytes: int) -> Refusal | None:
    """What the gateway or the platform says about a request of which some part is too long."""
    if path_bytes > MAX_PATH_BYTES:
        return PATH_TOO_LONG
    total = 0
    for name, value in headers:
        if len(value) > MAX_HEADER_BYTES:
            return HEADERS_TOO_LARGE
        total += len(name) + len(value)
    if total > MAX_HEADERS_BYTES:
        return HEADERS_TOO_LARGE
    if body_bytes > MAX_BODY_BYTES:
        return Refusal(413, "APIG.0201", f"Request entity too large: over {MAX_BODY_BYTES} bytes")
    if body_bytes > MAX_EVENT_BYTES:
        return Refusal(413, "FSS.0413", f"The request body is larger than {MAX_EVENT_BYTES} bytes")
    return None


def read_path(method: str, raw_path: str, project_id: str, region: str | None) -> Route | Refusal:
    """What a request's path leads to. ``raw_path`` is without the query and may be percent-encoded.

    ``project_id`` is the one that is served; ``region`` is that of the platform, None to take any.
    """
    if iam := _OF_IAM.get(raw_path):
        return _method_fault(method, iam) or Route(raw_path.removesuffix("/"))
    project = _PROJECT_PATH.fullmatch(raw_path)
    if project is None:
        return _unknown()
    of_project = _OF_PROJECT.get(project[2], ())
    function = _FUNCTION_PATH.fullmatch(project[2])
    resource, methods = _of_function(function) if function is not None else ("", ())
    if method not in (of_project or methods) and (what := _unmodelled(f"{method} {project[2]}")) is not None:
        missing = Refusal(501, "FSS.0501", f"The emulator does not model {what}: {method} {project[2]}")
        return Route(project[2], project[1], refusal=_project_fault(project[1], project_id) or missing)
    if of_project:
        refusal = _project_fault(project[1], project_id)
        return _method_fault(method, of_project) or Route(project[2], project[1], refusal=refusal)
    if function is None or not methods:
        return _unknown()
    found = _function(function[1], project_id, region)
    refusal = _project_fault(project[1], project_id) or (found if isinstance(found, Refusal) else None)
    urn = found if isinstance(found, Urn) else None
    return _method_fault(method, methods) or Route(resource, project[1], urn, function[3] or "", refusal)


def _of_function(path: re.Match[str]) -> tuple[str, tuple[str, ...]]:
    """The resource of a function's path, and the methods that it has; none for one that does not exist."""
    if path[3] is not None:
        return ("aliases/", _OF_ALIAS) if path[2] == "aliases" else ("", ())
    resource = path[2] or "functions/"
    return resource, _OF_FUNCTION.get(resource, ())


def _unmodelled(request: str) -> str | None:
    """What the platform has at this method and path that is not modelled; None for nothing that is documented."""
    return next((what for pattern, what in _UNMODELLED_PATHS if pattern.fullmatch(request)), None)


def read_invocation(headers: Mapping[str, str], body: bytes) -> Invocation | Refusal:
    """What an invocation asks for, or why it is refused.

    Lookups in ``headers`` must ignore case.
    """
    form = _VERSIONS.get(headers.get("X-CFF-Request-Version", "").lower())
    if form is None:
        return Refusal(400, "FSS.0400", "X-CFF-Request-Version must be v0 or v1")
    memory_text = headers.get("X-Cff-Instance-Memory")
    memory_mb = None if memory_text is None else _MEMORY_BY_TEXT.get(memory_text)
    if memory_text is not None and memory_mb is None:
        sizes = ", ".join(_MEMORY_BY_TEXT)
        return Refusal(406, "FSS.0406", f'X-Cff-Instance-Memory is "{memory_text}", expected one of {sizes}')
    if body and not _is_json(body):
        return Refusal(406, "FSS.0406", "The request body is not JSON")
    return Invocation(memory_mb, form, headers.get("X-Cff-Log-Type", "").lower() == "tail")


def _unknown() -> Refusal:
    return Refusal(404, "APIG.0101", message("APIG.0101"))


def _method_fault(method: str, allowed: tuple[str, ...]) -> Refusal | None:
    if method in allowed:
        return None
    return Refusal(405, "FSS.0405", f"got {method}, expected {' or '.join(allowed)}", {"Allow": ", ".join(allowed)})


def _project_fault(project: str, served: str) -> Refusal | None:
    if project == served:
        return None
    return Refusal(404, "FSS.0404", f'Not found the project "{project}": this emulator serves "{served}"')


def _function(name: str, project_id: str, region: str | None) -> Urn | Refusal:
    try:
        urn = parse(name, project_id=project_id)
    except UrnError as error:
        return Refusal(404, "FSS.0404", f"Not found the specified resource: {error}")
    if region is not None and urn.region not in (None, region):
        return Refusal(400, "FSS.1309", f'Invalid URN: it is in region "{urn.region}", and this is "{region}"')
    if urn.package != DEFAULT_PACKAGE:
        return Refusal(404, "FSS.1051", f'Not found the function "{urn.name}" in package "{urn.package}"')
    return urn


def _is_json(body: bytes) -> bool:
    """Whether the body is one JSON value; scanned, not decoded, as decoding 6 MiB would delay every other answer."""
    try:
        _scan_json(body)
        body.decode()  # the scan lets invalid UTF-8 through
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
