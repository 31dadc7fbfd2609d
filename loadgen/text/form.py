"""The form of a document: which keys and values may be written, and what they become. Told by structs, once.

A struct is a mapping and its fields are the keys. The type of a field is that of the value in the program; what
``Meta`` adds says how it is written, and binds only what is written. Terms of JSON Schema (``minimum``, ``pattern``, …)
stand in ``extra_json_schema``, and in ``extra``:

- ``read``: from the text as written to the value, ValueError completes "expected …"; ``write``: back again.
- ``words``: the words that may be written, and the value that each stands for; ``others`` reads, as ``read`` does, what
  is none of them and may be one elsewhere, where only editors and messages are to know no more.
- ``form``: the type whose form is written instead; ``made``: from what was read of it to the value, else a converter
  beside the block makes it; ``choose``: from what is written to the type whose form it has to have, where ``form`` is
  only the most that editors know of; ValueError says what is wrong.
- ``keys``: a struct whose keys are written instead of this field, among those of the struct that it is in.
- ``derived``: never written. ``optional``: may be left out although there is no default to show.
- ``expected`` completes "got …"; ``title``: of a mapping, for editors.
- ``secret``: what is written is never shown; of a mapping it may be a function of its keys, which says whose values are
  meant. ``secret_text``: of a text that may be one or not, a function of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import msgspec.inspect as mi
from msgspec import Meta

from loadgen.text import units
from loadgen.text.fault import Found, Path

INVALID: Any = object()
"""Stands for a value that is written but does not fit."""

About = dict[str, Any]
"""What ``Meta`` says of a value."""


def doc(description: str, *examples: str, **about: Any) -> Meta:
    """What a key is, for editors and messages."""
    return Meta(description=description, examples=list(examples) or None, extra=about or None)


def text(read: Callable[[str], Any], write: Callable[[Any], str], pattern: str, *examples: str) -> Meta:
    """Of a value that is written as text."""
    schema = {"type": "string", "pattern": pattern}
    return Meta(examples=list(examples), extra_json_schema=schema, extra={"read": read, "write": write})


def matching(pattern: str, expected: str) -> Meta:
    """Of text that matches a pattern."""
    return Meta(extra_json_schema={"pattern": pattern}, extra={"expected": expected})


def within(least: float, most: float) -> Meta:
    """Of a number."""
    return Meta(extra_json_schema={"minimum": least, "maximum": most})


def items(least: int, most: int | None = None) -> Meta:
    """Of a list with so many items."""
    bounds = {"minItems": least, "maxItems": most}
    return Meta(extra_json_schema={term: bound for term, bound in bounds.items() if bound})


def words(values: Mapping[str, Any], **about: Any) -> Meta:
    """Of a value that is written as one of these words."""
    return Meta(extra={"words": values, **about})


def written(form: Any, made: Callable[[Any], Any] | None = None, **about: Any) -> Meta:
    """Of a value that is written in the form of another type."""
    return Meta(extra={"form": form, **({"made": made} if made else {}), **about})


OPTIONAL = Meta(extra={"optional": True})
DERIVED = Meta(extra={"derived": True})

_DURATION = text(
    units.positive_duration, units.duration_text, units.DURATION, "500us", "10ms", "2s", "5m", "1h", "1m30s"
)
_RATES = ("200/s", "3000/min", "10/h")
Duration = Annotated[int, _DURATION]
DurationOrZero = Annotated[int, text(units.duration, units.duration_text, units.DURATION, "0s", "10ms", "2s")]
Rate = Annotated[units.Rate, text(units.rate, units.rate_text, units.RATE, *_RATES)]
POSITIVE_RATE = text(units.positive_rate, units.rate_text, units.RATE, *_RATES)
PositiveRate = Annotated[units.Rate, POSITIVE_RATE]
Share = Annotated[float, text(units.share, units.share_text, units.SHARE, "3%", "0.1%")]
Money = Annotated[units.Money, text(units.money, str, units.MONEY, "0.50 CNY")]
Count = Annotated[int, within(1, 1_000_000)]
Name = Annotated[
    str,
    matching(
        r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", "a name of letters, digits, - and _ that starts with a letter or digit"
    ),
]
Text = Annotated[str, Meta(extra_json_schema={"minLength": 1}, extra={"expected": "some text"})]
Secret = Annotated[
    str,
    Meta(
        extra_json_schema={"minLength": 1, "pattern": r"^[!-~]+$"},
        extra={"secret": True, "expected": "ASCII without blanks"},
    ),
]


def without_unit(name: str) -> str:
    """How the name of a field is written, as values have their unit: ``gap`` for ``gap_ns``, ``from`` for ``from_``."""
    return re.sub(r"_(?:ns|mb|bytes|rate)?\Z", "", name)


class Key(NamedTuple):
    """One key of a mapping; ``default`` is ``msgspec.NODEFAULT`` where there is none to show."""

    form: mi.Type
    required: bool
    default: Any


def described(form: Any) -> mi.Type:
    """What msgspec says of a type, of which there are few."""
    known = _DESCRIBED.get(id(form))
    if known is None:
        known = _DESCRIBED[id(form)] = form, mi.type_info(form)
    return known[1]


_DESCRIBED: dict[int, tuple[Any, mi.Type]] = {}
_KEYS: dict[type, dict[str, Key]] = {}


def keys(struct: type) -> dict[str, Key]:
    """The keys of a mapping."""
    form = described(struct)
    assert isinstance(form, mi.StructType)
    return keys_of((form,))


def secret_fields(struct: type) -> list[tuple[str, str]]:
    """The fields of a mapping that are a secret text, and their keys."""
    form = described(struct)
    assert isinstance(form, mi.StructType)
    return [(field.name, field.encode_name) for field in form.fields if _secret(field.type)]


def _secret(form: mi.Type) -> bool:
    inner = bare(form)
    if isinstance(inner, mi.Metadata):
        return _secret(inner)
    return isinstance(inner, mi.StrType) and "secret" in about_of(form)


def tag(struct: type) -> str:
    """The tag by which a struct is told from others; empty where it has none."""
    form = described(struct)
    assert isinstance(form, mi.StructType)
    return str(form.tag or "")


def keys_of(structs: tuple[mi.StructType, ...]) -> dict[str, Key]:
    """The keys of a mapping that one of the structs takes: those that only one of them has first."""
    each = [_KEYS.get(struct.cls) or _KEYS.setdefault(struct.cls, _keys(struct)) for struct in structs]
    if len(each) == 1:
        return each[0]
    shared = set.intersection(*map(set, each))
    own = {name: key for found in each for name, key in found.items() if name not in shared}
    return own | {name: key for name, key in each[0].items() if name in shared}


def _keys(form: mi.StructType) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for field in form.fields:
        about = about_of(field.type)
        if "keys" in about:
            found |= keys(about["keys"])
        elif "derived" not in about:
            optional = "optional" in about
            default = field.default_factory() if callable(field.default_factory) else field.default
            required = field.required and not optional
            found[field.encode_name] = Key(field.type, required, msgspec.NODEFAULT if optional else default)
    return found


def about_of(form: mi.Type) -> About:
    """What ``Meta`` says of a type."""
    return {**(form.extra_json_schema or {}), **(form.extra or {})} if isinstance(form, mi.Metadata) else {}


def bare(form: mi.Type) -> mi.Type:
    """A type without what ``Meta`` says, and without None, which is never written."""
    form = form.type if isinstance(form, mi.Metadata) else form
    if isinstance(form, mi.UnionType):
        kinds = tuple(kind for kind in form.types if not isinstance(kind, mi.NoneType))
        return kinds[0] if len(kinds) == 1 else mi.UnionType(kinds)
    return form


def structs_of(form: mi.Type) -> tuple[mi.StructType, ...]:
    """The structs of which a mapping may be one."""
    kinds = form.types if isinstance(form, mi.UnionType) else (form,)
    found = (bare(kind) for kind in kinds if "read" not in about_of(kind))
    return tuple(kind for kind in found if isinstance(kind, mi.StructType))


def choices(form: mi.Type, about: About) -> dict[Any, Any] | None:
    """What may be written and the value it stands for, where only some words or numbers may."""
    if isinstance(form, mi.EnumType):
        return {each.value: each for each in form.cls}
    return {each: each for each in form.values} if isinstance(form, mi.LiteralType) else about.get("words")


def shown_default(value: Any, form: mi.Type) -> Any:
    """A default as it would be written; NODEFAULT where there is none to show."""
    about = about_of(form)
    if "form" in about:
        return about.get("default", msgspec.NODEFAULT)
    if value is None or (isinstance(value, msgspec.Struct) and "write" not in about):
        return msgspec.NODEFAULT
    if "write" in about:
        return about["write"](value)
    if known := choices(bare(form), about):
        return next(word for word, stands_for in known.items() if stands_for == value)
    return list(value) if isinstance(value, tuple) else value


def mapping(block: dict[str, Any], key: str) -> dict[str, Any]:
    """The mapping under a key, empty where there is none that fits."""
    found = block.get(key)
    return found if isinstance(found, dict) else {}


def listed(block: dict[str, Any], key: str) -> list[Any]:
    """The list under a key, empty where there is none that fits."""
    found = block.get(key)
    return found if isinstance(found, list) else []


def twice(path: Path, found: Iterable[Any], write: Callable[[Any], str] = str) -> Found:
    """Items of a list that were there before."""
    seen: list[Any] = []
    for index, item in enumerate(found):
        if item in seen:
            yield (*path, index), f"{write(item)} is written twice; remove one of them"
        if item is not INVALID:
            seen.append(item)
