"""The emulator as a process of its own, for clients that others wrote."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import environment

Emulate = Callable[[str], str]

SETTINGS = """
emulator:
  auth: strict
  functions:
    hello: {work: {median: 1ms, sigma: 0}, cold_start: none}
    failing: {cold_start: none, errors: 100%}
    disabled: {max_instances: 0}
    single: {memory: 1024MB, work: {median: 2s, sigma: 0}, cold_start: none, max_instances: 1}
    broken: {faults: {FSS.0500: 100%}}
    unavailable: {faults: {FSS.1402: 100%}}
    behind_a_proxy: {faults: {502: 100%}}
    huawei_config: {cold_start: none}
    huawei_versions: {cold_start: none}
    huawei_instances: {cold_start: none}
    otc_config: {cold_start: none}
    otc_versions: {cold_start: none}
"""
"""A function for each test that changes one, as they all share the platform."""


@contextmanager
def running(file: Path) -> Iterator[str]:
    """``loadgen emulate FILE``; gives its URL."""
    stderr = file.with_suffix(".stderr")
    with stderr.open("wb") as errors:
        command = [sys.executable, "-m", "loadgen", "emulate", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment(), text=True) as process:
            assert process.stdout is not None
            origin = process.stdout.readline().strip()
            assert origin, stderr.read_text()
            try:
                yield origin
            finally:
                process.terminate()
    assert process.returncode == 0
    assert "Traceback" not in stderr.read_text()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """These clients would obey the proxy variables of whoever runs the tests."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The platform of ``SETTINGS``."""
    file = tmp_path_factory.mktemp("platform") / "emulator.yaml"
    file.write_text(SETTINGS)
    with running(file) as origin:
        yield origin


@pytest.fixture
def emulate(tmp_path: Path) -> Iterator[Emulate]:
    """Starts a platform of one's own, for tests that change what all functions share."""
    with ExitStack() as stack:

        def start(settings: str) -> str:
            file = tmp_path / "emulator.yaml"
            file.write_text(f"emulator: {{auth: strict, functions: {{hello: {{cold_start: none}}}}, {settings}}}")
            return stack.enter_context(running(file))

        yield start
