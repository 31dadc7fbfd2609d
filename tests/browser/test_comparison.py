"""The page of a comparison in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.comparison.compare import compare
from loadgen.comparison.page import html
from tests.browser.test_report import CHROMIUM, browse, pixels
from tests.comparison.runs import run, slower

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

HEIGHT = 620


def colours(picture: Path, width: int) -> set[bytes]:
    """The colours of a picture of the page, from the filtered bytes of its pixels (PNG, section 9)."""
    raw = pixels(picture)
    row_bytes = len(raw) // HEIGHT
    bpp = (row_bytes - 1) // width
    above, found = bytes(row_bytes - 1), set()
    for at in range(0, len(raw), row_bytes):
        kind, row = raw[at], bytearray(raw[at + 1 : at + row_bytes])
        for i in range(len(row)) if kind else ():
            left, up, corner = (row[i - bpp], above[i], above[i - bpp]) if i >= bpp else (0, above[i], 0)
            p = left + up - corner
            paeth = min((left, up, corner), key=lambda each: abs(p - each))
            row[i] = (row[i] + (left, up, (left + up) // 2, paeth)[kind - 1]) & 255
        above = bytes(row)
        found |= {above[i : i + 3] for i in range(0, len(above), bpp)}
    return found


@pytest.mark.parametrize(("width", "above"), [(1200, 300), (500, 800)])
def test_the_pictures_of_a_comparison_are_drawn(tmp_path: Path, width: int, above: int) -> None:
    base, new = run(slower(1), "base"), run(slower(1.12), "new")
    page, picture = tmp_path / "ü b.html", tmp_path / "page.png"
    text = html(compare(base, [new], 0.05), base, [new], 0.05)
    page.write_text(text.replace("<main>", f'<main style="margin-top: -{above}px">'), encoding="utf-8")
    browse(page, "--hide-scrollbars", f"--window-size={width},{HEIGHT}", f"--screenshot={picture}")
    seen = colours(picture, width)
    for colour in ("b3302a", "14628f", "eceeea"):  # what is worse, new, and noise
        assert bytes.fromhex(colour) in seen
