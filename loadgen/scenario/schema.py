"""The JSON Schema of scenario files, for editors; generated from the structs that validate them."""

from __future__ import annotations

from typing import Any

import msgspec

from loadgen.scenario.document import Scenario

_REFERENCE = {
    "type": "string",
    "pattern": r"\$(\$|\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\})",
    "description": "A value with ${NAME} or ${NAME:-default} from the environment.",
}


def scenario_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a scenario.

    It knows the keys, types and forms of values, but not which values go together; ``loadgen check`` does. Wherever a
    single value is expected, one with a ``${NAME}`` is accepted.
    """
    schema = msgspec.json.schema(Scenario)
    definitions = {name: _with_references(form) for name, form in schema["$defs"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "loadgen scenario",
        "$ref": schema["$ref"],
        "$defs": {**definitions, "Reference": _REFERENCE},
    }


def _with_references(form: Any) -> Any:
    """The same schema, in which every single value may also be one from the environment."""
    if isinstance(form, list):
        return [_with_references(item) for item in form]
    if not isinstance(form, dict):
        return form
    if _is_single(form):
        about = {key: form[key] for key in ("description", "default", "examples") if key in form}
        rest = {key: value for key, value in form.items() if key not in about}
        return {**about, "anyOf": [rest, {"$ref": "#/$defs/Reference"}]}
    return {
        key: value if key in ("default", "examples", "required") else _with_references(value)
        for key, value in form.items()
    }


def _is_single(form: dict[str, Any]) -> bool:
    """Whether the schema is of a single value that a text with ``${NAME}`` would not fit."""
    free_text = form.get("type") == "string" and "pattern" not in form
    return ("enum" in form or form.get("type") in ("string", "integer", "number", "boolean")) and not free_text
