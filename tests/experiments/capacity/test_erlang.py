from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from loadgen.experiments.capacity.erlang import blocking, offered


@given(st.integers(1, 400), st.floats(0.1, 600))  # beyond that scipy's own cdf is 0
def test_blocking_is_erlangs_b_in_its_closed_form(places: int, load: float) -> None:
    expected = poisson.pmf(places, load) / poisson.cdf(places, load)
    assert blocking(places, load) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("places", "share", "load"),
    [(10, 0.0001, 2.26), (50, 0.001, 32.5), (100, 0.01, 84.1), (1000, 0.01, 971)],
)
def test_the_load_at_a_share_of_rejections_is_that_of_published_tables(places: int, share: float, load: float) -> None:
    assert offered(places, share) == pytest.approx(load, rel=0.003)


@given(st.integers(1, 300), st.floats(0.0001, 0.5))
def test_offering_a_load_is_the_inverse_of_being_blocked(places: int, share: float) -> None:
    assert blocking(places, offered(places, share)) == pytest.approx(share, rel=1e-4)


@pytest.mark.parametrize(("places", "share"), [(0, 0.1), (5, 0.0), (5, 1.0)])
def test_no_place_and_no_share_between_0_and_1_is_refused(places: int, share: float) -> None:
    with pytest.raises(ValueError, match="expected at least one and between 0 and 1"):
        offered(places, share)
