"""Random functions for the capacity search, and how much each really sustains.

The capacity is where the share of violations crosses its limit in runs so long that chance hardly matters, on the
platform model itself. That takes hours of CPU for many systems, so the answers are kept in a file with their seed.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

from loadgen.experiments.capacity.attribution import COLD, EXECUTION, QUOTA, excess
from loadgen.experiments.capacity.result import CONFIRM_LIFETIMES, CONFIRM_NS
from loadgen.load.law import random_stream
from loadgen.targets.functiongraph.emulator.model import Admitted, Platform, cpu_share
from loadgen.targets.functiongraph.emulator.profiles import QUANTILES_S
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Throttle, Work
from loadgen.targets.functiongraph.protocol.target import MEMORY_SIZES_MB
from loadgen.text.units import NS_PER_S
from tests.simulate.parallel import all_of

TRUTHS = Path(__file__).with_name("capacity.json")
FUNCTION = "hello"
_BATCH = 20  # what is found is written down after so many


class System(Struct, frozen=True):
    """A function and its SLO: the share ``p`` of the invocations within ``latency_ns``."""

    seed: int
    median_ns: int
    sigma: float
    limit: int
    concurrency: int
    memory_mb: int
    keep_alive_s: int
    profile: str
    throttle: str
    rtt_ns: int
    latency_ns: int
    p: float

    @property
    def emulator(self) -> Emulator:
        """The platform with this one function."""
        function = EmulatedFunction(
            name=FUNCTION,
            memory_mb=self.memory_mb,
            work=Work(self.median_ns, self.sigma),
            cold_start=self.profile,
            max_instances=self.limit // self.concurrency,
            dynamic_memory=True,
            errors=0.0,
            concurrency=self.concurrency,
        )
        return Emulator(self.seed, self.keep_alive_s * NS_PER_S, (function,), throttle=Throttle(self.throttle))

    @property
    def most_per_s(self) -> float:
        """The rate beyond which, in steady state, more calls than the rule allows are not served.

        All slots are busy then, and calls that share an instance also share its CPU.
        """
        work_ns = self.median_ns * math.exp(self.sigma**2 / 2)
        served = self.limit * min(cpu_share(self.memory_mb) / self.concurrency, 1.0) / work_ns * NS_PER_S
        return served / self.p

    @property
    def held_ns(self) -> int:
        """How long the method holds a rate to confirm it."""
        return max(CONFIRM_NS, CONFIRM_LIFETIMES * self.keep_alive_s * NS_PER_S)

    @property
    def busy_ns(self) -> float:
        """The mean duration of a call that has its instance for itself."""
        work_ns = self.median_ns * math.exp(self.sigma**2 / 2)
        return work_ns / min(cpu_share(self.memory_mb), 1.0)


class Truth(Struct, frozen=True):
    """What a system really sustains, and what binds it by the model's own record."""

    system: System
    capacity_per_s: float
    bound: dict[str, float]


def draw(seed: int) -> System:
    """A random system (method: capacity) with at most 300 calls a second, drawn until it fits."""
    random = random_stream(seed, "systems")
    while True:
        system = _draw(random, seed)
        if system.limit / system.busy_ns * NS_PER_S <= 300:
            return system


def _draw(random: Random, seed: int) -> System:
    concurrency = random.choice((1, 4, 16))
    sigma = random.choice((0.2, 0.6, 1.2))
    median_ns = round(math.exp(random.uniform(math.log(5e6), math.log(2e9))))
    limit = max(1, round(math.exp(random.uniform(math.log(10), math.log(400))) / concurrency)) * concurrency
    memory_mb = random.choice(MEMORY_SIZES_MB[4:])
    rtt_ns = round(random.uniform(1e6, 2e7))
    p = random.choice((0.95, 0.99))
    warm_p99_ns = median_ns * math.exp(2.33 * sigma) / min(cpu_share(memory_mb), 1.0) + 1e7 + rtt_ns
    return System(
        seed=seed,
        median_ns=median_ns,
        sigma=sigma,
        limit=limit,
        concurrency=concurrency,
        memory_mb=memory_mb,
        keep_alive_s=random.choice((30, 60, 300)),
        profile=random.choice(sorted(QUANTILES_S)),
        throttle=random.choice(("immediate", "queue")),
        rtt_ns=rtt_ns,
        latency_ns=round(random.uniform(1.2, 4.0) * warm_p99_ns),
        p=p,
    )


def violations(system: System, rate: float, calls: int) -> dict[str, float]:
    """The share of violations at a rate, by cause: held for as long as a capacity is confirmed, as often as it takes.

    Each time the rate is held on a pool of its own, and what happens while that scales up is left out. The arrivals of
    all rates are the same but for their scale.
    """
    unit = random_stream(system.seed, "truth").expovariate
    found: Counter[str] = Counter()
    counted = repetition = 0
    scale = NS_PER_S / rate
    settled_ns = max(60 * NS_PER_S, round(30 * system.busy_ns))
    end_ns = settled_ns + system.held_ns
    while counted < calls:
        emulator = system.emulator
        platform = Platform(msgspec.structs.replace(emulator, seed=emulator.seed * 1000 + repetition))
        at_ns = unit(1.0) * scale
        while at_ns < end_ns:
            call = platform.arrive(int(at_ns), FUNCTION)
            if at_ns >= settled_ns:
                counted += 1
                if cause := _violation(system, call):
                    found[cause] += 1
            at_ns += unit(1.0) * scale
        repetition += 1
    return {cause: n / counted for cause, n in found.items()}


def _violation(system: System, call: object) -> str | None:
    if not isinstance(call, Admitted):
        return QUOTA
    if call.status == 200 and call.ends_at_ns - call.received_ns + system.rtt_ns <= system.latency_ns:
        return None
    longest_ns = min(system.latency_ns - system.rtt_ns, system.emulator.gateway_timeout_ns)
    if call.duration_ns + call.overhead_ns > longest_ns:
        return EXECUTION
    return COLD if call.cold else QUOTA  # a warm call waits for nothing but the limit


def truth(system: System, calls: int) -> Truth | None:
    """The largest rate that meets the SLO, to 0.3 %; None when there is none worth looking for."""
    limit = 1 - system.p

    def met(rate: float) -> bool:
        return sum(violations(system, rate, calls).values()) <= limit

    high = 1.3 * system.limit / system.busy_ns * NS_PER_S
    low = high * 0.7
    while not met(low):
        high, low = low, low * 0.7
        if low * system.busy_ns / NS_PER_S < 0.02 * system.limit or low < 0.2:
            return None
    while high / low > 1.003:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if met(middle) else (low, middle)
    # a backlog that grows slowly breaks no rule while a rate is held, but there is no steady state
    capacity = min(math.sqrt(low * high), system.most_per_s)
    return Truth(system, capacity, bound(system, capacity, calls))


def bound(system: System, capacity_per_s: float, calls: int) -> dict[str, float]:
    """What the violations just beyond the capacity are owed to."""
    return excess(violations(system, 1.05 * capacity_per_s, calls), [violations(system, 0.7 * capacity_per_s, calls)])


def known() -> list[Truth]:
    """The answers that are kept."""
    return msgspec.convert(json.loads(TRUTHS.read_text())["truths"], list[Truth]) if TRUTHS.exists() else []


def main(first: int, number: int, calls: int) -> None:
    """Find the capacity of some systems and add them to those known."""
    found = {each.system.seed: each for each in known()}
    wanted = [draw(seed) for seed in range(first, first + number) if seed not in found]
    while wanted:
        batch, wanted = wanted[:_BATCH], wanted[_BATCH:]
        for answer in all_of(partial(truth, calls=calls), batch, f"systems up to {batch[-1].seed}"):
            if answer is not None:
                found[answer.system.seed] = answer
        kept = {"calls": calls, "truths": msgspec.to_builtins([found[key] for key in sorted(found)])}
        TRUTHS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    import sys

    main(*map(int, sys.argv[1:4]))
