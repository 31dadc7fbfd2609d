"""The commands that README.md and the pages show are run as they stand, against the embedded emulator.

A page's ``sh`` blocks are run in their order, in a directory of its own that holds ``scenarios/`` as a clone does. What
a reader does not see stands in a comment above a block: ``<!-- not run: why -->``, or ``<!-- run: … -->`` with ``slow``
(left to the long tests), ``exits 99`` (or ``exits 0 or 99``) and ``with --set …``, options that every run in it gets,
so that it is short.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from loadgen.cli import main
from loadgen.cli.init import STARTER
from loadgen.scenario.load import load
from loadgen.text import yaml

ROOT = Path(__file__).parents[1]
GENERATED = {"command-line.md", "scenario-keys.md", "summary-keys.md", "benchmarks.md", "simulations.md"}
OF_THEIR_OWN = {"cluster.md"}  # tests/cluster/test_deploy.py runs what it shows, on machines that it makes
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in GENERATED | OF_THEIR_OWN),
]
_BLOCK = re.compile(r"(?:^<!-- ((?:not )?run: .*?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OURS = re.compile(r"^(?:\$ )?loadgen ", re.MULTILINE)


class Block(NamedTuple):
    """Commands of a page: what they are, why they are not run, and how they are."""

    text: str
    why_not: str = ""
    slow: bool = False
    codes: tuple[int, ...] = (0,)
    options: tuple[str, ...] = ()


def _block(how: str, text: str) -> Block:
    kind, _, rest = how.partition(": ")
    if kind == "not run":
        return Block(text, why_not=rest)
    block = Block(text)
    for term in filter(None, rest.split("; ")):
        word, _, said = term.partition(" ")
        if word == "exits":
            block = block._replace(codes=tuple(map(int, said.split(" or "))))
        elif word == "with":
            block = block._replace(options=tuple(shlex.split(said)))
        else:
            assert term == "slow", term
            block = block._replace(slow=True)
    return block


def blocks(page: Path) -> list[Block]:
    """The blocks of commands of a page."""
    return [_block(how, text) for how, language, text in _BLOCK.findall(page.read_text()) if language == "sh"]


def yaml_blocks(name: str) -> list[str]:
    return [text for _, language, text in _BLOCK.findall((ROOT / "docs" / name).read_text()) if language == "yaml"]


def _name(page: Path) -> str:
    return page.name


RUN = [page for page in PAGES if any(not block.why_not for block in blocks(page))]
QUICK = [page for page in RUN if any(not block.why_not and not block.slow for block in blocks(page))]
SLOW = [page for page in RUN if any(block.slow for block in blocks(page))]


def run(block: Block, directory: Path) -> None:
    """Run a block as a user's shell would, and hold it to the code that it is to end with."""
    options = shlex.join(block.options)
    mine = f'loadgen() {{ if [ "$1" = run ]; then command loadgen "$@" {options}; else command loadgen "$@"; fi; }}'
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{mine}\n{block.text}"],
        cwd=directory,
        env={"PATH": path, "HOME": str(directory), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in block.codes, f"{block.text}\n{done.stdout}\n{done.stderr}"


def run_all(page: Path, directory: Path, *, slow: bool) -> None:
    shutil.copytree(ROOT / "scenarios", directory / "scenarios")
    for block in blocks(page):
        if not block.why_not and (slow or not block.slow):
            run(block, directory)


@pytest.mark.parametrize("page", QUICK, ids=_name)
def test_what_a_page_has_its_readers_run_ends_as_it_says(page: Path, tmp_path: Path) -> None:
    run_all(page, tmp_path, slow=False)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", SLOW, ids=_name)
def test_what_takes_a_reader_long_ends_as_the_page_says(page: Path, tmp_path: Path) -> None:
    run_all(page, tmp_path, slow=True)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_command_escapes_as_a_block_without_a_language(page: Path) -> None:
    found = _BLOCK.findall(page.read_text())
    assert [text for _, language, text in found if not language and _OURS.search(text)] == []
    assert [how for how, language, _ in found if how and language != "sh"] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_of_loadgen_that_is_shown_has_options_that_there_are(page: Path) -> None:
    for block in blocks(page):
        for line in block.text.replace("\\\n", " ").splitlines():
            if _OURS.match(line):
                parsed(line)


def parsed(line: str) -> None:
    """Have click read a command line, up to what the shell does with it. Raises UsageError."""
    words = shlex.split(line, comments=True)
    ends = [at for at, word in enumerate(words) if word in (">", "|", "&&", "&", "2>&1")]
    _, name, *rest = words[: ends[0]] if ends else words
    if name.startswith("-"):
        return
    command = main.get_command(click.Context(main), name)
    assert command is not None, name
    command.make_context(name, rest)


def test_the_lines_that_the_first_page_explains_are_what_init_writes() -> None:
    (text,) = yaml_blocks("start.md")
    written = STARTER.format(file="scenario.yaml").splitlines()
    assert [line for line in text.splitlines() if line and not any(each.startswith(line) for each in written)] == []


def test_every_scenario_that_a_first_step_shows_is_one(tmp_path: Path) -> None:
    for text in (*yaml_blocks("first-function.md"), *yaml_blocks("questions.md")):
        assert load(text, source="page", directory=tmp_path, environment={"FG_PROJECT_ID": "0123"}).scenario.budget


def test_the_examples_of_pipelines_are_yaml_whose_commands_there_are(tmp_path: Path) -> None:
    examples = yaml_blocks("pipelines.md")
    assert len(examples) == 3
    for text in examples:
        root, faults = yaml.parse(text, "page")
        assert root is not None
        assert faults == []
    commands = re.findall(r"^ *- (?:run: )?(loadgen .*)$", "\n".join(examples), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        parsed(command)
    whole = f"name: x\ntarget: {{endpoint: emulator}}\nphases: [{{name: a, rate: 1/s, duration: 20s}}]\n{examples[0]}"
    assert load(whole, source="page", directory=tmp_path, environment={}).scenario.thresholds
