"""YAML text to a tree of located nodes, and plain data back to text.

Scalars follow the YAML 1.2 core schema: ``true`` and ``false`` are the only booleans, ``on``, ``off``, ``yes`` and
``no`` are text, ``010`` is ten, there are no dates, sexagesimals, underscores, merge keys or tags. Every node knows its
place, a scalar also the text it was written as. An alias is expanded where it stands, so its nodes carry the path
of the alias; the number of nodes and their depth are limited, which stops an alias that explodes or contains itself.

Source: YAML 1.2.2, 10.3 Core Schema.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct

from loadgen.text.excerpt import blanked
from loadgen.text.fault import Fault, Path, Place, ScenarioError
from loadgen.text.foreign import printable

MAX_CHARACTERS = 1 << 20
MAX_NODES = 20_000
MAX_DEPTH = 50

_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # without libyaml the same, more slowly

_PLAIN = (
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), "tTfF"),
    ("null", re.compile(r"(?:~|null|Null|NULL|)\Z"), "~nN\0"),
    ("int", re.compile(r"[-+]?[0-9]+\Z"), "-+0123456789"),  # before float, which it is a part of
    ("float", re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), "-+.0123456789"),
)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ORDINARY_TAGS = frozenset({None, "!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))})
_LONGEST_INTEGER = 100
_BARE_REFERENCE = re.compile(r"[{\[,:] *\$\{")
_NUMBER = re.compile(r"(?P<sign>[-+]?)0*(?P<whole>[0-9]*)(?P<rest>(?:\.[0-9]*)?)(?P<power>(?:[eE][-+]?[0-9]+)?)")
_SURROGATE = re.compile("[\ud800-\udfff]")

Value = str | int | float | bool | None


class Scalar(Struct, frozen=True):
    """A single value. ``text`` is what it reads as text, ``raw`` the same before ``${NAME}`` was substituted.

    ``plain`` says that it was written without quotes, so that ``value`` need not be text.
    """

    value: Value
    text: str
    raw: str
    plain: bool
    place: Place


class Items(Struct, frozen=True):
    """A list."""

    items: tuple[Node, ...]
    place: Place


class Fields(Struct, frozen=True):
    """A mapping: its nodes in the order written, and where each key stands."""

    nodes: dict[str, Node]
    keys: dict[str, Place]
    place: Place


Node = Scalar | Items | Fields


def parse(text: str, source: str) -> tuple[Node | None, list[Fault]]:
    """The tree of a document, None when it holds nothing; and the duplicate keys, of which the first is kept.

    Raises ScenarioError when the text is too large or is not YAML.
    """
    lines = _Lines(text, source)
    if len(text) > MAX_CHARACTERS:
        raise lines.error(0, 0, f"the file holds more than {MAX_CHARACTERS >> 20} MiB, far more than a scenario needs")
    if found := _UNPRINTABLE.search(text):
        at = found.start()
        line = text.count("\n", 0, at)
        raise lines.error(
            line,
            at - text.rfind("\n", 0, at) - 1,
            f"got the character U+{ord(found[0]):04X}, which YAML does not allow",
        )
    try:
        _check_depth(text, lines)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        place = lines.place(mark.line, mark.column) if mark else lines.place(0, 0)
        if _BARE_REFERENCE.search(lines.written(place)):
            reason += '; inside { } and [ ] write "${NAME}" with quotes'
        reason += _quoted(lines.written(place))
        raise ScenarioError([Fault(place, (), f"this is not YAML: {reason}")]) from error
    except yaml.YAMLError as error:
        raise lines.error(0, 0, f"this is not YAML: {error}") from error
    if root is None:
        return None, []
    tree = _Tree(lines)
    return tree.node(root, ()), tree.duplicates


def parse_value(text: str, place: Place) -> Node:
    """The tree of a value given in an option; all its nodes have the same place.

    Raises ScenarioError when the text is not a YAML value.
    """
    try:
        node, duplicates = parse(text, place.source)
    except ScenarioError as error:
        raise ScenarioError([Fault(place, (), error.faults[0].message)]) from error
    if duplicates:
        raise ScenarioError([Fault(place, (), duplicates[0].message)])
    return moved(node if node is not None else Scalar(None, "", "", True, place), place)


def moved(node: Node, place: Place) -> Node:
    """The same tree with every node at one place."""
    if isinstance(node, Scalar):
        return Scalar(node.value, node.text, node.raw, node.plain, place)
    if isinstance(node, Items):
        return Items(tuple(moved(item, place) for item in node.items), place)
    return Fields({k: moved(v, place) for k, v in node.nodes.items()}, dict.fromkeys(node.nodes, place), place)


def plain_value(text: str) -> Value:
    """What an unquoted scalar means.

    Raises ValueError, completing "got …, expected …", for a number that cannot be represented.
    """
    kind = next((kind for kind, form, _ in _PLAIN if form.match(text)), "text")
    if kind == "bool":
        return text.lower() == "true"
    if kind == "null":
        return None
    if kind == "int" and len(text) > _LONGEST_INTEGER:
        raise ValueError(f"a number of at most {_LONGEST_INTEGER} digits")
    if kind == "int":
        return int(text)
    if kind == "float" and math.isinf(float(text)):
        raise ValueError("a number below 1.8e308")
    return float(text) if kind == "float" else text


def data(node: Node) -> Any:
    """The plain data of a tree: dicts, lists, text, numbers, booleans and None."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Items):
        return [data(item) for item in node.items]
    return {key: data(value) for key, value in node.nodes.items()}


def json_of(node: Node) -> str:
    """The JSON text of a tree; numbers keep their digits."""
    if isinstance(node, Scalar):
        number = node.plain and isinstance(node.value, int | float) and not isinstance(node.value, bool)
        return _number(node.text) if number else json.dumps(node.value, ensure_ascii=False)
    if isinstance(node, Items):
        return f"[{','.join(map(json_of, node.items))}]"
    members = (f"{json.dumps(key, ensure_ascii=False)}:{json_of(value)}" for key, value in node.nodes.items())
    return f"{{{','.join(members)}}}"


def _number(text: str) -> str:
    """A number of YAML as JSON has it, digit for digit: ``+1`` is 1, ``.5`` is 0.5, ``5.`` is 5.0, ``010`` is 10."""
    found = _NUMBER.fullmatch(text)
    assert found is not None, "it is a number"
    sign, rest = found["sign"].replace("+", ""), found["rest"]
    return f"{sign}{found['whole'] or '0'}{rest}{'0' if rest == '.' else ''}{found['power']}"


def find(root: Node, path: Path) -> Node | None:
    """The node at a path, None where the document has none."""
    node: Node | None = root
    for step in path:
        if isinstance(node, Fields) and isinstance(step, str):
            node = node.nodes.get(step)
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def place_of(root: Node, path: Path) -> Place:
    """Where to point at for a path: a single value itself, the key of a mapping or list, else what encloses it."""
    node = find(root, path)
    if node is None:
        return place_of(root, path[:-1])
    parent = find(root, path[:-1]) if path else None
    if not isinstance(node, Scalar) and isinstance(parent, Fields):
        return parent.keys[str(path[-1])]
    return node.place


def scalars(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Every single value with its path, in the order written."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Items):
        for index, item in enumerate(node.items):
            yield from scalars(item, (*path, index))
    else:
        for key, value in node.nodes.items():
            yield from scalars(value, (*path, key))


def dump(value: object) -> str:
    """Plain data as YAML text that ``parse`` reads back as the same data."""
    for unicode in (True, False):
        text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=unicode, width=120)
        if all(c == "\n" or printable(c) for c in text):
            break  # else what turns the direction of text stands in it as it is
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes what the rules above would take for something else than text; never writes an alias."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own protocol)

    def ignore_aliases(self, data: object) -> bool:
        return True


for _kind, _form, _first in _PLAIN:
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _form, ["" if c == "\0" else c for c in _first])


def _quoted(written: str) -> str:
    return "; a value with {{field}} in it is written in quotes" if "{{" in written else ""


class _Lines:
    """The text as lines, to say where something stands; secrets in them are shown to nobody."""

    def __init__(self, text: str, source: str) -> None:
        self._written = text.splitlines()
        self._shown = blanked(text).splitlines()
        self._source = source

    def place(self, line: int, column: int) -> Place:
        """The place at a line and column counted from 0."""
        return Place(self._source, line + 1, column + 1, self._shown[line] if line < len(self._shown) else "")

    def written(self, place: Place) -> str:
        """The line of a place as it is written, with its secrets."""
        return self._written[place.line - 1] if place.line <= len(self._written) else ""

    def error(self, line: int, column: int, message: str) -> ScenarioError:
        return ScenarioError([Fault(self.place(line, column), (), message)])


def _check_depth(text: str, lines: _Lines) -> None:
    """Refuse what is nested so deeply that building it would exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            mark = event.start_mark
            assert mark is not None, "the parser marks every event"
            raise lines.error(mark.line, mark.column, f"nested more than {MAX_DEPTH} levels deep")


class _Tree:
    """Builds the tree of a composed document."""

    def __init__(self, lines: _Lines) -> None:
        self.duplicates: list[Fault] = []
        self._lines = lines
        self._count = 0

    def node(self, node: yaml.Node, path: Path) -> Node:
        place = self._lines.place(node.start_mark.line, node.start_mark.column)
        self._count += 1
        if self._count > MAX_NODES or len(path) > MAX_DEPTH:
            raise ScenarioError([Fault(place, (), f"an alias makes this endless or larger than {MAX_NODES} values")])
        if node.tag not in _ORDINARY_TAGS:
            raise ScenarioError([Fault(place, path, f"got the tag {node.tag}, expected a value without a tag")])
        if isinstance(node, yaml.SequenceNode):
            return Items(tuple(self.node(item, (*path, i)) for i, item in enumerate(node.value)), place)
        if isinstance(node, yaml.MappingNode):
            return self._fields(node, path, place)
        assert isinstance(node, yaml.ScalarNode)
        return _scalar(node, path, place)

    def _fields(self, mapping: yaml.MappingNode, path: Path, place: Place) -> Fields:
        nodes: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for key, value in mapping.value:
            at = self._lines.place(key.start_mark.line, key.start_mark.column)
            if not isinstance(key, yaml.ScalarNode):
                raise ScenarioError(
                    [
                        Fault(
                            at,
                            path,
                            f"got a list or mapping as a key, expected plain text{_quoted(self._lines.written(at))}",
                        )
                    ]
                )
            name = _text(key.value, path, at)
            if name in nodes:
                message = f"duplicate key, first written on line {keys[name].line}; keep one of them"
                self.duplicates.append(Fault(at, (*path, name), message))
                continue
            keys[name] = at
            nodes[name] = self.node(value, (*path, name))
        return Fields(nodes, keys, place)


def _scalar(node: yaml.ScalarNode, path: Path, place: Place) -> Scalar:
    text = _text(node.value, path, place)
    plain = not node.style
    try:
        return Scalar(plain_value(text) if plain else text, text, text, plain, place)
    except ValueError as error:
        raise ScenarioError(
            [Fault(place, path, f"got a number of {len(text)} characters, expected {error}")]
        ) from error


def _text(text: str, path: Path, place: Place) -> str:
    if _SURROGATE.search(text):  # from an escape such as "\ud800": there is no way to send it
        raise ScenarioError([Fault(place, path, "got half of a surrogate pair, expected whole characters")])
    return text
