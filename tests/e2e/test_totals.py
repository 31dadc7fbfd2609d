from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Loadgen, count
from tests.servers.certificate import make_certificate
from tests.servers.nginx import NGINX, Nginx
from tests.servers.ports import free_port

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx-light)")


def load(endpoint: str, phases: str) -> str:
    return f"""
name: totals
target: {{endpoint: "{endpoint}", project_id: demo, function: hello}}
phases:
{phases}
"""


OPEN = "  - {name: steady, rate: 200/s, duration: 3s}\n"
CLOSED = """\
  - {name: warm-up, workers: 2, duration: 500ms, warmup: true}
  - {name: closed, workers: 8, duration: 3s}
"""


def test_a_run_on_the_emulator_counts_what_the_emulator_counted(loadgen: Loadgen) -> None:
    """summary.json, truth.ndjson and the schedule agree; the pre-flight is the one call more."""
    run = loadgen(load("emulator", OPEN))
    totals = run.summary["totals"]
    truth = (run.out / "truth.ndjson").read_text().splitlines()
    assert run.passed, run.stderr
    assert totals["planned"] == totals["started"] == totals["completed"] == 600
    assert totals["outcomes"] == {"ok": 600}
    assert len(truth) == 600 + 1
    assert count(totals["metrics"]["billed_duration"]) == 600


@needs_nginx
@pytest.mark.parametrize("phases", [OPEN, CLOSED], ids=["open", "closed"])
def test_a_run_on_nginx_counts_what_nginx_counted(loadgen: Loadgen, tmp_path: Path, phases: str) -> None:
    tmp_path.chmod(0o755)
    with Nginx(tmp_path / "nginx", free_port(), log=True) as nginx:
        run = loadgen(load(nginx.url, phases))
    # nginx writes a line when a request is done, and has written all of them when it ends
    served = nginx.logged()
    summary = run.summary
    assert run.passed, run.stderr
    assert summary["preflight"]["outcome"] == "ok"
    assert sum(phase["started"] for phase in summary["phases"]) == served - 1
    assert summary["totals"]["planned"] == summary["totals"]["outcomes"]["ok"]
    if phases == OPEN:
        assert summary["totals"]["planned"] == 600


@needs_nginx
def test_https_is_counted_alike(loadgen: Loadgen, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    certificate = make_certificate(tmp_path)
    phases = "  - {name: steady, rate: 100/s, duration: 1s}\n"
    with Nginx(tmp_path / "nginx", free_port(), tls_port=free_port(), certificate=certificate, log=True) as nginx:
        run = loadgen(load(nginx.tls_url, phases), "--set", f"target.tls.ca={certificate[0]}")
    assert run.passed, run.stderr
    assert run.summary["totals"]["outcomes"] == {"ok": 100}
    assert nginx.logged() == 101
