"""Journals of runs that were cut short, for tests of what is made of them."""

from __future__ import annotations

import random

import msgspec

from loadgen.engine.environment import environment
from loadgen.history.journal import beginning, framed
from loadgen.invocation.bill import PriceBook
from loadgen.invocation.sample import Failure, Slow
from loadgen.measure.interval import Frame
from loadgen.measure.rule import parse
from loadgen.measure.summary import Run
from loadgen.run.journal import Began, Ended, Entry, Opening, encode
from loadgen.run.summary import Terms
from loadgen.scenario.prices import load_price_book
from tests.frames import frame, plan
from tests.scenarios import function, open_phase, scenario

KEY = b"\x00\xffkey!\x01\x02"
MACHINE = environment(agents=1, scenario_sha256="0" * 64, synthetic=True)
RUN = Run("id", "test", "load", "2026-11-22T03:15:00.000Z", "2026-11-22T03:15:00.000Z", False, "0")
BOOK: PriceBook = load_price_book("huawei-cny-2024-09")


def opening(*rules: str, kind: str = "load", mix: bool = False) -> Opening:
    asked = scenario(function("http://127.0.0.1:9"), open_phase(100, 10))
    terms = Terms.of(asked, {"name": "test"}, {"call": None})
    run = msgspec.structs.replace(RUN, kind=kind)
    return Opening(
        run, msgspec.structs.replace(terms, kind=kind, rules=tuple(map(parse, rules)), prices=BOOK, mix=mix), MACHINE
    )


def journal(*entries: Entry) -> bytes:
    return beginning(KEY) + b"".join(framed(KEY, encode(each)) for each in entries)


def seconds(
    n: int, *, seed: int = 1, agents: int = 1, final: bool = True, phase: str = "steady", first: int = 0
) -> list[Frame]:
    """So many seconds of load, with failures and slow calls, numbered from ``first`` on."""
    rng = random.Random(seed)
    return [
        frame(
            {
                "ok": [rng.randrange(1, 100_000) for _ in range(rng.randrange(30))],
                "timeout": [9_000_000] * rng.randrange(2),
            },
            seq=first + second,
            phase=phase,
            agent=agent,
            final=final and second == n - 1,
            failures=[Failure("timeout", "first_byte", None, None, f"r{second}", "body")],
            slowest=[Slow(rng.randrange(10**9), 5, "ok", None)],
            reasons={"timeout/first_byte": 1},
        )
        for second in range(n)
        for agent in range(agents)
    ]


def cut_short() -> list[Entry]:
    """The records of a run with rules that was killed in its second phase."""
    first = seconds(1, phase="warm")
    return [
        opening("errors < 1%", "latency.p99 < 1s"),
        Began(plan("warm", warmup=True)),
        *first,
        Ended(plan("warm", warmup=True, seconds=1)),
        Began(plan()),
        *seconds(2, final=False, first=1),
    ]
