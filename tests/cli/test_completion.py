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


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_commands_with_it(tmp_path: Path) -> None:
    beside = Path(sys.executable).parent
    script = 'loadgen completion fish | source; complete -C "loadgen re"'
    environment = {"PATH": f"{beside}:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [
        name for name in COMMANDS if name.startswith("re")
    ]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_it_for_loadgen(tmp_path: Path) -> None:
    beside = Path(sys.executable).parent
    script = 'autoload -Uz compinit; compinit -D -u; eval "$(loadgen completion zsh)"; echo $_comps[loadgen]'
    environment = {"PATH": f"{beside}:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "_loadgen_completion\n"


def test_another_shell_is_refused_with_those_there_are() -> None:
    done = CliRunner().invoke(main, ["completion", "tcsh"])
    assert done.exit_code == 2
    assert "bash" in done.stderr
