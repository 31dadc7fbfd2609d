"""How a run fails; every message says why, and what to do."""

from __future__ import annotations


class RunFailedError(Exception):
    """The load could not begin."""


class DeclinedError(Exception):
    """The user does not want what the run would take."""
