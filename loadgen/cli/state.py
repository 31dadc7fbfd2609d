"""Where loadgen keeps what outlives a run."""

from __future__ import annotations

from pathlib import Path


def state_directory() -> Path:
    """A directory of the user's, which need not exist yet; ``XDG_STATE_HOME`` moves it.

    Source: XDG Base Directory Specification.
    """
    from platformdirs import user_state_path

    return user_state_path("loadgen", appauthor=False)
