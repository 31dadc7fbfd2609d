"""The page in a real browser, from a file; its content security policy allows neither scripts nor requests."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from loadgen.report.html import html
from loadgen.report.timeline import timeline
from tests.report.builders import intervals, valid

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(html(valid(), timeline(intervals(valid()))), encoding="utf-8")
    return path


def browse(page: Path, *arguments: str) -> str:
    """What chromium prints about the page."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={page.parent / 'profile'}", *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, timeout=50, check=True).stdout.decode()


def test_headline_and_charts_are_in_the_page_as_the_browser_sees_it(page: Path) -> None:
    dom = browse(page, "--dump-dom").replace("\u00a0", " ").replace("&nbsp;", " ")
    assert "<h1>warm-latency</h1>" in dom
    assert "21.1 ms" in dom
    assert "42.4 ms" in dom
    for title in ("Latency by percentile", "Latency over time", "Rate over time"):
        assert dom.count("<title id=") == 6
        assert f">{title}</title>" in dom


@pytest.mark.parametrize("width", [1200, 400])
def test_the_picture_of_the_page_is_not_blank(page: Path, width: int) -> None:
    picture = page.parent / "page.png"
    browse(page, "--hide-scrollbars", f"--window-size={width},900", f"--screenshot={picture}")
    assert len(set(pixels(picture))) > 20


def pixels(picture: Path) -> bytes:
    """The filtered bytes of a PNG's pixels: of a blank picture they are few different ones."""
    data, at, packed = picture.read_bytes(), 8, b""
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    return zlib.decompress(packed)
