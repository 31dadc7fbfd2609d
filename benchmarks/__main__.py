"""``python -m benchmarks``: measure loadgen beside its peers, print the tables, and write them down if asked to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import accuracy, alarms, pacing, scale, throughput, truth
from benchmarks.document import replaced
from benchmarks.peers import install
from benchmarks.stops import STOPS

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"

SECTIONS: dict[str, Callable[[str], str]] = {
    "throughput": lambda how: throughput.section(4, 7, how),
    "pacing": lambda how: pacing.section(10, how),
    "scale": lambda how: scale.section(10, how),
    "accuracy": lambda how: accuracy.section(12, list(accuracy.TITLES), how),
    "truth": lambda how: truth.section(5, 12, 20, how),
    "alarms": lambda how: alarms.section(50, 20, how),
}
QUICK: dict[str, Callable[[str], str]] = {
    "throughput": lambda how: throughput.section(2, 1, how),
    "pacing": lambda how: pacing.section(4, how),
    "scale": lambda how: scale.section(4, how),
    "accuracy": lambda how: accuracy.section(8, ["stall"], how),
    "truth": lambda how: truth.section(2, 4, 1, how, STOPS[-1:]),
    "alarms": lambda how: alarms.section(4, 1, how),
}


def main() -> None:
    """Run the sections that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("section", nargs="?", choices=SECTIONS, help="only this one; all by default")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that everything works")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    if options.quick and options.write:
        parser.error("--quick measures too little to be written down")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("the benchmarks need two cores: one for the client, one for the server")
    install()
    for name in [options.section] if options.section else SECTIONS:
        print(f"==> {name}", file=sys.stderr)
        how = f"python -m benchmarks {name}{' --quick' if options.quick else ''}"
        text = (QUICK if options.quick else SECTIONS)[name](how)
        print(f"\n## {name}\n\n{text}\n", flush=True)
        if options.write:
            DOCUMENT.write_text(replaced(DOCUMENT.read_text(), name, text))


if __name__ == "__main__":
    main()
