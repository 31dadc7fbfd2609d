"""The calls of a mix: each is the target with parts of its own, and what is sent to it and expected of it.

For all that asks what a scenario calls, a call with what it shares with the others is a scenario of one call:
``merged`` gives its data, and ``View`` the document in which that stands. So no rule knows of mixes but those that are
about them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadgen.scenario.document import Document
from loadgen.scenario.model import OWN, PARTS
from loadgen.text import yaml
from loadgen.text.fault import Path
from loadgen.text.form import mapping
from loadgen.text.walk import Read


def merged(data: dict[str, Any], number: int) -> dict[str, Any]:
    """The data of the scenario of one call that the call of this number is."""
    call = data["calls"][number]
    shared = {key: value for key, value in data.items() if key not in ("calls", *OWN)}
    target = {**mapping(data, "target"), **{key: value for key, value in call.items() if key in PARTS}}
    return {**shared, "target": target, **{key: call[key] for key in OWN if key in call}}


def located(call: dict[str, Any], number: int) -> Callable[[Path], Path]:
    """Where a path in the merged data of a call leads in the document."""

    def real(path: Path) -> Path:
        if path[:1] == ("target",) and path[1:2] and path[1] in call and path[1] in PARTS:
            return ("calls", number, *path[1:])
        return ("calls", number, *path) if path and path[0] in OWN else path

    return real


class View:
    """The document as one call sees it; what is reported goes to the document itself."""

    def __init__(self, read: Document, call: dict[str, Any], number: int) -> None:
        self._read = read
        self.located = located(call, number)
        node = yaml.find(read.root, ("calls", number))
        assert isinstance(node, yaml.Fields)
        target = yaml.find(read.root, ("target",))
        parts = {key: value for key, value in node.nodes.items() if key in PARTS}
        own = {key: value for key, value in node.nodes.items() if key in OWN}
        shared = target.nodes if isinstance(target, yaml.Fields) else {}
        whole = yaml.Fields({**shared, **parts}, {}, node.place)
        self.root: yaml.Node = yaml.Fields({"target": whole, **own}, {}, node.place)
        prefix = ("calls", number)
        mine = [path[2:] for path in read.said.secret if path[:2] == prefix]
        secret = {("target", *path) if path[:1] and path[0] in PARTS else path for path in mine}
        self.said = Read(None, {}, secret | {path for path in read.said.secret if path[:1] == ("target",)})

    def report(self, path: Path, message: str) -> None:
        """See Document."""
        self._read.report(self.located(path), message)
