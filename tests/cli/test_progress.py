from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable

import pytest

from loadgen.experiments.decision import Ask
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.summary import Preflight
from tests.cli.displays import Display, S, frame
from tests.frames import cell, packed
from tests.report.builders import histogram


def shown(frames: Iterable[Frame], *, interactive: bool = False, quiet: bool = False) -> str:
    display = Display(interactive=interactive, quiet=quiet)
    try:
        display.progress.preflight(Preflight("ok", "ok", 200, 12_300_000, None))
        display.begin()
        display.tell(frames)
    finally:
        display.progress.close()
        display.progress.close()
    return display.text


def test_without_a_terminal_there_is_a_line_every_ten_seconds_and_one_at_each_end() -> None:
    assert shown([frame(second, failed=3, flying=not second) for second in range(25)]).splitlines() == [
        "pre-flight: ok (status 200) after 12.3 ms",
        "phase steady: 30 s, 6 000 invocations planned",
        "steady: 10 s of 30 s; planned 203/s, achieved 203/s, in flight 1; "
        "latency p50 21.0 ms, p95 34.2 ms, p99 41.2 ms, max 48.8 ms; ok 2 000, throttled 30",
        "steady: 20 s of 30 s; planned 203/s, achieved 203/s, in flight 1; "
        "latency p50 21.0 ms, p95 34.2 ms, p99 41.2 ms, max 48.8 ms; ok 4 000, throttled 60",
        "steady: ended after 25 s; ok 5 000, throttled 75",
    ]


def test_calls_that_outlive_their_phase_are_waited_for_in_words() -> None:
    display = Display()
    display.begin(seconds=3)
    display.tell(frame(second, flying=second == 1) for second in range(3))
    display.tell(frame(second, ok=0) for second in range(3, 11))
    display.progress.close()
    assert display.text.splitlines()[1:] == [
        "steady: waiting for 1 call, grace ends in 3 s; ok 600",
        "steady: ended after 11 s; ok 600",
    ]


def test_silence_is_announced_and_counted_down() -> None:
    display = Display()
    display.progress.asked(Ask((), idle_ns=61 * S, purpose="20 calls at once"))
    display.wait(61)
    display.progress.close()
    assert display.text.splitlines() == [
        "silence of 1 min 1 s, then 20 calls at once",
        "silence of 1 min 1 s, 31 s left, then 20 calls at once",
        "silence of 1 min 1 s, 1 s left, then 20 calls at once",
    ]


def test_calls_in_flight_when_a_run_is_stopped_are_counted_down() -> None:
    display = Display()
    display.begin()
    display.tell([frame(0, flying=15)])
    display.progress.stopping()
    for second in range(1, 16):
        ended = frame(second, ok=1)
        ended.tally.planned = ended.tally.started = 0
        display.tell([ended])
    assert display.text.splitlines()[1:] == [
        "draining 10: calls are in flight and awaited, 5 s at most; ok 205",
        "draining 5: calls are in flight and awaited, 0 s at most; ok 210",
        "ending: nothing is in flight; ok 215",
    ]


def test_the_agents_are_shown_together() -> None:
    frames = [frame(second, agent=agent, ok=600, flying=not second) for second in range(10) for agent in (0, 1)]
    assert "achieved 1 200/s, in flight 2; latency p50 21.0 ms, p95 34.3 ms, p99 41.8 ms" in shown(frames)


def test_an_interval_without_ok_invocations_says_so() -> None:
    assert "latency no ok invocation; ok 0, throttled 70" in shown([frame(s, ok=0, failed=7) for s in range(10)])


@pytest.mark.parametrize("starts", [("warm",), ("cold", "warm"), ("unknown", "ambiguous"), ("cold", "warm", "unknown")])
def test_the_latency_is_of_every_ok_invocation_however_it_started(starts: tuple[str, ...]) -> None:
    labelled = []
    for second in range(10):
        each = frame(second, ok=1495)
        values = [21_000] * 1495
        each.hist = packed(
            {f"{start}/ok/latency": histogram(values[number :: len(starts)]) for number, start in enumerate(starts)}
            | {"throttled/latency": histogram([9_000_000])}
        )
        labelled.append(each)
    assert "latency p50 21.0 ms, p95 21.0 ms, p99 21.0 ms, max 21.0 ms; ok 14 950" in shown(labelled)


def test_a_phase_may_have_a_slash_in_its_name() -> None:
    display = Display()
    display.begin("a/ok", drawn=None)
    display.tell(frame(second, name="a/ok") for second in range(10))
    display.progress.close()
    assert "latency p50 21.0" in display.text


def test_a_warm_up_is_called_one_and_a_closed_phase_plans_no_number() -> None:
    display = Display()
    display.begin("warm-up", drawn=None, seconds=5, warmup=True)
    display.progress.close()
    assert display.text == "warm-up warm-up: 5 s\n"


def test_what_a_phase_of_an_experiment_is_for_stands_beside_it() -> None:
    display = Display()
    display.progress.asked(Ask((), purpose="hold 105/s"))
    display.begin("probe-04", drawn=1200, seconds=12)
    display.progress.close()
    assert display.text == "phase probe-04: 12 s, 1 200 invocations planned; hold 105/s\n"


def test_frames_of_another_phase_are_passed_over() -> None:
    assert "ended" not in shown([frame(second, name="warm-up") for second in range(12)])


def test_quiet_writes_nothing() -> None:
    assert shown([frame(second) for second in range(12)], quiet=True) == ""
    assert shown([frame(second) for second in range(12)], quiet=True, interactive=True) == ""


def test_a_line_on_a_terminal_that_is_not_redrawn_is_wrapped_where_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    display = Display(tty=True)
    display.begin()
    display.tell(frame(second, failed=3) for second in range(10))
    assert display.text.splitlines()[1:4] == [
        "steady: 10 s of 30 s; planned 203/s, achieved 203/s, in",
        "  flight 0; latency p50 21.0 ms, p95 34.2 ms, p99 41.2 ms,",
        "  max 48.8 ms; ok 2 000, throttled 30",
    ]


@pytest.fixture
def ansi_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.usefixtures("ansi_terminal")
def test_a_terminal_gets_a_display_that_is_drawn_again_and_the_cursor_back() -> None:
    text = shown([frame(second, failed=3) for second in range(5)], interactive=True)
    assert text.count("in the last second") >= 5
    assert "25 s left" in text
    assert "in flight" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert "steady: ended after 5 s; ok 1 000, throttled 15\n" in text.replace("\r", "")


@pytest.mark.usefixtures("ansi_terminal")
def test_there_are_at_most_four_drawings_a_second() -> None:
    display = Display(interactive=True)
    display.begin()
    before = display.text.count("now ")
    for number in range(100):
        display.clock.now_ns += S // 20
        each = frame(number / 20, agent=number)
        display.progress.frame(each)
    assert display.text.count("now ") - before <= 4 * 5


@pytest.mark.usefixtures("ansi_terminal")
def test_a_silence_is_drawn_anew_each_second_without_any_frame() -> None:
    display = Display(interactive=True)
    display.progress.asked(Ask((), idle_ns=5 * S, purpose="one call"))
    display.wait(4.5)
    assert re.findall(r"silence of 5 s, (\d) s left, then one call", display.text) == ["5", "4", "3", "2", "1"]


@pytest.mark.usefixtures("ansi_terminal")
def test_nothing_is_drawn_before_the_load_as_something_may_be_asked_then() -> None:
    display = Display(interactive=True)
    display.wait(5)
    assert display.text == ""


@pytest.mark.usefixtures("ansi_terminal")
def test_the_cursor_comes_back_when_the_run_fails() -> None:
    display = Display(interactive=True)
    bad = frame(0)
    bad.hist = {cell("ok/latency"): b"broken"}

    def run() -> None:
        try:
            display.progress.asked(Ask(()))
            display.wait(2)
            display.begin()
            display.progress.frame(bad)
        finally:
            display.progress.close()

    with pytest.raises(ValueError, match="packed histogram"):
        run()
    assert display.text.count("\x1b[?25l") == display.text.count("\x1b[?25h") == 1


def test_a_dumb_terminal_gets_lines_without_escape_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    text = shown([frame(second) for second in range(12)], interactive=True)
    assert "\x1b" not in text
    assert "steady: 10 s of 30 s" in text


def test_no_color_leaves_colours_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shown([frame(second) for second in range(3)], interactive=True)


def test_foreign_text_cannot_move_the_cursor() -> None:
    display = Display()
    display.progress.note("a\x1b[2Jb\nc")
    assert display.text == "a\\x1b[2Jb\\nc\n"


@pytest.mark.usefixtures("ansi_terminal")
def test_foreign_text_cannot_move_the_cursor_of_the_display_either() -> None:
    display = Display(interactive=True)
    display.progress.asked(Ask((), purpose="a\x1b[2Jb [bold]:smile:"))
    display.wait(2)
    assert "a\\x1b[2Jb [bold]:smile:" in display.text
    assert "\x1b[2J" not in display.text


def test_rich_is_not_imported_without_a_terminal() -> None:
    code = "import sys, loadgen.cli.progress; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_empty_histogram_counts_nothing() -> None:
    each = frame(0)
    each.hist = packed({"ok/latency": Histogram()})
    each.to_ns = 10 * S
    assert "no ok invocation" in shown([each])
