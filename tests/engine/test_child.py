from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

from loadgen import COLLECTED_AT
from loadgen.engine.child import child_command

ROOT = Path(__file__).parents[2]


def test_a_child_is_its_module_with_its_arguments_and_seldom_looks_for_garbage(tmp_path: Path) -> None:
    """Nor does it import what lies in the directory where loadgen was started."""
    (tmp_path / "runpy.py").write_text("raise SystemExit('not that one')\n")
    command = child_command("tests.engine.test_child", "one", "--two")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment).stdout
    assert json.loads(said) == ["__main__", str(Path(__file__)), "one", "--two", COLLECTED_AT]


if __name__ == "__main__":
    print(json.dumps([__name__, *sys.argv, gc.get_threshold()[0]]))  # noqa: T201
