"""A probe for loadgen's cold-starts experiment, for the Python runtimes of FunctionGraph. Handler: index.handler.

Module state lives as long as its instance, so a new instance has a new name and begins to count at 1. Answers
{"cold": true, "instance": "…", "n": 1}; the scenario says where these fields are, by default cold, instance and n.
For scenarios/platform/ it also works as long as the event says ({"loops": 5000000}), and has an initializer that waits.
"""

import threading
import time
import uuid

INSTANCE = uuid.uuid4().hex
_lock = threading.Lock()
_calls = 0


def initializer(context):
    """Take five seconds, and next to no work."""
    time.sleep(5)


def handler(event, context):
    """Say which instance this is, and which of its calls."""
    global _calls
    for _ in range(event.get("loops", 0)):
        pass
    with _lock:
        _calls += 1
        n = _calls
    return {"cold": n == 1, "instance": INSTANCE, "n": n}
