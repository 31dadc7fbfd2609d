"""``${NAME}``, ``${NAME:-default}`` and ``$$`` in the values of a document.

A value is substituted after the file is parsed, so what a variable holds can never change the structure; an unquoted
value then means what it would mean had it been written so. As in a shell, an empty variable takes the default, which
may hold references itself; only those that are needed have to be set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from loadgen.text.fault import Fault, Path
from loadgen.text.secret import MASK
from loadgen.text.template import PLACEHOLDER
from loadgen.text.yaml import Fields, Items, Node, Scalar, plain_value

_MARK = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<then>:-|\})|(?P<stray>\$\{)|(?P<end>\})")
_SCHEME = re.compile(r"(?:bearer|basic|token)? *", re.IGNORECASE)
_DEEPEST = 20


class _Reference(Struct, frozen=True):
    """``${NAME}``, or ``${NAME:-default}``."""

    name: str
    default: tuple[_Part, ...] | None


_Part = str | _Reference
"""Text as it is meant (``$$`` is one dollar sign), or a reference."""


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
        text = _text(_parts(node.raw), environment)
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


def refers(scalar: Scalar) -> bool:
    """Whether any of a value came from the environment, or might have."""
    try:
        return "$" in scalar.raw and any(isinstance(part, _Reference) for part in _parts(scalar.raw))
    except ValueError:
        return False


def masked(scalar: Scalar) -> str:
    """A secret as it may be written out: references stay, ``***`` stands for what was literal.

    A default is literal too, but for references in it; one that is nothing else is left out. The word that names a
    scheme (``Bearer``) and placeholders stay.
    """
    try:
        return "".join(_shown(part) for part in _parts(scalar.raw))
    except ValueError:
        return MASK


def holds_literal(scalar: Scalar) -> bool:
    """Whether any of a secret is written in the file itself, if only as a default."""
    try:
        return any(_literal(text) != text for text in _texts(_parts(scalar.raw)))
    except ValueError:
        return True


def escaped(text: str) -> str:
    """Text that ``substitute`` turns back into this one."""
    return text.replace("$", "$$")


def unescaped(text: str) -> str:
    """Text before ``escaped``."""
    return text.replace("$$", "$")


def _shown(part: _Part) -> str:
    if isinstance(part, str):
        return _literal(part)
    if not any(isinstance(inner, _Reference) for inner in part.default or ()):
        return f"${{{part.name}}}"
    return f"${{{part.name}:-{''.join(map(_shown, part.default or ()))}}}"


def _texts(parts: Iterable[_Part]) -> Iterator[str]:
    """What is literal, in defaults too."""
    for part in parts:
        if isinstance(part, str):
            yield part
        else:
            yield from _texts(part.default or ())


def _literal(text: str) -> str:
    fields = iter(PLACEHOLDER.finditer(text))
    pieces = (piece if _SCHEME.fullmatch(piece) else MASK for piece in PLACEHOLDER.sub("\0", text).split("\0"))
    return next(pieces) + "".join(found[0] + piece for found, piece in zip(fields, pieces, strict=True))


def _parts(raw: str) -> tuple[_Part, ...]:
    """The parts of a value. Raises ValueError for a reference that is none, or has no end."""
    open_: list[tuple[str, list[_Part]]] = [("", [])]
    """Where the reading is: the names of the references around it, and the parts that each has so far."""
    begin = 0
    for found in _MARK.finditer(raw):
        if found["end"] and len(open_) == 1:
            continue  # a brace like any other
        parts = open_[-1][1]
        parts.append(raw[begin : found.start()])
        begin = found.end()
        if found["stray"]:
            raise ValueError("got ${, expected ${NAME} or ${NAME:-default}; write $${ for the characters themselves")
        if found["end"]:
            name, default = open_.pop()
            open_[-1][1].append(_Reference(name, tuple(filter(None, default))))
        elif found["then"] == ":-":
            open_.append((found["name"], []))
            if len(open_) > _DEEPEST:
                raise ValueError(f"got more than {_DEEPEST} references in each other's defaults, expected fewer")
        else:
            parts.append(_Reference(found["name"], None) if found["name"] else "$")
    name, parts = open_[-1]
    if len(open_) > 1:
        raise ValueError(f"got ${{{name}:- without its }}, expected ${{NAME}} or ${{NAME:-default}}")
    return tuple(filter(None, [*parts, raw[begin:]]))


def _text(parts: Iterable[_Part], environment: Mapping[str, str]) -> str:
    return "".join(part if isinstance(part, str) else _value(part, environment) for part in parts)


def _value(reference: _Reference, environment: Mapping[str, str]) -> str:
    value = environment.get(reference.name)
    if reference.default is not None:
        return value or _text(reference.default, environment)
    if value is None:
        name = reference.name
        raise ValueError(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
