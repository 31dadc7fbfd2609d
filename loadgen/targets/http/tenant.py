"""Plain HTTP as a tenant: any endpoint, judged by the status of its answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.body import CONTENT, JSON, content_type
from loadgen.targets.endpoint import IN_CLEAR
from loadgen.targets.http.request import request_template
from loadgen.targets.http.response import HEADERS, classify_http
from loadgen.targets.http.secret import SCHEME, parts_of_header
from loadgen.targets.http.target import HttpTarget, rules, without_body
from loadgen.targets.port import Answer, Probe, Reading, Secret, Tenant
from loadgen.targets.request import RequestTemplate
from loadgen.targets.status import status_advice
from loadgen.text.excerpt import secret_name
from loadgen.text.fault import Found
from loadgen.text.form import mapping
from loadgen.text.secret import MASK

_ADVICE = {
    Outcome.AUTH: "the credentials were not accepted. Check the Authorization header in target.headers",
    Outcome.NOT_FOUND: "there is nothing at this path. Check target.url",
    Outcome.BAD_REQUEST: "the request was refused. Check target.method, target.url, target.headers and the event",
    Outcome.TOO_LARGE: "the request is larger than the server accepts. Shorten the event or target.headers",
    Outcome.GATEWAY: "what stands before the server got no answer from it. Try again, or see what is wrong behind it",
    Outcome.PLATFORM_ERROR: "the server failed. Read its log, and correct it or the request",
}


class Http(Tenant[HttpTarget]):
    """Any HTTP endpoint: it tells neither durations nor bills."""

    form = HttpTarget
    key = "url"
    noun = "a url"
    about = "any HTTP endpoint (url)"
    untold = "is what FunctionGraph reports"
    per_call = ("url", "method", "headers")

    def made(self, data: dict[str, Any]) -> HttpTarget:
        """See Tenant."""
        method = "POST" if any(key in data for key in CONTENT) else "GET"
        media = content_type(data["body"]) if "body" in data else JSON
        return msgspec.convert({"method": method, **data["target"], "content_type": media}, HttpTarget)

    def rules(self, data: dict[str, Any], foreign: Sequence[str]) -> Found:
        """See Tenant. A header that is sent in clear may be forced, too."""
        block = data["target"]
        of_functions = [key for key in foreign if key != IN_CLEAR]
        yield from ((("target", *path), message) for path, message in rules(block, of_functions))
        if "type" in mapping(data, "body"):
            for name, _ in block.get("headers") or ():
                if name.lower() == "content-type":
                    yield ("body", "type"), f"target.headers.{name} is written too; keep one of them"

    def key_rules(self, data: dict[str, Any]) -> Found:
        """See Tenant."""
        if method := without_body(data["target"]):
            for key in CONTENT:
                if key in data:
                    message = f"a {method} request has no body, so this would not be sent; remove it"
                    yield (key,), f"{message}, or write target.method"

    def urls(self, target: HttpTarget) -> tuple[str, ...]:
        """See Tenant."""
        return (target.url,)

    def template(self, target: HttpTarget) -> RequestTemplate:
        """See Tenant."""
        return request_template(target)

    def reading(self, target: HttpTarget, probe: Probe | None = None) -> Reading:
        """See Tenant."""
        return Reading(HEADERS, _classify)

    def described(self, target: HttpTarget) -> str:
        """See Tenant."""
        return f"{target.method} {target.url}"

    def where(self, target: HttpTarget) -> str:
        """The URL without its query and user name, where secrets may be."""
        return re.sub(r"//[^/]*@", "//", re.split("[?#]", target.url, maxsplit=1)[0])

    def advice(self, facts: Facts, target: HttpTarget, message: str = "", ahead_s: int | None = None) -> str:
        """See Tenant."""
        return _ADVICE.get(facts.outcome) or status_advice(facts.outcome)

    def secrets(self, target: HttpTarget) -> Iterator[Secret]:
        """See Tenant."""
        for name, value in target.headers:
            if secret_name(name):
                yield Secret(f"headers.{name}", SCHEME.sub("", value), frozenset(parts_of_header(name, value)))

    def public(self, target: HttpTarget) -> HttpTarget:
        """See Tenant."""
        headers = tuple((name, MASK if secret_name(name) else value) for name, value in target.headers)
        return msgspec.structs.replace(target, headers=headers)


def _classify(answer: Answer) -> Facts:
    return classify_http(answer.status, answer.headers, answer.body)


HTTP: Final = Http()
