"""A probe for loadgen's cold-starts experiment, for the Python runtimes of FunctionGraph. Handler: index.handler.

Module state lives as long as its instance, so a new instance has a new name and begins to count at 1. Answers
{"cold": true, "instance": "…", "n": 1}; the scenario says where these fields are, by default cold, instance and n.
"""

import threading
import uuid

INSTANCE = uuid.uuid4().hex
_lock = threading.Lock()
_calls = 0


def handler(event, context):
    """Say which instance this is, and which of its calls."""
    global _calls
    with _lock:
        _calls += 1
        n = _calls
    return {"cold": n == 1, "instance": INSTANCE, "n": n}
