"""What ``loadgen run`` tells of a run while it goes on, besides its terminal: ``--live``, ``--metrics``, ``--otlp``.

All of them show one view of the run, each in a thread of its own; see ``loadgen.streams.view``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from loadgen.cli import output

if TYPE_CHECKING:
    from loadgen.cli.progress import Progress
    from loadgen.measure.summary import Summary
    from loadgen.run.observer import Observer
    from loadgen.scenario.model import Scenario
    from loadgen.streams.live import Live
    from loadgen.streams.otlp import Otlp
    from loadgen.streams.scrape import Scrape
    from loadgen.streams.view import View

_ANY = 0
_TICK_S = 0.25


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what is told."""
    for option in reversed(
        (
            click.option("--live", is_flag=True, help="Serve charts on loopback while it runs, at a URL that is said."),
            click.option("--live-port", type=click.IntRange(1, 65535), metavar="PORT", help="The port of --live."),
            click.option(
                "--metrics", type=click.IntRange(1, 65535), metavar="PORT", help="Serve OpenMetrics there, on loopback."
            ),
            click.option("--otlp", metavar="URL", help="Push metrics to an OpenTelemetry receiver (OTLP over HTTP)."),
        )
    ):
        command = option(command)
    return command


class Streams:
    """The streams of one run, none where none was asked for. ``close`` them in a ``finally``."""

    def __init__(self, view: View | None = None) -> None:
        self._view = view
        self._served: list[Live | Scrape] = []
        self._otlp: Otlp | None = None
        self._unsaid: list[str] = []
        self._quiet = False
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    def opened(cls, asked: dict[str, Any], scenario: Scenario, hide: Callable[[str], str]) -> Streams:
        """Those that the options ask for, their ports taken.

        Raises click.UsageError where one cannot be had: before there is any load.
        """
        port = asked["live_port"] or (_ANY if asked["live"] else None)
        if port is None and asked["metrics"] is None and asked["otlp"] is None:
            return cls()
        from loadgen.streams.fault import StreamError
        from loadgen.streams.view import View

        view = View(scenario, hide)
        streams = cls(view)
        try:
            if asked["otlp"] is not None:
                from loadgen.streams.otlp import Otlp

                streams._otlp = Otlp(view, asked["otlp"])
            if asked["metrics"] is not None:
                from loadgen.streams.scrape import Scrape

                streams._served.append(Scrape(view, asked["metrics"]))
            if port is not None:
                from loadgen.streams.live import Live

                streams._served.append(Live(view, port))
        except StreamError as error:
            streams.close()
            raise click.UsageError(str(error)) from error
        return streams

    def with_(self, observer: Observer) -> Observer:
        """An observer that is told for the streams, too."""
        from loadgen.run.observer import Together

        return observer if self._view is None else Together((observer, self._view))

    def start(self, progress: Progress, *, quiet: bool) -> None:
        """Begin, and say where; from within the loop of the run, while signals are put off, so that threads are deaf.

        ``quiet`` says no more than the addresses.
        """
        self._quiet = quiet
        loop = asyncio.get_running_loop()

        def say(text: str) -> None:
            try:
                loop.call_soon_threadsafe(progress.note, text)
            except RuntimeError:  # the loop has ended
                self._unsaid.append(text)

        for each in self._served:
            each.start()
            output.say(each.said)
        if self._view is not None:
            self._keeping = loop.create_task(_keep(self._view))
        if self._otlp is not None:
            self._otlp.start(say)
            progress.note(self._otlp.said)

    def close(self, summary: Summary | None = None) -> None:
        """Tell how it ended, as far as anybody takes it within some seconds; an interrupt ends that."""
        if self._view is None:
            return
        with suppress(KeyboardInterrupt):
            self._view.finish(summary)
            if self._otlp is not None:
                self._otlp.close()
            for each in self._served:
                each.close()
        self._view = None
        for text in self._unsaid if not self._quiet else ():
            output.say(text)


async def _keep(view: View) -> None:
    """Show what is told, until the loop of the run ends."""
    while True:
        await asyncio.sleep(_TICK_S)
        view.tick()
