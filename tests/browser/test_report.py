"""The page in a real browser, from a file: what it shows, what it does for pointer and keys, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from loadgen.measure.summary import Summary
from loadgen.report.html import html
from loadgen.report.timeline import timeline
from tests.browser.chromium import CHROMIUM, Page, browser, page
from tests.report.builders import HOSTILE, degraded, empty, intervals, valid

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
OVER_TIME = "#latency-over-time"
INK = """(canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3]) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return seen.size;
})"""
"""How many colours a canvas has."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with browser() as found:
        yield found


@pytest.fixture
async def tab(address: str) -> AsyncIterator[Page]:
    async with page(address) as found:
        yield found


def written(folder: Path, built: Summary | None = None, name: str = "report.html") -> Path:
    built = valid() if built is None else built
    path = folder / name
    path.write_text(html(built, timeline(intervals(built))), encoding="utf-8")
    return path


async def test_the_page_draws_its_charts_and_complains_of_nothing(tab: Page, tmp_path: Path) -> None:
    await tab.open(written(tmp_path, degraded()))
    colours = await tab.run(f"[...document.querySelectorAll('canvas')].map({INK})")
    assert len(colours) == 3
    assert all(n > 8 for n in colours)
    assert tab.errors == []


@pytest.mark.parametrize("width", [1280, 400])
async def test_nothing_of_the_page_is_wider_than_its_window(tab: Page, tmp_path: Path, width: int) -> None:
    long = msgspec.structs.replace(degraded(), run=msgspec.structs.replace(degraded().run, name="n" * 10_000))
    await tab.open(written(tmp_path, long), width)
    await tab.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    await tab.drawn()
    assert await tab.run("document.documentElement.scrollWidth") == width
    outside = f"""[...document.querySelectorAll('main *')].filter(each => !each.closest('.scroll, pre')
      && each.getBoundingClientRect().right > {width}).map(each => each.outerHTML.slice(0, 80))"""
    assert await tab.run(outside) == []
    assert await tab.run("document.querySelector('h1').innerText.length") < 300


async def test_the_first_screen_has_the_answer_the_figures_and_the_picture(tab: Page, tmp_path: Path) -> None:
    await tab.open(written(tmp_path))
    for part in ("h1", ".sentence", ".rules", ".quality summary", ".tiles", ".picture"):
        assert await tab.run(f"document.querySelector('{part}').getBoundingClientRect().top") < 900, part
    assert await tab.run("document.querySelector('.picture').getBoundingClientRect().bottom") < 900
    assert await tab.run("document.title") == "PASSED warm-latency · hello at emulator · 22 Nov 2026, 03:15 Z · loadgen"


async def test_a_pointer_reads_values_and_zooms_every_chart_over_time(tab: Page, tmp_path: Path) -> None:
    await tab.open(written(tmp_path))
    left, top, width = await tab.run(
        f"(r => [r.left, r.top, r.width])(document.querySelector('{OVER_TIME} .u-over').getBoundingClientRect())"
    )
    readout = f"document.querySelector('{OVER_TIME} .readout').innerText"
    assert "hover to read" in await tab.run(readout)
    await tab.mouse("mouseMoved", left + width / 2, top + 40)
    said = (await tab.run(readout)).replace("\u00a0", " ")
    assert re.search(r"^17\.5 s · steady", said)
    assert re.search(r"p50 \d+\.\d ms", said)
    assert said.endswith(" · of 200 calls")
    await tab.mouse("mousePressed", left + width * 0.5, top + 40, held=True)
    await tab.mouse("mouseMoved", left + width * 0.7, top + 40, held=True)
    await tab.mouse("mouseReleased", left + width * 0.7, top + 40)
    spans = await tab.run("loadgen.all.map(each => [each.scales.x.min, each.scales.x.max])")
    assert len(spans) == 2
    assert all(each == pytest.approx([17.5, 24.5], abs=0.2) for each in spans)


async def test_keys_read_values_zoom_and_show_all_again(tab: Page, tmp_path: Path) -> None:
    await tab.open(written(tmp_path))
    await tab.run(f"document.querySelector('{OVER_TIME} .plot').focus()")
    readout = f"document.querySelector('{OVER_TIME} .readout').innerText"
    await tab.key("ArrowRight")
    first = await tab.run(readout)
    await tab.key("ArrowRight")
    assert first != await tab.run(readout)
    await tab.key("+")
    span = "(x => x.max - x.min)(loadgen.all[0].scales.x)"
    assert await tab.run(span) == pytest.approx(17.5)
    await tab.key("Escape")
    assert await tab.run(span) == pytest.approx(35)
    await tab.run("document.querySelector('#latency-by-percentile').focus()")
    await tab.key("ArrowRight")
    assert "p50 of latency" in (await tab.run("document.querySelector('#latency-by-percentile .tip').innerText"))


async def test_a_tile_of_the_heat_map_says_how_many_calls_it_has(tab: Page, tmp_path: Path) -> None:
    await tab.open(written(tmp_path))
    await tab.run("document.querySelector('#latency-second-by-second').focus()")
    said = "document.querySelector('#latency-second-by-second .tip').innerText"
    await tab.key("ArrowRight")
    first = (await tab.run(said)).replace("\u00a0", " ")
    assert re.fullmatch(r"0 s to 1 s, \S+ ms to \S+ ms: \d+ calls", first)
    await tab.key("ArrowUp")
    assert await tab.run(said) != first


async def test_every_picture_is_reached_by_the_tab_key_and_has_a_name(tab: Page, tmp_path: Path) -> None:
    await tab.open(written(tmp_path))
    unnamed = "[...document.querySelectorAll('figure')].filter(each => !each.getAttribute('aria-label')).length"
    assert await tab.run(unnamed) == 0
    reached = await tab.run(
        "[...document.querySelectorAll('figure')]"
        ".every(each => each.tabIndex === 0 || each.querySelector('[tabindex]'))"
    )
    assert reached


async def test_a_page_is_printed_whole_on_white_with_its_folds_open(tab: Page, tmp_path: Path) -> None:
    await tab.open(written(tmp_path, degraded()))
    printed = await tab.pdf()
    assert printed.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12
    await tab.call("Emulation.setEmulatedMedia", media="print")
    shown = "document.querySelector('#scenario pre').getBoundingClientRect().height"
    await tab.run("dispatchEvent(new Event('beforeprint'))")
    assert await tab.run(shown) > 100
    assert await tab.run(f"getComputedStyle(document.querySelector('{OVER_TIME} .plot')).display") == "none"
    assert await tab.run(f"document.querySelector('{OVER_TIME} svg.wide').getBoundingClientRect().height") > 100
    assert await tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


async def test_planted_script_stays_text(tab: Page, tmp_path: Path) -> None:
    planted = msgspec.structs.replace(
        empty(), scenario={"tags": {HOSTILE: HOSTILE}, "target": {"function": HOSTILE, "endpoint": HOSTILE}}
    )
    await tab.open(written(tmp_path, planted))
    assert '<script>alert("1")</script>' in await tab.run("document.querySelector('h1').innerText")
    assert await tab.run("document.querySelectorAll('script').length") == 2
    assert tab.errors == []


async def test_the_policy_stops_what_is_not_the_pages_own(tab: Page, tmp_path: Path) -> None:
    """Scripts in the file, added, in an attribute and made of text; a style; a request."""
    path = written(tmp_path)
    path.write_text(path.read_text().replace("</main>", "<script>window.ran = 1</script></main>"))
    await tab.open(path)
    attempt = """(async () => {
      const added = document.createElement('script'), head = document.querySelector('h1');
      added.textContent = 'window.ran = 2';
      document.body.append(added);
      head.insertAdjacentHTML('beforeend', '<img src=x onerror="window.ran = 3"><i style="color:red">');
      try { new Function('window.ran = 4')(); } catch (error) {}
      let fetched = true;
      try { await fetch(location.href); } catch (error) { fetched = false; }
      return [window.ran, getComputedStyle(head.querySelector('i')).color !== 'rgb(255, 0, 0)', fetched];
    })()"""
    assert await tab.run(attempt) == [None, True, False]
    assert any("Content Security Policy" in error for error in tab.errors)


async def test_a_path_with_blanks_and_other_letters_opens(tab: Page, tmp_path: Path) -> None:
    folder = tmp_path / "läufe & 報告 #1?"
    folder.mkdir()
    await tab.open(written(folder, name="mein report.html"))
    assert await tab.run(f"{INK}(document.querySelector('canvas'))") > 8
    assert tab.errors == []


async def test_without_scripts_every_table_and_drawing_is_there(tab: Page, tmp_path: Path) -> None:
    path = written(tmp_path, degraded())
    await tab.open(path)
    tables = await tab.run("document.querySelectorAll('table').length")
    await tab.open(path, scripts=False)
    await tab.call("Emulation.setScriptExecutionDisabled", value=False)  # the page's own have not been run
    assert await tab.run("typeof loadgen") == "undefined"
    assert await tab.run("document.querySelectorAll('table').length") == tables >= 10
    drawn = "document.querySelector('%s svg.wide').getBoundingClientRect().height > 100"
    for figure in (OVER_TIME, "#rate-over-time", "#latency-by-percentile"):
        assert await tab.run(drawn % figure), figure


async def test_the_page_is_dark_where_that_is_preferred(tab: Page, tmp_path: Path) -> None:
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    await tab.open(written(tmp_path))
    assert await tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 26)"
