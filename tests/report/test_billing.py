from __future__ import annotations

from msgspec.structs import replace

from loadgen.measure.summary import Reason, Verdict
from loadgen.report.billing import cost
from tests.report.builders import valid


def test_at_another_memory_size_than_asked_for_only_what_the_run_was_charged_is_shown() -> None:
    reason = Reason("memory_ignored", "withheld", "128 MB", 1.0, 0, "steady", "cost")
    usual, hidden = cost(valid()), cost(replace(valid(), verdict=Verdict("degraded", [reason])))
    assert [cell.text for cell in hidden.rows[-1]] == [cell.text for cell in usual.rows[-1]]
    for row in hidden.rows[:-1]:
        assert [cell.text for cell in row[-2:]] == ["—", "—"]
    assert "per million" in " ".join(usual.notes)
    assert "per million" not in " ".join(hidden.notes)
    assert "This was billed, and is not what it costs at the memory size that was asked for" in hidden.notes[0]
