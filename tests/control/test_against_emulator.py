"""What is proved against a small server elsewhere, against the emulator."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from loadgen.targets.functiongraph.emulator.process import embedded
from loadgen.targets.functiongraph.protocol.platform import Injected, default_emulator
from loadgen.targets.functiongraph.settings import again
from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.changes import Changes
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.journal import Kind
from loadgen.targets.functiongraph.settings.journalfile import JournalFile, begun
from loadgen.targets.functiongraph.settings.limits import Limits, read_limits
from tests.control.entries import QUICK
from tests.control.restorer import restore
from tests.servers.management import HELLO, PROJECT

CHANGES_WITHOUT = ("last_modified", "image_name")


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    async with embedded(default_emulator(), PROJECT, None) as url, Control(url, PROJECT, Nobody()) as control:
        yield control


async def state(control: Control) -> dict[str, Any]:
    """Everything that can be changed."""
    config = await control.config(HELLO)
    return {
        "config": {key: value for key, value in config.items() if key not in CHANGES_WITHOUT},
        "reserved": await control.reserved_instances(HELLO),
        "versions": [version["version"] for version in await control.versions(HELLO)],
        "alias": await control.alias(HELLO, "lg"),
    }


async def test_within_it_is_as_asked_and_afterwards_as_it_was(control: Control, tmp_path: Path) -> None:
    await control.set_reserved_instances(HELLO, {"count": 1, "idle_mode": True})
    before = await state(control)
    assert before["reserved"] == {"count": 1, "idle_mode": True}
    journal = partial(JournalFile.create, tmp_path, begun("run-1", scenario=None, emulated=True))
    async with Changes(control, journal, patience=QUICK) as changes:
        await changes.config(HELLO, {("memory_size",): 512, ("user_data", "LOADGEN_RUN"): "1"})
        await changes.max_instances(HELLO, 7)
        await changes.version(HELLO, "lg-1")
        await changes.alias(HELLO, "lg", "lg-1")
        await changes.reserved_instances(HELLO, 2)
        await changes.config(HELLO, {("memory_size",): 1024, ("timeout",): 60})
        within = await state(control)
        assert (within["config"]["memory_size"], within["config"]["timeout"]) == (1024, 60)
        assert within["config"]["strategy_config"]["concurrency"] == 7
        assert within["reserved"] == {"count": 2, "idle_mode": True}
        assert within["versions"] == ["latest", "lg-1"]
        assert within["alias"]["version"] == "lg-1"
    assert await state(control) == before


async def test_one_request_in_three_that_fails_in_passing_changes_nothing_of_that(tmp_path: Path) -> None:
    """Seeded, so that it is the same every time; three failures in a row end an experiment, and are not among these."""
    base = default_emulator()
    failing = replace(base, seed=3, management=replace(base.management, faults=(Injected("FSS.0500", 0.3),)))
    async with embedded(default_emulator(), PROJECT, None) as url, Control(url, PROJECT, Nobody()) as control:
        before = await state(control)
    journal = partial(JournalFile.create, tmp_path, begun("run-1", scenario=None, emulated=True))
    async with embedded(failing, PROJECT, None) as url, Control(url, PROJECT, Nobody()) as control:
        async with Changes(control, journal, patience=QUICK) as changes:
            await changes.config(HELLO, {("memory_size",): 512, ("user_data", "LOADGEN_RUN"): "1"})
            await changes.max_instances(HELLO, 7)
            await changes.config(HELLO, {("memory_size",): 1024})
        held = await again.read(control, control.resource(Kind.CONFIG, HELLO), QUICK)
    assert {key: held[key] for key in held if key in before["config"]} == {
        key: value for key, value in before["config"].items() if key in held
    }
    assert list(tmp_path.iterdir()) == []


async def test_after_a_kill_restore_puts_everything_back(control: Control, tmp_path: Path) -> None:
    before = await state(control)
    # step 90 of 175: everything is changed, and nothing put back yet
    arguments = ["-m", "tests.control.victim", control.endpoint, str(tmp_path), "90"]
    victim = subprocess.run([sys.executable, *arguments], capture_output=True, timeout=30, check=False)
    assert victim.returncode == -signal.SIGKILL
    left = await state(control)
    assert left["config"]["strategy_config"]["concurrency"] == 7
    assert left["versions"] == ["latest", "lg-1"]
    assert left["alias"]["version"] == "lg-1"
    assert left["reserved"]["count"] == 2
    assert [each.fault for each in await restore(tmp_path) if each.fault is not None] == []
    assert await state(control) == before


async def test_its_limits_are_read(control: Control) -> None:
    assert await read_limits(control, HELLO) == Limits(100, 1, 400, 1000, memory_mb=128)
