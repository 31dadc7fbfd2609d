"""Agents report at whole seconds after a phase began, so that the seconds of several agents are the same ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from loadgen.engine.agent import Agent
from loadgen.engine.clock import monotonic_ns

S = 1_000_000_000


class Loop:
    """What an alarm is set with: it keeps the delay."""

    def __init__(self) -> None:
        self.delay_s = 0.0

    def call_later(self, delay: float, callback: Callable[[], Any]) -> None:
        self.delay_s = delay


@pytest.mark.parametrize(
    ("due_s", "next_s"),
    [
        (0.05, 1.05),  # the phase has not begun yet
        (-0.1, 0.9),  # a tick that is a tenth late
        (-3.4, 0.6),  # seconds that a stop took are not reported late one by one
    ],
)
def test_the_tick_after_a_late_one_is_not_late_for_that(due_s: float, next_s: float) -> None:
    agent: Any = Agent.__new__(Agent)
    agent._loop, agent._tick_ns = Loop(), monotonic_ns() + round(due_s * S)
    due_ns = agent._tick_ns
    agent._set_ticker()
    assert agent._loop.delay_s == pytest.approx(next_s, abs=0.2)
    assert (agent._tick_ns - due_ns) % S == 0
