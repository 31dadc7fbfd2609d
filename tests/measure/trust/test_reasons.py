"""Each reason says what was seen, what was expected, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from loadgen.experiments.load.findings import LoadResult
from loadgen.experiments.load.reasons import found
from loadgen.invocation.bill import Misbilled
from loadgen.invocation.cell import CALL
from loadgen.invocation.metric import Metric
from loadgen.measure.histogram import HIGHEST
from loadgen.measure.interval import Frame, Health
from loadgen.measure.labelling import Labelling
from loadgen.measure.rule import MetricRule, Rule
from loadgen.measure.summary import Reason, Verdict
from loadgen.measure.trust.rule import words
from loadgen.measure.verdict import judge
from loadgen.text.units import NS_PER_S
from tests.frames import PUNCTUAL, clean, plan, total

OK = range(10_000, 30_000, 20)


def judged(
    frame: Frame, rules: Iterable[Rule] = (), *, floor_ns: int | None = None, memory_mb: int | None = None
) -> Verdict:
    plans, phases = [plan(drawn=frame.tally.planned)], [total(frame)]
    return judge(plans, phases, list(rules), overhead_floor_ns=floor_ns, memory_mb={CALL: memory_mb})


def rule(p: float, start: str | None = None) -> MetricRule:
    return MetricRule(f"latency.p{p:g} < 1s", None, start, Metric.LATENCY, "p", p, NS_PER_S)


def workers(late_us: int, paused_ns: int = 0) -> Verdict:
    times = {"ok/service_time": [1_000] * 1000, "ok/late": [late_us] * 1000}
    frame = clean(latencies={"ok": [1_000] * 1000}, metrics=times)
    return judge([plan(closed=True)], [total(msgspec.structs.replace(frame, paused_ns=paused_ns))])


def dropped(**reasons: int) -> Verdict:
    """Starts that were dropped; those for reasons of ours are disturbed."""
    ours, theirs = reasons.get("phase_end_late", 0), reasons.get("phase_end", 0)
    latencies = {"ok": OK, "dropped": [9] * theirs} if theirs else {"ok": OK}
    disturbed = {"dropped": [9] * ours} if ours else None
    return judged(
        clean(latencies=latencies, disturbed=disturbed, reasons={f"dropped/{why}": n for why, n in reasons.items()})
    )


def unconnected(n: int) -> Verdict:
    return judged(clean(disturbed={"connection": [10] * n}, reasons={"connection/local_limit": n}))


def stepped() -> Verdict:
    return judged(msgspec.structs.replace(clean(), health=Health(clock_step_ns=3_000_000)))


def stepped_after_late_starts() -> Verdict:
    """Ten calls that ended while the clock was set, and twelve that were disturbed."""
    late = clean(disturbed={"ok": [60_000] * 12}, final=False)
    few = clean(seq=1, latencies={"ok": [20_000] * 10}, metrics={})
    phase = total(late, msgspec.structs.replace(few, health=Health(clock_step_ns=3_000_000)))
    return judge([plan(drawn=1022)], [phase])


def incomplete() -> Verdict:
    half = {"ok": range(10_000, 30_000, 40)}
    frames = [clean(latencies=half, final=False), clean(latencies=half, seq=3, final=False)]
    phases = [total(*frames), total(clean(phase="later", seq=9))]
    return judge([plan(drawn=1000), plan("later", drawn=1000)], phases)


def unbelieved(name: str, n: int) -> Verdict:
    told = {} if name == "memory_size" else {f"ok/{name}": [5_000] * (1000 - n)}
    answers = clean(metrics=PUNCTUAL | told, unbelieved={name: n})
    answers.tally.metered = 1000 - n if name == "memory_size" else 7
    return judged(answers)


def misbilled(underbilled: int) -> Verdict:
    answers = clean(misbilled=10, underbilled=underbilled, worst_bill=Misbilled(12_300_000, 50_000_000, "r"))
    answers.tally.billing_units = {1_000_000: 980, 100_000_000: 10}
    return judged(answers)


def half_a_minute(calls: Callable[[int], Iterable[int]]) -> Verdict:
    """A phase of which each second has such calls."""
    frames = [
        clean(latencies={"ok": calls(second)}, metrics={}, seq=second, final=second == 29) for second in range(30)
    ]
    phase = total(*frames)
    return judge([plan(drawn=phase.tally.planned, seconds=30)], [phase])


def bursts(second: int) -> Iterable[int]:
    """Two seconds in the middle are four times as slow as the others."""
    return [(4 if second in (10, 11) else 1) * us for us in range(10_000, 30_000, 200)]


def heaps(second: int) -> Iterable[int]:
    """Three of ten are slow in every sixth second."""
    return [20_000] * 7 + [20_000 if second % 6 else 90_000] * 3


def drift(second: int) -> Iterable[int]:
    """Each second is slower than the one before, and two calls of every third are slow besides."""
    return [10_000 + 500 * second] * 6 + [10_000 + 500 * second if second % 3 else 90_000] * 2


def locked() -> Verdict:
    return judge([msgspec.structs.replace(plan(drawn=1000), locked=0.0002)], [total(clean())])


def unlabelled() -> Verdict:
    abstained = LoadResult(Labelling("warm-up", 40, "too few"))
    return judge([plan(drawn=1000)], [total(clean())], [rule(50, "cold")], found=found(abstained))


VERDICTS = {
    "late_starts": judged(clean(disturbed={"ok": [60_000] * 12})),
    "late_starts, and one figure": judged(
        clean(latencies={"ok": OK, "platform_error": [5_000] * 3}, disturbed={"platform_error": [5_000] * 2})
    ),
    "late_starts, another load": judged(clean(metrics={"ok/late": [5] * 900 + [50_000] * 100})),
    "clock_stepped": stepped(),
    "clock_stepped, after late_starts": stepped_after_late_starts(),
    "rate_missed": dropped(phase_end_late=20),
    "rate_missed, and more without a worker": dropped(phase_end_late=20, phase_end=5),
    "rate_missed, another schedule": judge([plan(drawn=1011)], [total(clean())]),
    "generator_limits, few": unconnected(10),
    "generator_limits, many": unconnected(11),
    "generator_bound": workers(60),
    "generator_bound, and stood still": workers(60, 200_000_000),
    "overhead_floor": judged(clean(), floor_ns=3_000_000),
    "record_incomplete": incomplete(),
    "nothing_measured": judge([], []),
    "clipped": judged(clean(latencies={"ok": [*range(10_000, 29_980, 20), HIGHEST]}, clipped=1)),
    "failures": judged(clean(latencies={"ok": OK, "timeout": [9] * 2, "auth": [9] * 3, "gateway": [9] * 2})),
    "failures, throttled": judged(clean(latencies={"ok": OK, "throttled": [9] * 2})),
    "failures, of connections": judged(
        clean(
            latencies={"ok": OK, "connection": [9] * 11},
            disturbed={"connection": [9] * 4},
            reasons={"connection/refused": 11, "connection/local_limit": 4},
        )
    ),
    "failures, of refused connections": judged(
        clean(latencies={"ok": OK, "connection": [9] * 11}, reasons={"connection/refused": 11})
    ),
    "throttled": judged(clean(latencies={"ok": OK, "throttled": [9]})),
    "status_inside and no status": judged(clean(reasons={"ok/status_inside": 3, "gateway/status_502": 1})),
    "redirects": judged(clean(reasons={"ok/redirect": 3})),
    "without_content": judged(clean(reasons={"ok/status_302": 3, "ok/status_300": 1})),
    "without_content, 304": judged(clean(reasons={"ok/status_304": 2})),
    "dropped": dropped(phase_end=50),
    "pool_saturated": judged(clean(metrics={"ok/waited": [0] * 990 + [1_200] * 10})),
    "pool_saturated, by all": judged(clean(metrics={"ok/waited": [1_200] * 1000})),
    "connects_in_latency, of all": judged(clean(metrics={"ok/connect": [800] * 1000})),
    "connects_in_latency": judged(clean(metrics={"ok/connect": [0] * 979 + [800] * 21})),
    "feeder_exhausted": judge([plan(drawn=5000)], [total(clean(feeder_exhausted=True))]),
    "phase_locked": locked(),
    "negative_overhead": judged(clean(negative_overhead=3)),
    "summary_missing": judged(clean(metrics=PUNCTUAL | {"ok/duration": [5_000] * 990}, summary_missing=10)),
    "summary_missing, and not believed": judged(
        clean(metrics=PUNCTUAL | {"ok/duration": [5_000] * 980}, summary_missing=10, unbelieved={"duration": 10})
    ),
    **{
        f"unbelievable {name}, {n}": unbelieved(name, n)
        for name in ("duration", "billed_duration", "memory_used", "memory_size")
        for n in (1, 2)
    },
    "billing_mismatch": misbilled(0),
    "billing_mismatch, less than ran": misbilled(1),
    "memory_ignored": judged(clean(billed_ns={128: 100, 256: 200, 512: 700}), memory_mb=512),
    "dependent_samples": half_a_minute(bursts),
    "dependent_samples, in heaps": half_a_minute(heaps),
    "dependent_samples, of a drift": half_a_minute(drift),
    "starts_unknown": unlabelled(),
    "too_few_samples": judged(clean(latencies={"ok": range(1, 151)}, metrics={})),
    "too_few_samples, and disturbed ones": judged(
        clean(latencies={"ok": range(1, 151)}, metrics={}, disturbed={"ok": [100] * 100})
    ),
    "too_few_samples, of all": judged(clean(latencies={"ok": range(1, 6)}, metrics={})),
    "too_few_samples for a threshold": judged(clean(), [rule(99.9)]),
    "too_few_samples for any threshold": judged(clean(), [rule(100)]),
}


def told(reason: Reason) -> str:
    """A reason as text: what it is, how much of it, and what it says."""
    kind = (
        f"{reason.rule}: {reason.severity}, of the {reason.whose}, phase {reason.phase}, withholds {reason.withholds}"
    )
    about = f"figures: {', '.join(reason.figures)}; causes: {', '.join(reason.causes)}"
    value = float(f"{reason.value:.6g}") if isinstance(reason.value, float) else reason.value
    return f"{kind}\n{about}\n{value} against {reason.limit}\n{reason.message}"


@pytest.mark.parametrize("name", VERDICTS)
def test_a_reason_says_what_was_seen_what_was_expected_and_what_to_do(name: str, snapshot: SnapshotAssertion) -> None:
    assert "\n\n".join(map(told, VERDICTS[name].reasons)) == snapshot


@pytest.mark.parametrize(
    ("us", "said"),
    [
        (0.5, "0.5 µs"),
        (999, "999 µs"),
        (1_000, "1 ms"),
        (1_234.5, "1.234 ms"),
        (999_900, "999.9 ms"),
        (1_000_000, "1 s"),
        (72_000_000, "72 s"),
    ],
)
def test_a_time_is_said_in_the_largest_unit_that_it_has_one_of(us: float, said: str) -> None:
    assert words(us) == said
