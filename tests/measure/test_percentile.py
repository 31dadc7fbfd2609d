"""Intervals agree with SciPy's binomial, and percentiles say when they cannot be had."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom

from loadgen.measure.dependence import Inflation
from loadgen.measure.histogram import Histogram, ceiling, lowest, slot
from loadgen.measure.merge import metric_summary
from loadgen.measure.percentile import (
    LISTED,
    bounded,
    needed,
    percentiles,
    ranks,
    ranks_of_dependent,
    supported,
)
from loadgen.measure.summary import Percentile
from tests.frames import histogram

TABLE = """
30     10..21       23..-        26..-        28..-        29..-
100    40..61       84..96       90..100      97..-        99..-
200    86..115      171..189     184..197     195..-       199..-
368    165..204     320..343     341..358     360..368     366..-
1000   469..532     881..919     936..964     983..997     997..-
2000   956..1045    1773..1827   1880..1920   1971..1989   1995..-
5000   2431..2570   4458..4542   4719..4781   4936..4964   4990..5000
10000  4902..5099   8941..9059   9457..9543   9880..9920   9983..9997
100000 49690..50311 89814..90187 94864..95136 98938..99062 99880..99920
"""


def interval(text: str) -> tuple[int, int | None]:
    low, high = text.split("..")
    return int(low), None if high == "-" else int(high)


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_ranks_are_those_of_the_published_table(row: str) -> None:
    n, *expected = row.split()
    assert [interval(text) for text in expected] == [ranks(int(n), q) for q in (0.5, 0.9, 0.95, 0.99, 0.999)]


sizes = st.one_of(st.integers(1, 100), st.integers(1, 10_000), st.integers(1, 2_000_000))
quantiles = st.one_of(st.floats(0.001, 0.999), st.sampled_from([p / 100 for p in LISTED]))


@given(sizes, quantiles, st.sampled_from([0.9, 0.95, 0.99]))
def test_ranks_agree_with_scipy(n: int, q: float, confidence: float) -> None:
    alpha = 1 - confidence
    low, high = int(binom.ppf(alpha / 2, n, q)), int(binom.ppf(1 - alpha / 2, n, q)) + 1
    for edge, at in ((alpha / 2, low), (1 - alpha / 2, high - 1)):  # on an exact tie rounding decides
        assume(all(abs(float(binom.cdf(k, n, q)) - edge) > 1e-11 for k in (at - 1, at)))
    assert ranks(n, q, confidence) == (low or None, high if high <= n else None)


@pytest.mark.parametrize("q", [0.5, 0.99, 0.9999])
def test_ranks_are_available_for_a_billion_observations(q: float) -> None:
    n = 10**9
    assert ranks(n, q) == (int(binom.ppf(0.025, n, q)), int(binom.ppf(0.975, n, q)) + 1)


def test_the_outermost_quantiles_have_no_outer_limit() -> None:
    assert ranks(100, 1) == (100, None)
    assert ranks(100, 0) == (None, 1)
    assert ranks(0, 0.5) == (None, None)


@pytest.mark.parametrize(("n", "q"), [(-1, 0.5), (10, -0.1), (10, 1.1)])
def test_ranks_of_nonsense_are_refused(n: int, q: float) -> None:
    with pytest.raises(ValueError, match="expected at least 0"):
        ranks(n, q)


@pytest.mark.parametrize(
    ("p", "least"), [(50, 20), (75, 40), (90, 100), (95, 200), (99, 1_000), (99.9, 10_000), (99.99, 100_000), (1, 368)]
)
def test_needed_is_the_smallest_supported_number(p: float, least: int) -> None:
    assert needed(p) == least
    assert supported(least, p)
    assert not supported(least - 1, p)


def test_no_number_of_samples_supports_the_outermost_percentiles() -> None:
    assert needed(100) is None
    assert needed(0) is None
    assert not supported(10**6, 100)
    assert not supported(10**6, 0)


def recorded(values: range | list[int]) -> Histogram:
    result = Histogram()
    for value in values:
        result.record(value)
    return result


def test_percentiles_come_in_ns_with_their_interval() -> None:
    assert percentiles(recorded(range(1, 1001)), (99, 50), 1000) == [
        Percentile(50, 500_000, 469_000, 533_000),
        Percentile(99, 990_000, 983_000, 998_000),
    ]


def test_an_unsupported_percentile_has_a_value_and_no_interval_but_the_limits_that_there_are() -> None:
    assert percentiles(recorded(range(1, 1000)), (99,), 1000) == [
        Percentile(99, 990_000, None, None, least=982_000, most=997_000)
    ]
    assert percentiles(recorded(range(1, 101)), (99,), 1000) == [Percentile(99, 99_000, None, None, least=97_000)]
    assert percentiles(recorded([7]), (50,), 1000) == [Percentile(50, 7_000, None, None)]


def test_a_percentile_named_twice_is_listed_once() -> None:
    assert [listed.p for listed in percentiles(recorded([1]), (50, 99, 50.0), 1)] == [50, 99]


def test_nothing_recorded_has_no_percentiles() -> None:
    assert percentiles(Histogram(), LISTED, 1000) == []


def test_rounding_to_slots_only_widens_the_interval() -> None:
    values = [100_000 + 37 * i for i in range(1000)]
    (listed,) = percentiles(recorded(values), (50,), 1)
    assert listed.low is not None
    assert listed.high is not None
    assert listed.low <= values[469 - 1]
    assert values[500 - 1] <= listed.value
    assert values[532 - 1] <= listed.high


# what is not ok ranks above every ok call


def test_a_percentile_below_the_failures_is_that_of_the_ok_calls() -> None:
    """Five of a thousand were refused after 3 µs: p99 is the 990th ok value, and p99.9 one of the refusals."""
    p99, p999 = percentiles(recorded(range(1, 996)), (99, 99.9), 1, failed=recorded([3] * 5))
    assert (p99.value, p99.failed, p99.low_failed, p99.high_failed) == (990, False, False, True)
    assert (p999.value, p999.failed, p999.censored) == (995, True, False)


@pytest.mark.parametrize(("ok", "failed"), [(500, False), (499, True)])
def test_at_the_boundary_the_last_ok_call_still_is_the_median(ok: int, failed: bool) -> None:
    """Slow ok calls and fast failures, half of each: one more failure, and the median is one."""
    (p50,) = percentiles(recorded([9_000] * ok), (50,), 1, failed=recorded([1] * (1000 - ok)))
    assert p50.failed is failed


def test_calls_given_up_mark_what_may_be_one_of_them() -> None:
    """Among failures of 5 to 14 µs one was given up after 9: those below it are surely not it."""
    failed, given_up = recorded(range(5, 15)), recorded([9])
    listed = percentiles(Histogram(), range(10, 100, 10), 1, failed=failed, censored=given_up)
    assert [each.censored for each in listed] == [False] * 4 + [True] * 5
    assert all(each.failed for each in listed)


outcomes = st.lists(st.tuples(st.sampled_from(["ok", "refused", "given up"]), st.integers(0, 5_000_000)), min_size=1)


@given(outcomes, st.sampled_from([0.1, 25.0, 50.0, 75.0, 90.0, 99.0, 99.99]))
def test_a_percentile_over_all_is_that_of_a_sorted_list_with_failures_at_infinity(
    calls: list[tuple[str, int]], p: float
) -> None:
    """Times in ns, recorded as whole µs. Bounds enclose the true ones, and none falls behind its neighbours."""
    ok, failed, given_up = Histogram(), Histogram(), Histogram()
    for kind, ns in calls:
        (ok if kind == "ok" else failed).record(ns // 1000)
        if kind == "given up":
            given_up.record(ns // 1000)
    in_order = sorted(ns if kind == "ok" else math.inf for kind, ns in calls)
    true = in_order[math.ceil(round(p * len(calls), 6) / 100) - 1]
    (found,) = percentiles(ok, (p,), 1000, failed=failed, censored=given_up)
    assert found.failed == math.isinf(true)
    if not math.isinf(true):
        at = slot(int(true) // 1000)
        assert lowest(at) * 1000 <= true <= max(999, ceiling(at) * 1000)
        assert slot(found.value // 1000) == at
    for limit, rank_ in zip((found.least, found.most), ranks(len(calls), p / 100), strict=True):
        assert rank_ is not None or limit is None
        if limit is not None and rank_ is not None and not math.isinf(in_order[rank_ - 1]):
            bound = in_order[rank_ - 1]
            assert limit <= bound if limit == found.least else limit >= bound - 999
    assert not found.censored or found.failed
    listed = percentiles(ok, LISTED, 1000, failed=failed, censored=given_up)
    assert [each.value for each in listed] == sorted(each.value for each in listed)


@given(st.lists(st.integers(1_000, 4_000_000_000), min_size=1, max_size=300))
def test_bounds_of_times_in_ns_are_outward(times_ns: list[int]) -> None:
    summary = metric_summary("service_time", recorded([ns // 1000 for ns in times_ns]), (50, 90))
    in_order = sorted(times_ns)
    assert summary.min is not None
    assert summary.max is not None
    assert summary.min <= in_order[0]
    assert in_order[-1] <= summary.max <= in_order[-1] * 1.001 + 1_000
    for found in summary.percentiles:
        low, high = ranks(len(in_order), found.p / 100)
        least = found.low if found.low is not None else found.least
        most = found.high if found.high is not None else found.most
        assert (least is None, most is None) == (low is None, high is None)
        assert least is None or low is None or least <= in_order[low - 1]
        assert most is None or high is None or most >= in_order[high - 1]
        assert (least or 0) <= found.value <= (most or summary.max)


@pytest.mark.parametrize(
    ("metric", "unit", "exact", "least", "most"),
    [
        ("latency", 1_000, 18_991_800, 18_976_000, 18_992_000),
        ("overhead", 1_000, 990_700, 990_000, 991_000),
        ("memory_used", 1_024, 41_234_567, 41_222_144, 41_254_912),
        ("lag", 1_000, 0, 0, 0),  # what is nothing does not become a microsecond
    ],
)
def test_minimum_and_maximum_enclose_what_was_rounded_down(
    metric: str, unit: int, exact: int, least: int, most: int
) -> None:
    summary = metric_summary(metric, recorded([exact // unit]), ())
    assert (summary.min, summary.max) == (least, most)
    assert least <= exact <= most


# dependent observations


@pytest.mark.parametrize(("n", "q"), [(100, 0.5), (1000, 0.9), (1000, 0.99), (100_000, 0.999)])
def test_dependent_observations_never_have_a_narrower_interval(n: int, q: float) -> None:
    low, high = ranks(n, q)
    assert low is not None
    assert high is not None
    for inflation in (1.0, 1.01, 1.5, 2.0, 5.0, 30.0):
        wider_low, wider_high = ranks_of_dependent(n, q, inflation)
        assert wider_low is None or 1 <= wider_low <= low
        assert wider_high is None or high <= wider_high <= n


def test_independent_observations_keep_their_exact_ranks() -> None:
    assert ranks_of_dependent(1000, 0.99, 1.0) == ranks(1000, 0.99) == (983, 997)


def test_the_limits_enclose_the_part_of_the_sample_that_they_enclose_of_a_smaller_one() -> None:
    assert ranks(100, 0.9) == (84, 96)
    assert ranks_of_dependent(1000, 0.9, 10.0) == (831, 960)


class SaysAsMuchAs300(Inflation):
    """5,000 say as much as 300."""

    def at(self, p: float) -> float:
        return 5_000 / 300


def test_what_so_few_independent_observations_do_not_bound_has_no_interval() -> None:
    """p99 takes 368: of 5,000 that say as much as 300 it is still supported by its number, and not bounded."""
    values = histogram(range(5_000))
    assert supported(5_000, 99)
    assert not bounded(5_000, 99, 5_000 / 300)
    (p50, p99) = percentiles(values, (50, 99), 1, inflation=SaysAsMuchAs300())
    assert p50.low is not None
    assert (p99.value, p99.low, p99.high) == (percentiles(values, (99,), 1)[0].value, None, None)
    assert bounded(5_000, 99, 5_000 / 400)
