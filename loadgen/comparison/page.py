"""Comparisons as one HTML page that needs nothing else: no network, no script, no font.

Names of runs, phases and calls come from strangers: every text goes through ``foreign.html``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import loadgen
from loadgen.comparison import drawing
from loadgen.comparison.comparison import Comparison
from loadgen.comparison.pairs import Run, beside
from loadgen.comparison.text import HEAD, LONGEST_NOTE, answer, cells, heading, held, worst_first
from loadgen.text import foreign

_MOST_CURVES = 6

_STYLE = """
:root { --paper: #fcfcfa; --raised: #fff; --ink: #1d2429; --soft: #5b666e; --faint: #8a949b; --rule: #e2e5e4;
  --data: #14628f; --bad: #b3302a; --good: #1e7a45; --warn: #94600a; --noise: #eceeea; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181b; --raised: #1a1f23; --ink: #e4e8ea; --soft: #a3adb4;
  --faint: #7d878e; --rule: #2d343a; --data: #6cb6e6; --bad: #f08a82; --good: #6cc791; --warn: #e3b259;
  --noise: #242b30; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 36px 24px 64px; }
h1 { font-size: 22px; line-height: 1.25; font-weight: 620; margin: 14px 0 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; font-weight: 620; margin: 36px 0 8px; }
.sentence { margin: 0; padding: 14px 16px; border-left: 4px solid var(--faint); background: var(--raised);
  font-size: 18px; line-height: 1.4; overflow-wrap: anywhere; }
.sentence.worse { border-color: var(--bad); } .sentence.worse strong { color: var(--bad); }
.sentence.better { border-color: var(--good); } .sentence.better strong { color: var(--good); }
.sentence.unclear { border-color: var(--warn); } .sentence.unclear strong { color: var(--warn); }
.soft { color: var(--soft); font-size: 13px; } section + section { margin-top: 56px; }
figure { margin: 28px 0 0; } figcaption { font-size: 13px; color: var(--soft); margin-bottom: 6px; }
figcaption b { font-size: 15px; font-weight: 620; color: var(--ink); margin-right: 10px; }
svg { display: block; width: 100%; height: auto; } svg.narrow { display: none; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--soft);
  font-variant-numeric: tabular-nums; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
svg .name { fill: var(--ink); } svg .grid { stroke: var(--rule); } svg .one { stroke: var(--ink); }
svg .noise { fill: var(--noise); }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg .line.base { stroke: var(--faint); stroke-dasharray: 5 3; } svg .line.new { stroke: var(--data); }
svg .limits.base { fill: var(--faint); fill-opacity: .22; } svg .limits.new { fill: var(--data); fill-opacity: .2; }
svg .word.base { fill: var(--soft); } svg .word.new { fill: var(--data); font-weight: 600; }
svg .interval { stroke: var(--data); stroke-width: 1.4; } svg .mark { fill: var(--data); stroke: var(--data); }
svg .interval.worse { stroke: var(--bad); } svg .mark.worse { fill: var(--bad); stroke: var(--bad); }
svg .word.worse { fill: var(--bad); font-weight: 600; } svg .word.better { fill: var(--data); font-weight: 600; }
svg .interval.unclear, svg .interval.same { stroke: var(--faint); }
svg .mark.unclear { fill: var(--paper); stroke: var(--soft); stroke-width: 1.6; }
svg .mark.same { fill: var(--faint); stroke: none; }
.scroll { overflow-x: auto; } .scroll:focus-visible { outline: 2px solid var(--data); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid var(--rule); font-weight: 400; }
th:first-child { padding-left: 0; overflow-wrap: anywhere; } thead th { color: var(--soft); font-size: 13px; }
.number { text-align: right; white-space: nowrap; } td { white-space: nowrap; }
.worse .verdict { color: var(--bad); font-weight: 600; } .better .verdict { color: var(--good); font-weight: 600; }
.unclear .verdict { color: var(--warn); } .same .verdict { color: var(--soft); }
.notes { margin: 8px 0 0; padding-left: 18px; color: var(--soft); font-size: 14px; overflow-wrap: anywhere; }
footer { margin-top: 48px; padding-top: 10px; border-top: 1px solid var(--rule); color: var(--faint); font-size: 13px; }
@media (max-width: 640px) { main { padding: 20px 16px 40px; } svg.wide { display: none; } svg.narrow { display: block; }
  .sentence { font-size: 16px; } table { font-size: 13px; } th, td { padding-inline: 5px; } }
@media print { :root { --paper: #fff; --raised: #fff; --ink: #000; --soft: #444; --faint: #777; --rule: #ccc;
    --data: #14628f; --bad: #b3302a; --good: #1e7a45; --warn: #7a5008; --noise: #eee; }
  body { font-size: 11px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; } svg.wide { display: block; } svg.narrow { display: none; }
  figure, tr, .sentence { break-inside: avoid; } h2, figcaption { break-after: avoid; } .scroll { overflow: visible; }
  table { font-size: 9px; } th, td { padding: 3px 5px; } }
"""


def html(compared: Sequence[Comparison], base: Run, news: Sequence[Run], noise: float) -> str:
    """The page of a base beside new runs, whose comparisons ``compared`` are, in the same order."""
    write = foreign.html
    title = f"{news[0].summary.run.name} compared" if news else "compared"
    parts: list[str] = []
    for number, (each, new) in enumerate(zip(compared, news, strict=True)):
        parts += ["<section>", *_one(each, base, new, noise, number), "</section>"]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f'<meta name="generator" content="loadgen {loadgen.__version__}">',
            f"<title>{write(foreign.quote(title))} · loadgen</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            *parts,
            f"<footer>loadgen {loadgen.__version__}</footer>",
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _one(compared: Comparison, base: Run, new: Run, noise: float, number: int) -> Iterator[str]:
    write = foreign.html
    said, tone = answer(compared, noise)
    word, _, rest = said.partition(":")
    yield f'<p class="sentence {tone}"><strong>{write(word)}</strong>:{write(rest)}</p>'
    yield f"<h1>{write(heading(compared))}</h1>"
    rows = worst_first(compared.rows)
    if compared.comparable:
        drawn = [drawing.ratios(rows, noise, size, number) for size in (drawing.WIDE, drawing.NARROW)]
        left_out = len(rows) - min(drawing.MOST_ROWS, sum(map(drawing.has_ratio, rows)))
        more = f"; {left_out} more {'figures are' if left_out > 1 else 'figure is'} in the table" if left_out else ""
        yield from _figure("How much each figure changed", f"new / base; thin lines are the intervals{more}", drawn)
        every = list(beside(base.summary, new.summary))
        for n, at in enumerate(every[:_MOST_CURVES]):
            ids = number * _MOST_CURVES + n
            drawn = [drawing.curves(at, size, ids) for size in (drawing.WIDE, drawing.NARROW)]
            named = f"Latency by percentile{f' of {at.phase}' if len(every) > 1 else ''}"
            yield from _figure(
                named, "logarithmic scale; bands are 95 % intervals of the percentiles from p50 on", drawn
            )
        if len(every) > _MOST_CURVES:
            yield f'<p class="soft">{len(every) - _MOST_CURVES} more phases have no picture here.</p>'
    if compared.notes:
        yield "<h2>What else differs, and what is not decided</h2>" if compared.comparable else "<h2>What differs</h2>"
        yield '<ul class="notes">'
        yield from (f"<li>{write(foreign.quote(note, LONGEST_NOTE))}</li>" for note in compared.notes)
        yield "</ul>"
    if rows:
        yield "<h2>All figures</h2>"
        yield '<div class="scroll" tabindex="0" role="region" aria-label="All figures"><table>'
        heads = ("figure", *HEAD[1:-1], "verdict")
        classes = ("", "number", "number", "", "")
        yield "<thead><tr>"
        yield "".join(f'<th scope="col" class="{kind}">{text}</th>' for kind, text in zip(classes, heads, strict=True))
        yield "</tr></thead><tbody>"
        for row in rows:
            name, was, now, changed, verdict = map(write, cells(row, 200))
            yield (
                f'<tr class="{row.verdict}"><th scope="row">{name}</th><td class="number">{was}</td>'
                f'<td class="number">{now}</td><td>{changed}</td><td class="verdict">{verdict}</td></tr>'
            )
        yield "</tbody></table></div>"
        yield f'<p class="soft">{write(held(noise))}</p>'


def _figure(title: str, note: str, drawn: Sequence[str]) -> Iterator[str]:
    if any(drawn):
        yield f"<figure><figcaption><b>{foreign.html(title)}</b>{foreign.html(note)}</figcaption>"
        yield from drawn
        yield "</figure>"
