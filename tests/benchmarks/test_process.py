"""Commands as benchmarks run them, with real processes."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

import pytest

from benchmarks import process
from benchmarks.tool import Freeze, ToolError

# a process in a session of its own, as an agent is
GRANDCHILD = (
    "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {code!r}], start_new_session=True))"
)


def grandchild(code: str) -> list[str]:
    return [sys.executable, "-c", GRANDCHILD.format(code=code)]


def test_output_and_exit_code_are_kept_apart() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = process.run([sys.executable, "-c", code], limit_s=30)
    assert (done.code, done.out, done.err) == (3, "out\n", "err\n")


def test_cpu_and_memory_are_those_of_the_whole_tree() -> None:
    code = "import time\nx = bytearray(80_000_000)\nt = time.process_time()\nwhile time.process_time() < t + 0.5: pass"
    done = process.run(grandchild(code), limit_s=30)
    assert done.usage.cpu_ns >= 500_000_000
    assert done.usage.rss_bytes >= 80_000_000


def test_a_command_that_does_not_end_is_killed_with_all_it_started() -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(ToolError, match="did not end within 1 s"):
        process.run(grandchild(code), limit_s=1)
    assert process.tree(os.getpid()) == [os.getpid()]


def test_a_frozen_command_is_stopped_in_all_its_processes_and_goes_on() -> None:
    code = """
import time
start = last = time.monotonic()
longest = 0.0
while last < start + 2:
    time.sleep(0.01)
    now = time.monotonic()
    longest, last = max(longest, now - last), now
print(longest)
"""
    done = process.run(grandchild(code), limit_s=30, freeze=Freeze(0.7, 1))
    assert float(done.out) >= 0.9


def test_what_is_frozen_again_and_again_is_only_what_is_named() -> None:
    code = """
import time
start = last = time.monotonic()
gaps = 0
while last < start + 2.5:
    time.sleep(0.01)
    now = time.monotonic()
    gaps, last = gaps + (now - last > 0.28), now
print(gaps)
"""
    freeze = Freeze(0.8, 0.3, every_s=0.6, only="time.monotonic")
    assert int(process.run([sys.executable, "-c", code], limit_s=30, freeze=freeze).out) >= 2
    assert int(process.run([sys.executable, "-c", code], limit_s=30, freeze=replace(freeze, only="nobody")).out) < 2


def test_a_busy_loop_takes_cpu_time_until_it_is_over() -> None:
    before = process.cpu_ns(os.getpid())
    with process.busy(1, None):
        while process.cpu_ns(os.getpid()) < before + 100_000_000:
            time.sleep(0.05)
    assert process.tree(os.getpid()) == [os.getpid()]


def test_what_is_started_while_pinned_runs_on_that_core_alone() -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    done = process.run([sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"], limit_s=30, core=core)
    assert done.out == f"{{{core}}}\n"
    assert os.sched_getaffinity(0) == before


def test_a_variable_is_set_for_what_is_started_meanwhile_and_gone_afterwards() -> None:
    with process.environment({"LOADGEN_BENCHMARK_TEST": "1"}):
        done = process.run(["env"], limit_s=30)
    assert "LOADGEN_BENCHMARK_TEST=1\n" in done.out
    assert "LOADGEN_BENCHMARK_TEST" not in os.environ
