from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from loadgen.stats.student import quantile, two_sided


@given(st.floats(-300, 300), st.floats(1, 500))
def test_both_tails_are_those_of_scipy(t: float, freedom: float) -> None:
    assume(abs(t) > 1e-6)  # nearer to 0 scipy's own is off by as much as 1e-8
    assert two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-9, abs=1e-300)


@given(st.floats(1e-6, 1 - 1e-6), st.floats(1, 500))
def test_a_quantile_is_that_of_scipy(q: float, freedom: float) -> None:
    assert quantile(q, freedom) == pytest.approx(stats.t.ppf(q, freedom), rel=1e-8, abs=1e-9)
