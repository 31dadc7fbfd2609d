from __future__ import annotations

from click.testing import CliRunner

from loadgen.cli.doctor import doctor


def test_every_limit_is_shown_with_what_it_allows() -> None:
    result = CliRunner().invoke(doctor, [])
    assert result.exit_code == 0
    for what in ("cores", "open files", "clock", "event loop", "timer", "OpenSSL"):
        assert what in result.stdout
    marks = sum(line.startswith(("ok ", "!! ")) for line in result.stdout.splitlines())
    assert result.stdout.count("allows ") >= marks >= 5
