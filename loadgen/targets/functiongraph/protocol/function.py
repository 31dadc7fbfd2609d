"""What a function's name says, in any of its forms; whether it is right is decided in ``urn``.

Full is ``urn:fss:<region>:<project>:function:<package>:<name>[:<version>|:!<alias>]``. Short forms are the platform's
own, ``name``, ``package:name``, ``project:package:name`` and ``project:package:name:<version or !alias>``; and, as a
name never begins with ``!``, an alias after the shorter ones too.
"""

from __future__ import annotations

from urllib.parse import unquote

from msgspec import Struct

DEFAULT_FUNCTION = "hello"
_FULL = 7


class Named(Struct, frozen=True):
    """The parts of a name, percent-decoded; None for what it leaves out."""

    name: str
    package: str | None = None
    project: str | None = None
    qualifier: str | None = None
    region: str | None = None


def named(text: str) -> Named | None:
    """The parts of a name; None where it has so many fields that it is none."""
    fields = unquote(text).split(":")
    if fields[0] == "urn" and len(fields) in (_FULL, _FULL + 1):
        return Named(fields[6], fields[5], fields[3], fields[7] if len(fields) > _FULL else None, fields[2])
    if fields[0] == "urn" or len(fields) > 4:
        return None
    aliased = len(fields) > 1 and fields[-1].startswith("!")
    qualifier = fields.pop() if aliased or len(fields) == 4 else None
    package = fields[-2] if len(fields) > 1 else None
    project = fields[-3] if len(fields) > 2 else None
    return Named(fields[-1], package, project, qualifier)


def function_name(function: str) -> str:
    """The name in a URN or short form of one; ``hello`` where there is none."""
    found = named(function)
    return found.name if found is not None and found.name else DEFAULT_FUNCTION
