from __future__ import annotations

import io
import subprocess
import sys

import pytest

from loadgen.cli.progress import Progress
from loadgen.load.budget import Budget
from loadgen.load.constant import ConstantRate
from loadgen.load.phase import Phase
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.summary import Preflight
from loadgen.scenario.model import Scenario
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.port import Timeout, Tls
from loadgen.text.units import Rate
from tests.frames import blank, cell, counted, packed
from tests.report.builders import histogram, spread

S = 1_000_000_000


def scenario() -> Scenario:
    def phase(name: str, *, warmup: bool) -> Phase:
        rate = ConstantRate(Rate(200, S))
        return Phase(name, rate, 30 * S, warmup, max_in_flight=10, grace_ns=S)

    return Scenario(
        name="live",
        kind="load",
        seed=1,
        target=HttpTarget("http://127.0.0.1:1/", "GET", (), False, Timeout(S, S, S), Tls(True, None), True),
        event="{}",
        feeder=None,
        phases=(phase("warm-up", warmup=True), phase("steady", warmup=False)),
        thresholds=(),
        sample_share=0.0,
        budget=Budget(None, None),
        tags={},
        emulator=None,
        sha256="0",
    )


def frame(second: float, *, agent: int = 0, ok: int = 200, failed: int = 0, name: str = "steady") -> Frame:
    hist = packed({"ok/latency": histogram(spread(ok, 21_000))} if ok else {}, name)
    tally = counted({"ok": ok, "throttled": failed})
    tally.completed -= second == 0
    span = int(second * S), int((second + 1) * S)
    return blank(tally, hist, phase=name, agent=agent, seq=int(second), span=span)


def shown(frames: list[Frame], *, interactive: bool = False, quiet: bool = False) -> str:
    stream = io.StringIO()
    progress = Progress(scenario(), stream, interactive, quiet=quiet)
    try:
        progress.preflight(Preflight("ok", "ok", 200, 12_300_000, None))
        progress.phase_started("steady", 30 * S, 6000)
        for each in frames:
            progress.frame(each)
    finally:
        progress.close()
        progress.close()
    return stream.getvalue().replace("\u00a0", " ").replace("\u202f", " ")


def test_without_a_terminal_there_is_a_line_every_ten_seconds_and_one_at_each_end() -> None:
    assert shown([frame(second, failed=3) for second in range(25)]).splitlines() == [
        "pre-flight: ok (status 200) after 12.3 ms",
        "phase steady: 30 s, 6 000 invocations planned",
        "steady: 10 s of 30 s; planned 203/s, achieved 203/s, in flight 1; "
        "latency p50 21.0 ms, max 48.8 ms; ok 2 000, throttled 30",
        "steady: 20 s of 30 s; planned 203/s, achieved 203/s, in flight 1; "
        "latency p50 21.0 ms, max 48.8 ms; ok 4 000, throttled 60",
        "steady: ended after 25 s; ok 5 000, throttled 75",
    ]


def test_the_agents_are_shown_together() -> None:
    frames = [frame(second, agent=agent, ok=600) for second in range(10) for agent in (0, 1)]
    assert "achieved 1 200/s, in flight 2; latency p50 21.0 ms, p99 41.8 ms" in shown(frames)


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
    assert "latency p50 21.0 ms, p99 21.0 ms, max 21.0 ms; ok 14 950" in shown(labelled)


def test_a_phase_may_have_a_slash_in_its_name() -> None:
    stream = io.StringIO()
    progress = Progress(scenario(), stream, False)
    progress.phase_started("a/ok", 30 * S, None)
    for second in range(10):
        progress.frame(frame(second, name="a/ok"))
    progress.close()
    assert "latency p50 21.0" in stream.getvalue().replace("\u00a0", " ")


def test_a_warm_up_is_called_one_and_a_closed_phase_plans_no_number() -> None:
    stream = io.StringIO()
    progress = Progress(scenario(), stream, False)
    progress.phase_started("warm-up", 5 * S, None)
    progress.close()
    assert stream.getvalue().replace("\u00a0", " ") == "warm-up warm-up: 5 s\n"


def test_frames_of_another_phase_are_passed_over() -> None:
    assert "ended" not in shown([frame(second, name="warm-up") for second in range(12)])


def test_quiet_writes_nothing() -> None:
    assert shown([frame(second) for second in range(12)], quiet=True) == ""
    assert shown([frame(second) for second in range(12)], quiet=True, interactive=True) == ""


@pytest.fixture
def ansi_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.usefixtures("ansi_terminal")
def test_a_terminal_gets_a_table_that_is_drawn_again_and_the_cursor_back() -> None:
    text = shown([frame(second, failed=3) for second in range(5)], interactive=True)
    assert text.count("in the last second") >= 2 * 5
    assert "25 s left" in text
    assert "in flight" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert text.rstrip().endswith("steady: ended after 5 s; ok 1 000, throttled 15")


@pytest.mark.usefixtures("ansi_terminal")
def test_there_are_at_most_two_drawings_a_second() -> None:
    frames = [frame(i / 10, agent=i) for i in range(50)]
    assert shown(frames, interactive=True).count("in flight") <= 12


@pytest.mark.usefixtures("ansi_terminal")
def test_the_cursor_comes_back_when_the_run_fails() -> None:
    stream = io.StringIO()
    progress = Progress(scenario(), stream, True)
    bad = frame(0)
    bad.hist = {cell("ok/latency"): b"broken"}

    def run() -> None:
        try:
            progress.phase_started("steady", 30 * S, 6000)
            progress.frame(bad)
        finally:
            progress.close()

    with pytest.raises(ValueError, match="packed histogram"):
        run()
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") == 1


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
    stream = io.StringIO()
    Progress(scenario(), stream, False).note("a\x1b[2Jb\nc")
    assert stream.getvalue() == "a\\x1b[2Jb\\nc\n"


def test_rich_is_not_imported_without_a_terminal() -> None:
    code = "import sys, loadgen.cli.progress; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_empty_histogram_counts_nothing() -> None:
    each = frame(0)
    each.hist = packed({"ok/latency": Histogram()})
    each.to_ns = 10 * S
    assert "no ok invocation" in shown([each])
