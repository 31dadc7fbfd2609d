"""How quantities are written, in one place for every renderer and the live display.

Three significant digits for what is measured, and never a rounding that hides something: a share is ``0 %`` or
``100 %`` only when it is exactly that, and a rate is a whole number only when it is one.
"""

from __future__ import annotations

import math
from decimal import Decimal

from loadgen.text.foreign import GAP, THIN

_TIMES = ((1, "ns"), (1_000, "µs"), (1_000_000, "ms"), (1_000_000_000, "s"), (60_000_000_000, "min"))
_LIMITS = (1_000, 1_000_000, 1_000_000_000, 600_000_000_000, math.inf)
_SIZES = ((1, "B"), (1 << 10, "KiB"), (1 << 20, "MiB"), (1 << 30, "GiB"))


def duration(ns: float) -> str:
    """A measured time with three significant digits: ``1.23 ms``, ``45.0 s``; minutes from ten minutes up."""
    if ns == 0:
        return f"0{GAP}s"
    for (unit, name), limit in zip(_TIMES, _LIMITS, strict=True):
        if abs(ns) < limit and (text := _three(ns / unit, limit / unit)):
            return text + GAP + name
    return f"{_grouped(round(ns / 60e9))}{GAP}min"


def between(low: str, high: str, beside: str) -> str:
    """Two quantities as a range, below or beside another: ``1.20–1.31`` where all three have the same unit."""
    unit = beside.partition(GAP)[2]
    if all(text.partition(GAP)[2] == unit for text in (low, high)):
        return f"{low.partition(GAP)[0]}–{high.partition(GAP)[0]}"
    return f"{low}–{high}"


def spread(low: str | None, high: str | None) -> str:
    """A range in the place of a quantity: ``21.2–47.1 ms``; ``from 21.2 ms`` and ``up to 47.1 ms`` without one end."""
    if low is None or high is None:
        return f"from {low}" if low is not None else f"up to {high}" if high is not None else "not known"
    number, _, unit = low.partition(GAP)
    return f"{number if unit and unit == high.partition(GAP)[2] else low}–{high}"


def span(ns: int) -> str:
    """A configured length of time, exactly: ``1 min 30 s``, ``500 ms``; a measured one as ``duration`` writes it."""
    if ns == 0:
        return f"0{GAP}s"
    if ns % 1_000_000:
        return duration(ns)
    parts = []
    for unit, name in ((3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s")):
        whole, ns = divmod(ns, unit)
        if whole:
            parts.append(f"{whole}{GAP}{name}")
    if ns:
        parts.append(f"{ns // 1_000_000}{GAP}ms")
    return " ".join(parts)


def size(bytes_: float) -> str:
    """A size in bytes with three significant digits, in units of 1024: ``41.2 MiB``."""
    for unit, name in _SIZES:
        if (name == "B" and bytes_ < 1024) or (unit > 1 and bytes_ < 1024 * unit):
            return (f"{bytes_:.0f}" if unit == 1 else _digits(bytes_ / unit)) + GAP + name
    return f"{_grouped(round(bytes_ / (1 << 30)))}{GAP}GiB"


def count(n: int) -> str:
    """A whole number in groups of three digits: ``12 345``."""
    return _grouped(n)


def amount(number: Decimal | float) -> str:
    """A sum of money, or of GB-seconds: three significant digits, or whole with more: ``0.000735``, ``12 345``."""
    exact = Decimal(number)
    if abs(exact) >= 1000:
        return _grouped(round(exact))
    return f"{Decimal(f'{exact:.3g}'):f}"


def rate(per_s: float) -> str:
    """A rate per second: ``200/s`` when it is exactly that, ``199.93/s``, ``0.0123/s``."""
    if per_s == int(per_s):
        return f"{_grouped(int(per_s))}/s"
    if abs(per_s) >= 1:
        return f"{per_s:,.2f}/s".replace(",", THIN)
    return f"{per_s:.3g}/s"


def share(part: float, whole: float = 1) -> str:
    """``part`` of ``whole`` in percent, with as many decimals as it takes not to read 0 or 100 when it is neither.

    An empty whole has no shares: a dash.
    """
    if whole == 0:
        return "–"
    percent = 100 * part / whole
    if percent in (0, 100):
        return f"{percent:.0f}{GAP}%"
    for decimals in range(1, 9):
        text = f"{percent:.{decimals}f}"
        if float(text) not in (0, 100):
            return f"{text}{GAP}%"
    return f"{percent:.3g}{GAP}%"


def percentile(p: float) -> str:
    """The name of a percentile: ``p99.9``."""
    return f"p{p:g}"


def _three(number: float, limit: float) -> str | None:
    """Three significant digits, or None when rounding reaches ``limit``, where the next unit starts."""
    text = _digits(number)
    return None if float(text.replace(THIN, "")) >= limit else text


def _digits(number: float) -> str:
    if abs(number) >= 1000:
        return _grouped(round(number))
    text = f"{number:.3g}"
    if "e" in text:  # 999.9 rounds to 1e+03
        return f"{float(text):.0f}"
    decimals = max(0, 2 - math.floor(math.log10(abs(float(text))))) if float(text) else 0
    return f"{number:.{decimals}f}"


def _grouped(n: int) -> str:
    return f"{n:,}".replace(",", THIN)
