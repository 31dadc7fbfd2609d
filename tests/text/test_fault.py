from __future__ import annotations

from loadgen.text.fault import Fault, Place, ScenarioError, show, written


def test_a_fault_shows_where_it_is_what_was_seen_and_a_caret() -> None:
    place = Place("file.yaml", 12, 11, '    rate: "50 / sec"')
    fault = Fault(place, ("phases", 1, "rate"), 'got "50 / sec", expected a number per unit such as 50/s or 3000/min')
    assert fault.render().splitlines() == [
        'file.yaml:12:11: phases[1].rate: got "50 / sec", expected a number per unit such as 50/s or 3000/min',
        '    12 |     rate: "50 / sec"',
        "       |           ^",
    ]


def test_a_long_line_is_cut_around_the_caret() -> None:
    shown = Fault(Place("f", 1, 5001, "x" * 5000 + "!" + "y" * 5000), (), "m").render().splitlines()
    assert len(shown[1]) < 120
    assert shown[1][shown[2].index("^")] == "!"


def test_a_tab_before_the_caret_stays_a_tab() -> None:
    assert Fault(Place("f", 1, 3, "\t\tx"), (), "m").render().splitlines()[2] == "       | \t\t^"


def test_an_excerpt_never_sends_control_characters_to_the_terminal() -> None:
    assert "\x1b" not in Fault(Place("f", 1, 1, "a\x1b[31mb"), (), "m").render()


def test_all_faults_are_listed_once_in_the_order_of_the_file() -> None:
    late, early = Fault(Place("f", 2, 1), (), "late"), Fault(Place("f", 1, 9), (), "early")
    error = ScenarioError([late, early, late])
    assert error.faults == (early, late)
    assert str(error) == "f:1:9: early\nf:2:1: late"


def test_an_option_has_no_line() -> None:
    assert Fault(Place("--set seed"), ("seed",), "m").render() == "--set seed: seed: m"


def test_paths_and_values_are_written_as_users_know_them() -> None:
    values: tuple[object, ...] = ("a", 5, True, None, {}, [], "a\x1b")
    assert written(("phases", 1, "rate", "from")) == "phases[1].rate.from"
    assert [show(value) for value in values] == [
        '"a"',
        "5",
        "true",
        "null",
        "a mapping",
        "a list",
        '"a\\u001b"',
    ]
    assert len(show("x" * 1000)) <= 60
