from __future__ import annotations

import msgspec
import pytest

from loadgen.measure.summary import ThresholdResult
from loadgen.report.terminal import terminal
from tests.report.builders import valid


@pytest.mark.parametrize(
    ("rule", "value", "shown"),
    [
        ("latency.p99 < 250ms over 10s", 44_100_000, "44.1 ms"),
        ("latency.p99 < 1m over 1m30s, abort", 44_100_000, "44.1 ms"),
        ("errors < 1% over 10s, abort", 0.005, "0.5 %"),
        ("errors == 0, abort", 0.005, "0.5 %"),
        ("steady:pay/errors == 0 over 5s", 0.005, "0.5 %"),
    ],
)
def test_a_value_over_windows_is_shown_in_the_unit_of_its_limit_with_its_reason_as_stored(
    rule: str, value: float, shown: str
) -> None:
    why = "the worst of 8 windows of 10 s: 3 s to 13 s of steady"
    stored = ThresholdResult(rule, value, True, why, "value")
    text = terminal(msgspec.structs.replace(valid(), thresholds=[stored]), width=160, colour=False)
    text = text[text.index("Thresholds") :].replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert shown in text
    assert rule in text
    assert why in text
