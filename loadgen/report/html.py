"""The Summary as one HTML page that needs nothing else: no network, no script, no font.

Names, bodies and request ids come from strangers: ``foreign.html`` is applied to every text that the template is given,
but to the drawings, which do so themselves.
"""

from __future__ import annotations

from functools import lru_cache

import jinja2
import msgspec
from markupsafe import Markup

from loadgen.experiments.registry import is_experiment
from loadgen.measure.summary import Summary
from loadgen.report import billing, charts, tables
from loadgen.report.answer import head
from loadgen.report.charts import Chart
from loadgen.report.experiment import section
from loadgen.report.figures import calls, phases, totals
from loadgen.report.timeline import Timeline
from loadgen.text import foreign


def html(summary: Summary, timeline: Timeline) -> str:
    """The whole report. ``timeline`` may have no points; the charts over time are then left out, and it says so."""
    views = phases(summary)
    total = totals(summary)
    found = section(summary)
    experiment = is_experiment(summary.run.kind)
    drawn = (
        None if found.mixed else charts.percentile_curve(total),
        None if found.mixed else charts.latency_over_time(timeline, views),
        charts.rate_over_time(timeline, views),
    )
    return _template().render(
        summary=summary,
        experiment=experiment,
        head=head(summary),
        preflight=tables.preflight(summary),
        standing=tables.standing(summary),
        reasons=tables.reasons(summary),
        synthetic=tables.SYNTHETIC if summary.environment.synthetic else "",
        facts=tables.facts(summary),
        found=found.tables,
        found_figures=[
            _figure(chart, number) for number, chart in enumerate(found.charts, len(drawn)) if chart is not None
        ],
        headline=None if found.mixed else tables.headline(summary),
        figures=[_figure(chart, number) for number, chart in enumerate(drawn) if chart is not None],
        missing=[] if found.mixed else _missing(drawn, timeline),
        counts=tables.counts(summary),
        outcomes=tables.outcomes(summary.totals),
        bills=[table for table in (billing.cost(summary), billing.audit(summary)) if table.rows],
        thresholds=tables.thresholds(summary),
        by_call=tables.by_call(total),
        by_phase=tables.by_phase(summary),
        call_metrics=[(name, tables.metrics(of_call)) for name, of_call in calls(total)],
        metrics=tables.metrics(total),
        phase_metrics=[(view.phase.name, tables.metrics(view)) for view in views]
        if len(views) > 1 and not experiment
        else [],
        failures=tables.failures(summary),
        slowest=tables.slowest(summary),
        generator=tables.generator(summary),
        environment=tables.environment(summary),
        scenario=msgspec.json.format(msgspec.json.encode(summary.scenario), indent=2).decode().split("\n"),
    )


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
    return environment.get_template("report.html.jinja")


def _written(value: object) -> object:
    return Markup(foreign.html(value)) if isinstance(value, str) and not isinstance(value, Markup) else value  # noqa: S704


def _figure(chart: Chart, number: int) -> tuple[Chart, Markup]:
    drawings = (charts.svg(chart, size, number) for size in (charts.WIDE, charts.NARROW))
    return chart, Markup("\n".join(drawings))  # noqa: S704  the drawings escape every text they hold


def _missing(drawn: tuple[Chart | None, ...], timeline: Timeline) -> list[str]:
    """Why a chart is not there."""
    curve, latency, _ = drawn
    why = []
    if curve is None:
        why.append("No percentile curve: there are too few ok invocations, or their times are withheld.")
    if not timeline.points:
        why.append("No charts over time: intervals.hlog holds no intervals.")
    elif latency is None:
        why.append("No latency over time: there is no ok invocation, or the times are withheld.")
    return why
