"""Writing to stdout and stderr, which may be closed, full, or unable to show a character: no run is lost for that."""

from __future__ import annotations

import codecs
import errno
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Protocol, TextIO

import click

from loadgen.text import foreign

_PLAIN = str.maketrans({"\u202f": " ", "\xa0": " ", "µ": "u", "–": "-", "—": "-", "≥": ">=", "…": "...", "·": "*"})
_COLOURS = re.compile(r"(\x1b\[(?:0|1|2|1;31|32|33)m)")
"""Those that the report is painted in."""
_SECRETS = "loadgen.secrets"
_GONE = (errno.EPIPE, errno.EIO)  # the reader left, the terminal was closed: nobody waits for this text


class Terminal(Protocol):
    """What may be one."""

    def isatty(self) -> bool:
        """Whether it is."""

    def fileno(self) -> int:
        """Its file."""


def prepare() -> None:
    """Have characters that an output cannot encode written in a plainer form, instead of ending the program."""
    codecs.register_error("loadgen.plain", _plainer)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="loadgen.plain")


def interruptible() -> None:
    """From here on an interrupt is a KeyboardInterrupt, as there is something to finish or to clean up.

    Before, it ends the process at once, see ``loadgen.__main__``.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def hide(secrets: Callable[[str], str]) -> None:
    """Have ``secrets`` mask them in everything that the command writes from now on."""
    if (context := click.get_current_context(silent=True)) is not None:
        context.meta[_SECRETS] = secrets


def clean(text: str) -> str:
    """Text as a terminal may have it: without secrets, and with nothing in it that commands the terminal."""
    context = click.get_current_context(silent=True)
    mask: Callable[[str], str] = str if context is None else context.meta.get(_SECRETS, str)
    return foreign.lines(mask(text))


def show(text: str, *, painted: bool = False) -> str | None:
    """Write results to stdout; colours are kept of a ``painted`` one, from which everything foreign is gone.

    Gives why that failed, None when it did not or when nobody reads them any more.
    """
    # click takes the colours out again where the output is no terminal
    parts = _COLOURS.split(text) if painted else [text]
    shown = "".join(part if n % 2 else clean(part) for n, part in enumerate(parts))
    return _written(shown, sys.stdout, err=False)


def pour(parts: Iterable[str]) -> str | None:
    """Write a text that is safe already to stdout, part by part, while anybody reads it; see ``show``."""
    for part in parts:
        try:
            click.echo(part, nl=False)
        except OSError as error:
            return _unwritten(sys.stdout, error)
    return None


def say(text: str) -> None:
    """Write a message to stderr; one that cannot be written is not worth failing for."""
    _written(f"{clean(text)}\n", sys.stderr, err=True)


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size((100, 24)).columns


def columns(stream: Terminal) -> int | None:
    """Columns of the terminal that a stream is, or what COLUMNS says of it; None where it is none, or does not say."""
    try:
        if not stream.isatty():
            return None
        said = os.environ.get("COLUMNS", "")
        return int(said) if said.isdecimal() and int(said) else os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):  # closed, or no file
        return None


def colour() -> bool:
    """Whether a terminal may be given colours. Source: https://no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def silence(stream: TextIO | None) -> None:
    """Send what the stream still holds nowhere, so that the interpreter does not fail on it when it ends."""
    if stream is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _written(text: str, stream: TextIO | None, *, err: bool) -> str | None:
    try:
        click.echo(text, nl=False, err=err)
    except OSError as error:
        return _unwritten(stream, error)
    return None


def _unwritten(stream: TextIO | None, error: OSError) -> str | None:
    silence(stream)
    return None if error.errno in _GONE else error.strerror or str(error)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode(), error.end
