"""``python -m benchmarks.merging``: the CPU time that one second of many agents takes of the process that merges them.

Frames of a thousand calls a second each, with all metrics of a FunctionGraph call, are decoded and added up as a run
does it. They are made beforehand, a hundred different ones, so that every agent's falls into slots of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from loadgen.measure import hlog
from loadgen.measure.histogram import slot
from loadgen.measure.interval import decode, encode
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.packed import pack
from loadgen.run.writing import interval_entries
from tests.frames import cell
from tests.frames import frame as of_second

AGENTS = (10, 100, 1000)
CALLS, DIFFERENT, SECONDS = 1000, 100, 3


def main() -> None:
    """Merge, and say what it took."""
    rng = np.random.default_rng(1)
    bodies = [_body(rng) for _ in range(DIFFERENT)]
    print(f"frames of {CALLS} calls: {sum(map(len, bodies)) / DIFFERENT / 1000:.1f} kB each")
    for agents in AGENTS:
        total = PhaseTotal("steady")
        merging_ns = writing_ns = 0
        for second in range(SECONDS):
            began = time.process_time_ns()
            interval = [decode(bodies[agent % DIFFERENT]) for agent in range(agents)]
            for agent, frame in enumerate(interval):
                frame.agent, frame.seq = agent, second
                total.add(frame)
            merged = time.process_time_ns()
            assert [hlog.text(entry) for entry in interval_entries(interval)]
            merging_ns += merged - began
            writing_ns += time.process_time_ns() - merged
        assert total.tally.planned == agents * CALLS * SECONDS
        print(
            f"{agents} agents: a second of frames is merged in {merging_ns / SECONDS / 1e6:.1f} ms of CPU, "
            f"{merging_ns / SECONDS / agents / 1e3:.0f} µs a frame; its lines of intervals.hlog take "
            f"{writing_ns / SECONDS / 1e6:.1f} ms, in a thread"
        )


def _body(rng: np.random.Generator) -> bytes:
    """What an agent sends of a second, without its length."""
    service = rng.lognormal(np.log(20_000), 0.4, CALLS).astype(int)
    late = rng.exponential(20, CALLS).astype(int)
    metrics = {
        "latency": service + late,
        "service_time": service,
        "late": late,
        "lag": late,
        "unread": late,
        "waited": 0 * late,
        "duration": service - 3000,
        "billed_duration": service - 2500,
        "overhead": 3000 + late,
        "memory_used": rng.integers(40_000, 42_000, CALLS),
    }
    frame = of_second({"ok": metrics["latency"].tolist()}, final=False)
    frame.hist = {cell(f"ok/{name}"): pack(dict(_slots(values.clip(0).tolist()))) for name, values in metrics.items()}
    return encode(frame)[4:]


def _slots(values: list[int]) -> Iterator[tuple[int, int]]:
    slots = [slot(value) for value in values]
    return ((at, slots.count(at)) for at in set(slots))


if __name__ == "__main__":
    main()
