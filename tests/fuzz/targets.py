"""What is fuzzed: each target takes any bytes, and raises only when a law is broken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from loadgen.measure.interval import decode, encode
from loadgen.targets.functiongraph.protocol.response import HEADERS, classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from loadgen.targets.http.response import classify_http
from tests.frames import frame
from tests.fuzz.laws import check_memory, check_oracle, check_pieces, check_quick
from tests.fuzz.seeds import SEEDS

_CUTS = 4
_NAMES = sorted(HEADERS)


def reader(data: bytes) -> None:
    """The first bytes say where to cut the rest, an answer."""
    text = data[_CUTS:]
    check_oracle(text)
    check_pieces(text, [at * len(text) // 256 for at in data[:_CUTS]])
    check_quick(text)
    check_memory(text)


def classifier(data: bytes) -> None:
    """Status, then headers by number, one a line, then the body."""
    head, _, body = data[2:].partition(b"\n\n")
    headers = {_NAMES[line[0] % len(_NAMES)]: line[1:] for line in head.split(b"\n") if line}
    status = 100 + int.from_bytes(data[:2], "big") % 900
    for version in ResponseVersion:
        classify_function(status, headers, body, version)
    classify_http(status, headers, body)


def frames(data: bytes) -> None:
    """The body of a frame."""
    with suppress(msgspec.MsgspecError):
        encode(decode(data))


@dataclass(frozen=True)
class Target:
    """``share`` is its part of the time."""

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    share: float


_ANSWERS = (
    b"\x00\x64\n\n{}",
    b'\x00\x64\x04{"duration":1.5,"billingDuration":2,"memorySize":128,"memoryUsed":40.5}\n\x06id\n\n{}',
    b"\x00\x64" + b"\n".join(b"%cv1" % number for number in range(len(_NAMES))) + b'\n\n{"status":500,"log":"x"}',
    b'\x01\x90\x011\n\x014002\n\n{"error_code":"FSS.0500","error_msg":"x"}',
    b'\x01\x49\n\n{"error":{"code":401,"message":"x"}}',
)

TARGETS = {
    "reader": Target(reader, tuple(bytes([50, 100, 150, 200]) + seed for seed in SEEDS), 0.7),
    "classifier": Target(classifier, _ANSWERS, 0.2),
    "frames": Target(frames, (encode(frame())[4:], encode(frame({"ok": [1, 5_000], "timeout": [9]}))[4:]), 0.1),
}
