"""The page of a comparison in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from loadgen.comparison.compare import compare
from loadgen.comparison.page import html
from tests.browser.chromium import CHROMIUM, browser, page
from tests.comparison.runs import run, slower

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.mark.parametrize("width", [1200, 500])
async def test_the_pictures_of_a_comparison_are_drawn(tmp_path: Path, width: int) -> None:
    base, new = run(slower(1), "base"), run(slower(1.12), "new")
    written = tmp_path / "ü b.html"
    written.write_text(html(compare(base, [new], 0.05), base, [new], 0.05), encoding="utf-8")
    with browser() as address:
        async with page(address) as tab:
            await tab.open(written, width)
            seen = await tab.colours(await tab.screenshot(whole=True))
    assert {"b3302a", "14628f", "eceeea"} <= seen, "what is worse, new, and noise"


async def test_nothing_is_wider_than_a_narrow_window_and_the_browser_complains_of_nothing(tmp_path: Path) -> None:
    summary = slower(1.12)
    long = replace(summary, run=replace(summary.run, name="<script>alert(1)</script>" + "n" * 10_000))
    base, new = run(slower(1), "base"), run(long, "new")
    written = tmp_path / "page.html"
    written.write_text(html(compare(base, [new], 0.05), base, [new], 0.05), encoding="utf-8")
    with browser() as address:
        async with page(address) as tab:
            await tab.open(written, 400)
            assert await tab.run("document.documentElement.scrollWidth") <= 400
            assert await tab.run("document.querySelectorAll('script').length") == 0
            assert tab.errors == []
