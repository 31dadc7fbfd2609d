"""Hostile text in every field of a Summary that can hold text, found by walking its types, and in every rendering."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect as mi
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from loadgen.cli import main
from loadgen.experiments.registry import KINDS
from loadgen.measure.summary import SCHEMA, Summary, encode, texts
from loadgen.report.html import html
from loadgen.report.markdown import markdown
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline
from loadgen.text.foreign import printable
from tests.report.builders import intervals, valid

HOSTILE = (
    "P0\x1b[2J\x1b]0;x\x07\x9b31m\x7f\u202eP1\u2066\u200b<script>alert(1)</script><img src=x onerror=y>"
    "[P2](javascript:alert(1)) | `P3` **P4** &lt;P5\n# P6\r\n> P7\u2028https://evil.example @P8 \"P9' \U000e0041"
)
BLOB = valid().totals.metrics["latency"].histogram
FORMS = {kind.name: kind.result for kind in KINDS}
NEEDED = {
    "metrics": ("latency", "service_time", "lag", "latency_all"),
    "times": ("service_time", "duration", "billed_duration", "overhead"),
    "service_time_ns": ("mean", "p50", "p95", "p99"),
    "duration_ns": ("mean", "p50", "p95", "p99"),
    "billed_duration_ns": ("mean", "p50", "p95", "p99"),
    "quantiles_ns": ("p50", "p5", "p95"),
}
"""Keys without which a report is refused."""
TAGS = {"ul", "li", "table", "thead", "tbody", "tr", "th", "td", "h1", "h2", "p", "strong", "blockquote"}
_SGR = re.compile(r"\x1b\[[\d;]*m")


def planted(form: mi.Type, kind: str, field: str = "") -> Any:
    """A value of a type in which every text, and every key, is hostile; optional parts are there."""
    match form:
        case mi.Metadata():
            return planted(form.type, kind, field)
        case mi.StructType() if form.cls in FORMS.values():
            return {"kind": kind, **_fields(form, kind)}
        case mi.StructType():
            return _fields(form, kind)
        case mi.UnionType():
            types = [each for each in form.types if not isinstance(each, mi.NoneType)]
            of_kind = [each for each in types if isinstance(each, mi.StructType) and each.cls is FORMS[kind]]
            return planted((of_kind or types)[0], kind, field)
        case mi.ListType() | mi.VarTupleType():
            return [planted(form.item_type, kind, field)] * 2
        case mi.TupleType():
            return [planted(each, kind, field) for each in form.item_types]
        case mi.DictType():
            return {key: planted(form.value_type, kind, field) for key in (HOSTILE, *NEEDED.get(field, ()))}
        case mi.StrType():
            return {"schema": SCHEMA, "histogram": BLOB}.get(field, HOSTILE)
        case mi.AnyType():
            return {HOSTILE: [HOSTILE], "url": HOSTILE, "function": HOSTILE, "endpoint": HOSTILE}
        case mi.BoolType():
            return True
        case mi.IntType():
            return 3
        case mi.DecimalType():
            return Decimal("1.5")
        case mi.FloatType():
            return 0.5
    raise AssertionError(f"{form} is not a form of summaries")


def _fields(form: mi.StructType, kind: str) -> dict[str, Any]:
    return {field.encode_name: planted(field.type, kind, field.encode_name) for field in form.fields}


def doctored(kind: str) -> Summary:
    data = planted(mi.type_info(Summary), kind)
    data["run"]["kind"] = kind
    return msgspec.convert(data, Summary)


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield value


class Page(HTMLParser):
    """The tags of a page, and whether any of them does something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.active: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.active += [name for name, value in attrs if name.startswith("on") or name == "src"]
        self.active += [value or "" for name, value in attrs if name == "href" and not (value or "").startswith("#")]


def quiet(text: str, kept: str = "\n") -> bool:
    return all(c in kept or printable(c) for c in text)


every = pytest.mark.parametrize("kind", FORMS)


@every
def test_the_terminal_is_commanded_by_nothing_but_our_colours(kind: str) -> None:
    plain = terminal(doctored(kind), width=200)
    assert "P9" in plain
    assert quiet(plain)
    assert quiet(_SGR.sub("", terminal(doctored(kind), width=200, colour=True)))
    assert not [line for line in plain.splitlines() if line.startswith(("# P6", "> P7"))]


@every
def test_markdown_has_no_tag_link_or_format_that_is_not_ours(kind: str) -> None:
    text = markdown(doctored(kind))
    assert quiet(text)
    page = Page(MarkdownIt("gfm-like", {"linkify": False}).render(text))
    assert page.tags <= TAGS
    assert page.active == []
    assert not re.search(r"(?<!\\)://", text), "GitHub makes a link of it"


@every
def test_html_has_no_tag_or_attribute_that_is_not_ours(kind: str) -> None:
    text = html(doctored(kind), timeline(intervals(valid())))
    assert quiet(text)
    ours = html(valid(), timeline(intervals(valid())))
    assert "P9" in text
    assert Page(text).tags <= Page(ours).tags | {"b", "details", "summary", "pre", "circle", "line", "path", "rect"}
    assert Page(text).active == []


@every
def test_json_keeps_every_text_and_shows_what_cannot_be_seen(kind: str) -> None:
    encoded = encode(doctored(kind))
    assert quiet(encoded.decode())
    assert HOSTILE in set(leaves(json.loads(encoded)))


@every
def test_report_of_a_doctored_summary_is_clean_in_every_medium(tmp_path: Path, kind: str) -> None:
    (tmp_path / "summary.json").write_bytes(msgspec.json.Encoder(decimal_format="number").encode(doctored(kind)))
    said = CliRunner(env={"COLUMNS": "200"}).invoke(main, ["report", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert quiet(said.stdout)
    assert quiet(said.stderr)
    assert quiet((tmp_path / "report.md").read_text())
    texts = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text().replace("\\<", "")
    assert not [text for text in texts if "<script>alert" in text]


def test_report_of_a_summary_with_the_wrong_words_says_so_and_quotes_none(tmp_path: Path) -> None:
    data = msgspec.to_builtins(doctored("load"), builtin_types=(Decimal,))
    for change in (
        {"schema": HOSTILE},
        {"experiment": {**data["experiment"], "kind": HOSTILE}},
        {"run": HOSTILE},
        {HOSTILE: HOSTILE, "phases": HOSTILE},
        {"cost": {**data["cost"], "amount": HOSTILE}},
    ):
        (tmp_path / "summary.json").write_bytes(msgspec.json.encode({**data, **change}))
        said = CliRunner().invoke(main, ["report", str(tmp_path)])
        assert said.exit_code == 2
        assert quiet(said.stderr)
        assert "P1" not in said.stderr
        assert "summary.json is not a loadgen.summary/1 file" in said.stderr


@every
def test_a_secret_is_masked_in_every_text_that_may_be_from_outside(kind: str) -> None:
    masked = texts(doctored(kind), lambda text: text.replace(HOSTILE, "***"))
    kept = set(_fields_with(msgspec.to_builtins(masked, builtin_types=(Decimal,)), ""))
    assert kept <= OURS, "a new field of text: either it may be from outside, or it is one of summary._OURS"


OURS = {
    "kind", "version", "started_at", "ended_at", "scenario_sha256", "outcome", "status", "severity", "withholds",
    "model", "unit", "histogram_unit", "currency", "dated", "decided_by", "approach", "verdict", "bound_by", "by",
    "cost_unit", "policy", "whose", "arrival_clock", "disturbed_histogram",
}  # fmt: skip
"""Fields that hold words of this program only."""


def _fields_with(value: Any, field: str) -> Iterator[str]:
    """The fields that hold it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _fields_with(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields_with(inner, field)
    elif value == HOSTILE:
        yield field
