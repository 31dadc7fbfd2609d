"""The Summary as one HTML page that needs nothing else: no network, no font, no file beside it.

Names, bodies and request ids come from strangers: ``foreign.html`` is applied to every text that the template is given,
but to the drawings, which do so themselves. What the page may do is bounded besides: its policy lets run the one script
and apply the one style sheet whose hashes it names, and fetch nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib import resources

import jinja2
import msgspec
from markupsafe import Markup
from msgspec import Struct

from loadgen.experiments.registry import is_experiment
from loadgen.measure.summary import Summary
from loadgen.report import billing, charts, drawing, subject, tables
from loadgen.report.answer import head
from loadgen.report.drawing import Chart
from loadgen.report.experiment import section
from loadgen.report.figures import calls, phases, totals
from loadgen.report.heat import HeatMap, heat_map
from loadgen.report.heat_drawing import heat_svg
from loadgen.report.parts import parts
from loadgen.report.plots import encoded, heat, plot
from loadgen.report.terms import TERMS
from loadgen.report.tiles import tiles
from loadgen.report.timeline import Timeline
from loadgen.text import foreign

_LATENCY, _RATE, _HEAT = "latency", "rate", "heat"


class Figure(Struct, frozen=True):
    """What is drawn; with ``plot`` the page's script draws it anew from the data of that name.

    With ``heat`` it reads a heat map from the data of that name.
    """

    title: str
    description: str
    drawing: Markup
    keys: tuple[tuple[str, str], ...] = ()
    note: str = ""
    plot: str = ""
    heat: str = ""


def html(summary: Summary, timeline: Timeline) -> str:
    """The whole report. ``timeline`` may have no points; the charts over time are then left out, and it says so.

    Of an experiment, whose phases are of different rates, sizes or starts, nothing is said of all of them together.
    """
    views, total, found = phases(summary), totals(summary), section(summary)
    experiment = found.mixed or is_experiment(summary.run.kind)
    latency = (
        None if found.mixed else charts.latency_over_time(timeline, views, charts.latency_limits(summary, timeline))
    )
    failed = charts.failed_over_time(timeline, views) if timeline.points else None
    rate = None if found.mixed else charts.rate_over_time(timeline, views, summary.scenario)
    data = {
        name: spec
        for name, drawn in ((_LATENCY, (latency, failed) if latency else ()), (_RATE, (rate,)))
        if (spec := plot(drawn, timeline, views)) is not None
    }
    numbers = iter(range(1000))
    over_time = [_figure([latency, failed], numbers, _LATENCY, _each(timeline, failed))] if latency else []
    pictures = [_figure([chart], numbers) for chart in found.pictures if chart is not None]
    curve = None if experiment else charts.percentile_curve(total)
    figures = [*([_figure([curve], numbers)] if curve else []), *(over_time if pictures else [])]
    rates = [_figure([rate], numbers, _RATE)] if rate else []
    figures += rates if pictures or over_time else []
    if (map_ := None if experiment else heat_map(timeline, views)) is not None:
        data[_HEAT] = heat(map_)
        figures.append(_heat(map_))
    beside = None if experiment else charts.cold_beside_warm(total)
    goes = None if experiment else parts(total)
    said = head(summary)
    context: dict[str, object] = {
        "summary": summary,
        "experiment": experiment,
        "head": said,
        "title": _title(summary, said.word),
        "name": subject.short(summary.run.name),
        "target": f"· {where}" if (where := subject.target(summary)) else "",
        "when": subject.when(summary),
        "tags": subject.tags(summary),
        "cautions": list(_cautions(summary)),
        "standing": tables.standing(summary),
        "reasons": tables.reasons(summary),
        "synthetic": tables.SYNTHETIC if summary.environment.synthetic else "",
        "tiles": found.tiles or (() if experiment else tiles(summary)),
        "pictures": pictures or over_time or rates,
        "figures": figures,
        "missing": [] if experiment else _missing(curve, latency, timeline),
        "facts": [("name", summary.run.name), *tables.facts(summary)],
        "found": found.tables,
        "beside": _figure([beside], numbers) if beside else None,
        "parts": Figure(goes.title, goes.description, Markup(goes.drawing), note=goes.note) if goes else None,  # noqa: S704
        "headline": None if experiment else tables.headline(summary),
        "counts": tables.counts(summary),
        "outcomes": tables.outcomes(summary.totals),
        "bills": [table for table in (billing.cost(summary), billing.audit(summary)) if table.rows],
        "thresholds": tables.thresholds(summary),
        "by_call": tables.by_call(total),
        "by_phase": tables.by_phase(summary),
        "call_metrics": [(name, tables.metrics(of_call)) for name, of_call in calls(total)],
        "metrics": tables.metrics(total),
        "phase_metrics": [(view.phase.name, tables.metrics(view)) for view in views]
        if len(views) > 1 and not experiment
        else [],
        "failures": tables.failures(summary),
        "slowest": tables.slowest(summary),
        "generator": tables.generator(summary),
        "environment": tables.environment(summary),
        "scenario": msgspec.json.format(msgspec.json.encode(summary.scenario), indent=2).decode().split("\n"),
        "terms": TERMS,
        "width": f"{timeline.width_s} s",
        "plots": Markup(encoded(data)) if data else "",  # noqa: S704  nothing in it ends a script element
        **carried(),
    }
    context["links"] = _links(context)
    return _template().render(context)


def _title(summary: Summary, word: str) -> str:
    named = f"{word} {subject.short(summary.run.name)}"
    return " · ".join(part for part in (named, subject.target(summary), subject.when(summary), "loadgen") if part)


@cache
def carried() -> dict[str, Markup]:
    """The script and style sheet that every page carries, and the policy that lets nothing else run or apply."""
    here = resources.files("loadgen.report")
    script, style = (
        "\n".join((here / name).read_text("utf-8") for name in names)
        for names in (("vendor/uPlot.iife.min.js", "page.js"), ("vendor/uPlot.css", "page.css"))
    )
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    return {"script": Markup(script), "style": Markup(style), "policy": Markup(policy)}  # noqa: S704  our own files


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("loadgen.report", "."),
        autoescape=True,
        finalize=_written,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["slug"] = _slug
    return environment.get_template("report.html.jinja")


def _written(value: object) -> object:
    return Markup(foreign.html(value)) if isinstance(value, str) and not isinstance(value, Markup) else value  # noqa: S704


def _slug(title: str) -> str:
    """What a part of the page is linked by."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _links(context: dict[str, object]) -> set[str]:
    """The ids of parts that this page has and a tile may lead to."""
    single = [context[name] for name in ("thresholds", "headline", "outcomes", "counts", "slowest")]
    listed: list[object] = [*single, *_listed(context["found"]), *_listed(context["bills"])]
    drawn = [*_listed(context["pictures"]), *_listed(context["figures"])]
    shown = [each.title for each in listed if isinstance(each, tables.Table) and (each.rows or each.notes)]
    return {_slug(title) for title in (*shown, *(each.title for each in drawn if isinstance(each, Figure)))}


def _listed(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()


def _figure(drawn: Sequence[Chart | None], numbers: Iterator[int], plot: str = "", note: str = "") -> Figure:
    """Charts one below the other, under the title of the first."""
    shown = [chart for chart in drawn if chart is not None]
    first = shown[0]
    drawings = [drawing.svg(chart, size, next(numbers)) for chart in shown for size in (drawing.WIDE, drawing.NARROW)]
    keys = tuple(
        (series.name, f"{series.style} {series.mark}")
        for chart in shown
        for series in reversed(chart.series)
        if not series.label and series.name not in {spot.style for spot in chart.spots}
    )
    return Figure(
        first.title,
        " ".join(chart.description for chart in shown),
        Markup("\n".join(drawings)),  # noqa: S704  the drawings escape every text they hold
        keys,
        " ".join(part for part in (note, *(chart.note for chart in shown)) if part),
        plot,
    )


def _each(timeline: Timeline, failed: Chart | None) -> str:
    """What a point over time is."""
    each = "second" if timeline.width_s == 1 else f"{timeline.width_s} s"
    return (
        f"Latency of the calls that were ok in each {each}, on a logarithmic scale; a percentile that so few do not "
        f"support is not drawn.{'' if failed else ' No call failed.'}"
    )


def _heat(found: HeatMap) -> Figure:
    drawings = (heat_svg(found, size) for size in (drawing.WIDE, drawing.NARROW))
    return Figure(
        "Latency, second by second",
        found.description,
        Markup("\n".join(drawings)),  # noqa: S704  the drawings escape every text they hold
        note=f"{found.description} Of ok calls that the load generator did not disturb.",
        heat=_HEAT,
    )


def _cautions(summary: Summary) -> Iterator[str]:
    """What must be known before any figure is read."""
    if said := tables.preflight(summary):
        yield said
    for label, text in tables.facts(summary):
        if label in ("ended early", "certificate"):
            yield f"{label[:1].upper()}{label[1:]}: {text}"
    if summary.run.interrupted and summary.run.stopped is None:
        yield "The run was interrupted: this is what was measured by then."


def _missing(curve: Chart | None, latency: Chart | None, timeline: Timeline) -> list[str]:
    """Why a chart is not there."""
    why = []
    if curve is None:
        why.append("No percentile curve: there are too few ok invocations, or their times are withheld.")
    if not timeline.points:
        why.append("No charts over time: intervals.hlog holds no intervals.")
    elif latency is None:
        why.append("No latency over time: there is no ok invocation, or the times are withheld.")
    return why
