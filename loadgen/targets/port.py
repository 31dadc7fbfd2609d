"""What every target has."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from loadgen.text.form import Duration, Text, doc, without_unit, words
from loadgen.text.units import NS_PER_S


class Timeout(Struct, frozen=True, rename=without_unit):
    """Limits of one invocation, each counted from its start."""

    connect_ns: Annotated[Duration, doc("Until the connection stands, TLS included.")] = 10 * NS_PER_S
    first_byte_ns: Annotated[Duration, doc("Until the first byte of the answer.")] = 100 * NS_PER_S
    total_ns: Annotated[Duration, doc("Until the whole answer is there.")] = 100 * NS_PER_S


class Tls(Struct, frozen=True):
    """How the server's certificate is checked; unused with http://.

    ``ca`` is an absolute path.
    """

    verify: Annotated[bool, doc("Whether the certificate is checked.")] = True
    ca: Annotated[Text | None, doc("PEM file of the authorities to trust, instead of the system's.")] = None


Fresh = Annotated[
    bool,
    words({"reuse": False, "fresh": True}),
    doc("Whether connections are kept, or each invocation opens its own."),
]
Limits = Annotated[Timeout, doc("Limits of one invocation.")]
Check = Annotated[Tls, doc("How the server's certificate is checked.")]
Preflight = Annotated[bool, doc("Make one invocation before the load, and stop when it shows a wrong set-up.")]
