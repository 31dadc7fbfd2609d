"""The JSON Schema of a document, for editors; from the same structs that ``form`` reads it by."""

from __future__ import annotations

import re
from inspect import getdoc
from typing import Any

import msgspec
import msgspec.inspect as mi

from loadgen.text.form import About, about_of, bare, choices, described, keys_of, shown_default, structs_of

_REFERENCE = {
    "type": "string",
    "pattern": r"(^|[^$])(\$\$)*\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
    "description": "A value with ${NAME} or ${NAME:-default} from the environment.",
}
_NUMBERS = ("7", "2024")
_FRACTION, _NEGATIVE = "1.5", "-7"
_ABOUT = ("description", "default", "examples")
_TYPES = {mi.StrType: "string", mi.IntType: "integer", mi.FloatType: "number", mi.BoolType: "boolean"}


def schema(form: type, title: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a document.

    It knows the keys, types and forms of values, but not which values go together. Wherever a single value is expected,
    one with a ``${NAME}`` is accepted, and for text whose form allows it an unquoted number.
    """
    writer = _Writer()
    root = writer.value(described(form), {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **root,
        "$defs": {**writer.definitions, "Reference": _REFERENCE},
    }


class _Writer:
    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def value(self, form: mi.Type, about: About) -> dict[str, Any]:
        """The schema of a value; ``about`` is what ``Meta`` says of it so far."""
        about = {**about, **about_of(form)}
        if "form" in about:
            return self.value(described(about.pop("form")), about)
        form = bare(form)
        if isinstance(form, mi.Metadata):
            return self.value(form, about)
        told = {term: about[term] for term in _ABOUT if term in about}
        single = choices(form, about) or "read" in about
        if isinstance(form, mi.UnionType) and not single:
            return {**told, **self._union(form, about)}
        if isinstance(form, mi.StructType) and not single:
            return {**told, **self._reference((form,), about)}
        if isinstance(form, mi.AnyType):
            return told
        if isinstance(form, mi.DictType):
            values = {} if isinstance(form.value_type, mi.AnyType) else self._values(form.value_type)
            return {**told, "type": "object", **values, **_terms(about, "minProperties")}
        if isinstance(form, mi.ListType | mi.VarTupleType):
            rest = {"items": self.value(form.item_type, {}), **_terms(about, "maxItems", "minItems")}
            return {**told, "type": "array", **rest}
        return {**told, "anyOf": _single(form, about)}

    def _values(self, form: mi.Type) -> dict[str, Any]:
        return {"additionalProperties": self.value(form, {})}

    def _union(self, form: mi.UnionType, about: About) -> dict[str, Any]:
        structs = structs_of(form)
        singles = [self.value(kind, {}) for kind in form.types if not structs_of(kind)]
        return {"anyOf": [*singles, self._reference(structs, about)]} if singles else self._reference(structs, about)

    def _reference(self, structs: tuple[mi.StructType, ...], about: About) -> dict[str, Any]:
        name = about.get("title", structs[0].cls.__name__)
        if name not in self.definitions:
            self.definitions[name] = {}  # keeps its place before those that it refers to
            self.definitions[name] = self._mapping(name, structs, about)
        return {"$ref": f"#/$defs/{name}"}

    def _mapping(self, name: str, structs: tuple[mi.StructType, ...], about: About) -> dict[str, Any]:
        known = keys_of(structs)
        properties = {}
        for each, key in known.items():
            default = msgspec.NODEFAULT if key.default is msgspec.NODEFAULT else shown_default(key.default, key.form)
            told = {} if default is msgspec.NODEFAULT else {"default": default}
            properties[each] = self.value(key.form, told)
        return {
            "title": name,
            "description": about.get("about") or _summary(structs[0].cls),
            "type": "object",
            "properties": properties,
            "required": [each for each, key in known.items() if key.required],
            "additionalProperties": False,
        }


def _summary(struct: type) -> str:
    """The first paragraph of what a struct is."""
    return " ".join((getdoc(struct) or "").partition("\n\n")[0].split())


def _terms(about: About, *terms: str) -> dict[str, Any]:
    return {term: about[term] for term in terms if term in about}


def _single(form: mi.Type, about: About) -> list[dict[str, Any]]:
    """What a single value may be: as it is meant, a number where that is text of this form, or a reference."""
    reference = {"$ref": "#/$defs/Reference"}
    if known := choices(form, about):
        return [{"enum": sorted(known)}, reference]
    kind = about.get("type") or next(name for each, name in _TYPES.items() if isinstance(form, each))
    rest = {"type": kind, **_terms(about, "pattern", "minLength", "minimum", "maximum")}
    if kind != "string":
        return [rest, reference]
    return [rest, *_numbers(about.get("pattern", "")), *([reference] if "pattern" in about else [])]


def _numbers(pattern: str) -> list[dict[str, Any]]:
    """The numbers that are text of this form when they are written without quotes; none where it has a unit."""
    if not all(re.search(pattern, text) for text in _NUMBERS):
        return []
    kind = {"type": "number" if re.search(pattern, _FRACTION) else "integer"}
    return [kind if re.search(pattern, _NEGATIVE) else {**kind, "minimum": 0}]
