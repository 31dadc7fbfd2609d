"""A load tester for FunctionGraph's synchronous-invocation API."""

import os

__version__ = "0.1.0"

COLLECTED_AT = 20_000
"""At how many new objects our own processes look for garbage. Nearly all that imports make stays: to go through it at
every 700 new ones, as Python does by itself, is a third of what starting takes."""

if os.environ.get("LOADGEN_PURE", "") not in ("", "0"):
    from loadgen.build import hide_compiled

    hide_compiled()
