"""What a process is and gets that loadgen starts: no more of the environment than it needs, and an end with its parent.

The environment of a shell or a CI job holds secrets (cloud credentials, tokens of other tools), and that of a process
can be read by everything that its user runs. Agents and the emulator are told what they need on their stdin.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Mapping

_NEEDED = frozenset(
    {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "LOADGEN_PURE"}
)
_NEEDED_BEGINNINGS = ("PYTHON", "LC_", "OPENSSL_", "MALLOC_", "GLIBC_", "COV_", "COVERAGE_")
_PR_SET_PDEATHSIG = 1
_BEGIN = (
    "import gc, runpy, sys; from loadgen import COLLECTED_AT; gc.set_threshold(COLLECTED_AT); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def child_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours as ``python -m`` does, but looks for garbage as seldom as loadgen itself.

    -P: a random.py in the directory where loadgen is run is not to be imported in place of Python's.
    """
    return [sys.executable, "-P", "-c", _BEGIN, module, *arguments]


def child_environment(own: Mapping[str, str]) -> dict[str, str]:
    """What of a process's ``own`` environment Python, OpenSSL and the C library of a child may need."""
    return {name: value for name, value in own.items() if name in _NEEDED or name.startswith(_NEEDED_BEGINNINGS)}


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, also while it does not come to read its stdin.

    On Linux only (prctl(2), PR_SET_PDEATHSIG: when the thread ends that started it, which is the one with the loop);
    elsewhere the end of stdin and the lease have to do.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
