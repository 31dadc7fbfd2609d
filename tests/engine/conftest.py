from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import uvloop

from loadgen.engine.kernel import Inbox, Socket, stamp, stamps


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The engine is tested on the loop that ships and on the one it falls back to."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def _stamping() -> Iterator[None]:
    """Linux begins to stamp some time after the first socket of the machine asked for it, and ends with the last."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
        stamp(first)
        first.bind(("127.0.0.1", 0))
        ear = Socket(Inbox(16, 16))
        until = time.monotonic() + 5
        while stamps() and not ear.inbox.believed and time.monotonic() < until:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
                trial.bind(("127.0.0.1", 0))
                ear.use(trial)
                first.sendto(b"x", trial.getsockname())
                time.sleep(0.001)
                ear.receive(16)
        yield
