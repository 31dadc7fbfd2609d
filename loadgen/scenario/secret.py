"""What may be written out of a scenario: everything but its secrets.

Secret are the credentials under ``target.auth`` and the header fields whose names say so (Authorization, Cookie,
anything with token, key, secret or password in it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import msgspec

from loadgen.scenario import yaml
from loadgen.scenario.fault import Path
from loadgen.scenario.model import FunctionTarget, HttpTarget, Scenario, TokenAuth
from loadgen.scenario.substitution import MASK, escaped, masked

_WORDS = ("authorization", "cookie", "token", "secret", "password", "passwd", "credential", "key", "signature")


def is_secret(path: Path) -> bool:
    """Whether the value at this path of a scenario document is never written out."""
    if path[:2] == ("target", "headers") and len(path) == 3:
        return secret_name(str(path[2]))
    return path[:2] == ("target", "auth") and len(path) > 2


def secret_name(header: str) -> bool:
    """Whether a header field of this name holds a secret."""
    return any(word in header.lower() for word in _WORDS)


def masked_document(root: yaml.Node, data: Any) -> dict[str, Any]:
    """The plain data of a document with its secrets masked."""
    shown: dict[str, Any] = yaml.data(_mapped(root, data, lambda value: value))
    return shown


def as_run(root: yaml.Node, data: Any) -> str:
    """The document as YAML text that loads again, with its secrets masked."""
    shown = _mapped(root, data, lambda value: escaped(value) if isinstance(value, str) else value)
    return "# As run: options and variables resolved, secrets masked.\n" + yaml.dump(yaml.data(shown))


def fingerprint(scenario: Scenario, rows_digest: str) -> str:
    """The sha256 of what a run does: everything but its secrets and where on this machine its files lie.

    ``rows_digest`` stands for the feeder's file.
    """
    target = scenario.target
    tls = target.tls
    if tls.ca is not None:
        tls = msgspec.structs.replace(tls, ca=PurePath(tls.ca).name)
    public: FunctionTarget | HttpTarget
    if isinstance(target, HttpTarget):
        headers = tuple((name, MASK if secret_name(name) else value) for name, value in target.headers)
        public = msgspec.structs.replace(target, headers=headers, tls=tls)
    else:
        auth = TokenAuth(MASK) if isinstance(target.auth, TokenAuth) else target.auth
        public = msgspec.structs.replace(target, auth=auth, tls=tls)
    rows = scenario.feeder and msgspec.structs.replace(scenario.feeder, path=rows_digest)
    canonical = msgspec.structs.replace(scenario, target=public, feeder=rows, sha256="")
    return hashlib.sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()


def _mapped(node: yaml.Node, data: Any, write: Callable[[yaml.Value], yaml.Value], path: Path = ()) -> yaml.Node:
    """The tree with the values of ``data`` as ``write`` gives them, secrets masked."""
    if isinstance(node, yaml.Items):
        items = (_mapped(item, data[i], write, (*path, i)) for i, item in enumerate(node.items))
        return yaml.Items(tuple(items), node.place)
    if isinstance(node, yaml.Fields):
        nodes = {key: _mapped(value, data[key], write, (*path, key)) for key, value in node.nodes.items()}
        return yaml.Fields(nodes, node.keys, node.place)
    value = masked(node) if is_secret(path) else write(data)
    return yaml.Scalar(value, node.text, node.raw, node.plain, node.place)
