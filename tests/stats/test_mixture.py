from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from loadgen.invocation.start import AMBIGUOUS, COLD, WARM
from loadgen.measure.histogram import Histogram
from loadgen.stats.mixture import Abstained, Floats, Mixture, Warm, fit, labelling, posterior, t_quantile


def histogram(times_ms: Floats) -> Histogram:
    recorded = Histogram()
    for ms in times_ms:
        recorded.record(int(ms * 1000))
    return recorded


def warm_ms(rng: np.random.Generator, n: int) -> Floats:
    return 5 + 3 * np.exp(0.5 * rng.standard_normal(n))


def cold_ms(rng: np.random.Generator, n: int, median_ms: float = 600) -> Floats:
    return median_ms * np.exp(0.4 * rng.standard_normal(n))


def separable() -> tuple[Histogram, Histogram]:
    rng = np.random.default_rng(1)
    return histogram(np.concatenate((warm_ms(rng, 1900), cold_ms(rng, 100)))), histogram(warm_ms(rng, 300))


@pytest.mark.parametrize("freedom", [3.0, 5.0, 30.0])
@pytest.mark.parametrize("q", [0.5, 0.9, 0.99, 0.9999])
def test_quantiles_of_the_t_law_are_those_of_scipy(freedom: float, q: float) -> None:
    assert t_quantile(freedom, q) == pytest.approx(stats.t.ppf(q, freedom), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("power", [2.5, 3.0, 4.0])
@pytest.mark.parametrize("q", [0.9, 0.99, 0.9999])
def test_quantiles_above_the_mode_of_a_light_tail_are_those_of_scipy(power: float, q: float) -> None:
    law = Warm(1.0, 0.5, 0.5, 120.0, power)
    below = law.below * law.areas[0] / law.area
    # scipy's law is exp(-|z|**p), ours exp(-|z|**p / p)
    half = stats.halfgennorm(power, scale=0.5 * power ** (1 / power))
    assert law.quantile(q) == pytest.approx(1.0 + half.ppf((q - below) / (1 - below)), rel=1e-4)


@pytest.mark.parametrize("fast_ones", [20, 40, 80])
def test_fast_cold_starts_are_not_called_warm_behind_jitter_whose_tail_a_normal_law_would_make_too_heavy(
    fast_ones: int,
) -> None:
    rng = np.random.default_rng(6)

    def jittered(n: int) -> Floats:
        return warm_ms(rng, n) + 18 + rng.exponential(50, n)

    fast, slow = jittered(fast_ones) + rng.uniform(300, 500, fast_ones), jittered(160) + cold_ms(rng, 160, 10_000)
    found = fit(histogram(np.concatenate((jittered(3800), fast, slow))), histogram(jittered(1000)))
    assert isinstance(found, Abstained) or found.cuts.warm_below_ns < 400e6


@pytest.mark.parametrize("seed", range(12))
def test_cold_starts_far_away_are_told_though_no_mixture_has_the_form_of_the_warm_law(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def jittered(n: int) -> Floats:
        return 20 + 3 * np.exp(0.5 * rng.standard_normal(n)) + rng.exponential(1, n)

    warm = jittered(3800)
    cold = jittered(200) + 650 * np.exp(0.2 * rng.standard_normal(200))
    found = fit(histogram(np.concatenate((warm, cold))), histogram(jittered(1000)))
    assert isinstance(found, Mixture)
    labels = [[found.cuts.label(round(ms * 1e6)) for ms in each] for each in (warm, cold)]
    assert labels[1].count(COLD) == 200
    assert labels[0].count(WARM) >= 0.99 * 3800
    assert labels[0].count(COLD) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_fast_mode_of_cold_starts_among_slow_warm_calls_is_not_left_out(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def jittered(n: int) -> Floats:
        return 20 + 3 * np.exp(0.5 * rng.standard_normal(n)) + rng.exponential(10, n)

    fast = jittered(400) + 40 * np.exp(0.3 * rng.standard_normal(400))
    slow = jittered(200) + 2000 * np.exp(0.3 * rng.standard_normal(200))
    found = fit(histogram(np.concatenate((jittered(3400), fast, slow))), histogram(jittered(1000)))
    wrong = 0 if isinstance(found, Abstained) else sum(found.cuts.label(round(ms * 1e6)) == WARM for ms in fast)
    assert wrong <= 40  # of 4,000 calls


def test_cold_and_warm_calls_far_apart_are_all_told_apart() -> None:
    found = fit(*separable())
    assert isinstance(found, Mixture)
    assert found.cold_share == pytest.approx(0.05, abs=0.002)
    assert [found.cuts.label(ns) for ns in (6_000_000, 400_000_000)] == [WARM, COLD]
    assert found.sensitivity > 0.999
    assert found.specificity > 0.999


@pytest.mark.parametrize("seed", range(8))
def test_calls_that_are_all_cold_are_told_from_those_that_are_known_to_be_warm(seed: int) -> None:
    """As where every burst met no instance: nothing that was fitted is warm but what is known to be."""
    rng = np.random.default_rng(seed)
    own = histogram(np.concatenate((cold_ms(rng, 45, 350), cold_ms(rng, 18, 1500))))
    found = fit(own, histogram(warm_ms(rng, 420)))
    assert isinstance(found, Mixture)
    assert (found.sensitivity > 0.99, found.specificity > 0.99) == (True, True)
    assert found.cuts.label(275_000_000) == COLD
    assert found.cuts.label(17_000_000) == WARM


def test_the_cuts_are_where_the_posterior_is_one_and_ninety_nine_percent() -> None:
    found = fit(*separable())
    assert isinstance(found, Mixture)
    assert posterior(found, found.cuts.warm_below_ns) == pytest.approx(0.01, rel=0.1)
    assert 1 - posterior(found, found.cuts.cold_from_ns) == pytest.approx(0.01, rel=0.1)
    between = (found.cuts.warm_below_ns + found.cuts.cold_from_ns) // 2
    assert found.cuts.label(between) == AMBIGUOUS


def test_above_the_usual_warm_overhead_the_posterior_never_falls() -> None:
    found = fit(*separable())
    assert isinstance(found, Mixture)
    reached = [posterior(found, round(math.exp(x) * 1e6)) for x in np.linspace(2.2, 12, 60)]
    assert reached == sorted(reached)


def test_without_a_calibration_the_largest_mode_is_the_warm_one() -> None:
    found = fit(separable()[0])
    assert isinstance(found, Mixture)
    assert found.cold_share == pytest.approx(0.05, abs=0.005)


def reason(overhead: Histogram, calibration: Histogram | None = None) -> str:
    found = fit(overhead, calibration)
    assert isinstance(found, Abstained), found
    return found.reason


def test_warm_calls_alone_are_not_divided() -> None:
    rng = np.random.default_rng(2)
    said = reason(histogram(warm_ms(rng, 3000)), histogram(warm_ms(rng, 500)))
    assert "warm" in said


def test_too_few_cold_calls_are_outliers_and_no_population() -> None:
    rng = np.random.default_rng(3)
    found = fit(histogram(np.concatenate((warm_ms(rng, 2000), cold_ms(rng, 12)))), histogram(warm_ms(rng, 500)))
    assert isinstance(found, Abstained)
    assert "at least 30 needed" in found.reason
    assert found.outliers == 12


def contaminated_ms(rng: np.random.Generator, n: int, share: float) -> Floats:
    """Warm overheads, some of which the network makes 200 ms longer."""
    return 12 + rng.gamma(4.0, 1.5, n) + 200 * (rng.random(n) < share)


@pytest.mark.parametrize("share", [0.002, 0.005, 0.01])
@pytest.mark.parametrize("seed", range(3))
def test_outliers_that_calls_known_to_be_warm_have_too_are_no_cold_starts(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    found = fit(histogram(contaminated_ms(rng, 20_000, share)), histogram(contaminated_ms(rng, 4000, share)))
    assert isinstance(found, Abstained)


def test_without_calls_known_to_be_warm_few_slow_ones_may_be_outliers() -> None:
    rng = np.random.default_rng(5)
    assert "no call is known to be warm" in reason(histogram(contaminated_ms(rng, 20_000, 0.01)))


def test_how_often_warm_calls_look_cold_is_counted_among_those_known_to_be_warm() -> None:
    rng = np.random.default_rng(6)
    unknown = np.concatenate((contaminated_ms(rng, 1900, 0.005), 40 + cold_ms(rng, 400)))
    found = fit(histogram(unknown), histogram(contaminated_ms(rng, 4000, 0.005)))
    assert isinstance(found, Mixture)
    assert found.known is not None
    assert 1 - found.known[0] / found.known[1] == pytest.approx(0.005, abs=0.003)
    assert found.specificity == found.known[0] / found.known[1]


def test_cold_starts_as_fast_as_slow_warm_calls_are_not_told_apart() -> None:
    rng = np.random.default_rng(4)
    slow = warm_ms(rng, 200) + 6 * np.exp(0.4 * rng.standard_normal(200))
    assert reason(histogram(np.concatenate((warm_ms(rng, 3000), slow))), histogram(warm_ms(rng, 500)))


def test_too_short_a_calibration_says_how_much_is_needed() -> None:
    rng = np.random.default_rng(5)
    assert reason(separable()[0], histogram(warm_ms(rng, 199))) == (
        "199 calls that are known to be warm, at least 200 needed"
    )


def test_nothing_at_all_is_no_evidence() -> None:
    assert reason(Histogram()) == "0 calls that are known to be warm, at least 200 needed"


def test_what_is_published_of_a_fit_is_its_cuts_or_its_reason() -> None:
    told = labelling("warm-up", 2000, fit(*separable()))
    assert told.cuts is not None
    assert told.reason is None
    assert len(told.cold_modes_ns) >= 1
    withheld = labelling("warm-up", 0, fit(Histogram()))
    assert withheld.cuts is None
    assert withheld.reason is not None


@pytest.mark.filterwarnings("error")
def test_calls_that_are_all_alike_are_a_warm_law_too() -> None:
    alike = histogram(np.full(500, 3.0))
    assert isinstance(fit(alike, alike), Abstained)
    both = fit(histogram(np.concatenate((np.full(500, 3.0), np.full(60, 900.0)))), alike)
    assert isinstance(both, Mixture | Abstained)
