"""The live page of a real run in a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.chromium import CHROMIUM, browser, page
from tests.e2e.conftest import environment

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
SCENARIO = """
name: live-page
target: {endpoint: emulator, function: hello}
phases:
  - {name: warm-up, workers: 2, duration: 1s, warmup: true}
  - {name: steady, rate: 100/s, duration: 60s}
thresholds: [latency.p90 < 10s, errors < 50%]
emulator:
  functions: {hello: {memory: 1024MB, work: {median: 2ms, sigma: 0.1}, cold_start: none, errors: 5%}}
"""
PAINTED = """[...document.querySelectorAll("canvas")].map((canvas) => {
  const seen = new Set();
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  for (let at = 0; at < data.length; at += 4) if (data[at + 3]) seen.add(data.slice(at, at + 3).join());
  return seen.size;
})"""


@contextlib.asynccontextmanager
async def started(directory: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A run, and where its page is."""
    (directory / "scenario.yaml").write_text(SCENARIO)
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--out", "run", "--live", "--format", "none"),
        cwd=directory,
        env=environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    assert run.stderr is not None
    try:
        line = (await asyncio.wait_for(run.stderr.readline(), 30)).decode()
        url = re.fullmatch(r"live: (http://127\.0\.0\.1:\d+/\S{24}/)\n", line)
        assert url is not None, line
        yield run, url[1]
        assert "Traceback" not in (await run.stderr.read()).decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            run.kill()
        await run.wait()


async def test_the_page_draws_the_run_second_by_second_and_says_when_it_has_ended(tmp_path: Path) -> None:
    with browser() as address:
        await _watched(tmp_path, address)


async def _watched(tmp_path: Path, address: str) -> None:
    async with started(tmp_path) as (run, url), page(address) as tab:
        await tab.open(url)
        await tab.until("document.querySelectorAll('#tiles div').length === 6")
        await tab.until("Number(document.querySelector('#tiles dd').textContent.replace(/\\D/g, '')) > 300")
        assert await tab.run("document.getElementById('name').textContent") == SCENARIO.splitlines()[1][6:]
        assert await tab.run("document.images.length") == 0
        await tab.until("document.getElementById('doing').textContent.match(/^steady: [3-9]/)")
        painted = await tab.run(PAINTED)
        assert len(painted) == 2
        assert min(painted) > 10
        assert await tab.run("[...document.querySelectorAll('.u-series')].length") == 9
        rules = await tab.run("document.getElementById('rules').textContent")
        assert "latency.p90 < 10s" in rules
        run.send_signal(signal.SIGINT)  # else a page that is slow to open would see nothing but the end
        await tab.until("document.body.classList.contains('over')")
        assert await tab.run("document.getElementById('doing').textContent") == "The run has ended."
        answer = await tab.run("document.getElementById('answer').textContent")
        outside = "[...document.querySelectorAll('[href], [src]')].filter((e) => !(e.href || e.src).startsWith(origin)"
        assert await tab.run(f"{outside} && !(e.href || e.src).startsWith('data:')).length") == 0
        await asyncio.sleep(1)
        assert tab.errors == []
        assert await run.wait() == 130
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert answer == f"{summary['outcome'].upper()}: {summary['answer']}"
