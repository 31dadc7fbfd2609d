"""The calls of a load generator as another process captured them on the loopback device: true service times.

tcpdump writes down when the kernel saw each segment with data, of one port, in ns and without its data. The service
time of a call is from the first segment of its request to the last one of its answer. None of it is known to the tool
that made the call, and how late the tool reads is not in it.

Every call of a connection is there, in order, or nothing is said: where the kernel dropped a segment for want of room
the capture is refused. The room is large enough for a few seconds at full speed, so that tcpdump can be kept from
taking the cores from what is measured (``nice``).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmarks import process
from benchmarks.tool import ToolError

TCPDUMP = shutil.which("tcpdump") or shutil.which("tcpdump", path="/usr/sbin:/usr/local/sbin")
_ROOM_KIB = 256 * 1024
_STILL_S = 1.5  # a block of the ring is handed on after a second at the latest
_WAIT_S = 60
_SNAP = 54  # the headers of Ethernet, IPv4 and TCP without options
_WITH_DATA = "(ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2)) != 0"

_HEADER_BYTES = 24
_NANOSECONDS = 0xA1B23C4D
_SEGMENT = np.dtype(
    {
        "names": ["s", "ns", "kept", "source", "destination"],
        "formats": ["<u4", "<u4", "<u4", ">u2", ">u2"],
        "offsets": [0, 4, 8, 16 + 34, 16 + 36],
        "itemsize": 16 + _SNAP,
    }
)
"""A segment in the file. Source: IETF draft-ietf-opsawg-pcap; the ports follow 14 bytes of Ethernet and 20 of IPv4."""


class Capture:
    """A capture of what goes to a ``port`` of 127.0.0.1 and comes from it, while the context is open.

    Raises ToolError where there is no tcpdump, or none that may capture. ``service_ns`` is known after it.
    """

    def __init__(self, port: int, *, core: int | None = None) -> None:
        self._port = port
        self._core = core
        self.service_ns: NDArray[np.int64] = np.zeros(0, np.int64)

    def __enter__(self) -> Self:
        if TCPDUMP is None:
            raise ToolError("tcpdump is not installed (Debian: tcpdump)")
        self._directory = tempfile.TemporaryDirectory()
        self._file = Path(self._directory.name, "capture")
        command = ["nice", "-n", "19", TCPDUMP, "-i", "lo", "-n", "-s", f"{_SNAP}", "-B", f"{_ROOM_KIB}"]
        command += ["--nano", "-w", f"{self._file}"]
        if os.geteuid() == 0:
            command += ["-Z", "root"]  # the file is in a directory of ours
        command.append(f"tcp port {self._port} and {_WITH_DATA}")
        with process.pinned(self._core):
            self._process = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        first = self._process.stderr.readline()
        while first and b"listening on" not in first:
            last, first = first, self._process.stderr.readline()
            if not first:
                self._close()
                raise ToolError(f"tcpdump: {last.decode().strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._settle()
            self._process.send_signal(signal.SIGINT)
            assert self._process.stderr is not None
            told = self._process.stderr.read().decode()
            if error is None:
                if dropped(told):
                    raise ToolError(f"the capture lost {dropped(told):,} segments")
                self.service_ns = service_times(self._file.read_bytes(), self._port)
        finally:
            self._close()

    def _settle(self) -> None:
        """Until nothing more is written."""
        size, since, until = -1, time.monotonic(), time.monotonic() + _WAIT_S
        while time.monotonic() - since < _STILL_S and time.monotonic() < until:
            time.sleep(0.1)
            if self._file.stat().st_size != size:
                size, since = self._file.stat().st_size, time.monotonic()
        if time.monotonic() - since < _STILL_S:
            raise ToolError(f"tcpdump still writes after {_WAIT_S} s")

    def _close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._directory.cleanup()


def dropped(told: str) -> int:
    """How many segments the kernel had no room for, by what tcpdump says at its end; ToolError where it does not."""
    found = re.search(r"(\d+) packets? dropped by kernel", told)
    if found is None:
        raise ToolError(f"tcpdump does not say what it dropped: {told.strip()[-200:]}")
    return int(found[1])


def service_times(file: bytes, port: int) -> NDArray[np.int64]:
    """Of each call that was answered: the time from its request's first segment to its answer's last one, in ns.

    The file holds segments with data alone, each cut to its headers. Raises ValueError for any other file.
    """
    segments = _segments(file)
    asks = segments["destination"] == port
    client = np.where(asks, segments["source"], segments["destination"])
    order = np.argsort(client, kind="stable")
    asks, client = asks[order], client[order]
    at = segments["s"][order].astype(np.int64) * 1_000_000_000 + segments["ns"][order]
    new = np.ones(len(at), bool)
    new[1:] = client[1:] != client[:-1]
    begins = asks & new
    begins[1:] |= asks[1:] & ~asks[:-1]
    first = np.flatnonzero(begins)
    # a call ends where the next one begins, of this connection or of another
    last = np.flatnonzero(np.append((begins | new)[1:], True))
    last = last[np.searchsorted(last, first)]
    answered = ~asks[last]
    took: NDArray[np.int64] = at[last[answered]] - at[first[answered]]
    return took


def _segments(file: bytes) -> NDArray[np.void]:
    if int.from_bytes(file[:4], "little") != _NANOSECONDS:
        raise ValueError(f"a capture in ns begins with {_NANOSECONDS:#x}, this one with {file[:4]!r}")
    body = file[_HEADER_BYTES:]
    if len(body) % _SEGMENT.itemsize:
        raise ValueError(f"expected records of {_SEGMENT.itemsize} bytes, got {len(body)} bytes of them")
    segments: NDArray[np.void] = np.frombuffer(body, _SEGMENT)
    if np.any(segments["kept"] != _SNAP):
        raise ValueError(f"expected {_SNAP} bytes of each segment, got others")
    return segments
