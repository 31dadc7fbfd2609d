"""What may be written out of a scenario: everything but its secrets.

Which values are secret is said by the forms of the blocks, see ``walk.Read``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Set
from typing import Any

from loadgen.targets.endpoint import encrypted
from loadgen.targets.registry import tenant_of
from loadgen.targets.target import Target
from loadgen.text import yaml
from loadgen.text.excerpt import secret_words
from loadgen.text.fault import Path, Place
from loadgen.text.secret import LONG, MASK, SHORTEST, Secrets
from loadgen.text.substitution import escaped, holds_literal, masked, unescaped
from loadgen.text.template import PLACEHOLDER
from loadgen.text.walk import Read

_ADDRESS = re.compile(rf"\A[^/?#]*//[^/?#]*|{PLACEHOLDER.pattern}")
"""What the grammar restricts in a URL; the rest of it is free text, as the tags and the event are."""
_BODIES = (("body", "text"), ("body", "form"), ("body", "json"))
_PLAIN_WORD = re.compile(rf"[A-Za-z_]{{{LONG},20}}")
"""A secret that may be a word of a report: it is masked everywhere, as a random one is."""
_ALL = re.compile(r"(?s:.+)")


def places(root: yaml.Node, secret: Set[Path]) -> Iterator[Place]:
    """Where a secret is written, not a ``${NAME}``, and would be seen in a line as it is shown."""
    for path, value in yaml.scalars(root):
        if path in secret and holds_literal(value) and any(word in value.place.text for word in value.raw.split()):
            yield value.place


def literals_of(root: yaml.Node, secret: Set[Path]) -> set[str]:
    """The words of secrets that are written in the document itself, to be looked for in messages."""
    return {word for path, value in yaml.scalars(root) if path in secret for word in secret_words(value.raw)}


def sent(target: Target) -> set[str]:
    """What is sent to a target and must not be written anywhere."""
    return {part for secret in tenant_of(target).secrets(target) for part in secret.parts}


def doubts(target: Target) -> Iterator[str]:
    """What is unsafe about the credentials of a target, in words."""
    tenant = tenant_of(target)
    secrets = list(tenant.secrets(target))
    if secrets and not target.tls.verify and any(map(encrypted, tenant.urls(target))):
        yield (
            "target.tls.verify is false and credentials are sent: whoever answers in the server's place gets them. Set "
            "target.tls.ca to the file of the authority that signed its certificate instead"
        )
    if any(0 < len(secret.value) < SHORTEST for secret in secrets):
        yield (
            f"a secret of the target has fewer than {SHORTEST} characters: it is not looked for in what is written, as "
            "it would be found in other words. Where it is repeated, it can be read"
        )
    for secret in secrets:
        if any(SHORTEST <= len(part) < LONG for part in secret.parts):
            yield _word(secret.place, "wherever it stands by itself")
        if any(_PLAIN_WORD.fullmatch(part) for part in secret.parts):
            yield _word(secret.place, "within other words, too")


def _word(place: str, where: str) -> str:
    return (
        f"the secret of {place} is a short or common word: it is masked {where}, so that reports have {MASK} in place "
        f"of that word. With a credential of {LONG} characters or more, digits among them, they are whole"
    )


def hidden_in_yaml(as_run: str, secrets: Secrets) -> str:
    """What ``as_run`` wrote with every secret masked; a short one in free text only, so that it still loads."""
    root, _ = yaml.parse(as_run, "")
    return as_run if root is None else _dumped(_hidden_values(yaml.data(root), (), secrets))


def _hidden_values(value: Any, path: Path, secrets: Secrets) -> Any:
    if isinstance(value, dict):
        return {
            secrets.hide(key, _restricted((*path, key), key=True)): _hidden_values(inner, (*path, key), secrets)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_hidden_values(inner, path, secrets) for inner in value]
    if isinstance(value, str):
        meant = unescaped(value)
        shown = secrets.hide(meant, _restricted(path))
        return value if shown == meant else escaped(shown)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return MASK if number and secrets.hide(str(value), _restricted(path)) == MASK else value


def _restricted(path: Path, *, key: bool = False) -> re.Pattern[str]:
    """What a short secret is left in at a path of a scenario, positions in lists left out: all that is restricted."""
    if path[:1] == ("calls",) and len(path) > 1:  # what is a call's own stands at the top of a scenario of one
        own = path[1:]
        return _restricted(own if own[0] in ("event", "body") else ("target", *own), key=key)
    if (path[:1] in (("tags",), ("event",)) and len(path) > 1) or path[:2] in _BODIES:
        return PLACEHOLDER
    if path[:2] == ("target", "headers") and not key:
        return PLACEHOLDER
    return _ADDRESS if path == ("target", "url") and not key else _ALL


def masked_document(root: yaml.Node, read: Read) -> dict[str, Any]:
    """The plain data of a document with its secrets masked."""
    shown: dict[str, Any] = yaml.data(_mapped(root, read, lambda value: value))
    return shown


def as_run(root: yaml.Node, read: Read) -> str:
    """The document as YAML text that loads again, with its secrets masked."""
    shown = _mapped(root, read, lambda value: escaped(value) if isinstance(value, str) else value)
    return _dumped(yaml.data(shown))


def _dumped(data: Any) -> str:
    return "# As run: options and variables resolved, secrets masked.\n" + yaml.dump(data)


def _mapped(node: yaml.Node, read: Read, write: Callable[[yaml.Value], yaml.Value], path: Path = ()) -> yaml.Node:
    """The tree with its values as ``write`` gives them, secrets masked."""
    if isinstance(node, yaml.Items):
        items = (_mapped(item, read, write, (*path, i)) for i, item in enumerate(node.items))
        return yaml.Items(tuple(items), node.place)
    if isinstance(node, yaml.Fields):
        nodes = {key: _mapped(value, read, write, (*path, key)) for key, value in node.nodes.items()}
        return yaml.Fields(nodes, node.keys, node.place)
    shown = masked(node) if path in read.secret else write(read.written.get(path, node.value))
    return yaml.Scalar(shown, node.text, node.raw, node.plain, node.place)
