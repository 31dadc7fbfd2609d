"""What a request to the emulator asks for, from its method, path, headers and body; no I/O.

Every check answers as the platform does, in the order in which it is likely to check: path, function, size, headers,
body. Source of the codes: FunctionGraph API reference, Error Codes.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from loadgen.emulator.answer import Answer, refusal
from loadgen.functiongraph.urn import DEFAULT_PACKAGE, UrnError, parse
from loadgen.scenario.model import MEMORY_SIZES_MB, ResponseVersion

MAX_EVENT_BYTES: Final = 6 * 1024 * 1024
"""The largest event. Source: FunctionGraph service overview, Notes and Constraints: 6 MB."""

_INVOCATION: Final = re.compile(r"/v2/([^/]+)/fgs/functions/([^/]+)/invocations")
_VERSIONS: Final = {"": ResponseVersion.V0, "v0": ResponseVersion.V0, "v1": ResponseVersion.V1}
_MEMORY_BY_TEXT: Final = {str(size): size for size in MEMORY_SIZES_MB}

_scan_json = msgspec.json.Decoder(msgspec.Raw).decode


class Invocation(Struct, frozen=True, gc=False):
    """A request that may be given to a function; ``memory_mb`` is None when it asks for no size."""

    function: str
    memory_mb: int | None
    form: ResponseVersion
    tail: bool


def read_path(method: str, raw_path: str, project_id: str, functions: Container[str]) -> str | Answer:
    """The name of the function to invoke, or why not. ``raw_path`` is without the query and may be percent-encoded."""
    match = _INVOCATION.fullmatch(raw_path)
    if match is None:
        return refusal(404, "APIG.0101", "The API does not exist or has not been published in the environment")
    if method != "POST":
        return refusal(405, "FSS.0405", f"got {method}, expected POST", {"Allow": "POST"})
    if match[1] != project_id:
        return refusal(404, "FSS.0404", f'Not found the project "{match[1]}": this emulator serves "{project_id}"')
    try:
        urn = parse(match[2], project_id=project_id)
    except UrnError as error:
        return refusal(404, "FSS.0404", f"Not found the specified resource: {error}")
    if urn.package != DEFAULT_PACKAGE or urn.name not in functions:
        return refusal(404, "FSS.1051", f'Not found the function "{urn.name}" in package "{urn.package}"')
    if urn.qualifier not in (None, "latest"):
        code, kind = ("FSS.1053", "alias") if urn.qualifier.startswith("!") else ("FSS.1052", "version")
        return refusal(404, code, f'Not found the {kind} "{urn.qualifier}": functions here have version latest only')
    return urn.name


def read_invocation(function: str, headers: Mapping[str, str], body: bytes | None) -> Invocation | Answer:
    """What a request to ``function`` asks for, or why it is refused.

    Lookups in ``headers`` must ignore case. ``body`` is None when it was larger than MAX_EVENT_BYTES.
    """
    if body is None:
        return refusal(413, "FSS.0413", f"The request body is larger than {MAX_EVENT_BYTES} bytes")
    form = _VERSIONS.get(headers.get("X-CFF-Request-Version", "").lower())
    if form is None:
        return refusal(400, "FSS.0400", "X-CFF-Request-Version must be v0 or v1")
    memory_text = headers.get("X-Cff-Instance-Memory")
    memory_mb = None if memory_text is None else _MEMORY_BY_TEXT.get(memory_text)
    if memory_text is not None and memory_mb is None:
        sizes = ", ".join(_MEMORY_BY_TEXT)
        return refusal(406, "FSS.0406", f'X-Cff-Instance-Memory is "{memory_text}", expected one of {sizes}')
    if body and not _is_json(body):
        return refusal(406, "FSS.0406", "The request body is not JSON")
    tail = headers.get("X-Cff-Log-Type", "").lower() == "tail"
    return Invocation(function, memory_mb, form, tail)


def _is_json(body: bytes) -> bool:
    """Whether the body is one JSON value; scanned, not decoded, as decoding 6 MiB would delay every other answer."""
    try:
        _scan_json(body)
        body.decode()  # the scan lets invalid UTF-8 through
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
