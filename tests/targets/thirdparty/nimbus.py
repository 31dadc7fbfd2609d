"""Nimbus, a platform that nobody has: a tenant as a distribution of its own brings one.

An action is called by POST to ``<gateway>/run/<action>``. Its answer says in headers for how long it ran
(``Nimbus-Ran``, in us), for how long that is billed (``Nimbus-Billed``, in ms) and with how much memory
(``Nimbus-Memory``, in MB); a call that failed has the status 299 and a ``Nimbus-Error``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Struct, field
from msgspec.structs import replace

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.endpoint import url_fault
from loadgen.targets.port import (
    Answer,
    Fresh,
    Limits,
    Preflight,
    Probe,
    Reading,
    Tenant,
    Timeout,
    Tls,
    Trust,
)
from loadgen.targets.request import RequestTemplate, origin_of, template
from loadgen.targets.status import status_outcome, status_slug
from loadgen.targets.target import Target
from loadgen.text import form
from loadgen.text.fault import Found
from loadgen.text.form import Text, doc, matching, without_unit, words

_RAN, _BILLED, _MEMORY, _ERROR = b"nimbus-ran", b"nimbus-billed", b"nimbus-memory", b"nimbus-error"


class NimbusTarget(Target, Struct, frozen=True, rename=without_unit, tag="nimbus"):
    """An action behind a ``gateway``; ``pin`` is sent along, and ``memory_mb`` is what it is called with."""

    gateway: Annotated[str, matching(r"^https?://[!-~]+$", "an origin such as https://nimbus.example"), doc("Nimbus.")]
    action: Annotated[Text, doc("What is called.")]
    pin: Annotated[form.Secret, doc("What opens the account.")]
    memory_mb: Annotated[int, words({"64MB": 64, "512MB": 512}), doc("What it is called with.")] = 64
    fresh_connections: Fresh = field(name="connections", default=False)
    timeout: Limits = Timeout()
    tls: Trust = Tls()
    preflight: Preflight = True


class Nimbus(Tenant[NimbusTarget]):
    """Actions of Nimbus."""

    form = NimbusTarget
    key = "gateway"
    noun = "an action"
    about = "an action of Nimbus (gateway, action)"
    told = True
    memory_sizes_mb = (64, 512)
    asks_memory = True

    def rules(self, data: dict[str, Any], foreign: Sequence[str]) -> Found:
        if fault := url_fault(str(data["target"]["gateway"]), origin=True):
            yield ("target", "gateway"), fault

    def urls(self, target: NimbusTarget) -> tuple[str, ...]:
        return (target.gateway,)

    def template(self, target: NimbusTarget) -> RequestTemplate:
        origin = origin_of(target.gateway)
        headers = (("Host", origin.authority), ("Nimbus-Pin", target.pin), ("Nimbus-Memory", str(target.memory_mb)))
        return template("POST", f"/run/{target.action}", origin, headers)

    def reading(self, target: NimbusTarget, probe: Probe | None = None) -> Reading:
        return Reading(frozenset({_RAN, _BILLED, _MEMORY, _ERROR}), classify)

    def described(self, target: NimbusTarget) -> str:
        return f"{target.action} of Nimbus at {target.gateway}"

    def where(self, target: NimbusTarget) -> str:
        return f"Nimbus at {target.gateway}"

    def advice(self, facts: Facts, target: NimbusTarget, message: str = "", ahead_s: int | None = None) -> str:
        return "the action is not there. Deploy it" if facts.outcome is Outcome.NOT_FOUND else "the sky is cloudy. Wait"

    def variant(self, target: NimbusTarget, memory_mb: int | None, version: str | None) -> NimbusTarget:
        return target if memory_mb is None else replace(target, memory_mb=memory_mb)

    def asked_mb(self, target: NimbusTarget) -> int | None:
        return target.memory_mb


def classify(answer: Answer) -> Facts:
    """What an answer says; never raises."""
    status, headers = answer.status, answer.headers
    if status == 299:
        return Facts(Outcome.FUNCTION_ERROR, "nimbus_error", status, headers.get(_ERROR, b"").decode("latin-1") or None)
    if status != 200:
        return Facts(status_outcome(status), status_slug(status), status)
    ran, billed, memory = (_number(headers.get(name, b"")) for name in (_RAN, _BILLED, _MEMORY))
    return Facts(
        Outcome.OK,
        "ok",
        status,
        duration_ns=None if ran is None else ran * 1000,
        billed_duration_ns=None if billed is None else billed * 1_000_000,
        memory_size_mb=memory,
    )


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() else None


NIMBUS = Nimbus()
