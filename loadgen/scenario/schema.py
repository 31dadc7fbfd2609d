"""The JSON Schema of scenario files, for editors; generated from the structs that validate them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from loadgen.scenario.document import Scenario

_REFERENCE = {
    "type": "string",
    "pattern": r"(^|[^$])(\$\$)*\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
    "description": "A value with ${NAME} or ${NAME:-default} from the environment.",
}
_NUMBERS = ("7", "2024")
_FRACTION, _NEGATIVE = "1.5", "-7"


def scenario_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a scenario.

    It knows the keys, types and forms of values, but not which values go together; ``loadgen check`` does. Wherever a
    single value is expected, one with a ``${NAME}`` is accepted, and for text whose form allows it an unquoted number.
    """
    schema = msgspec.json.schema(Scenario)
    definitions = {name: _widened(form) for name, form in schema["$defs"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "loadgen scenario",
        "$ref": schema["$ref"],
        "$defs": {**definitions, "Reference": _REFERENCE},
    }


def _widened(form: Any) -> Any:
    """The same schema, in which every single value may also be one from the environment, and text a number."""
    if isinstance(form, list):
        return [_widened(item) for item in form]
    if not isinstance(form, dict):
        return form
    if not _is_single(form):
        return {
            key: value if key in ("default", "examples", "required") else _widened(value) for key, value in form.items()
        }
    about = {key: form[key] for key in ("description", "default", "examples") if key in form}
    rest = {key: value for key, value in form.items() if key not in about}
    others = [] if form.get("type") != "string" else _numbers(rest.get("pattern", ""))
    if form.get("type") != "string" or "pattern" in form:
        others = [*others, {"$ref": "#/$defs/Reference"}]
    return {**about, "anyOf": [rest, *others]}


def _is_single(form: dict[str, Any]) -> bool:
    return "enum" in form or form.get("type") in ("string", "integer", "number", "boolean")


def _numbers(pattern: str) -> list[dict[str, Any]]:
    """The numbers that are text of this form when they are written without quotes; none where it has a unit."""
    if not all(re.search(pattern, text) for text in _NUMBERS):
        return []
    kind = {"type": "number" if re.search(pattern, _FRACTION) else "integer"}
    return [kind if re.search(pattern, _NEGATIVE) else {**kind, "minimum": 0}]
