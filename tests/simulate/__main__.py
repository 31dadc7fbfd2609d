"""How well the experiments do where the truth is known: ``python -m tests.simulate [--quick] [--write] [EXPERIMENT…]``.

Prints the table of bars beside the baselines; ``--write`` also puts it into docs/simulations.md, where rows of other
experiments stay. ``--quick`` takes fewer cases, which is not enough to judge a bar by.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from tests.simulate.table import Row, document, markdown

EXPERIMENTS = (
    "coldstarts",
    "capacity",
    "memory",
    "intervals",
    "rules",
    "stops",
    "comparisons",
    "causes",
    "gates",
    "platform",
    "adversaries.tails",
    "adversaries.sizes",
    "adversaries.starts",
    "adversaries.lifetimes",
    "adversaries.rates",
)
DOCUMENT = Path(__file__).parents[2] / "docs" / "simulations.md"


def main(arguments: list[str]) -> int:
    """Run the simulations; 1 when a bar is not met."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help=f"of {', '.join(EXPERIMENTS)}; default all"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.experiments) - set(EXPERIMENTS):
        parser.error(f"got {', '.join(sorted(unknown))}, expected some of {', '.join(EXPERIMENTS)}")
    rows: list[Row] = []
    for name in options.experiments or EXPERIMENTS:
        rows += importlib.import_module(f"tests.simulate.{name}").rows(quick=options.quick)
        sys.stderr.write(f"{name} is done\n")
    sys.stdout.write(markdown(rows))
    if options.write:
        before = DOCUMENT.read_text() if DOCUMENT.exists() else ""
        DOCUMENT.write_text(document(rows, before, quick=options.quick))
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
