"""A load tester for FunctionGraph's synchronous-invocation API."""

import os

__version__ = "0.1.0"

if os.environ.get("LOADGEN_PURE", "") not in ("", "0"):
    from loadgen.build import hide_compiled

    hide_compiled()
