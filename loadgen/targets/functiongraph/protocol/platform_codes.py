"""The error codes of the platform's documents, and which of them the emulator can be told to answer.

``FSS.`` codes are FunctionGraph's own, ``APIG.`` (in older gateways ``APIGW.``) those of the gateway in front of it;
each has an HTTP status. Engine codes are the numbers in X-Func-Err-Code: those from 4000 to 9999 are the function's own
doing, those from 10000 on the platform's.

Sources: FunctionGraph API reference, Error Codes (editions of 2021 and 2026, which contradict each other nowhere); API
Gateway user guide, Error Codes; for the engine's numbers, which no page lists, the open-sourced engine (openEuler
YuanRong), ``api/go/faassdk/common/constants/error.go`` and the front end's ``statuscode.go``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_FSS: Final = {
    400: "400 1001-1019 1021-1029 1031-1032 1034-1039 1058 1074-1077 1091-1093 1101-1104 1106-1107 1109-1110 1112-1114 "
    "1116-1117 1164 1172-1173 1221 1301 1303-1314 1316-1318 1404-1405 1417",
    401: "401 1118",
    403: "403 1040-1049 1068-1069 1073 1094 1096 1108 1121-1128 1154",
    404: "404 1050-1057 1059-1060 1070 1111 1130-1140 1160-1161 1163 1171 1174",
    406: "406 1151",
    408: "408",
    409: "409 1061-1067 1141-1143 1145-1150 1166",
    410: "410",
    412: "1033 1090 1095 1153",
    413: "413 1071-1072 1201",
    424: "424",
    426: "426 1152",
    428: "428",
    429: "429",
    500: "500 1162 1202 1206 1302 1315 4208",  # no page gives the status of 1206 and 4208
    502: "502 1319",
    503: "503 1115 1169-1170 1401-1403",
    504: "504",
}
_APIG: Final = {
    400: "201",  # also 413, 414, 494, 500, 502 and 504
    401: "301 303 305 307",
    403: "302 310 802",
    404: "101",
    429: "308",
    500: "601",
    502: "202",
    503: "613",
    504: "203",
}


def _numbers(ranges: str) -> Iterator[int]:
    for each in ranges.split():
        first, _, last = each.partition("-")
        yield from range(int(first), int(last or first) + 1)


STATUS: Final[dict[str, int]] = {
    f"{prefix}.{number:04}": status
    for prefix, table in (("FSS", _FSS), ("APIG", _APIG), ("APIGW", _APIG))
    for status, ranges in table.items()
    for number in _numbers(ranges)
}
"""The HTTP status of every FSS., APIG. and APIGW. code."""

ENGINE: Final[dict[int, str]] = {
    4001: "function entry exception",
    4002: "function invocation exception",
    4004: "response body size 6291457 exceeds the limit of 6291456",
    4007: "function result cannot be serialized",
    4008: "response body size 6291457 exceeds the limit of 6291456",
    4010: "call invoke timeout",
    4011: "initializer timed out",
    4012: "loading the function timed out",
    4021: "traffic limit exceeded",
    4024: "function metadata not found",
    4026: "unable to specify resource",
    4140: "the size of request body is beyond maximum",
    4201: "function initialization failed",
    4204: "runtime process is exited",
    4205: "runtime memory limit exceeded",
    4207: "disk usage exceed limit",
    4208: "function invocation canceled",
    4209: "runtime is unhealthy",
    4211: "runtime initialization timed out",
    4221: "inode usage exceed limit",
    150424: "function metadata not found",
    150425: "instance not found",
    150429: "reach max instance num",
    150430: "cluster is overloaded",
    150431: "getting pod from pool error",
    150432: "tenant quota of on-demand instances reached",
    150433: "tenant quota of reserved instances reached",
    150434: "function is disabled",
    150435: "function is being refreshed, retry",
    150510: "no free resource",
    **dict.fromkeys(range(161900, 161916), "worker failed"),
    **{200000 + status: f"status {status}" for status in (400, 401, 403, 404, 413, 429, 500)},
    330404: "internal error",
    331404: "internal error, retry",
}
"""The engine's codes, and what goes with them."""

_ENGINE_TEXTS: Final = frozenset(map(str, ENGINE))

PROXY_STATUSES: Final = ("502", "503", "504")
"""A proxy on the way answers with a page of its own."""

CLOSE: Final = "close"
"""The connection is closed without an answer."""


def is_fault(code: str) -> bool:
    """Whether this is something that the emulator can be told to do to a call."""
    return code in STATUS or code in PROXY_STATUSES or code == CLOSE or code in _ENGINE_TEXTS
