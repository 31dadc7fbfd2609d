"""Summaries built by hand, with the interval log that belongs to them. Deterministic, and nobody changes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from statistics import NormalDist

import msgspec

from loadgen.invocation.bill import Misbilled
from loadgen.invocation.sample import Failure, Slow
from loadgen.invocation.tally import Connections
from loadgen.measure import hlog
from loadgen.measure.ends import Moved
from loadgen.measure.histogram import Histogram
from loadgen.measure.merge import metric_summary
from loadgen.measure.percentile import LISTED
from loadgen.measure.summary import (
    SCHEMA,
    AgentHealth,
    Audit,
    Billing,
    Cost,
    Environment,
    Examples,
    Generator,
    MetricSummary,
    PhaseSummary,
    Preflight,
    Reason,
    Run,
    Summary,
    ThresholdResult,
    Verdict,
)

S = 1_000_000_000
HOSTILE = '<script>alert("1")</script>|`*_[x](https://evil.example/)\x1b[31m\n&amp;'


def spread(n: int, median_us: float, sigma: float = 0.3) -> list[int]:
    """``n`` values in µs, evenly over the quantiles of a log-normal distribution."""
    normal = NormalDist()
    return [round(median_us * math.exp(sigma * normal.inv_cdf((i + 0.5) / n))) for i in range(n)]


def histogram(values_us: Iterable[int]) -> Histogram:
    counted = Histogram()
    for value in values_us:
        counted.record(value)
    return counted


def metric(name: str, values: Iterable[int], failed: Iterable[int] = (), censored: Iterable[int] = ()) -> MetricSummary:
    """``values`` are of ok invocations; on top come ``failed`` and ``censored`` ones, which took at least that."""
    bounds = list(censored)
    return metric_summary(
        name, histogram(values), LISTED, failed=histogram([*failed, *bounds]), censored=histogram(bounds)
    )


def metrics(n: int, failed: Iterable[int] = (), censored: Iterable[int] = ()) -> dict[str, MetricSummary]:
    """The metrics of ``n`` ok invocations; ``failed`` and ``censored`` are the latencies of the others, in µs."""
    service = spread(n, 21_000)
    lag = spread(n, 60, 0.5)
    return {
        "latency": metric("latency", [a + b for a, b in zip(service, lag, strict=True)]),
        "latency_all": metric("latency_all", [a + b for a, b in zip(service, lag, strict=True)], failed, censored),
        "service_time": metric("service_time", service),
        "lag": metric("lag", lag),
        "waited": metric("waited", [0] * n),
        "late": metric("late", lag),
        "duration": metric("duration", spread(n, 16_000)),
        "billed_duration": metric("billed_duration", [1000 * math.ceil(v / 1000) for v in spread(n, 16_000)]),
        "overhead": metric("overhead", spread(n, 5_000, 0.2)),
        "memory_used": metric("memory_used", [41_000 + i % 300 for i in range(n)]),
        "connect": metric("connect", [0] * n),
    }


def phase(
    name: str,
    seconds: int,
    outcomes: dict[str, int],
    *,
    warmup: bool = False,
    model: str = "open",
    measured: dict[str, MetricSummary] | None = None,
    failures: Iterable[Failure] = (),
    notes: Iterable[str] = (),
    billing: Billing | None = None,
) -> PhaseSummary:
    planned = sum(outcomes.values())
    dropped, unfinished = outcomes.get("dropped", 0), outcomes.get("unfinished", 0)
    started = planned - dropped
    ok = outcomes.get("ok", 0)
    return PhaseSummary(
        name=name,
        warmup=warmup,
        model=model,
        duration_ns=seconds * S,
        planned=planned,
        started=started,
        completed=started - unfinished,
        dropped=dropped,
        unfinished=unfinished,
        planned_rate=planned / seconds,
        achieved_rate=started / seconds,
        outcomes=outcomes,
        reasons={f"{outcome}/{outcome}": n for outcome, n in outcomes.items()},
        connections=Connections(opened=8, reused=max(0, started - 8)),
        examples=Examples(
            failures=list(failures),
            slowest=[Slow(120_000_000 - i * 1_000_000, 119_000_000 - i * 1_000_000, "ok", f"r-{i}") for i in range(3)]
            if ok
            else [],
        ),
        metrics=measured if measured is not None else metrics(ok),
        by_outcome={},
        by_start={},
        notes=list(notes),
        billing=billing,
    )


def bill(requests: int, *, unmetered: int = 0, refused: int = 0, audit: Audit | None = None) -> Billing:
    """Each request was billed 17 ms with 512 MB."""
    used = Decimal("0.0085") * (requests - unmetered)
    return Billing(
        amount=used * Decimal("0.00011108") + requests * Decimal("0.00000133"),
        gb_seconds=used,
        requests=requests,
        unmetered=unmetered,
        refused=refused,
        audit=audit or Audit({"1 ms": requests}, 0, 0, None),
    )


def cost(billing: Billing) -> Cost:
    """What a run is charged, with the prices that come with loadgen."""
    return Cost(
        currency="CNY",
        amount=billing.amount,
        per_million=Decimal("2.27418"),
        gb_seconds=billing.gb_seconds,
        requests=billing.requests,
        unmetered=billing.unmetered,
        refused=billing.refused,
        price_book="huawei-cny-2024-09",
        dated="2024-09",
        per_million_requests=Decimal("1.33"),
        per_gb_second=Decimal("0.00011108"),
    )


def summary(
    phases: list[PhaseSummary],
    totals: PhaseSummary,
    verdict: Verdict,
    thresholds: Iterable[ThresholdResult] = (),
    *,
    name: str = "warm-latency",
    synthetic: bool = True,
    interrupted: bool = False,
    stopped: str | None = None,
    charged: Cost | None = None,
) -> Summary:
    return Summary(
        schema=SCHEMA,
        run=Run(
            id="20261122T031500Z-5c1f",
            name=name,
            kind="load",
            started_at="2026-11-22T03:15:00Z",
            ended_at="2026-11-22T03:15:36Z",
            interrupted=interrupted,
            version="0.1.0",
            stopped=stopped,
        ),
        scenario={
            "name": name,
            "target": {"endpoint": "emulator", "function": "urn:fss:local:demo:function:default:hello:latest"},
            "phases": [{"name": item.name, "duration": f"{item.duration_ns // S}s"} for item in phases],
        },
        environment=Environment(
            version="0.1.0",
            python="3.13.1",
            build="pure",
            uvloop="0.22.1",
            timer="timerfd",
            tls_library="OpenSSL 3.5.4",
            kernel="Linux 6.12.0",
            cpu_model="Example CPU",
            usable_cores=4,
            cgroup_cpu_limit=2.0,
            cgroup_memory_limit_bytes=None,
            nofile=65536,
            agents=1,
            scenario_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            synthetic=synthetic,
            address="127.0.0.1:41234",
            local_ports=28_232,
        ),
        preflight=Preflight("ok", "ok", 200, 412_345_678, "pre-1"),
        verdict=verdict,
        phases=phases,
        totals=totals,
        cost=charged,
        thresholds=list(thresholds),
        generator=Generator(
            agents=[
                AgentHealth(
                    agent=0,
                    cpu=0.2134,
                    rss_bytes=61 << 20,
                    frames=36,
                    loop_lag_ns=870_000,
                    timer_error_ns=43_000,
                    gc_collections=0,
                    gc_pause_ns=0,
                    open_files=27,
                    recent_connections=12,
                    least_idle=0.612,
                    stolen=0.0004,
                    throttled=0,
                    throttled_ns=0,
                )
            ],
            cpu=0.2134,
            loop_lag_ns=870_000,
            timer_error_ns=43_000,
            gc_pause_ns=0,
            least_idle=0.612,
            stolen=0.0004,
            throttled_ns=0,
            overhead_floor_ns=310_000,
        ),
        experiment=None,
    )


@cache
def valid() -> Summary:
    """A warm-up and 6,000 ok invocations in 30 s."""
    warm = phase("warm-up", 5, {"ok": 900}, warmup=True, model="closed", billing=bill(900))
    steady = phase("steady", 30, {"ok": 6000}, billing=bill(6000))
    thresholds = [
        ThresholdResult("latency.p99 < 250ms", 44_100_000, True, "44.1 ms is below 250 ms", "value"),
        ThresholdResult("errors < 0.1%", 0.0, True, "none of 6000", "value"),
        ThresholdResult("achieved_rate > 190/s", 200.0, True, "200 per second is above 190", "value"),
        ThresholdResult("cost < 0.5 CNY", 0.01364508, True, "6000 invocations, free tier left out", "value"),
    ]
    totals = phase("totals", 30, {"ok": 6000}, billing=bill(6000))
    return summary([warm, steady], totals, Verdict("valid", []), thresholds, charged=cost(bill(6901)))


@cache
def degraded() -> Summary:
    """Two phases with failures and timeouts (censored), the tails of one withheld; too few for p99.9."""
    failures = [
        Failure("throttled", "status_429", 429, "FSS.0429", "r-9", '{"error_code": "FSS.0429"}'),
        Failure("timeout", "first_byte", None, None, None, ""),
    ]
    steady_outcomes = {"ok": 1900, "throttled": 60, "timeout": 40}
    steady = phase(
        "steady",
        20,
        steady_outcomes,
        measured=metrics(1900, failed=[9_000] * 60, censored=[100_000] * 40),
        failures=failures,
        notes=["the feeder ran out of rows after 2000 arrivals"],
        billing=bill(
            1940,
            unmetered=40,
            refused=60,
            audit=Audit({"1 ms": 1890, "100 ms": 3}, 7, 1, Misbilled(12_300_000, 50_000_000, "r-7")),
        ),
    )
    peak = phase("peak", 10, {"ok": 800}, billing=bill(800))
    totals = phase(
        "totals",
        30,
        {"ok": 2700, "throttled": 60, "timeout": 40},
        measured=metrics(2700, failed=[9_000] * 60, censored=[100_000] * 40),
    )
    reasons = [
        Reason(
            "late_starts",
            "withheld",
            "99 % of the starts were up to 2.4 ms late, more than the 1 ms allowed; give the generator more CPU.",
            2_400_000.0,
            1_000_000.0,
            "peak",
            "tails",
        ),
        Reason(
            "failures",
            "warning",
            "100 of 2000 invocations were not ok (60 throttled, 40 timeout).",
            0.05,
            0.001,
            "steady",
        ),
    ]
    thresholds = [
        ThresholdResult("latency.p99 < 250ms", None, None, "withheld by late_starts"),
        ThresholdResult("steady:errors < 0.1%", 0.05, False, "5 % is not below 0.1 %", "value"),
        ThresholdResult("steady:latency.p50 < 50ms", 21_100_000, True, "21.1 ms is below 50 ms", "value"),
        ThresholdResult("steady:latency.p99 < 250ms", None, False, "5 % of the calls failed", "value"),
    ]
    return summary(
        [steady, peak],
        totals,
        Verdict("degraded", reasons),
        thresholds,
        interrupted=True,
        stopped="budget.throttled: 60 of the last 100 invocations were throttled, more than 50 %",
        charged=cost(bill(2741, unmetered=40, refused=60)),
    )


@cache
def censored() -> Summary:
    """One phase whose upper percentiles fall among the timeouts."""
    outcomes = {"ok": 1900, "timeout": 100}
    one = phase("steady", 20, outcomes, measured=metrics(1900, censored=[100_000_000] * 100))
    totals = phase("totals", 20, outcomes, measured=metrics(1900, censored=[100_000_000] * 100))
    reasons = [Reason("failures", "warning", "100 of 2000 invocations were not ok.", 0.05, 0.001, "steady")]
    return summary([one], totals, Verdict("degraded", reasons), synthetic=False)


@cache
def invalid() -> Summary:
    """A run whose generator could not keep its schedule."""
    steady = phase("steady", 30, {"ok": 5000, "dropped": 1000})
    reasons = [
        Reason(
            "rate_missed",
            "invalid",
            "83.3 % of the planned invocations were started, expected at least 99.9 %; lower the rate or add agents.",
            0.8333,
            0.999,
            "steady",
            "all",
        )
    ]
    thresholds = [ThresholdResult("latency.p99 < 250ms", None, None, "the run is invalid")]
    totals = phase("totals", 30, {"ok": 5000, "dropped": 1000})
    return summary([steady], totals, Verdict("invalid", reasons), thresholds, synthetic=False)


@cache
def empty() -> Summary:
    """Not one ok invocation, in a closed phase, with a hostile answer."""
    outcomes = {"connection": 12, "ok": 0}
    failure = Failure("connection", HOSTILE, None, HOSTILE, HOSTILE, HOSTILE)
    measured = metrics(0, failed=[300] * 12)
    one = phase("p", 10, outcomes, model="closed", measured=measured, failures=[failure])
    totals = phase("totals", 10, outcomes, model="closed", measured=measured)
    reasons = [Reason("failures", "warning", "12 of 12 invocations were not ok.", 1.0, 0.001, "p")]
    return summary([one], totals, Verdict("degraded", reasons), name=HOSTILE, synthetic=False)


@cache
def ranged() -> Summary:
    """Of 6,080 calls 80 that a stop of the generator disturbed, 20 of which were refused; then workers."""
    disturbed = spread(60, 90_000, 0.2)
    moved = Moved(ok=histogram(disturbed), astray=20, open=True)
    every = Moved(ok=histogram(disturbed), failed=histogram([400] * 20), open=True)
    ok = spread(6000, 21_000)
    measured = {
        **metrics(6000),
        "latency": metric_summary("latency", histogram(ok), LISTED, moved=moved),
        "latency_all": metric_summary("latency_all", histogram(ok), LISTED, failed=histogram([]), moved=every),
    }
    outcomes = {"ok": 6060, "throttled": 20}
    steady, totals = (
        msgspec.structs.replace(
            phase(name, 30, outcomes, measured=measured), disturbed={"ok": 60, "throttled": 20}, by_start={}
        )
        for name in ("steady", "totals")
    )
    closed = msgspec.structs.replace(
        phase("workers", 5, {"ok": 900}, model="closed"), workers=4.0, in_flight_mean=3.214
    )
    late = Reason(
        "late_starts",
        "range",
        "The load generator itself disturbed 80 of 6080 invocations (1.32%): p99, p99.9 and max of latency are shown "
        "as ranges. In its way: it stood still for up to 90 ms. Leave the machine's cores to the run.",
        80 / 6080,
        None,
        "steady",
        whose="generator",
        figures=["latency.p99", "latency.p99.9", "latency.max"],
        causes=["generator_stalled"],
    )
    bound = Reason(
        "generator_bound", "range", "The rate of these workers is the load generator's.", 0.08, 0.05, "workers",
        whose="generator", figures=["achieved_rate"],
    )  # fmt: skip
    thresholds = [
        ThresholdResult("latency.p99 < 250ms", None, None, "it may be from 42 ms", None, 42_000_000),
        ThresholdResult("latency.p50 < 50ms", None, True, "all that it may be", "bounds", 20_000_000, 31_000_000),
        ThresholdResult("errors < 0.1%", None, None, "without them it may hold", None, 0.0, 20 / 6080),
        ThresholdResult("workers:achieved_rate > 200/s", None, None, "the generator's", None, 180.0),
    ]
    return summary([steady, closed], totals, Verdict("degraded", [late, bound]), thresholds, synthetic=False)


def intervals(built: Summary) -> Iterator[str]:
    """The lines of intervals.hlog that a run with these phases could have left, a line end on each."""
    for text in hlog.header(1_795_317_300_000):
        yield f"{text}\n"
    began = 0
    for item in built.phases:
        seconds = item.duration_ns // S
        for second in range(seconds):
            ok = item.outcomes.get("ok", 0) // seconds
            slow = 1.0 + 0.15 * math.sin(second)
            latencies = [round(value * slow) for value in spread(ok, 21_000)]
            failed = (item.planned - item.outcomes.get("ok", 0)) // seconds
            at = began + second * S
            for name, values in (
                ("latency", latencies),
                ("service_time", latencies),
                ("latency_all", [*latencies, *[9_000] * failed]),
            ):
                yield hlog.line(f"{item.name}.{name}", at, S, histogram(values)) + "\n"
        began += item.duration_ns
