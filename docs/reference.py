"""The reference pages that follow from the code: ``python docs/reference.py`` writes them beside this file.

A test holds the committed pages to what this gives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from loadgen.cli import COMMANDS, main
from loadgen.measure.summary import schema as summary_schema
from loadgen.scenario.schema import scenario_schema

Schema = dict[str, Any]

_QUANTITIES = {"1s": "duration", "1/s": "rate", "1MB": "memory", "1%": "share", "1 CNY": "money", "1KB": "size"}
"""What the scenario reference calls a text with a unit, by one of them."""
_EXAMPLES = 3
_ENVIRONMENT = "#/$defs/Reference"
_PREFIX = "#/$defs/"


def scenario_keys() -> str:
    """Every key of a scenario, a table for each mapping."""
    intro = (
        "Every key that a scenario may have, with its form and default: a page to look things up in. What the keys\n"
        "are for, and which go together, is told in the [scenario reference](scenario.md). Where a single value\n"
        "stands, a [`${NAME}`](scenario.md#environment) may stand, too."
    )
    return _page("Every key of a scenario", intro, _mappings(scenario_schema(), defaults=True))


def summary_keys() -> str:
    """Every field of summary.json, a table for each object."""
    intro = (
        "Every field of summary.json: a page to look things up in, for programs that read results. What the fields\n"
        "mean together is told in [what a run leaves](results.md#summaryjson); the same as JSON Schema is\n"
        "[summary.schema.json](summary.schema.json). Times are whole nanoseconds, shares are from 0 to 1."
    )
    return _page("Every field of summary.json", intro, _mappings(summary_schema(), defaults=False))


def command_line() -> str:
    """Every command with its arguments and options."""
    intro = "Every command and option of `loadgen`, as `-h` and `--help` say them."
    parts = [" · ".join(f"[{name}](#{name})" for name in COMMANDS)]
    parts.append(
        "An environment variable can give an option, too: `LOADGEN_RUN_OUT=results` is `--out results` of `run`."
    )
    context = click.Context(main, info_name="loadgen", **main.context_settings)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        parts += _command(command, click.Context(command, info_name=name, parent=context))
    return _page("Commands", intro, parts)


PAGES = {"scenario-keys.md": scenario_keys, "summary-keys.md": summary_keys, "command-line.md": command_line}


def _page(title: str, intro: str, parts: Iterator[str] | list[str]) -> str:
    note = "<!-- Generated: python docs/reference.py -->"
    return "\n\n".join([f"# {title}", intro, note, *parts]) + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.info_name}"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{context.command_path} {usage}\n```"
    yield _text(command.help)
    records = [each.get_help_record(context) for each in command.params]
    rows = [(f"`{_cell(record[0])}`", _text(record[1])) for record in records if record is not None and record[1]]
    if rows:
        yield _table(("Option", ""), rows)
    if command.epilog:
        yield f"```\n{command.epilog}\n```" if "$(" in command.epilog else _text(command.epilog)


def _text(text: str | None) -> str:
    """A help text in Markdown, where ``<name>`` would be a tag."""
    paragraphs = [" ".join(each.split()) for each in (text or "").split("\n\n")]
    return _cell("\n\n".join(re.sub(r"[\w/-]*<[\w -]+>(?:-<[\w -]+>)?", r"`\g<0>`", each) for each in paragraphs))


def _docstring(text: str) -> str:
    """What the schema says of a mapping, whose words in double backticks are code."""
    return "\n\n".join(" ".join(each.split()) for each in text.split("\n\n")).replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _mappings(schema: Schema, *, defaults: bool) -> Iterator[str]:
    """A section for each definition, the document's own first and the others where they are first named."""
    definitions: dict[str, Schema] = schema["$defs"]
    for name in _in_order(schema, definitions):
        mapping = definitions[name]
        yield f"## {name}"
        if said := mapping.get("description"):
            yield _docstring(said)
        rows = [_row(key, value, mapping, defaults=defaults) for key, value in mapping["properties"].items()]
        head = ("Key", "Form", "Default", "") if defaults else ("Field", "Form")
        yield _table(head, rows)


def _in_order(schema: Schema, definitions: dict[str, Schema]) -> Iterator[str]:
    seen: set[str] = set()
    waiting = _named(schema.get("$ref") or schema)
    while waiting:
        name = waiting.pop(0)
        if name not in seen and "properties" in definitions[name]:
            seen.add(name)
            yield name
            waiting = [*_named(definitions[name]), *waiting]


def _named(node: Any) -> list[str]:
    """The definitions that a schema refers to, in its order."""
    if isinstance(node, dict):
        return [name for key, value in node.items() if key != "$defs" for name in _named(value)]
    if isinstance(node, list):
        return [name for each in node for name in _named(each)]
    return [node.removeprefix(_PREFIX)] if isinstance(node, str) and node.startswith(_PREFIX) else []


def _row(key: str, value: Schema, mapping: Schema, *, defaults: bool) -> tuple[str, ...]:
    said = _cell(_docstring(value.get("description") or ""))
    form = _cell(" or ".join(dict.fromkeys(_forms(value))))
    if form == "text" and value.get("examples"):
        form = "such as " + ", ".join(f"`{each}`" for each in value["examples"][:_EXAMPLES])
    if not defaults:
        return f"`{key}`", form
    return f"`{key}`", form, _default(key, value, mapping), said


def _default(key: str, value: Schema, mapping: Schema) -> str:
    if key in mapping.get("required", ()):
        return "required"
    default = value.get("default")
    if default is None:
        return "–"
    if default in ({}, []):
        return "none"
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def _forms(value: Schema) -> Iterator[str]:
    """What may stand there, in a word or two each."""
    if "$ref" in value:
        if value["$ref"] != _ENVIRONMENT:
            name = value["$ref"].removeprefix(_PREFIX)
            yield f"[{name}](#{name.lower()})"
    elif "anyOf" in value:
        for each in _telling(value["anyOf"]):
            yield from _forms(each)
    elif "enum" in value or "const" in value:
        yield ", ".join(f"`{each}`" for each in sorted(value.get("enum", [value.get("const")]), key=_by_number))
    elif value.get("type") == "array":
        yield "list of " + " or ".join(dict.fromkeys(_forms(value.get("items", {}))))
    elif value.get("type") == "object":
        inner = value.get("additionalProperties")
        yield f"mapping of {' or '.join(dict.fromkeys(_forms(inner)))}" if inner else "mapping"
    elif value.get("type") == "string":
        yield _quantity(value.get("pattern", ""))
    elif "type" in value:
        yield _number(value)
    else:
        yield "any value"


def _telling(alternatives: list[Schema]) -> list[Schema]:
    """Without the numbers that are only text that is written without quotes."""
    text = any(each.get("type") == "string" for each in alternatives)
    return [each for each in alternatives if not (text and each.get("type") in ("integer", "number"))]


def _quantity(pattern: str) -> str:
    if not pattern or re.search(pattern, "all"):
        return "text"
    return next((name for text, name in _QUANTITIES.items() if re.search(pattern, text)), "text")


def _by_number(word: Any) -> tuple[float, str]:
    """Sizes in their order, words in that of the alphabet."""
    found = re.match(r"\d+", str(word))
    return (float(found[0]) if found else 0.0), str(word)


def _number(value: Schema) -> str:
    kind = {"integer": "whole number", "boolean": "`true`, `false`", "null": "`null`"}.get(value["type"], value["type"])
    least, most = value.get("minimum"), value.get("maximum")
    if kind == "whole number" and least is not None:
        bounded = most is not None and most < 2**31
        return f"{kind}, {least:,} to {most:,}" if bounded else f"{kind} from {least:,}"
    return str(kind)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = head[: len(rows[0])]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    for name, page in PAGES.items():
        (Path(__file__).parent / name).write_text(page(), encoding="utf-8")
