"""``python -m benchmarks.redraw``: the CPU time that the live display takes, of the process that watches over a run.

Frames of four agents with a thousand calls a second each are shown as they would come, in virtual time, with five
rules and a budget, and drawn four times a second on a terminal of 120 columns that nobody sees. The figure is all that
the display does for them, and the looks at the rules; not what the run does anyhow.
"""

from __future__ import annotations

import io
import os
import time
from decimal import Decimal

from msgspec.structs import replace

from loadgen.cli.progress import Progress
from loadgen.load.budget import Budget
from loadgen.load.constant import ConstantRate
from loadgen.load.phase import Phase
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.rule import parse
from loadgen.scenario.model import Scenario
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.port import Timeout, Tls
from loadgen.text.units import NS_PER_S, Money, Rate
from tests.frames import counted, packed
from tests.frames import frame as of_second
from tests.report.builders import histogram, spread

SECONDS, AGENTS, CALLS = 60, 4, 1000
REDRAWS_PER_S = 4
RULES = ("latency.p50 < 50ms", "latency.p99 < 1s", "warm.latency.p95 < 1s", "errors < 0.1%", "achieved_rate > 100/s")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        """As a terminal has it."""
        return True


def main() -> None:
    """Draw, and say what it took."""
    os.environ.update(COLUMNS="120", TERM="xterm-256color")
    now_ns, drawing_ns = 0, 0
    stream = _Terminal()
    progress = Progress(_scenario(), stream, interactive=True, clock=lambda: now_ns)
    total = PhaseTotal("steady")
    progress.phase_started(PhasePlan("steady", False, False, SECONDS * NS_PER_S, None), total, NS_PER_S)
    for second in range(SECONDS):
        for part in range(REDRAWS_PER_S):
            now_ns = second * NS_PER_S + (part + 1) * NS_PER_S // REDRAWS_PER_S
            frame = _frame(second, part)
            total.add(frame)
            began = time.process_time_ns()
            progress.frame(frame)
            drawing_ns += time.process_time_ns() - began
    drawings = stream.getvalue().count("outcomes")
    progress.close()
    print(
        f"{drawings} drawings of {SECONDS} s: {drawing_ns / 1e6 / drawings:.2f} ms of CPU each with all that they "
        f"show, {100 * drawing_ns / SECONDS / NS_PER_S:.2f} % of a core"
    )


def _frame(second: int, agent: int) -> Frame:
    hist = packed(
        {"warm/ok/latency": histogram(spread(CALLS, 21_000 + 100 * second)), "throttled/latency": histogram([400] * 3)}
    )
    made = of_second(phase="steady", agent=agent, seq=second, final=False)
    made.tally, made.hist = counted({"ok": CALLS, "throttled": 3}), hist
    return made


def _scenario() -> Scenario:
    target = HttpTarget("http://127.0.0.1:1/", "GET", (), False, Timeout(1, 1, 1), Tls(True, None), True)
    phase = Phase("steady", ConstantRate(Rate(AGENTS * CALLS, NS_PER_S)), SECONDS * NS_PER_S)
    budget = Budget(10**6, 3600 * NS_PER_S, Money(Decimal(5), "CNY"))
    whole = Scenario(name="live", target=target, phases=(phase,), budget=budget)
    return replace(whole, thresholds=tuple(map(parse, RULES)))


if __name__ == "__main__":
    main()
