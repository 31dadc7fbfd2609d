"""``loadgen doctor``: what this machine allows, before a run."""

from __future__ import annotations

import ssl

import click


@click.command()
def doctor() -> None:
    """Say what this machine allows: cores, open files, ports, clock, event loop and timer.

    Measures the clock and the timer for a tenth of a second. Exits with 0 whatever it finds.
    """
    from loadgen import __version__
    from loadgen.engine.limits import findings, machine

    found = findings(machine())
    click.echo(f"loadgen {__version__}, pure Python, {ssl.OPENSSL_VERSION}")
    width = max(len(finding.what) for finding in found)
    for finding in found:
        click.echo(f"{'!!' if finding.remedy else 'ok'}  {finding.what:{width}}  {finding.seen}")
        click.echo(f"    {'':{width}}  allows {finding.allows}")
        if finding.remedy:
            click.echo(f"    {'':{width}}  {finding.remedy}")
