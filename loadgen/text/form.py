"""The form of a document: which keys and values may be written, and what they become. Told by structs, once.

A struct is a mapping and its fields are the keys. The type of a field is that of the value in the program; what
``Meta`` adds says how it is written, and binds only what is written. Terms of JSON Schema (``minimum``, ``pattern``, …)
stand in ``extra_json_schema``, and in ``extra``:

- ``read``: from the text as written to the value, ValueError completes "expected …"; ``write``: back again.
- ``words``: the words that may be written, and the value that each stands for.
- ``form``: the type whose form is written instead; ``made``: from what was read of it to the value, else a converter
  beside the block makes it; ``choose``: from what is written to the type whose form it has to have, where ``form`` is
  only the most that editors know of; ValueError says what is wrong.
- ``keys``: a struct whose keys are written instead of this field, among those of the struct that it is in.
- ``derived``: never written. ``optional``: may be left out although there is no default to show.
- ``expected`` completes "got …"; ``secret``: what is written is never shown; ``title``: of a mapping, for editors.

msgspec stops at the first fault, so ``read`` walks the document beside the description that msgspec gives of the
structs (``msgspec.inspect``) and reports every fault. What comes out is data that ``msgspec.convert`` accepts if there
was no fault; a value that does not fit is ``INVALID`` in it, so that rules about combinations can still be checked.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import msgspec.inspect as mi
from msgspec import Meta

from loadgen.text import units
from loadgen.text.fault import Found, Path, show
from loadgen.text.substitution import refers
from loadgen.text.yaml import Fields, Items, Node, Scalar, Value, data, plain_value

INVALID: Any = object()
"""Stands for a value that is written but does not fit."""

Report = Callable[[Path, str], None]
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


def words(values: Mapping[str, Any]) -> Meta:
    """Of a value that is written as one of these words."""
    return Meta(extra={"words": values})


def written(form: Any, made: Callable[[Any], Any] | None = None, **about: Any) -> Meta:
    """Of a value that is written in the form of another type."""
    return Meta(extra={"form": form, **({"made": made} if made else {}), **about})


OPTIONAL = Meta(extra={"optional": True})
DERIVED = Meta(extra={"derived": True})

_DURATION = text(units.positive_duration, units.duration_text, units.DURATION, "500us", "10ms", "2s", "5m", "1h")
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


def choices(form: mi.Type, about: About) -> dict[Value, Any] | None:
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


def read(root: Node, form: Any, report: Report, report_key: Report) -> tuple[Any, dict[Path, Value]]:
    """The values of the document; faults go to ``report`` (of a value) and ``report_key`` (of a key).

    The second result is what is written where that is not what YAML makes of it: text in the form of a number, say.
    """
    walk = _Walk(report, report_key)
    return walk.value(root, described(form), (), {}), walk.written


def near(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, else all of them."""
    names = list(known)
    found = difflib.get_close_matches(word, names, 1)
    return f"did you mean {found[0]}?" if found else f"expected one of {', '.join(names)}"


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


class _Walk:
    def __init__(self, report: Report, report_key: Report) -> None:
        self._report = report
        self._report_key = report_key
        self.written: dict[Path, Value] = {}

    def value(self, node: Node, form: mi.Type, path: Path, about: About) -> Any:
        """The data of one value; ``about`` is what ``Meta`` says of it so far."""
        about = {**about, **about_of(form)}
        if "form" in about:
            return self._in_form(node, path, about)
        form = bare(form)
        if isinstance(form, mi.Metadata):
            return self.value(node, form, path, about)
        if "read" not in about and not choices(form, about):
            if isinstance(form, mi.UnionType):
                return self._union(node, form, path, about)
            if isinstance(form, mi.StructType):
                return self._mapping(node, (form,), path)
            if isinstance(form, mi.DictType):
                return self._dict(node, form, path, about)
            if isinstance(form, mi.ListType | mi.VarTupleType):
                return self._list(node, form, path, about)
            if isinstance(form, mi.AnyType):
                return data(node)
        if not isinstance(node, Scalar):
            return self._refuse(node, path, _expected(form, about), about)
        return self._scalar(node, form, path, about)

    def _in_form(self, node: Node, path: Path, about: About) -> Any:
        rest = {term: what for term, what in about.items() if term not in ("form", "made")}
        form = about["form"]
        if "choose" in about:
            try:
                form = rest.pop("choose")(node)
            except ValueError as error:
                self._report(path, str(error))
                return INVALID
        found = self.value(node, described(form), path, rest)
        return about["made"](found) if "made" in about and found is not INVALID else found

    def _union(self, node: Node, form: mi.UnionType, path: Path, about: About) -> Any:
        """The member that fits the kind of value; of several scalars none is ever in one union."""
        structs = structs_of(form)
        others = [kind for kind in form.types if not structs_of(kind)]
        if not others or (isinstance(node, Fields) and structs):
            return self._mapping(node, structs, path)
        if isinstance(node, Scalar):
            return self.value(node, others[0], path, about)
        expected = [_expected(others[0], about)]
        if "expected" not in about:
            expected.append(f"a mapping with {', '.join(keys_of(structs))}")
        return self._refuse(node, path, ", or ".join(expected), about)

    def _mapping(self, node: Node, structs: tuple[mi.StructType, ...], path: Path) -> Any:
        known = keys_of(structs)
        if not isinstance(node, Fields):
            return self._refuse(node, path, f"a mapping with {', '.join(known)}", {})
        found: dict[str, Any] = {}
        for name, value in node.nodes.items():
            if key := known.get(name):
                found[name] = self.value(value, key.form, (*path, name), {})
            else:
                self._report_key((*path, name), f"unknown key, {near(name, known)}")
        for name, key in known.items():
            if key.required and name not in found:
                description = about_of(key.form).get("description")
                self._report(path, f"{name} is missing{f': {description}' if description else ''}")
        return found

    def _dict(self, node: Node, form: mi.DictType, path: Path, about: About) -> Any:
        if not isinstance(node, Fields):
            return self._refuse(node, path, "a mapping", about)
        if about.get("minProperties") and not node.nodes:
            return self._refuse(node, path, "at least one entry", {})
        return {key: self.value(value, form.value_type, (*path, key), {}) for key, value in node.nodes.items()}

    def _list(self, node: Node, form: mi.ListType | mi.VarTupleType, path: Path, about: About) -> Any:
        if not isinstance(node, Items):
            return self._refuse(node, path, "a list", {})
        least, most = about.get("minItems", 0), about.get("maxItems")
        if len(node.items) < least or len(node.items) > (most or len(node.items)):
            bounds = f"at least {least}" if most is None else f"{least} to {most}"
            self._report(path, f"got {len(node.items)} items, expected {bounds}")
            return INVALID
        return [self.value(item, form.item_type, (*path, i), {}) for i, item in enumerate(node.items)]

    def _scalar(self, node: Scalar, form: mi.Type, path: Path, about: About) -> Any:
        if "read" in about or (isinstance(form, mi.StrType) and not choices(form, about)):
            return self._text(node, form, path, about)
        value = _typed(node)
        if known := choices(form, about):
            if value not in known or isinstance(value, bool):
                return self._refuse(node, path, about.get("expected") or _one_of(value, known), about)
            self.written[path] = next(word for word in known if word == value)  # a number is found whatever its type
            return known[value]
        if isinstance(form, mi.BoolType):
            fits = isinstance(value, bool)
        elif isinstance(form, mi.IntType):
            value = int(value) if isinstance(value, float) and value.is_integer() else value
            fits = isinstance(value, int) and not isinstance(value, bool) and _fits(value, about)
        else:
            assert isinstance(form, mi.FloatType), f"{form} is not a form of documents"
            fits = isinstance(value, int | float) and not isinstance(value, bool) and _fits(value, about)
        if not fits:
            return self._refuse(node, path, _expected(form, about), about)
        self.written[path] = value
        return value

    def _text(self, node: Scalar, form: mi.Type, path: Path, about: About) -> Any:
        # Where text is expected, an unquoted number is the text it was written as: a project id may be all digits. What
        # comes from the environment is text in any case, as whoever set it cannot know what it looks like here.
        number = node.plain and isinstance(node.value, int | float) and not isinstance(node.value, bool)
        text = node.text if number or refers(node) else node.value
        if not isinstance(text, str):
            return self._refuse(node, path, _expected(form, about), about)
        self.written[path] = text
        if "read" in about:
            try:
                return about["read"](text)
            except ValueError as error:
                return self._refuse(node, path, str(error), about)
        pattern = about.get("pattern")
        if len(text) < about.get("minLength", 0) or (pattern and not re.search(_whole(pattern), text)):
            return self._refuse(node, path, _expected(form, about), about)
        return text

    def _refuse(self, node: Node, path: Path, expected: str, about: About) -> Any:
        if about.get("secret"):
            seen = "something else"
        elif isinstance(node, Scalar):
            seen = "nothing" if node.value is None else node.text if _bare_number(node) else show(node.value)
        else:
            seen = show(data(node))
        self._report(path, f"got {seen}, expected {expected}")
        return INVALID


def _typed(node: Scalar) -> Value:
    """A value where text is not what is meant: what comes from the environment is the same with quotes and without."""
    if node.plain or not refers(node):
        return node.value
    try:
        return plain_value(node.text)
    except ValueError:
        return node.value


def _bare_number(node: Scalar) -> bool:
    return node.plain and isinstance(node.value, int | float) and len(node.text) < 40


def _whole(pattern: str) -> str:
    """The pattern without Python's exception that $ also matches before a last line feed."""
    return pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern


def _fits(value: float, about: About) -> bool:
    return bool(about.get("minimum", value) <= value <= about.get("maximum", value))


def _one_of(value: object, known: Iterable[object]) -> str:
    words = sorted(map(str, known), key=_natural)
    close = [] if _natural(words[0])[0] else difflib.get_close_matches(str(value), words, 1)  # no near size
    return f"one of {', '.join(words)}" + (f"; did you mean {close[0]}?" if close else "")


def _natural(word: str) -> tuple[int, str]:
    """Sorts sizes by their number and words by the alphabet."""
    number = re.match(r"\d+", word)
    return (int(number[0]) if number else 0, word)


def _expected(form: mi.Type, about: About) -> str:
    """What a value of this form looks like, completing "expected …"."""
    about, form = {**about, **about_of(form)}, bare(form)
    if "expected" in about:
        return str(about["expected"])
    if "read" in about:
        return _refusal(about["read"])
    if isinstance(form, mi.IntType | mi.FloatType) and "words" not in about:
        kind = "a whole number" if isinstance(form, mi.IntType) else "a number"
        bounds = [f"of at least {about['minimum']}"] if "minimum" in about else []
        bounds += [f"at most {about['maximum']}"] if "maximum" in about else []
        return " ".join((kind, " and ".join(bounds))).strip()
    if known := choices(form, about):
        return _one_of("", known)
    return "true or false" if isinstance(form, mi.BoolType) else "text"


def _refusal(read: Callable[[str], object]) -> str:
    """What a reader expects: it says so when it gets nothing."""
    try:
        read("")
    except ValueError as error:
        return str(error)
    return "text"
