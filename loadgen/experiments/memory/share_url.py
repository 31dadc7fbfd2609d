"""A link that shows a memory comparison in the viewer of AWS Lambda Power Tuning.

All data are in the fragment, which a browser keeps to itself: three arrays, sorted by size, each base64 of
little-endian numbers: sizes in MB (int16), mean durations in ms (float32), mean costs of a call (float32).
Source: alexcasalboni/aws-lambda-power-tuning, lambda/utils.js; matteo-ronchetti/aws-lambda-power-tuning-ui, src/app.js.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

VIEWER = "https://lambda-power-tuning.show/"


def share_url(sizes: Sequence[tuple[int, float, float]], currency: str | None = None) -> str:
    """The link for (MB, mean duration in ms, cost of a call) of every size. The viewer knows dollars and CNY."""
    rows = sorted(sizes)
    parts = [
        _encoded("h", [size for size, _, _ in rows]),
        _encoded("f", [duration for _, duration, _ in rows]),
        _encoded("f", [cost for _, _, cost in rows]),
    ]
    return f"{VIEWER}{'?currency=CNY' if currency == 'CNY' else ''}#{';'.join(parts)}"


def _encoded(kind: str, values: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}{kind}", *values)).decode()
