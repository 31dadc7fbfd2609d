"""A FunctionGraph platform that runs on this machine: its model (pure), and an HTTP server in front of it.

Every number it produces is synthetic.
"""

from __future__ import annotations

from loadgen.targets.port import TargetError


class EmulatorError(TargetError):
    """The emulator cannot start, or ended on its own. The message says what was seen and what to do."""
