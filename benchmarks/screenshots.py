"""The example runs under reports/, and the pictures of their first screens that the documents show; run by hand.

``python -m benchmarks.screenshots`` runs a scenario of each kind against the embedded emulator, which takes some four
minutes, keeps what it left but for calls one by one, and lets Chromium look at the reports. With names it does so for
these; with ``--keep`` it only writes the reports of the runs that are there again, and looks at them.

Leave the machine alone meanwhile: what disturbs the load generator is in the examples.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
REPORTS, IMAGES = ROOT / "reports", ROOT / "docs" / "images"
KEPT = ("report.html", "report.md", "junit.xml", "scenario.yaml", "environment.json", "summary.json", "intervals.hlog")
MOST_BYTES = 450_000
"""Of one example; larger ones go without what only programs read."""
WIDTH, HEIGHT = 1280, 900
RULES = '["errors < 1%", "steady:latency.p95 < 100ms", "steady:duration.p99 < 250ms"]'
EXAMPLES = {
    "quickstart": ("--set", f"thresholds={RULES}"),
    "cold-starts": (),
    "capacity": (),
    "memory": (),
}
"""Scenarios, and what is changed for the example: of the quickstart, that a rule is about what its picture shows."""
_JUDGED = (0, 96, 99)


def main() -> None:
    """Run, keep and look."""
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or list(EXAMPLES)
    for name in names:
        kept = REPORTS / f"example-{name}"
        if "--keep" in sys.argv:
            _loadgen("report", kept)
        else:
            _run(name, kept)
        picture = IMAGES / f"report-{name}.png"
        look(kept / "report.html", picture)
        size = sum(each.stat().st_size for each in kept.iterdir())
        print(f"{kept.relative_to(ROOT)}: {size / 1e3:.0f} kB, {picture.name}: {picture.stat().st_size / 1e3:.0f} kB")


def _run(name: str, kept: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        _loadgen("run", ROOT / "scenarios" / f"{name}.yaml", "--out", out, "--quiet", *EXAMPLES[name])
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for each in KEPT:
            if (out / each).exists():
                shutil.copyfile(out / each, kept / each)
    summary = kept / "summary.json"
    summary.write_bytes(msgspec.json.format(summary.read_bytes(), indent=-1))
    for each in ("summary.json", "intervals.hlog"):
        if sum(file.stat().st_size for file in kept.iterdir()) > MOST_BYTES:
            (kept / each).unlink()


def _loadgen(*arguments: str | Path) -> None:
    ended = subprocess.run([sys.executable, "-m", "loadgen", *arguments], stdout=subprocess.DEVNULL, check=False)
    if ended.returncode not in _JUDGED:
        sys.exit(f"loadgen {' '.join(map(str, arguments))} ended with {ended.returncode}")


def look(report: Path, picture: Path) -> None:
    """What a reader sees first, as PNG."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no chromium on PATH, which takes the pictures; install one")
    picture.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = (
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
        )  # fmt: skip
        command = [
            chromium,
            *flags,
            f"--user-data-dir={profile}",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--screenshot={picture}",
            report.resolve().as_uri(),
        ]
        subprocess.run(command, capture_output=True, timeout=60, check=True)


if __name__ == "__main__":
    main()
