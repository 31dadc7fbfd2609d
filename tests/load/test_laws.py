from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from loadgen.load.bursts import Bursts
from loadgen.load.constant import ConstantRate
from loadgen.load.law import Arrivals
from loadgen.load.phase import Phase, Shape
from loadgen.load.ramp import RampRate
from loadgen.load.steps import StepRates
from loadgen.load.workers import Workers
from loadgen.text.units import Rate

S = 1_000_000_000


def phase(shape: Shape, duration_ns: int = 10 * S, arrivals: Arrivals = Arrivals.CONSTANT) -> Phase:
    return Phase("p", shape, duration_ns, arrivals=arrivals)


rates = st.builds(Rate, st.integers(1, 5000), st.sampled_from([S, 60 * S, S // 10]))
maybe_rates = st.builds(Rate, st.integers(0, 500), st.just(S))
shapes = st.one_of(
    st.builds(ConstantRate, rates),
    st.builds(RampRate, maybe_rates, rates),
    st.builds(RampRate, rates, maybe_rates),
    st.lists(rates, min_size=1, max_size=5).map(lambda r: StepRates(tuple(r))),
)
durations = st.integers(1, 2 * S)


@given(shapes, durations, st.sampled_from(Arrivals))
def test_offsets_never_go_back_and_stay_within_the_phase(shape: Shape, duration_ns: int, arrivals: Arrivals) -> None:
    found = list(itertools.islice(phase(shape, duration_ns, arrivals).offsets(1), 20_000))
    assert all(a <= b for a, b in itertools.pairwise(found))
    assert all(0 <= offset < duration_ns for offset in found)


@given(shapes, durations)
def test_constant_arrivals_are_as_many_as_expected_says(shape: Shape, duration_ns: int) -> None:
    plan = phase(shape, duration_ns)
    assert sum(1 for _ in plan.offsets(1)) == plan.expected()


@given(rates, durations)
def test_offset_n_of_a_constant_rate_is_n_over_the_rate_exactly(rate: Rate, duration_ns: int) -> None:
    for n, offset in enumerate(itertools.islice(phase(ConstantRate(rate), duration_ns).offsets(1), 3000)):
        assert offset == n * rate.per_ns // rate.events


@given(shapes, durations)
def test_agents_that_take_every_nth_offset_make_up_the_whole_schedule(shape: Shape, duration_ns: int) -> None:
    plan = phase(shape, duration_ns, Arrivals.POISSON)
    whole = list(itertools.islice(plan.offsets(7), 3000))
    parts = [list(itertools.islice(itertools.islice(plan.offsets(7), 3000), i, None, 3)) for i in range(3)]
    assert sorted(itertools.chain(*parts)) == whole


def test_a_ramp_has_sent_half_of_the_area_under_its_rate_at_the_right_instants() -> None:
    # 0 → 100/s over 10 s: n starts by t = √(n/5), so the 125th falls due at 5 s
    found = list(phase(RampRate(Rate(0, S), Rate(100, S))).offsets(1))
    assert len(found) == 500
    assert found[125] == 5 * S
    # 100/s → 0 is its mirror image
    mirror = list(phase(RampRate(Rate(100, S), Rate(0, S))).offsets(1))
    assert mirror[375] == 5 * S


def test_steps_give_each_rate_an_equal_share_of_the_phase() -> None:
    found = list(phase(StepRates((Rate(10, S), Rate(0, S), Rate(20, S))), 9 * S).offsets(1))
    assert sum(offset < 3 * S for offset in found) == 30
    assert [offset for offset in found if 3 * S <= offset < 6 * S] == []
    assert [offset for offset in found if offset >= 6 * S][:2] == [6 * S, 6 * S + S // 20]
    assert len(found) == 90


def test_bursts_fall_due_together_at_each_multiple_of_the_gap() -> None:
    found = list(phase(Bursts(3, 5 * S, 2), 10 * S).offsets(1))
    assert found == [0, 0, 0, 5 * S, 5 * S, 5 * S]


def test_poisson_gaps_follow_the_exponential_law_and_the_seed() -> None:
    plan = phase(ConstantRate(Rate(1000, S)), 20 * S, Arrivals.POISSON)
    first = list(plan.offsets(1))
    gaps = [(b - a) / S for a, b in itertools.pairwise(first)]
    assert kstest(gaps, "expon", args=(0, 1 / 1000)).pvalue > 0.001
    assert first == list(plan.offsets(1))
    assert first != list(plan.offsets(2))


def test_poisson_arrivals_of_a_ramp_are_uniform_in_its_cumulative_rate() -> None:
    plan = phase(RampRate(Rate(0, S), Rate(2000, S)), 10 * S, Arrivals.POISSON)
    positions = [(offset / (10 * S)) ** 2 for offset in plan.offsets(3)]
    assert kstest(positions, "uniform").pvalue > 0.001


def test_workers_ramp_so_that_each_number_of_them_has_an_equal_share() -> None:
    up = phase(Workers(1, 4), 8 * S).spans()
    assert up == [(0, 8 * S), (2 * S, 8 * S), (4 * S, 8 * S), (6 * S, 8 * S)]
    down = phase(Workers(4, 1), 8 * S).spans()
    assert down == [(0, 8 * S), (0, 6 * S), (0, 4 * S), (0, 2 * S)]
    assert phase(Workers(2, 2), S).spans() == [(0, S), (0, S)]


def test_a_closed_phase_has_no_schedule_and_an_open_one_no_spans() -> None:
    with pytest.raises(ValueError, match="no schedule"):
        phase(Workers(1, 1)).offsets(1)
    with pytest.raises(ValueError, match="no spans"):
        phase(ConstantRate(Rate(1, S))).spans()
    assert phase(Workers(1, 1)).expected() is None


@pytest.mark.parametrize(
    ("shape", "peak"),
    [
        (ConstantRate(Rate(3000, 60 * S)), 50),
        (RampRate(Rate(10, S), Rate(5, S)), 10),
        (StepRates((Rate(1, S), Rate(7, S))), 7),
        (Bursts(5, S, 1), 0),
        (Workers(1, 9), 0),
    ],
)
def test_the_peak_rate_is_the_largest_that_is_planned(shape: Shape, peak: float) -> None:
    assert phase(shape).peak_rate() == peak
