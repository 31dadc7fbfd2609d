"""What outcomes mean does not contradict itself."""

from __future__ import annotations

import pytest

from loadgen.invocation.outcome import CENSORED, FAILED, LOCAL_LIMIT, OK, UNSENT, Again, Instance, Outcome, names


@pytest.mark.parametrize("outcome", Outcome)
def test_what_was_refused_before_any_code_ran_met_no_instance(outcome: Outcome) -> None:
    traits = outcome.traits
    assert not traits.refused or traits.instance is Instance.NONE


@pytest.mark.parametrize("outcome", Outcome)
def test_whoever_got_no_answer_knows_no_fault(outcome: Outcome) -> None:
    assert outcome.traits.fault is None or outcome.value not in CENSORED


def test_outcomes_are_ok_or_failed_and_are_found_by_their_traits() -> None:
    assert {OK} | FAILED == {outcome.value for outcome in Outcome}
    assert OK not in FAILED
    assert names(lambda traits: traits.again is Again.MIXED) == {"function_error", "timeout"}


def test_reasons_belong_to_outcomes() -> None:
    assert {reason.partition("/")[0] for reason in (*UNSENT, LOCAL_LIMIT)} <= FAILED
