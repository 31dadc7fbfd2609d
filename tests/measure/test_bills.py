"""Every invocation is charged by itself: a run's bill is the one that a reader of its calls would work out by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.invocation.tally import Connections
from loadgen.measure.cost import Spent, billing, cost, spent, spent_on
from loadgen.measure.interval import Frame, decode, encode
from loadgen.measure.merge import PhaseTotal, combined
from loadgen.measure.recorder import Recorder
from loadgen.scenario.prices import load_price_book
from tests.frames import blank

MS = 1_000_000
BOOK = load_price_book("huawei-cny-2024-09")
REFUSING = (
    Outcome.THROTTLED,
    Outcome.DISABLED,
    Outcome.AUTH,
    Outcome.NOT_FOUND,
    Outcome.BAD_REQUEST,
    Outcome.TOO_LARGE,
)
RAN = (
    Outcome.OK,
    Outcome.FUNCTION_ERROR,
    Outcome.FUNCTION_TIMEOUT,
    Outcome.OUT_OF_MEMORY,
    Outcome.INIT_ERROR,
    Outcome.PLATFORM_ERROR,
    Outcome.GATEWAY,
    Outcome.PROTOCOL,
)
UNSENT = (
    (Outcome.CONNECTION, "refused"),
    (Outcome.CONNECTION, "local_limit"),
    (Outcome.CONNECTION, "tls"),
    (Outcome.TIMEOUT, "connect"),
)
LOST = (
    (Outcome.TIMEOUT, "total"),
    (Outcome.TIMEOUT, "first_byte"),
    (Outcome.CONNECTION, "reset"),
    (Outcome.CONNECTION, "closed_early"),
    (Outcome.CONNECTION, "tls_broken"),
)


class Call(NamedTuple):
    """An invocation and, worked out by hand, what is known of its bill: a sum of MB x ms, or one of three words."""

    facts: Facts
    bill: int | str


def answered(outcome: Outcome, duration_ms: int | None, billed_ms: int | None, size: int | None) -> Facts:
    return Facts(
        outcome,
        "ok" if outcome is Outcome.OK else "reason",
        200 if outcome is Outcome.OK else 400,
        duration_ns=None if duration_ms is None else duration_ms * MS,
        billed_duration_ns=None if billed_ms is None else billed_ms * MS,
        memory_size_mb=size,
    )


OUTCOMES = st.sampled_from((*REFUSING, *RAN))
SIZES = st.sampled_from([128, 512, 1024, 10240])
TIMES = st.integers(1, 900_000)
SOME = st.one_of(st.none(), TIMES)


def with_a_bill(outcome: Outcome, duration: int | None, billed: int, size: int) -> Call:
    return Call(answered(outcome, duration, billed, size), size * billed)


CALLS: SearchStrategy[Call] = st.one_of(
    st.builds(with_a_bill, OUTCOMES, SOME, TIMES, SIZES),
    st.builds(lambda outcome: Call(answered(outcome, None, None, None), "refused"), st.sampled_from(REFUSING)),
    st.builds(lambda outcome: Call(answered(outcome, None, None, None), "unknown"), st.sampled_from(RAN)),
    # a bill without a size, with a size that no function has, for longer than any call runs
    st.builds(lambda outcome, ms: Call(answered(outcome, ms, ms, None), "unknown"), OUTCOMES, TIMES),
    st.builds(lambda outcome, ms: Call(answered(outcome, ms, ms, 0), "unknown"), OUTCOMES, TIMES),
    st.builds(lambda outcome, ms: Call(answered(outcome, ms, ms, 1 << 40), "unknown"), OUTCOMES, TIMES),
    st.builds(lambda outcome, mb: Call(answered(outcome, 5, 4 * 10**9, mb), "unknown"), OUTCOMES, SIZES),
    # it ran, and says that it is billed nothing, or does not say what
    st.builds(lambda outcome, ms, mb: Call(answered(outcome, ms, 0, mb), "unknown"), OUTCOMES, TIMES, SIZES),
    st.builds(lambda outcome, ms: Call(answered(outcome, ms, None, None), "unknown"), OUTCOMES, TIMES),
    # nothing ran, and nothing is billed
    st.builds(lambda outcome, mb: Call(answered(outcome, 0, 0, mb), "refused"), st.sampled_from(REFUSING), SIZES),
    st.builds(lambda pair: Call(Facts(pair[0], pair[1], 0), "nothing"), st.sampled_from(UNSENT)),
    st.builds(lambda pair: Call(Facts(pair[0], pair[1], 0), "unknown"), st.sampled_from(LOST)),
    st.just(Call(Facts(Outcome.UNFINISHED, "grace", 0), "unknown")),
    st.just(Call(Facts(Outcome.DROPPED, "phase_end", 0), "nothing")),
)


def recorded(calls: Sequence[Call], agent: int) -> Iterator[Frame]:
    """What an agent reports of its calls, in two intervals, as it arrives."""
    recorder = Recorder("steady", agent, origin_ns=0, closed=False, expects_summary=True)
    half = len(calls) // 2
    for seq, part in enumerate((calls[:half], calls[half:])):
        for call in part:
            if call.facts.outcome is Outcome.DROPPED:
                recorder.dropped(0, 0, MS, call.facts.reason)
                continue
            recorder.now.starts += 1
            if call.facts.outcome is Outcome.UNFINISHED:
                recorder.unfinished(0, 0, 0, MS, 0)
            else:
                recorder.record(call.facts, 0, 0, 0, MS, MS, 0, 0, b"", False)
        taken = recorder.take()
        frame = blank(taken.tally(Connections()), dict(taken.packed()), agent=agent, seq=seq, final=seq == 1)
        yield decode(encode(frame)[4:])


@pytest.mark.parametrize("agents", [1, 3])
@given(calls=st.lists(CALLS, max_size=40))
def test_the_bill_of_a_mixed_run_is_the_one_worked_out_by_hand(agents: int, calls: list[Call]) -> None:
    total, other = PhaseTotal("steady"), PhaseTotal("steady")
    for agent in range(agents):
        for frame in recorded(calls[agent::agents], agent):
            (other if agent == 2 else total).add(frame)
    assert list(total.faults()) == []
    whole = combined([total, other])
    bills = [call.bill for call in calls]
    known = [bill for bill in bills if isinstance(bill, int)]
    requests = len(known) + bills.count("unknown")
    used = Decimal(sum(known)) / 1024 / 1000
    amount = used * Decimal("0.00011108") + requests * Decimal("1.33") / 1_000_000
    for found in (billing(whole, BOOK), cost([spent(total.tally), spent(other.tally)], BOOK)):
        assert (found.requests, found.refused) == (requests, bills.count("refused"))
        assert found.unmetered == bills.count("unknown")
        assert (found.gb_seconds, found.amount) == (used, amount)
    assert sum((spent_on(call.facts) for call in calls), Spent()) == spent(whole.tally)


def test_one_calls_bill_never_stands_for_anothers() -> None:
    """Fifty answers 400 that carry a bill of 100 ms, and fifty calls that were not answered."""
    refusals = [with_a_bill(Outcome.BAD_REQUEST, 100, 100, 512)] * 50
    lost = [Call(Facts(Outcome.TIMEOUT, "total", 0), "unknown")] * 50
    total = PhaseTotal("steady")
    for frame in recorded([*refusals, *lost], 0):
        total.add(frame)
    found = billing(total, BOOK)
    assert (found.requests, found.unmetered, found.refused) == (100, 50, 0)
    assert found.gb_seconds == Decimal("2.5")


def test_of_a_target_that_is_no_function_nothing_is_charged() -> None:
    recorder = Recorder("steady", 0, origin_ns=0, closed=True, expects_summary=False)
    for outcome in (Outcome.OK, Outcome.BAD_REQUEST, Outcome.TIMEOUT):
        recorder.record(Facts(outcome, "ok", 200), 0, 0, 0, MS, MS, 0, 0, b"", False)
    assert spent(recorder.take().tally(Connections())) == Spent()
