"""``${NAME}``, ``${NAME:-default}`` and ``$$`` in the values of a document.

A value is substituted after the file is parsed, so what a variable holds can never change the structure; an unquoted
value then means what it would mean had it been written so. As in a shell, an empty variable takes the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from loadgen.scenario.fault import Fault, Path
from loadgen.scenario.yaml import Fields, Items, Node, Scalar, plain_value

_REFERENCE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<stray>\{))")
_SCHEME = re.compile(r"(?:bearer|basic|token)? *", re.IGNORECASE)
MASK = "***"


def substitute(node: Node, environment: Mapping[str, str], faults: list[Fault], path: Path = ()) -> Node:
    """The same tree with every reference replaced; what cannot be replaced is added to ``faults`` and left as it is."""
    if isinstance(node, Items):
        items = tuple(substitute(item, environment, faults, (*path, i)) for i, item in enumerate(node.items))
        return Items(items, node.place)
    if isinstance(node, Fields):
        nodes = {key: substitute(value, environment, faults, (*path, key)) for key, value in node.nodes.items()}
        return Fields(nodes, node.keys, node.place)
    if "$" not in node.raw:
        return node
    try:
        text = _REFERENCE.sub(lambda found: _replacement(found, environment), node.raw)
    except ValueError as error:
        faults.append(Fault(node.place, path, str(error)))
        return node
    if not text.isprintable() and not _encodable(text):
        faults.append(Fault(node.place, path, "a variable here is not UTF-8 text"))
        return node
    try:
        return Scalar(plain_value(text) if node.plain else text, text, node.raw, node.plain, node.place)
    except ValueError as error:
        faults.append(Fault(node.place, path, f"got a value from the environment, expected {error}"))
        return node


def masked(scalar: Scalar) -> str:
    """A secret as it may be written out: ``${NAME}`` where it came from the environment, ``***`` for what was literal.

    A default is literal too. The word that names a scheme (``Bearer``) stays.
    """
    out, end = "", 0
    for found in _REFERENCE.finditer(scalar.raw):
        out += _literal(scalar.raw[end : found.start()])
        out += f"${{{found['name']}}}" if found["name"] else MASK
        end = found.end()
    return out + _literal(scalar.raw[end:])


def escaped(text: str) -> str:
    """Text that ``substitute`` turns back into this one."""
    return text.replace("$", "$$")


def _literal(text: str) -> str:
    return text if _SCHEME.fullmatch(text) else MASK


def _replacement(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name = found["name"]
    if found["stray"]:
        raise ValueError("got ${, expected ${NAME} or ${NAME:-default}; write $${ for the characters themselves")
    if not name:
        return "$"
    value = environment.get(name)
    if found["default"] is not None:
        return value or found["default"]
    if value is None:
        raise ValueError(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
