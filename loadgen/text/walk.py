"""Whether a document has its form (see ``form``): known keys, right types, well-formed values.

msgspec stops at the first fault, so ``read`` walks the document beside the description that msgspec gives of the
structs (``msgspec.inspect``) and reports every fault. What comes out is data that ``msgspec.convert`` accepts if there
was no fault; a value that does not fit is ``INVALID`` in it, so that rules about combinations can still be checked.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec.inspect as mi

from loadgen.text.excerpt import secret_name
from loadgen.text.fault import Path, show
from loadgen.text.form import INVALID, About, about_of, bare, choices, described, keys_of, structs_of
from loadgen.text.substitution import refers
from loadgen.text.yaml import Fields, Items, Node, Scalar, Value, data, plain_value, scalars

Report = Callable[[Path, str], None]


class Read(NamedTuple):
    """What a document says.

    ``written`` is what is written where that is not what YAML makes of it: text in the form of a number, say.
    ``secret`` are the paths of single values that are never to be shown: those whose form says so, and where there is
    no form to ask, as of an unknown key, those whose names say so.
    """

    data: Any
    written: dict[Path, Value]
    secret: set[Path]


def read(root: Node, form: Any, report: Report, report_key: Report) -> Read:
    """The values of the document; faults go to ``report`` (of a value) and ``report_key`` (of a key)."""
    walk = _Walk(report, report_key)
    return Read(walk.value(root, described(form), (), {}), walk.written, walk.secret)


def near(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, else all of them."""
    names = list(known)
    found = difflib.get_close_matches(word, names, 1)
    return f"did you mean {found[0]}?" if found else f"expected one of {', '.join(names)}"


class _Walk:
    def __init__(self, report: Report, report_key: Report) -> None:
        self._report = report
        self._report_key = report_key
        self.written: dict[Path, Value] = {}
        self.secret: set[Path] = set()

    def value(self, node: Node, form: mi.Type, path: Path, about: About) -> Any:
        """The data of one value; ``about`` is what ``Meta`` says of it so far."""
        about = {**about, **about_of(form)}
        if "secret" in about:
            self._hide(node, path, about["secret"])
        if "secret_text" in about and isinstance(node, Scalar) and about["secret_text"](node.text):
            self._hide(node, path, True)
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
                self._hide(node, path, True)
                self._report(path, str(error))
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
                self._hide_named(value, (*path, name), len(path))
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
                if (other := _other(value, about)) is not None:
                    self.written[path] = value
                    return other
                return self._refuse(node, path, about.get("expected") or _one_of(value, known), about)
            self.written[path] = next(word for word in known if word == value)  # a number is found whatever its type
            self.secret.discard(path)  # one of a few known words
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

    def _hide(self, node: Node, path: Path, secret: bool | Callable[[str], bool]) -> None:
        for found, _ in scalars(node, path):
            below = found[len(path) :]
            if not callable(secret) or not below or secret(str(below[0])):
                self.secret.add(found)

    def _hide_named(self, node: Node, path: Path, known: int) -> None:
        """Note the secrets of what has no form here; the names of the first ``known`` steps tell nothing."""
        self.secret.update(
            path for path, _ in scalars(node, path) if any(secret_name(str(step)) for step in path[known:])
        )

    def _refuse(self, node: Node, path: Path, expected: str, about: About) -> Any:
        self._hide_named(node, path, len(path))
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


def _other(value: Value, about: About) -> Any:
    """What a word stands for that is none of those known here; None for what can be none anywhere."""
    try:
        return about["others"](value) if "others" in about and isinstance(value, str) else None
    except ValueError:
        return None


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
