"""Values set by options: ``--set key.path=value``, and options of a command that each stand for one value."""

from __future__ import annotations

import re

from msgspec import Struct

from loadgen.text import yaml
from loadgen.text.excerpt import blanked
from loadgen.text.fault import Fault, Path, Place, ScenarioError, written
from loadgen.text.yaml import Fields, Items, Node, Scalar

OPTION = "--set"
_STEP = re.compile(r"\[([0-9]{1,9})\]")
_INDEX = re.compile(r"[0-9]{1,9}")


class Setting(Struct, frozen=True):
    """A value that an option of a command sets; ``option`` is what messages call it.

    ``path`` leads to the value, which is written as in YAML, or is the text ``as_is``.
    """

    option: str
    path: Path
    value: str
    as_is: bool = False


Override = str | Setting
"""What is set: ``key.path=value``, or a Setting."""


def override(root: Node, what: Override) -> Node:
    """The tree with a value set.

    Of ``key.path=value``, a step that is a number (``phases.1.rate`` or ``phases[1].rate``) is an index. Mappings on
    the way are created. The value is written as in YAML. Raises ScenarioError, naming the option, when the path leads
    nowhere.
    """
    if isinstance(what, Setting):
        place = Place(what.option)
        node = Scalar(what.value, what.value, what.value, False, place) if what.as_is else None
        return _with(root, list(map(str, what.path)), node or yaml.parse_value(what.value, place), place, ())
    key, equals, text = what.partition("=")
    key = _STEP.sub(r".\1", key.strip())
    shown = blanked(key)
    place = Place(f"{OPTION} {shown}")
    steps = key.split(".")
    if not equals or "" in steps:
        raise ScenarioError(
            [Fault(Place(OPTION), (), f'got "{shown}", expected key.path=value such as phases.1.rate=50/s')]
        )
    if len(steps) > yaml.MAX_DEPTH:
        message = f"got {len(steps)} steps, expected at most {yaml.MAX_DEPTH}"
        raise ScenarioError([Fault(Place(OPTION), (), message)])
    return _with(root, steps, yaml.parse_value(text, place), place, ())


def as_line(what: Override) -> str:
    """What is set, as a line whose secrets can be found."""
    return what if isinstance(what, str) else f"{what.path[-1]}: {what.value}"


def _with(node: Node, steps: list[str], value: Node, place: Place, path: Path) -> Node:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(node, Items):
        index = _index(step, len(node.items), place, path)
        changed = _with(node.items[index], rest, value, place, (*path, index))
        return Items((*node.items[:index], changed, *node.items[index + 1 :]), node.place)
    if isinstance(node, Fields):
        below = node.nodes.get(step, Fields({}, {}, place))
        changed = _with(below, rest, value, place, (*path, step))
        keys = {**node.keys, step: node.keys[step] if rest and step in node.keys else place}
        return Fields({**node.nodes, step: changed}, keys, node.place)
    seen = written(path) or "the document"
    raise ScenarioError([Fault(place, (), f"{seen} is a single value, so it has no {step}; set {seen} itself")])


def _index(step: str, count: int, place: Place, path: Path) -> int:
    if not _INDEX.fullmatch(step) or int(step) >= count:
        message = f'got "{step}", expected the index of one of the {count} items of {written(path)}, from 0'
        raise ScenarioError([Fault(place, (), message)])
    return int(step)
