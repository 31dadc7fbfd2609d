r"""A file of environment variables: ``NAME=value`` on each line, as for a container or a shell.

A line may begin with ``export``; blank lines and those that begin with ``#`` say nothing. A value without quotes ends
with its line, without blanks around it and without a comment, which begins with `` #``. Within single quotes all is as
written; within double quotes ``\n``, ``\t``, ``\r``, ``\"``, ``\$`` and ``\\`` are one character each. Either may have
line feeds in it, as a PEM text has. Nothing is expanded.

Such a file is made of secrets, so no message quotes anything of it but names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from loadgen.text.fault import Fault, Place, ScenarioError

_LINE = re.compile(
    r"""[ \t]*+(?:
      (?:\#[^\n]*+)?+
    | (?:export[ \t]++)?+(?P<name>[A-Za-z_][A-Za-z0-9_]*+)[ \t]*+=[ \t]*+
      (?: "(?P<escaped>(?:[^"\\]|\\.)*+)"[ \t]*+(?:\#[^\n]*+)?+
        | '(?P<literal>[^']*+)'[ \t]*+(?:\#[^\n]*+)?+
        | (?P<plain>[^"'\n][^\n]*+)?+
      )
    )\r?(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"(?:\A|[ \t])#.*", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


def parse(text: str, source: str) -> dict[str, str]:
    """The variables of the text of a file that messages call ``source``.

    Raises ScenarioError for a line that is none of these, and for a name that is there twice.
    """
    found: dict[str, str] = {}
    faults: list[Fault] = []
    for line, name, value in _assigned(text, source, faults):
        if name in found:
            faults.append(_fault(source, line, f"{name} is set twice; keep one of them"))
        found.setdefault(name, value)
    if faults:
        raise ScenarioError(faults)
    return found


def _assigned(text: str, source: str, faults: list[Fault]) -> Iterator[tuple[int, str, str]]:
    """The line, name and value of each variable; what is none is added to ``faults``."""
    at, line = 0, 1
    while at < len(text):
        read = _LINE.match(text, at)
        if read is None:
            faults.append(_fault(source, line, "expected NAME=value, with both of its quotes where it has any"))
            end = text.find("\n", at) + 1 or len(text)
        else:
            end = read.end()
            if read["name"] is not None:
                yield line, read["name"], _value(read)
        line += text.count("\n", at, end)
        at = end


def _value(read: re.Match[str]) -> str:
    if read["escaped"] is not None:
        return _ESCAPE.sub(lambda found: _MEANT.get(found[1], found[0]), read["escaped"])
    if read["literal"] is not None:
        return read["literal"]
    return _COMMENT.sub("", read["plain"] or "").strip()


def _fault(source: str, line: int, message: str) -> Fault:
    return Fault(Place(source, line, 1), (), message)
