"""Intervals agree with SciPy's binomial, and percentiles say when they cannot be had."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from loadgen.measure.histogram import Histogram, slot
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
from tests.measure.frames import histogram

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
@settings(deadline=None, max_examples=300)
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
        Percentile(50, 500_000, 469_000, 532_000),
        Percentile(99, 990_000, 983_000, 997_000),
    ]


def test_an_unsupported_percentile_has_a_value_but_no_interval() -> None:
    assert percentiles(recorded(range(1, 1000)), (99,), 1000) == [Percentile(99, 990_000, None, None)]


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


def test_a_percentile_below_every_censored_value_is_exact() -> None:
    """Five of a thousand were given up after 2,000 µs: wherever they would have ended, p99 is the 990th value."""
    answered, given_up = recorded(range(1, 996)), recorded([2000] * 5)
    answered.add(given_up)
    p99, p999 = percentiles(answered, (99, 99.9), 1, given_up)
    assert (p99.value, p99.censored, p99.high_censored) == (990, False, True)
    assert (p999.value, p999.censored) == (2000, True)


def test_a_call_given_up_early_makes_every_percentile_above_it_a_lower_bound() -> None:
    """Dropped after 3 µs: its true latency may be anything above, which would push every later value down one rank."""
    everything, given_up = recorded(range(1, 1000)), recorded([3])
    everything.add(given_up)
    p50, p99 = percentiles(everything, (50, 99), 1, given_up)
    assert p50.censored
    assert p99.censored


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.booleans(), st.integers(0, 2000)), min_size=1, max_size=60),
    st.sampled_from([50.0, 75.0, 90.0, 99.0]),
)
@settings(deadline=None, max_examples=200)
def test_what_is_not_marked_censored_is_the_true_percentile(calls: list[tuple[int, bool, int]], p: float) -> None:
    """Each call is seen at a value; a censored one truly ended that much later. Marked ones may only be too low."""
    seen, given_up, truth = Histogram(), Histogram(), []
    for value, censored, more in calls:
        seen.record(value)
        if censored:
            given_up.record(value)
        truth.append(value + more if censored else value)
    (listed,) = percentiles(seen, (p,), 1, given_up)
    true_value = sorted(truth)[math.ceil(p * len(truth) / 100) - 1]
    assert listed.value <= true_value
    assert listed.censored or slot(listed.value) == slot(true_value)


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


def test_what_so_few_independent_observations_do_not_bound_has_no_interval() -> None:
    """p99 takes 368: of 5,000 that say as much as 300 it is still supported by its number, and not bounded."""
    values = histogram(range(5_000))
    assert supported(5_000, 99)
    assert not bounded(5_000, 99, 5_000 / 300)
    (p50, p99) = percentiles(values, (50, 99), 1, inflation=5_000 / 300)
    assert p50.low is not None
    assert (p99.value, p99.low, p99.high) == (percentiles(values, (99,), 1)[0].value, None, None)
    assert bounded(5_000, 99, 5_000 / 400)
