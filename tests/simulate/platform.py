"""The platform model itself, against laws of queueing and published figures, at full size.

What takes no long run is only tested (``tests/targets/functiongraph/emulator``): bursts, CPU share, billing,
byte-identical truth logs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from loadgen.targets.functiongraph.emulator.profiles import QUANTILES_S
from tests.simulate.parallel import all_of
from tests.simulate.table import Row
from tests.targets.functiongraph.emulator.test_platform_model import (
    admitted,
    erlang_b,
    function,
    platform,
    poisson,
    rejected_share,
    simfaas,
)
from tests.targets.functiongraph.emulator.test_profiles import draws_pvalue

S = 1_000_000_000


def rows(*, quick: bool) -> Iterator[Row]:
    """The lines of the table."""
    arrivals = 360_000 if quick else 3_600_000
    yield from _pool(arrivals)
    yield from _losses(30_000 if quick else 1_000_000)
    yield _lane(15_000 if quick else 500_000)
    yield _profiles(1000 if quick else 10_000)


def _pool(arrivals: int) -> Iterator[Row]:
    (seen,) = all_of(simfaas, [arrivals], "platform: pool")
    over = f"{arrivals} arrivals"
    for what, bar, measured, met in (
        ("busy instances", "1.792 within 2 %", f"{seen.busy:.3f}", abs(seen.busy / 1.792 - 1) <= 0.02),
        ("idle instances", "5.92 within 2 %", f"{seen.idle:.2f}", abs(seen.idle / 5.92 - 1) <= 0.02),
        (
            "share of cold starts",
            "0.00133 to 0.00141, of one run within two standard errors (0.00004)",
            f"{seen.cold:.5f}",
            0.00129 <= round(seen.cold, 5) <= 0.00145,
        ),
    ):
        yield Row("platform model", f"the example of SimFaaS: {what}", bar, measured, met, over, "SimFaaS publishes "
                  "1.788 busy, 5.873 idle, 0.0014 of one run")  # fmt: skip


def _losses(arrivals: int) -> Iterator[Row]:
    share = erlang_b(5, 4.0)
    off = 9 * math.sqrt(share * (1 - share) / arrivals)  # rejections come in runs: three times the usual error
    for sigma in (0.0, 1.0):
        seen = rejected_share(sigma, arrivals)
        yield Row(
            "platform model",
            f"share of 429 of Poisson calls whose work has σ = {sigma:g}",
            f"Erlang's B, {share:.2%}, within {off:.2%}",
            f"{seen:.2%}",
            abs(seen - share) <= off,
            f"{arrivals} calls",
        )


def _lane(calls: int) -> Row:
    model = platform(function(median_ns=0), keep_alive_ns=S)
    seen = sum(admitted(model.arrive(now_ns, "hello", None)).cold for now_ns in poisson(1.0, calls)) / calls
    exact = math.exp(-1)
    off = 4 * math.sqrt(exact * (1 - exact) / calls)
    return Row(
        "platform model",
        "one lane of Poisson calls: share of cold starts",
        f"exp(-λK), {exact:.2%}, within {off:.2%}",
        f"{seen:.2%}",
        abs(seen - exact) <= off,
        f"{calls} calls",
    )


def _profiles(draws: int) -> Row:
    least = min((draws_pvalue(profile, draws), profile) for profile in QUANTILES_S)
    return Row(
        "platform model",
        "cold starts follow their profile (Kolmogorov–Smirnov)",
        "p > 0.001",
        f"least p {least[0]:.3f} ({least[1]})",
        least[0] > 0.001,
        f"{len(QUANTILES_S)} profiles × {draws}",
    )
