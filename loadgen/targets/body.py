"""The body of a request where it is no event: text, a form, any JSON, a file or bytes."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Annotated, Any

from msgspec import Struct

from loadgen.text.fault import Found
from loadgen.text.form import OPTIONAL, Text, doc, matching

JSON = "application/json"
_TYPES = {
    "text": "text/plain; charset=utf-8",
    "form": "application/x-www-form-urlencoded",
    "json": JSON,
    "file": "application/octet-stream",
    "base64": "application/octet-stream",
}
"""How a body may be written, and the media type that it then has. Source of that of forms: WHATWG URL, 5."""
CONTENT = ("event", "event_file", "body")
"""The keys of a scenario that say what is sent, of which it has one at most."""


class Body(Struct):
    """What is sent instead of an event, by one of these keys."""

    text: Annotated[Text, OPTIONAL, doc("Text, sent in UTF-8; `{{field}}` is inserted as it is.")]
    form: Annotated[
        dict[str, str], OPTIONAL, doc("The fields of a form, sent as browsers do; `{{field}}` is percent-encoded.")
    ]
    json: Annotated[
        Any, OPTIONAL, doc("Any JSON, not only a mapping, as event is; numbers keep their digits.", "[1, 2.50]")
    ]
    file: Annotated[Text, OPTIONAL, doc("A file that is sent byte for byte.")]
    base64: Annotated[
        str,
        OPTIONAL,
        matching(r"^[A-Za-z0-9+/=\s]+$", "bytes in Base64"),
        doc("Bytes in Base64, sent as the bytes they are.", "AAEC/w=="),
    ]
    type: Annotated[
        str,
        OPTIONAL,
        matching(r"^[!-~][ -~]*$", "a media type such as text/csv"),
        doc("Content-Type; by default it follows from how the body is written.", "text/csv"),
    ]


def content_type(block: dict[str, Any]) -> str:
    """The Content-Type of a body without faults."""
    return str(block.get("type") or next(known for key, known in _TYPES.items() if key in block))


def decoded(text: str) -> bytes:
    """The bytes of Base64, blanks aside. Raises ValueError (binascii.Error) for what is none."""
    return b64decode(re.sub(r"\s+", "", text), validate=True)


def rules(block: dict[str, Any]) -> Found:
    """What does not go together in a body."""
    ways = [key for key in _TYPES if key in block]
    if not ways:
        yield (), f"expected one of {', '.join(_TYPES)}"
    for key in ways[1:]:
        yield (key,), f"{ways[0]} is written too; a body has one of {', '.join(_TYPES)}"
    if isinstance(block.get("base64"), str):
        try:
            decoded(block["base64"])
        except ValueError:
            yield ("base64",), "this is not Base64: expected groups of four of A-Z, a-z, 0-9, + and /, the last with ="
