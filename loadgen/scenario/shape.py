"""Whether a document has the form that its structs describe: known keys, right types, well-formed values.

msgspec stops at the first fault, so this walks the document beside the description that msgspec gives of the structs
(``msgspec.inspect``) and reports every fault. What comes out is plain data that ``msgspec.convert`` accepts if there
was no fault; a value that does not fit is ``INVALID`` in it, so that rules about combinations can still be checked.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import msgspec.inspect as mi

from loadgen.text.fault import Path, show
from loadgen.text.substitution import refers
from loadgen.text.yaml import Fields, Items, Node, Scalar, Value, data, plain_value

INVALID: Any = object()
"""Stands for a value that is written but does not fit."""

Report = Callable[[Path, str], None]

_described = cache(mi.type_info)  # of a whole scenario it takes some 50 ms


def check(root: Node, form: type, report: Report, report_key: Report) -> Any:
    """The plain data of the document; faults go to ``report`` (of a value) and ``report_key`` (of a key)."""
    return _Walk(report, report_key).value(root, _described(form), (), {})


def near(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, else all of them."""
    names = list(known)
    found = difflib.get_close_matches(word, names, 1)
    return f"did you mean {found[0]}?" if found else f"expected one of {', '.join(names)}"


class _Walk:
    def __init__(self, report: Report, report_key: Report) -> None:
        self._report = report
        self._report_key = report_key

    def value(self, node: Node, form: mi.Type, path: Path, extra: dict[str, Any]) -> Any:
        """The data of one value; ``extra`` is what the document says about it beyond its type."""
        if isinstance(form, mi.Metadata):
            return self.value(node, form.type, path, {**extra, **(form.extra or {})})
        if isinstance(form, mi.UnionType):
            return self._union(node, form, path, extra)
        if isinstance(form, mi.StructType):
            return self._struct(node, form, path)
        if isinstance(form, mi.DictType):
            return self._dict(node, form, path, extra)
        if isinstance(form, mi.ListType):
            return self._list(node, form, path)
        if isinstance(form, mi.AnyType):
            return data(node)
        if not isinstance(node, Scalar):
            return self._refuse(node, path, _expected(form, extra), extra)
        return self._scalar(node, form, path, extra)

    def _union(self, node: Node, form: mi.UnionType, path: Path, extra: dict[str, Any]) -> Any:
        """The member that fits the kind of value; of several scalars none is ever in one union."""
        structs = [kind for kind in form.types if isinstance(_bare(kind), mi.StructType)]
        others = [kind for kind in form.types if kind not in structs]
        if isinstance(node, Fields) and structs:
            return self.value(node, structs[0], path, extra)
        if isinstance(node, Scalar):
            return self.value(node, others[0], path, extra)
        expected = [_expected(others[0], extra)]
        expected += [f"a mapping with {_keys(kind)}" for kind in structs if "expected" not in extra]
        return self._refuse(node, path, ", or ".join(expected), extra)

    def _struct(self, node: Node, form: mi.StructType, path: Path) -> Any:
        if not isinstance(node, Fields):
            return self._refuse(node, path, f"a mapping with {_keys(form)}", {})
        fields = {field.encode_name: field for field in form.fields}
        found: dict[str, Any] = {}
        for key, value in node.nodes.items():
            if field := fields.get(key):
                found[key] = self.value(value, field.type, (*path, key), {})
            else:
                self._report_key((*path, key), f"unknown key, {near(key, fields)}")
        for field in form.fields:
            if field.required and field.encode_name not in found:
                self._report(path, f"{field.encode_name} is missing{_what(field.type)}")
        return found

    def _dict(self, node: Node, form: mi.DictType, path: Path, extra: dict[str, Any]) -> Any:
        if not isinstance(node, Fields):
            return self._refuse(node, path, "a mapping", extra)
        if form.min_length and not node.nodes:
            return self._refuse(node, path, "at least one entry", {})
        return {key: self.value(value, form.value_type, (*path, key), {}) for key, value in node.nodes.items()}

    def _list(self, node: Node, form: mi.ListType, path: Path) -> Any:
        if not isinstance(node, Items):
            return self._refuse(node, path, "a list", {})
        if len(node.items) < (form.min_length or 0) or len(node.items) > (form.max_length or len(node.items)):
            least, most = form.min_length or 0, form.max_length
            bounds = f"at least {least}" if most is None else f"{least} to {most}"
            self._report(path, f"got {len(node.items)} items, expected {bounds}")
            return INVALID
        return [self.value(item, form.item_type, (*path, i), {}) for i, item in enumerate(node.items)]

    def _scalar(self, node: Scalar, form: mi.Type, path: Path, extra: dict[str, Any]) -> Any:
        if isinstance(form, mi.StrType):
            return self._text(node, form, path, extra)
        value = _typed(node)
        if isinstance(form, mi.LiteralType):
            known: dict[Value, Any] = {each: each for each in form.values}  # a number is found whatever its type
            expected = extra.get("expected") or _one_of(value, form)
            fits = value in known and not isinstance(value, bool)
            return known[value] if fits else self._refuse(node, path, expected, extra)
        if isinstance(form, mi.BoolType):
            fits = isinstance(value, bool)
        elif isinstance(form, mi.IntType):
            value = int(value) if isinstance(value, float) and value.is_integer() else value
            fits = isinstance(value, int) and not isinstance(value, bool) and _within(value, form)
        else:
            assert isinstance(form, mi.FloatType), f"{form} is not a form of scenario documents"
            fits = isinstance(value, int | float) and not isinstance(value, bool) and _within(value, form)
        return value if fits else self._refuse(node, path, _expected(form, extra), extra)

    def _text(self, node: Scalar, form: mi.StrType, path: Path, extra: dict[str, Any]) -> Any:
        # Where text is expected, an unquoted number is the text it was written as: a project id may be all digits. What
        # comes from the environment is text in any case, as whoever set it cannot know what it looks like here.
        number = node.plain and isinstance(node.value, int | float) and not isinstance(node.value, bool)
        text = node.text if number or refers(node) else node.value
        if not isinstance(text, str):
            return self._refuse(node, path, _expected(form, extra), extra)
        if read := extra.get("read"):
            try:
                read(text)
            except ValueError as error:
                return self._refuse(node, path, str(error), extra)
        elif len(text) < (form.min_length or 0) or (form.pattern and not re.search(_whole(form.pattern), text)):
            return self._refuse(node, path, _expected(form, extra), extra)
        return text

    def _refuse(self, node: Node, path: Path, expected: str, extra: dict[str, Any]) -> Any:
        if extra.get("secret"):
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


def _bare(form: mi.Type) -> mi.Type:
    return form.type if isinstance(form, mi.Metadata) else form


def _whole(pattern: str) -> str:
    """The pattern without Python's exception that $ also matches before a last line feed."""
    return pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern


def _within(value: float, form: mi.IntType | mi.FloatType) -> bool:
    return (form.ge is None or value >= form.ge) and (form.le is None or value <= form.le)


def _one_of(value: object, form: mi.LiteralType) -> str:
    words = sorted(map(str, form.values), key=_natural)
    close = [] if _natural(words[0])[0] else difflib.get_close_matches(str(value), words, 1)  # no near size
    return f"one of {', '.join(words)}" + (f"; did you mean {close[0]}?" if close else "")


def _natural(word: str) -> tuple[int, str]:
    """Sorts sizes by their number and words by the alphabet."""
    number = re.match(r"\d+", word)
    return (int(number[0]) if number else 0, word)


def _keys(form: mi.Type) -> str:
    bare = _bare(form)
    assert isinstance(bare, mi.StructType)
    return ", ".join(field.encode_name for field in bare.fields)


def _what(form: mi.Type) -> str:
    """What a missing key should hold, where its description says so."""
    description = (form.extra_json_schema or {}).get("description") if isinstance(form, mi.Metadata) else None
    return f": {description}" if description else ""


def _expected(form: mi.Type, extra: dict[str, Any]) -> str:
    """What a value of this form looks like, completing "expected …"."""
    if isinstance(form, mi.Metadata):
        return _expected(form.type, {**extra, **(form.extra or {})})
    if "expected" in extra:
        return str(extra["expected"])
    if "read" in extra:
        return _refusal(extra["read"])
    if isinstance(form, mi.IntType | mi.FloatType):
        kind = "a whole number" if isinstance(form, mi.IntType) else "a number"
        bounds = [f"of at least {form.ge}"] if form.ge is not None else []
        bounds += [f"at most {form.le}"] if form.le is not None else []
        return " ".join((kind, " and ".join(bounds))).strip()
    if isinstance(form, mi.LiteralType):
        return _one_of("", form)
    return "true or false" if isinstance(form, mi.BoolType) else "text"


def _refusal(read: Callable[[str], object]) -> str:
    """What a reader expects: it says so when it gets nothing."""
    try:
        read("")
    except ValueError as error:
        return str(error)
    return "text"
