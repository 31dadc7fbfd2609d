"""What every target has."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from loadgen.text.form import Duration, Text
from loadgen.text.units import NS_PER_S


class Timeout(Struct, frozen=True):
    """Limits of one invocation, each counted from its start."""

    connect_ns: Annotated[Duration, Meta(description="Until the connection stands, TLS included.")] = field(
        name="connect", default=10 * NS_PER_S
    )
    first_byte_ns: Annotated[Duration, Meta(description="Until the first byte of the answer.")] = field(
        name="first_byte", default=100 * NS_PER_S
    )
    total_ns: Annotated[Duration, Meta(description="Until the whole answer is there.")] = field(
        name="total", default=100 * NS_PER_S
    )


class Tls(Struct, frozen=True):
    """How the server's certificate is checked; unused with http://.

    ``ca`` is an absolute path.
    """

    verify: Annotated[bool, Meta(description="Whether the certificate is checked.")] = True
    ca: Annotated[Text | None, Meta(description="PEM file of the authorities to trust, instead of the system's.")] = (
        None
    )
