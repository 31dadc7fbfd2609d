"""The documents say what the code does."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from loadgen import __version__
from loadgen.cli import COMMANDS, INTERRUPTED, LazyGroup, main
from loadgen.cli import run as run_module
from loadgen.cli.source import without_file
from loadgen.invocation.outcome import Outcome
from loadgen.measure import summary
from loadgen.scenario.load import load
from loadgen.scenario.oneline import Asked
from loadgen.scenario.schema import scenario_schema

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "scenarios").rglob("*.md")]
)

REFERENCE = runpy.run_path(str(ROOT / "docs" / "reference.py"))["PAGES"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_committed_schema_of_the_summary_is_the_codes() -> None:
    """It is written with: loadgen schema summary > docs/summary.schema.json."""
    assert json.loads((ROOT / "docs" / "summary.schema.json").read_text()) == summary.schema()


@pytest.mark.parametrize("page", REFERENCE)
def test_a_reference_page_is_what_the_code_gives(page: str) -> None:
    """They are written with: python docs/reference.py, which make docs does, too."""
    assert (ROOT / "docs" / page).read_text() == REFERENCE[page]()


def test_the_scenario_reference_explains_every_key() -> None:
    text = (ROOT / "docs" / "scenario.md").read_text()
    keys = {key for form in scenario_schema()["$defs"].values() for key in form.get("properties", {})}
    assert {key for key in keys if f"`{key}`" not in text and f"{key}:" not in text} == set()


def test_the_pages_are_all_in_the_list_and_in_the_site() -> None:
    """The list is docs/README.md, and the site's is docs/index.md."""
    names = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"README", "index"}
    listed = re.findall(r"\]\(([\w-]+)\.md\)", (ROOT / "docs" / "README.md").read_text())
    assert set(listed) - {"decisions/README"} == names
    assert names - set((ROOT / "docs" / "index.md").read_text().split()) == set()


def test_the_example_run_is_one_of_this_schema() -> None:
    text = (ROOT / "reports" / "example-quickstart" / "summary.json").read_bytes()
    jsonschema.validate(json.loads(text), summary.schema())
    assert summary.decode(text).run.name == "quickstart"


def test_the_snippet_for_the_interval_log_gives_the_percentiles_of_the_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every one of every metric, in µs and KiB; the library's own call gives others."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "results.md").read_text(), re.DOTALL)
    monkeypatch.chdir(ROOT / "reports" / "example-quickstart")
    names: dict[str, Any] = {}
    exec(code, names)
    run = summary.decode(Path("summary.json").read_bytes())
    for phase in run.phases:
        for metric, found in phase.metrics.items():
            if found.count:
                tag, unit = f"{phase.name}.{metric}", 1024 if found.unit == "bytes" else 1000
                whole = names["whole"][tag]
                assert whole.get_total_count() == found.count
                assert [names["percentile"](whole, each.p) * unit for each in found.percentiles] == [
                    each.value for each in found.percentiles
                ], tag
    undisturbed = {tag for tag in names["whole"] if ".disturbed." not in tag}
    assert undisturbed == {
        f"{phase.name}.{metric}" for phase in run.phases for metric, found in phase.metrics.items() if found.count
    }
    assert capsys.readouterr().out.count("\n") == len(names["whole"])
    sixteen = names["HdrHistogram"](1, 3_600_000_000, 3)
    for value in range(1, 17):
        sixteen.record_value(value)
    assert (sixteen.get_value_at_percentile(90), names["percentile"](sixteen, 90)) == (14, 15)


def _commands() -> list[str]:
    """What is run without a file in the documents, lines that go on joined."""
    text = "\n".join(page.read_text() for page in PAGES).replace("\\\n", " ")
    return re.findall(r"^loadgen run (?='?https?://|urn:).*$", text, re.MULTILINE)


@pytest.mark.parametrize("command", _commands())
def test_every_run_without_a_file_that_is_shown_is_a_scenario(command: str) -> None:
    words = shlex.split(command.replace("$PROJECT", "0123456789abcdef"), comments=True)[2:]
    given = run_module.run.make_context("run", words).params
    given = {name: given[name] for name in Asked.__struct_fields__} | {"overrides": given["overrides"]}
    overrides = given.pop("overrides")
    assert without_file(Asked(**given), {"TOKEN": "x"}, overrides, None).scenario.phases


def test_every_scenario_in_the_page_for_those_who_come_from_elsewhere_is_one(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user\nada\n")
    for text in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "coming-from.md").read_text(), re.DOTALL):
        assert load(text, source="page", directory=tmp_path, environment={}).scenario.thresholds


def test_every_command_is_in_the_readme_or_the_changelog() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "CHANGELOG.md").read_text()
    assert [name for name in COMMANDS if f"`{name}`" not in text and f"loadgen {name}" not in text] == []


def test_every_exit_code_is_in_the_readme_and_in_the_help() -> None:
    codes = {0, 1, 2, run_module.INVALID, run_module.BUDGET, run_module.THRESHOLD, INTERRUPTED}
    readme = (ROOT / "README.md").read_text()
    for code in codes:
        assert f"| {code} |" in readme
        assert re.search(rf"\b{code}\b", str(run_module.run.epilog))


def test_the_scenario_reference_says_of_every_outcome_of_a_preflight_whether_it_ends_the_run() -> None:
    section = (ROOT / "docs" / "scenario.md").read_text().partition("### Pre-flight\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    said = {name: does.strip().split()[0] for names, does in rows for name in re.findall("`(.*?)`", names)}
    others = {Outcome.OK, Outcome.DROPPED, Outcome.UNFINISHED}  # the last two no pre-flight can be
    assert said == {each.value: "ends" if each.traits.lasting else "goes" for each in Outcome if each not in others}


def test_the_glossary_explains_every_outcome() -> None:
    section = (ROOT / "docs" / "glossary.md").read_text().partition("## Outcomes\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [each.value for each in Outcome]


def test_every_command_and_option_has_a_help_text() -> None:
    assert isinstance(main, LazyGroup)
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.name}"


def test_the_changelog_has_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom loadgen.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("aiohttp", "uvloop", "rich", "jinja2", "msgspec", "yaml", "hdrh", "asyncio"):
        assert f"'{heavy}'" not in done.stderr


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", "rum", "x"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    assert "Did you mean 'run'?" in done.stderr
