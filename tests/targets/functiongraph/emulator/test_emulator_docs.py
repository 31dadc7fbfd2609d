"""What docs/emulator.md says is so."""

from __future__ import annotations

from pathlib import Path

from loadgen.scenario.load import load_emulator
from loadgen.targets.functiongraph.protocol.platform import default_emulator

DOCUMENT = (Path(__file__).parents[4] / "docs" / "emulator.md").read_text()


def test_the_settings_in_the_document_are_the_defaults_all_of_them() -> None:
    block = DOCUMENT.split("```yaml\n")[1].split("```")[0]
    assert load_emulator(block, source="emulator.md", environment={}) == default_emulator()


def test_the_faults_in_the_document_can_be_asked_for() -> None:
    faults = DOCUMENT.split("```yaml\n")[2].split("```")[0].strip()
    block = f"emulator: {{functions: {{hello: {{{faults}}}}}}}"
    (function,) = load_emulator(block, source="emulator.md", environment={}).functions
    assert len(function.faults) == 6
