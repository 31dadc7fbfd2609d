"""What the command prints makes a real shell complete commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import COMMANDS, main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_for_each_shell(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert "_LOADGEN_COMPLETE" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_with_it() -> None:
    beside = Path(sys.executable).parent
    script = (
        'eval "$(loadgen completion bash)"; COMP_WORDS=(loadgen re); COMP_CWORD=1; '
        '_loadgen_completion loadgen; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env={"PATH": f"{beside}:/usr/bin:/bin"}
    )
    assert done.stdout.split() == [name for name in COMMANDS if name.startswith("re")]


def test_another_shell_is_refused_with_those_there_are() -> None:
    done = CliRunner().invoke(main, ["completion", "tcsh"])
    assert done.exit_code == 2
    assert "bash" in done.stderr
