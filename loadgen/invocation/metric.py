"""What is measured of an invocation."""

from __future__ import annotations

from enum import Enum


class Metric(Enum):
    """What is measured of an invocation. All are times but ``memory_used``."""

    LATENCY = "latency"
    LATENCY_ALL = "latency_all"
    SERVICE_TIME = "service_time"
    LAG = "lag"
    WAITED = "waited"
    LATE = "late"
    DURATION = "duration"
    BILLED_DURATION = "billed_duration"
    OVERHEAD = "overhead"
    MEMORY_USED = "memory_used"
    CONNECT = "connect"
