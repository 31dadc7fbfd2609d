from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import unescape
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from loadgen.comparison.compare import compare
from loadgen.comparison.page import html
from loadgen.comparison.text import answer
from loadgen.measure.summary import Summary
from tests.comparison.runs import run, scenario, slower, totals

NOISE = 0.05


def page(base: Summary, *news: Summary) -> str:
    runs = [run(new, f"new {n}") for n, new in enumerate(news)]
    return html(compare(run(base, "base"), runs, NOISE), run(base, "base"), runs, NOISE)


def drawings(text: str, width: str = "wide") -> Sequence[ElementTree.Element]:
    found = [ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    return [each for each in found if each.get("class") == width]


def test_the_sentence_comes_before_every_picture() -> None:
    text = page(slower(1), slower(1.12))
    said, _ = answer(compare(run(slower(1)), [run(slower(1.12))], NOISE)[0], NOISE)
    word, _, rest = said.partition(":")
    assert 0 < text.index(f"<strong>{word}</strong>:{rest}") < text.index("<svg")


def test_the_page_allows_no_script_and_asks_for_nothing() -> None:
    text = page(slower(1), slower(1.12))
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not re.search(r"<script|<link|<img|url\(|@import|\son\w+=|https?://", text)


def test_names_from_outside_stay_text() -> None:
    planted = '<script>alert("1")</script>\u202e' + "n" * 10_000
    base = replace(slower(1), run=replace(slower(1).run, name=planted))
    text = page(base, base)
    assert "<script" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text
    assert len(text) < 60_000


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_each_ratio_has_a_dot_an_interval_and_its_words_beside_one_and_the_noise(width: str) -> None:
    text = page(slower(1), slower(1.12))
    ratios, curves = drawings(text, width)
    (compared,) = compare(run(slower(1)), [run(slower(1.12))], NOISE)
    known = [row for row in compared.rows if row.ratio and row.low is not None]
    marks = [each for each in ratios if "mark" in (each.get("class") or "")]
    assert len(marks) == len(known) == len([e for e in ratios if "interval" in (e.get("class") or "")])
    assert [each.get("class") for each in marks[:2]] == ["mark worse", "mark worse"]
    words = " ".join(each.text or "" for each in ratios.iter("text"))
    assert words.count("worse") == sum(row.verdict == "worse" for row in known)
    (noise,) = ratios.iter("rect")
    (one,) = (each for each in ratios if each.get("class") == "one")
    assert float(noise.get("x", 0)) < float(one.get("x1", 0)) < float(noise.get("x", 0)) + float(noise.get("width", 0))
    assert {each.text for each in curves.iter("text")} >= {"base", "new", "p99"}
    assert {each.get("class") for each in curves.iter("polygon")} == {"limits base", "limits new"}


def test_the_intervals_of_the_picture_are_those_of_the_rows() -> None:
    (ratios, _) = drawings(page(slower(1), slower(1.12)))
    lines = [each for each in ratios if (each.get("class") or "").startswith("interval")]
    one = float(next(e for e in ratios if e.get("class") == "one").get("x1", 0))
    (noise,) = ratios.iter("rect")
    per_log = (float(noise.get("x", 0)) + float(noise.get("width", 0)) - one) / 0.04879  # log 1.05
    (compared,) = compare(run(slower(1)), [run(slower(1.12))], NOISE)
    p50 = next(row for row in compared.rows if (row.metric, row.statistic) == ("latency", "p50"))
    assert p50.low is not None
    assert (float(lines[0].get("x1", 0)) - one) / per_log == pytest.approx(math.log(p50.low), abs=0.003)


def test_every_row_is_in_the_table_whether_it_can_be_drawn_or_not() -> None:
    failing = totals(slower(1), outcomes={"ok": 99_000, "throttled": 1_000})
    text = unescape(page(failing, slower(1)))
    (compared,) = compare(run(failing), [run(slower(1))], NOISE)
    for row in compared.rows:
        assert f"{row.metric}.{row.statistic}" in text
    assert text.count('<th scope="row">') == len(compared.rows)
    assert "more figures are in the table" in text


def test_runs_that_cannot_be_compared_have_no_picture_and_say_what_differs() -> None:
    text = page(scenario(slower(1), target={"connections": "fresh"}), slower(1))
    assert "<svg" not in text
    assert "NOT COMPARABLE" in text
    assert "target.connections differs" in text


def test_several_new_runs_stand_one_below_another_with_ids_of_their_own() -> None:
    text = page(slower(1), slower(1.12), slower(1))
    assert text.count("<section>") == 2
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert text.index("WORSE") < text.index("SAME")
