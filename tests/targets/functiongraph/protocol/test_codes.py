from __future__ import annotations

import pytest

from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.protocol.codes import canonical, engine_outcome, platform_outcome
from loadgen.targets.status import status_outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Outcome.BAD_REQUEST),
        (401, Outcome.AUTH),
        (403, Outcome.AUTH),
        (404, Outcome.NOT_FOUND),
        (405, Outcome.BAD_REQUEST),
        (406, Outcome.BAD_REQUEST),
        (408, Outcome.BAD_REQUEST),  # without FSS.0408 it is a proxy's: the request came too slowly
        (413, Outcome.TOO_LARGE),
        (414, Outcome.BAD_REQUEST),
        (429, Outcome.THROTTLED),
        (494, Outcome.TOO_LARGE),
        (499, Outcome.BAD_REQUEST),
        (500, Outcome.PLATFORM_ERROR),
        (501, Outcome.PLATFORM_ERROR),
        (502, Outcome.GATEWAY),
        (503, Outcome.GATEWAY),
        (504, Outcome.GATEWAY),
        (505, Outcome.PLATFORM_ERROR),
        (302, Outcome.PLATFORM_ERROR),  # the API does not redirect
        (101, Outcome.PLATFORM_ERROR),
    ],
)
def test_every_status_that_is_no_success_has_one_outcome(status: int, outcome: Outcome) -> None:
    assert status_outcome(status) is outcome


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (4001, Outcome.FUNCTION_ERROR),  # handler not found
        (4002, Outcome.FUNCTION_ERROR),  # handler raised
        (4007, Outcome.FUNCTION_ERROR),  # result not serialisable
        (4010, Outcome.FUNCTION_TIMEOUT),
        (4011, Outcome.INIT_ERROR),  # initializer timed out
        (4012, Outcome.INIT_ERROR),  # loading timed out
        (4201, Outcome.INIT_ERROR),  # initializer failed
        (4211, Outcome.INIT_ERROR),  # runtime init timed out
        (4204, Outcome.OUT_OF_MEMORY),  # runtime process died
        (4205, Outcome.OUT_OF_MEMORY),
        # the rest of the user side
        (4004, Outcome.FUNCTION_ERROR),
        (4008, Outcome.FUNCTION_ERROR),
        (4021, Outcome.FUNCTION_ERROR),
        (4140, Outcome.FUNCTION_ERROR),
        (4207, Outcome.FUNCTION_ERROR),
        (4208, Outcome.FUNCTION_ERROR),
        (4999, Outcome.FUNCTION_ERROR),
        (9999, Outcome.FUNCTION_ERROR),
        # quotas
        (150429, Outcome.THROTTLED),
        (150430, Outcome.THROTTLED),
        (150432, Outcome.THROTTLED),
        (150433, Outcome.THROTTLED),
        (150434, Outcome.DISABLED),
        # the rest of the system side
        (10_000, Outcome.PLATFORM_ERROR),
        (150424, Outcome.PLATFORM_ERROR),
        (150425, Outcome.PLATFORM_ERROR),
        (150431, Outcome.PLATFORM_ERROR),
        (150435, Outcome.PLATFORM_ERROR),
        (150510, Outcome.PLATFORM_ERROR),
        (161900, Outcome.PLATFORM_ERROR),
        (330404, Outcome.PLATFORM_ERROR),
        # the front end's statuses
        (200400, Outcome.BAD_REQUEST),
        (200401, Outcome.AUTH),
        (200404, Outcome.NOT_FOUND),
        (200413, Outcome.TOO_LARGE),
        (200429, Outcome.THROTTLED),
        (200500, Outcome.PLATFORM_ERROR),
        # no engine codes
        (0, None),
        (200, None),
        (3999, None),
    ],
)
def test_engine_codes_are_user_side_below_10000_and_system_side_above_unless_named(
    code: int, outcome: Outcome | None
) -> None:
    assert engine_outcome(code) is outcome


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("FSS.0401", Outcome.AUTH),
        ("FSS.0403", Outcome.AUTH),
        ("FSS.0408", Outcome.FUNCTION_TIMEOUT),
        ("FSS.0429", Outcome.THROTTLED),
        ("FSS.1404", Outcome.INIT_ERROR),
        ("FSS.1405", Outcome.INIT_ERROR),
        ("APIG.0301", Outcome.AUTH),
        ("APIG.0303", Outcome.AUTH),
        ("APIG.0305", Outcome.AUTH),
        ("APIG.0307", Outcome.AUTH),
        ("APIG.0308", Outcome.THROTTLED),
        ("APIGW.0308", Outcome.THROTTLED),  # the older prefix
        # their status says it all
        ("FSS.0400", None),
        ("FSS.0404", None),
        ("FSS.1051", None),
        ("APIG.0101", None),
        ("APIG.0201", None),
        # no code
        ("", None),
        ("ABC.0001", None),
    ],
)
def test_a_platform_code_has_an_outcome_where_it_is_finer_than_its_status(code: str, outcome: Outcome | None) -> None:
    assert platform_outcome(code) is outcome


def test_the_gateways_old_prefix_is_read_as_the_new_one() -> None:
    assert canonical("APIGW.0301") == "APIG.0301"
    assert canonical("APIG.0301") == "APIG.0301"
    assert canonical("FSS.0404") == "FSS.0404"
