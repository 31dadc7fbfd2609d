from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.cores import Held, apart, parted, shared, usable

S = 1_000_000_000
two = pytest.mark.skipif(len(usable()) < 2, reason="there is no core to spare on this machine")


@given(st.integers(1, 9), st.sets(st.integers(0, 99), max_size=9))
def test_each_agent_has_a_core_of_its_own_and_one_is_left_for_the_rest_or_none_has_any(
    agents: int, cores: set[int]
) -> None:
    own = parted(agents, sorted(cores))
    held = {each.core for each in own}
    assert len(held) == len(own) == (agents if agents < len(cores) else 0)
    assert held <= cores
    assert not own or min(cores) not in held


@two
def test_what_is_started_apart_keeps_off_the_agents_cores_and_afterwards_nothing_does() -> None:
    before = os.sched_getaffinity(0)
    own = parted(1, usable())
    with apart(own):
        shown = "import os; print(sorted(os.sched_getaffinity(0)))"
        inside = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout
    assert inside.split() == str(sorted(before - {own[0].core})).split()
    assert os.sched_getaffinity(0) == before


@two
def test_an_agent_gives_its_core_up_for_good_once_another_process_uses_it() -> None:
    with unchanged(), busy_on(usable()[-1]):
        (own,) = parted(1, usable())
        held = Held(own)
        assert os.sched_getaffinity(0) == set(own.usable)
        held.take()
        assert os.sched_getaffinity(0) == {own.core}
        began = time.monotonic_ns()
        while time.monotonic_ns() - began < S // 2:  # which is more than the scheduler lets one have at a time
            pass
        held.look(time.monotonic_ns() - began)
        assert os.sched_getaffinity(0) == set(own.usable)
        held.take()
        held.look(S)
        assert os.sched_getaffinity(0) == set(own.usable)


@two
def test_a_moment_of_another_process_on_it_is_no_reason_to_leave_a_core() -> None:
    with unchanged():
        (own,) = parted(1, usable())
        held = Held(own)
        held.take()
        held.look(10**6 * S)  # whatever this machine was busy with was less than 2 % of that
        assert os.sched_getaffinity(0) == {own.core}


@two
def test_a_machine_on_which_another_process_runs_is_shared() -> None:
    with unchanged(), busy_on(usable()[-1]):
        os.sched_setaffinity(0, {usable()[0]})
        assert shared()


def test_an_agent_without_a_core_of_its_own_stays_where_it_is() -> None:
    before = usable()
    held = Held(None)
    held.take()
    held.look(S)
    assert usable() == before


@contextmanager
def unchanged() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def busy_on(core: int) -> Iterator[None]:
    code = f"import os; os.sched_setaffinity(0, {{{core}}}); print(flush=True)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
