from __future__ import annotations

from tests.simulate.adversaries.rates import LOW, SYSTEMS, held, search, violated


def test_where_cold_starts_break_the_rules_at_low_rates_a_higher_one_is_found() -> None:
    assert violated(LOW, 4.0, 1, 600.0) > 0.01 > violated(LOW, 20.0, 1, 600.0)
    found = search(LOW, 3)
    assert found.confirmed_per_s is not None
    assert 12 < found.confirmed_per_s < 27
    assert any(note.startswith("Less load is not easier here") for note in found.notes)


def test_a_function_whose_speed_wanders_is_confirmed_at_a_rate_that_leaves_room() -> None:
    (wanders,) = [each for each in SYSTEMS if "waits in line" in each.name and each.wander[0]]
    found = held(8, wanders)
    assert found.per_s is not None
    assert found.excess < 1.5
