"""``--cluster local:N``: a cluster of this machine that is there for one run, and what its agents are given."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from loadgen.cli.placing import _refuse
from loadgen.engine.messages import Plan
from loadgen.fleet.cluster import ClusterError, Reached
from loadgen.fleet.files import by_value, pieces
from loadgen.fleet.port import FleetError
from loadgen.scenario.load import Loaded, load_file
from loadgen.targets.port import Tls
from tests.cluster.test_refused import seen
from tests.e2e.conftest import ROOT, running_in
from tests.scenarios import feeder, function, open_phase, scenario
from tests.servers.scripted import answer_all, serving

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def processes() -> set[str]:
    """Those that belong to a cluster or are agents."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"loadgen.fleet.dask" in words:
            found.add(each.parent.name)
    return found


@pytest.mark.timeout(90)
async def test_a_run_on_a_cluster_of_its_own_has_the_summary_of_any_run_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    async with serving(answer_all) as server:
        text = {
            "name": "local",
            "target": {"url": f"http://127.0.0.1:{server.port}", "headers": {"Authorization": "Bearer s3cret-of-mine"}},
            "phases": [{"name": "steady", "rate": "100/s", "duration": "2s"}],
            "thresholds": ["errors == 0"],
        }
        (tmp_path / "scenario.yaml").write_text(json.dumps(text))
        run = await asyncio.to_thread(running_in(tmp_path), tmp_path / "scenario.yaml", "--cluster", "local:2")
        sent = [request for request in server.requests if b"Bearer s3cret-of-mine" in request]
    assert run.passed, run.stderr
    summary = run.summary
    assert summary["totals"]["planned"] == summary["totals"]["started"] == 200
    assert len(sent) == 201  # with the pre-flight
    assert summary["environment"]["cluster"] == "local:2"
    assert [host["agents"] for host in summary["environment"]["hosts"]] == [[0, 1]]
    assert summary["environment"]["agents_why"] == "one for each worker of the cluster"
    agents = summary["generator"]["agents"]
    assert [agent["agent"] for agent in agents] == [0, 1]
    for agent in agents:
        assert (
            0 < agent["clock_error_ns"] <= agent["start_error_ns"] == agent["clock_error_ns"] + agent["began_late_ns"]
        )
    assert "Traceback" not in run.stderr
    assert "distributed" not in run.stderr
    deadline = time.monotonic() + 5
    while processes():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("name", "answer"), [("cold-starts", "A cold start"), ("capacity", "/s"), ("memory", "MB")])
def test_the_example_of_each_experiment_is_answered_on_a_cluster(tmp_path: Path, name: str, answer: str) -> None:
    run = running_in(tmp_path)(ROOT / "scenarios" / f"{name}.yaml", "--cluster", "local:2", timeout=380)
    assert run.summary["environment"]["cluster"] == "local:2"
    assert answer in run.summary["answer"]
    assert run.summary["verdict"]["status"] != "invalid"


def test_certificates_travel_as_texts_and_rows_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(f"# whose it is\n{PEM}")
    (tmp_path / "rows.csv").write_text("n\n1\n2\n")
    target = function("https://example.org", tls=Tls(ca=str(tmp_path / "ca.pem")))
    wanted = replace(scenario(target, open_phase(1, 1)), feeder=feeder(tmp_path / "rows.csv"))
    sent = by_value(Plan(wanted, "127.0.0.1", 0, 0)).scenario
    assert sent.target.tls.ca == PEM
    assert [(piece.path, piece.data) for piece in pieces(wanted)] == [(str(tmp_path / "rows.csv"), b"n\n1\n2\n")]
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(FleetError, match="holds no PEM"):
        by_value(Plan(wanted, "127.0.0.1", 0, 0))
    (tmp_path / "ca.pem").unlink()
    (tmp_path / "rows.csv").unlink()
    with pytest.raises(FleetError, match="cannot read the certificate or key"):
        by_value(Plan(wanted, "127.0.0.1", 0, 0))
    with pytest.raises(FleetError, match="cannot read the feeder's file"):
        list(pieces(wanted))


def test_secrets_go_to_other_machines_over_tls_alone_unless_it_is_forced(tmp_path: Path) -> None:
    def loaded(headers: str, url: str = "https://example.org") -> Loaded:
        target = f"target: {{url: '{url}', headers: {{{headers}}}}}"
        (tmp_path / "a.yaml").write_text(f"name: a\n{target}\nphases: [{{name: a, rate: 1/s, duration: 1s}}]\n")
        return load_file(tmp_path / "a.yaml", environment={})

    secret, plain = loaded("Authorization: Bearer s3cret-of-mine"), loaded("Accept: text/plain")
    far, near = (seen("tcp://10.0.0.1:1"),), (seen("tcp://127.0.0.1:1"),)
    for address, workers, insecure in (
        ("tcp://127.0.0.1:8786", near, False),
        ("tls://10.0.0.1:8786", far, False),
        ("tcp://10.0.0.1:8786", far, True),
    ):
        _refuse(secret, address, Reached(address, workers), 1, insecure=insecure)
    _refuse(plain, "tcp://10.0.0.1:8786", Reached("tcp://10.0.0.1:8786", far), 1, insecure=False)
    for address in ("tcp://10.0.0.1:8786", "tcp://127.0.0.1:8786"):  # the scheduler here, a worker elsewhere
        with pytest.raises(ClusterError, match=r"not encrypted.*expected tls://.*--insecure-cluster"):
            _refuse(secret, address, Reached(address, far), 1, insecure=False)
    here = loaded("Accept: text/plain", "http://127.0.0.1:80")
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1.*reached from this machine alone"):
        _refuse(here, "tls://10.0.0.1:1", Reached("tls://10.0.0.1:1", far), 1, insecure=False)
