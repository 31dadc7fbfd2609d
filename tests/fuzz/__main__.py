"""``python -m tests.fuzz SECONDS``: every target for its share of the time, guided by coverage.

What was found interesting is kept in build/fuzz, and begun with the next time. ``python -m tests.fuzz NAME FILE`` runs
one target on one input again. A finding is an exception, five seconds over one input, or a gigabyte of memory.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import atheris

BUILD = Path("build/fuzz")


def fuzz(name: str, arguments: list[str]) -> None:
    """Run a target in this process until libFuzzer ends it."""
    with atheris.instrument_imports(include=["loadgen.engine", "loadgen.targets", "loadgen.measure.interval"]):
        from tests.fuzz.targets import TARGETS
    check = TARGETS[name].check
    atheris.Setup([sys.argv[0], *arguments], check)
    atheris.Fuzz()


def fuzz_all(seconds: float) -> int:
    """Run every target in a process of its own; how many found something."""
    from tests.fuzz.seeds import TOKENS
    from tests.fuzz.targets import TARGETS

    BUILD.mkdir(parents=True, exist_ok=True)
    words = BUILD / "words"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in TOKENS))
    limits = ["-timeout=5", "-rss_limit_mb=1024", "-verbosity=0", "-print_final_stats=1", f"-dict={words}"]
    found = 0
    for name, target in TARGETS.items():
        sys.stdout.write(f"==> {name}\n")
        sys.stdout.flush()
        corpus = BUILD / name
        corpus.mkdir(exist_ok=True)
        for number, seed in enumerate(target.seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        time = f"-max_total_time={max(1, round(seconds * target.share))}"
        command = [sys.executable, "-m", "tests.fuzz", name, time, *limits, f"-artifact_prefix={BUILD}/{name}-"]
        found += subprocess.run([*command, str(corpus)], check=False).returncode != 0
    return found


if __name__ == "__main__":
    if len(sys.argv) > 2:
        fuzz(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(1 if fuzz_all(float(sys.argv[1])) else 0)
