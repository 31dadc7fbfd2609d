"""Golden files of every rendering, and what must hold for all of them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from loadgen.measure.summary import Summary, decode, encode
from loadgen.report.html import carried, html
from loadgen.report.markdown import markdown
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline
from loadgen.text import foreign
from tests.report.builders import HOSTILE, censored, degraded, empty, intervals, invalid, ranged, valid

Build = Callable[[], Summary]
BUILDS: list[Build] = [valid, degraded, censored, ranged, invalid, empty]
every = pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)


class PageExtension(SingleFileSnapshotExtension):
    """One file a page, so that it opens in a browser."""

    _write_mode = WriteMode.TEXT
    file_extension = "html"


def page(built: Summary) -> str:
    """The page without the script and the style sheet, which are the same in all."""
    text = html(built, timeline(intervals(built)))
    for part in carried().values():
        assert text.count(part) == 1
        text = text.replace(part, "")
    return text


@every
def test_terminal(build: Build, snapshot: SnapshotAssertion) -> None:
    assert terminal(build()) == snapshot


@every
def test_markdown(build: Build, snapshot: SnapshotAssertion) -> None:
    assert markdown(build()) == snapshot


def test_a_range_of_the_generator_is_written_alike_everywhere() -> None:
    built, gap = ranged(), "\N{NO-BREAK SPACE}"
    rate = "≥ 180/s"
    texts = [terminal(built, width=200), markdown(built), page(built)]
    for text in texts:
        for written in (f"from 42.0{gap}ms", f"20.0–31.0{gap}ms", f"up to 0.3{gap}%", rate, "generator", "80"):
            assert unescaped(written) in unescaped(text), written
        assert "3.21 calls in flight on average, of 4 workers" in unescaped(text)


def unescaped(text: str) -> str:
    """Without what a medium needs to write it."""
    return " ".join(text.replace("\\", "").replace("\N{NO-BREAK SPACE}", " ").replace("&nbsp;", " ").split())


def test_html(snapshot: SnapshotAssertion) -> None:
    """Of the Summary that has most of what a page can have."""
    assert page(degraded()) == snapshot(extension_class=PageExtension)


@every
def test_the_page_says_all_that_the_terminal_does(build: Build) -> None:
    built = build()
    collected = Collected()
    collected.feed(page(built))
    said = plain(" ".join(collected.texts))
    for text in (built.verdict.status, *(plain(reason.message) for reason in built.verdict.reasons)):
        assert text in said
    name = foreign.line(built.run.name)  # which is a heading of its own in a page
    for line in terminal(built, width=200).replace(f"{name}: ", "  ", 1).splitlines():
        if (
            not line.strip().lower().startswith((built.verdict.status, "- ", "! "))
        ):  # a page has these in a form of its own
            for cell in re.split(r"\s{2,}", line.strip()):
                assert plain(cell) in said


def plain(text: str) -> str:
    return " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())


@every
@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_terminal_line_is_wider_than_asked_unless_a_name_is(build: Build, width: int) -> None:
    for line in terminal(build(), width=width).splitlines():
        assert len(line) <= max(width, 90), line


def test_a_narrow_terminal_leaves_no_figure_out() -> None:
    wide, narrow = terminal(valid(), width=200), terminal(valid(), width=40)
    for figure in re.findall(r"[\d.]+\u00a0ms", wide):
        assert figure in narrow


def test_colour_adds_nothing_but_ansi_sequences() -> None:
    for build in BUILDS:
        assert re.sub(r"\x1b\[[\d;]*m", "", terminal(build(), colour=True)) == terminal(build())


def test_without_colour_there_is_no_escape_sequence_even_from_foreign_text() -> None:
    assert "\x1b" not in terminal(empty())
    assert "\x1b" not in markdown(empty())
    assert "\x1b" not in page(empty())


@pytest.mark.parametrize("build", [degraded, invalid, censored], ids=lambda build: build.__name__)
def test_what_is_wrong_stands_before_every_number(build: Build) -> None:
    built = build()
    for text in (terminal(built), markdown(built), page(built)):
        body = text[text.find("<body>") :] if "<body>" in text else text
        assert body.index(built.verdict.reasons[0].rule.split("_")[0]) < body.index(
            "latency_all" if "latency_all" in body else "Times"
        )


@pytest.mark.parametrize("render", [terminal, markdown, page], ids=["terminal", "markdown", "html"])
def test_an_invalid_run_prints_none_of_its_times(render: Callable[[Summary], str]) -> None:
    built = invalid()
    text = render(built)
    for name, metric in built.totals.metrics.items():
        for item in metric.percentiles:
            shown = f"{item.value / 1e6:.3g}\u00a0ms"
            assert item.value < 1_000_000 or shown not in text, (name, item.p)


def test_synthetic_numbers_say_so_and_others_do_not() -> None:
    for render in (terminal, markdown, page):
        assert "Synthetic" in render(valid())
        assert "Synthetic" not in render(censored())


class Collected(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@every
def test_the_page_fetches_nothing_and_runs_nothing_but_its_own_script(build: Build) -> None:
    text = page(build())
    collected = Collected()
    collected.feed(text)
    names = {name for name, _ in collected.attributes}
    assert not {"src", "srcset", "action", "style"} & names
    assert all((value or "").startswith("#") for name, value in collected.attributes if name == "href")
    assert not any(name.startswith("on") for name in names)
    assert not {"link", "iframe", "img", "object", "base", "form"} & set(collected.tags)
    assert collected.tags.count("script") == 2
    assert '<script type="application/json" id="plots">' in text
    assert "<script></script>" in text
    for part in (text, *carried().values()):
        assert "url(" not in part
        assert "@import" not in part


def test_every_link_of_the_page_leads_to_a_part_of_it() -> None:
    for build in BUILDS:
        collected = Collected()
        collected.feed(page(build()))
        ids = [value for name, value in collected.attributes if name == "id"]
        assert len(set(ids)) == len(ids)
        for name, value in collected.attributes:
            assert name != "href" or (value or "").removeprefix("#") in ids


def test_the_policy_names_the_hashes_of_what_the_page_carries() -> None:
    policy = carried()["policy"]
    assert "unsafe" not in policy
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(carried()[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_hostile_text_is_escaped_in_html_and_inert_in_markdown() -> None:
    assert "<script>alert" not in page(empty())
    assert "&lt;script&gt;" in page(empty())
    text = markdown(empty())
    assert not re.search(r"(?<!\\)<(?! )", text)
    assert not re.search(r"(?<!\\)://", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    rows = [line for line in text.splitlines() if line.startswith("| p ") and "alert" in line]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [8]


def test_a_summary_read_from_its_file_renders_the_same() -> None:
    built = degraded()
    assert page(decode(encode(built))) == page(built)


def test_without_intervals_the_page_says_why_there_is_no_chart_over_time() -> None:
    text = html(valid(), timeline([]))
    assert "intervals.hlog holds no intervals" in text
    assert "Latency by percentile" in text


def test_the_builders_hostile_text_is_hostile() -> None:
    assert {"<", "`", "|", "\x1b", "\n", "&"} <= set(HOSTILE)
