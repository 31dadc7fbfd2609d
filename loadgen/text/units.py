"""Quantities as users write them: always a number and its unit, read exactly (no floating point on the way).

Every function raises ValueError with a text that completes "got …, expected …".
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct

NS_PER_US = 1_000
NS_PER_S = 1_000_000_000

NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
DURATION = rf"^(?=[0-9])(?:{NUMBER}h)?(?:{NUMBER}m)?(?:{NUMBER}s)?(?:{NUMBER}ms)?(?:{NUMBER}us)?$"
RATE = rf"^{NUMBER}/(?:s|min|h)$"
SIZE = r"^[0-9]{1,9}MB$"
LOG_SIZE = r"^[0-9]{1,2}KB$"
SHARE = rf"^{NUMBER}%$"
MONEY = rf"^{NUMBER} [A-Z]{{3}}$"
PRICE = r"^[0-9]{1,12}(?:\.[0-9]{1,18})?$"

_NS = {"us": 1_000, "ms": 1_000_000, "s": NS_PER_S, "m": 60 * NS_PER_S, "h": 3600 * NS_PER_S}
_PER_NS = {"s": NS_PER_S, "min": 60 * NS_PER_S, "h": 3600 * NS_PER_S}
LONGEST_NS = 365 * 24 * _NS["h"]
FASTEST_PER_S = 10_000_000
LARGEST_LOG_KB = 64


def seconds(ns: int) -> str:
    """A time in seconds with as many digits as it needs."""
    return f"{ns / NS_PER_S:.9f}".rstrip("0").rstrip(".") + " s"


def duration(text: str) -> int:
    """Whole ns of ``500us``, ``1.5s``, ``5m``, ``1h`` or, the largest unit first, ``1m30s``; zero is allowed."""
    if not re.match(DURATION[:-1] + r"\Z", text):
        raise ValueError("a number with a unit such as 500us, 10ms, 2s, 5m, 1h or 1m30s")
    parts = re.findall(rf"({NUMBER})([a-z]+)", text)
    ns = sum((Fraction(number) * _NS[unit] for number, unit in parts), Fraction())
    if ns.denominator != 1:
        raise ValueError("a whole number of nanoseconds")
    if ns > LONGEST_NS:
        raise ValueError("at most 8760h, which is a year")
    return int(ns)


def duration_text(ns: int) -> str:
    """How a time may be written: in the largest unit of which it is a whole number; in minutes from five on."""
    whole = [unit for unit, each in _NS.items() if ns % each == 0 and (unit != "m" or ns >= 5 * each)]
    unit = whole[-1] if ns and ns % _NS["ms"] == 0 else "s" if ns >= NS_PER_S or not ns else "us"
    return f"{Decimal(ns) / _NS[unit]:f}{unit}"


def positive_duration(text: str) -> int:
    """Like ``duration``, above zero."""
    ns = duration(text)
    if ns == 0:
        raise ValueError("a time above zero such as 500us, 10ms, 2s, 5m, 1h or 1m30s")
    return ns


def rate(text: str) -> Rate:
    """The exact Rate of ``200/s``, ``3000/min``, ``10/h`` or ``0.5/s``; zero is allowed.

    ``per_ns`` is the unit written, times the power of ten that makes ``events`` whole.
    """
    found = re.match(rf"({NUMBER})/([a-z]+)\Z", text)
    if not found or found[2] not in _PER_NS:
        raise ValueError("a number per unit such as 50/s or 3000/min")
    number = found[1]
    scale: int = 10 ** len(number.partition(".")[2])
    events = Fraction(number) * scale
    if events * NS_PER_S > FASTEST_PER_S * _PER_NS[found[2]] * scale:
        raise ValueError(f"at most {FASTEST_PER_S}/s")
    return Rate(int(events), _PER_NS[found[2]] * scale)


def rate_text(rate: Rate) -> str:
    """A rate as it was written."""
    unit, per_ns = next((unit, each) for unit, each in reversed(_PER_NS.items()) if rate.per_ns % each == 0)
    number = Decimal(rate.events).scaleb(-(len(str(rate.per_ns // per_ns)) - 1))
    return f"{number:f}/{unit}"


def positive_rate(text: str) -> Rate:
    """Like ``rate``, above zero."""
    value = rate(text)
    if value.events == 0:
        raise ValueError("a rate above zero such as 50/s or 3000/min")
    return value


def megabytes(text: str) -> int:
    """Whole MB of ``128MB``."""
    if not re.match(SIZE[:-1] + r"\Z", text):
        raise ValueError("a whole number of MB such as 128MB")
    return int(text[:-2])


def megabytes_text(size: int) -> str:
    """How a size in MB is written."""
    return f"{size}MB"


def log_size(text: str) -> int:
    """Bytes of ``10KB``, 1,024 to the KB; at most 64KB."""
    if not re.match(LOG_SIZE[:-1] + r"\Z", text) or int(text[:-2]) > LARGEST_LOG_KB:
        raise ValueError(f"a whole number of KB up to {LARGEST_LOG_KB}KB, such as 10KB")
    return int(text[:-2]) * 1024


def log_size_text(size: int) -> str:
    """How the size of a log is written."""
    return f"{size // 1024}KB"


def share(text: str) -> float:
    """The share, 0 to 1, of ``3%`` or ``0.1%``."""
    if not re.match(SHARE[:-1] + r"\Z", text):
        raise ValueError("a percentage such as 3% or 0.1%")
    value = Fraction(text[:-1]) / 100
    if value > 1:
        raise ValueError("a percentage of at most 100%")
    return float(value)


def share_text(share: float) -> str:
    """How a share may be written."""
    return f"{100 * share:.12g}%"


def sampling(text: str) -> float:
    """The share, 0 to 1, of ``none``, ``all`` or a percentage."""
    if text in ("none", "all"):
        return float(text == "all")
    try:
        return share(text)
    except ValueError as error:
        raise ValueError(f"none, all or {error}") from error


def sampling_text(share: float) -> str:
    """How a share of samples may be written."""
    return {0.0: "none", 1.0: "all"}.get(share) or share_text(share)


def money(text: str) -> Money:
    """The exact Money of ``0.50 CNY``."""
    if not re.match(MONEY[:-1] + r"\Z", text):
        raise ValueError("an amount and a currency such as 0.50 CNY")
    amount, currency = text.split(" ")
    return Money(Decimal(amount), currency)


def price(text: str) -> Decimal:
    """The exact price of ``0.00011108``; zero is allowed."""
    if not re.match(PRICE[:-1] + r"\Z", text):
        raise ValueError("a price that is not negative, with at most 18 decimals, such as 1.33 or 0.00011108")
    return Decimal(text)


class Rate(Struct, frozen=True):
    """A rate as an exact ratio: ``events`` per ``per_ns`` nanoseconds; zero events is a rate of zero."""

    events: int
    per_ns: int

    @property
    def per_s(self) -> float:
        """Events per second."""
        return self.events * NS_PER_S / self.per_ns

    def __str__(self) -> str:
        return f"{self.per_s:.6g}/s"


class Money(Struct, frozen=True):
    """An exact amount; ``currency`` is its three letters (ISO 4217)."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"
