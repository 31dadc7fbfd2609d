"""A target that does nothing: the same answer to every request, at once.

What an invocation of it takes is what the load generator, the loop on the other side and the machine between them take,
and nothing of a platform. ``loadgen doctor --calibrate`` measures that floor. There is no model, no truth and hardly
any HTTP here: a request is a head and as many bytes as it announces, and every header that FunctionGraph documents for
an answer is there to be read.

Source: FunctionGraph API reference, Executing a Function Synchronously (the headers).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, cast

_LOOPBACK: Final = "127.0.0.1"
_BODY: Final = b'{"message": "hello world from FunctionStage"}'
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: %d\r\n"
    b'X-Cff-Invoke-Summary: {"duration":0.001,"billingDuration":1,"memorySize":128,"memoryUsed":41.51171875}\r\n'
    b"X-Cff-Request-Id: 1cbe80f3-3c65-475e-ad88-76ac518d386a\r\n"
    b"X-CFF-Billing-Duration: 1\r\n"
    b"X-Cff-Response-Version: v0\r\n"
    b"X-Func-Err-Code: 0\r\n"
    b"X-Is-Func-Err: false\r\n"
    b"\r\n" % len(_BODY)
) + _BODY

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END: Final = b"\r\n\r\n"


class Stub(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BaseProtocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += data
        while (end := self._received.find(_END)) >= 0:
            announced = _LENGTH.search(self._received, 0, end)
            size = end + len(_END) + (int(announced[1]) if announced else 0)
            if len(self._received) < size:
                return
            self._received = self._received[size:]
            self._transport.write(ANSWER)


async def serve(ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve on a free loopback port until ``stop`` is set; ``ready`` is called with the origin."""
    server = await asyncio.get_running_loop().create_server(Stub, _LOOPBACK, 0)
    ready(f"http://{_LOOPBACK}:{server.sockets[0].getsockname()[1]}")
    async with server:
        await stop.wait()
