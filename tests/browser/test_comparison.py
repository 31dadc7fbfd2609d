"""The page of a comparison in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

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
