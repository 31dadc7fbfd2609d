"""summary.json keeps its form, and comes back as it was written."""

from __future__ import annotations

import re

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from loadgen.invocation.metric import Metric
from loadgen.invocation.sample import Failure, Slow
from loadgen.measure import summary
from loadgen.measure.merge import generator, phase_summary, totals
from loadgen.measure.rule import MetricRule, Rule, ShareRule
from loadgen.measure.summary import Environment, Preflight, Run, Summary
from loadgen.measure.threshold import evaluate, named_percentiles
from loadgen.measure.verdict import judge
from loadgen.report.html import html
from loadgen.report.markdown import markdown
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline
from tests.frames import frame, plan, total


def made() -> Summary:
    """A phase of 990 ok calls, six failed ones and four dropped starts, with two thresholds."""
    phase = total(
        frame(
            {"ok": range(10_000, 29_800, 20), "gateway": [9_000] * 6, "dropped": [700] * 4},
            metrics={"ok/late": [4] * 990, "ok/memory_used": [4096] * 990},
            reasons={"gateway/status_502": 6, "dropped/phase_end": 4},
            failures=[Failure("gateway", "status_502", 502, None, "req-1", "Bad Gateway")],
            slowest=[Slow(29_780_000, 29_770_000, "ok", "req-2")],
        )
    )
    rules: list[Rule] = [
        MetricRule("latency.p99.5 < 250ms", None, None, Metric.LATENCY, "p", 99.5, 250_000_000),
        ShareRule("errors < 2%", None, "errors", 0.02),
    ]
    plans, phases, ps = [plan(drawn=1000)], [phase], named_percentiles(rules)
    summaries, over_all = [phase_summary(plans[0], phase, ps)], totals(plans, phases, ps)
    verdict = judge(plans, phases, rules)
    return Summary(
        schema=summary.SCHEMA,
        run=Run("1", "steady", "load", "2025-01-01T00:00:00Z", "2025-01-01T00:00:10Z", False, "0"),
        scenario={"name": "steady"},
        environment=Environment(
            version="0",
            python="3.11",
            build="pure",
            uvloop=None,
            timer="timerfd",
            tls_library="",
            kernel="",
            cpu_model="",
            usable_cores=1,
            cgroup_cpu_limit=None,
            cgroup_memory_limit_bytes=None,
            nofile=1024,
            agents=1,
            scenario_sha256="",
            synthetic=True,
        ),
        preflight=Preflight("ok", "ok", 200, 1_000, None),
        verdict=verdict,
        phases=summaries,
        totals=over_all,
        cost=None,
        thresholds=evaluate(rules, summaries, over_all, verdict),
        generator=generator(phases),
        experiment=None,
    )


def test_summary_json_keeps_its_form(snapshot: SnapshotAssertion) -> None:
    """The blobs are left out: their bytes depend on the version of zlib, and they have tests of their own."""
    text = summary.encode(made()).decode()
    assert re.sub(r'"histogram": "[^"]*"', '"histogram": "…"', text) == snapshot


def test_a_summary_comes_back_as_it_was_written() -> None:
    assert summary.decode(summary.encode(made())) == made()


def test_a_summary_of_another_schema_is_refused() -> None:
    other = msgspec.structs.replace(made(), schema="loadgen.summary/2")
    with pytest.raises(msgspec.ValidationError, match=r"another schema, expected loadgen.summary/1"):
        summary.decode(summary.encode(other))


ANSWERED = {"outcome", "answer", "next", "stretch"}
"""Of the Summary itself; elsewhere there were fields of these names before."""
ADDED = {
    "failed", "low_failed", "high_failed", "least", "most", "decided_by", "disturbed", "disturbed_histogram", "ends",
    "low_end", "high_end", "low_end_failed", "high_end_failed", "unstamped", "workers", "in_flight_mean", "whose",
    "figures", "causes", "arrival_clock", "began_late_ns", "clock_step_ns", "by_call", "preflights", "call",
}  # fmt: skip


def without(node: object) -> object:
    if isinstance(node, dict):
        return {key: without(value) for key, value in node.items() if key not in ADDED}
    return [without(item) for item in node] if isinstance(node, list) else node


def test_a_summary_from_before_the_fields_that_were_added_is_read_and_shown() -> None:
    raw = without(msgspec.json.decode(summary.encode(made())))
    assert isinstance(raw, dict)
    older = summary.decode(msgspec.json.encode({key: each for key, each in raw.items() if key not in ANSWERED}))
    assert [each.decided_by for each in older.thresholds] == [None, None]
    assert older.totals.metrics["latency_all"].failed == 0
    for text in (terminal(older), markdown(older), html(older, timeline(()))):
        assert "latency.p99.5" in text


def test_the_json_schema_describes_the_summary() -> None:
    schema = summary.schema()
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    assert set(definitions["Summary"]["required"]) == set(Summary.__struct_fields__) - ADDED - ANSWERED
