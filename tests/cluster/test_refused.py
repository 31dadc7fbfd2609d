"""Clusters that cannot be used, or not with this scenario: what was seen, what was expected, what to do, and soon."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from distributed import Client
from msgspec.structs import replace

import loadgen
from loadgen.engine.environment import environment as machine
from loadgen.engine.messages import Plan
from loadgen.fleet import dask
from loadgen.fleet.cluster import ClusterError, Reached, Seen, differing, doubts, parsed, spread
from loadgen.fleet.crew import Crew
from loadgen.fleet.offset import Offset, refined
from loadgen.fleet.port import FleetError
from tests.e2e.conftest import environment
from tests.scenarios import S, function, open_phase, scenario
from tests.servers.dask import cluster
from tests.servers.scripted import Peer, answer_all, serving

HERE = machine(agents=0, scenario_sha256="", synthetic=False)
UNSHARE = shutil.which("unshare")


def seen(address: str, host: str = "a", **more: int) -> Seen:
    return Seen(address, "10.0.0.1", host, replace(HERE, usable_cores=more.pop("cores", 4)), 1 << 20, **more)


def refused(
    directory: Path, *options: str, target: str = "http://127.0.0.1:9", env: dict[str, str] | None = None
) -> str:
    """What a run says that exits with 2, soon, and without having made anything."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", "run", target, "--out", "run", *options],
        cwd=directory,
        env={**environment(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 20
    assert not (directory / "run").exists()
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "address", ["10.0.0.1:8786", "http://a:1", "local:0", "local:x", "tcp://a", "local:99999", "tcp://[::"]
)
def test_what_is_no_address_of_a_cluster_is_refused_with_those_that_are(address: str) -> None:
    with pytest.raises(ClusterError, match=r"expected tcp://HOST:PORT or tls://HOST:PORT.*or local:N"):
        parsed(address)


def test_addresses_of_clusters() -> None:
    assert (parsed("tcp://a:8786"), parsed("tls://[::1]:8786/"), parsed("local:4")) == (None, None, 4)


def test_without_the_extra_a_cluster_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "distributed.py").write_text("raise ModuleNotFoundError(\"No module named 'distributed'\")")
    path = os.pathsep.join([str(tmp_path / "hidden"), environment()["PYTHONPATH"]])
    said = refused(tmp_path, "--cluster", "tcp://127.0.0.1:1", env={"PYTHONPATH": path})
    assert "No module named 'distributed'" in said
    assert "pip install 'loadgen[distributed]'" in said


def test_a_port_where_nobody_listens_is_refused_from_the_command_line(tmp_path: Path) -> None:
    said = refused(tmp_path, "--cluster", "tcp://127.0.0.1:1")
    assert "no Dask scheduler was reached at tcp://127.0.0.1:1 within 5 s: nobody listens there" in said


async def test_a_cluster_that_is_gone_before_the_run_begins_is_an_error_of_the_fleet() -> None:
    with pytest.raises(FleetError, match="no Dask scheduler was reached at tcp://127"):
        await dask.DaskFleet(Reached("tcp://127.0.0.1:1", (seen("tcp://127.0.0.1:2"),))).start(1)


async def silent(peer: Peer) -> None:
    await peer.gone()


@pytest.mark.parametrize("play", [answer_all, silent])
async def test_a_port_that_is_not_dasks_is_refused(
    monkeypatch: pytest.MonkeyPatch, play: Callable[[Peer], object]
) -> None:
    monkeypatch.setattr(dask, "_CONNECT_S", 1.0)
    async with serving(play) as server:  # type: ignore[arg-type]
        with pytest.raises(ClusterError, match="what listens there does not answer as a Dask scheduler does"):
            await dask.survey(f"tcp://127.0.0.1:{server.port}", None)


async def test_tls_without_certificates_says_which_settings_name_them() -> None:
    with pytest.raises(ClusterError, match="DASK_DISTRIBUTED__COMM__TLS__CA_FILE"):
        await dask.survey("tls://127.0.0.1:1", None)


def test_a_worker_of_another_loadgen_python_or_build_is_refused_with_the_remedy() -> None:
    assert differing("tcp://a:1", loadgen.__version__, None, None) is None
    for other, expected in [
        ((None, None, None), f"has no loadgen, expected {loadgen.__version__}.*pip install 'loadgen"),
        (("0.0.1", None, None), f"has loadgen 0.0.1, expected {loadgen.__version__} as here.*pip install"),
        ((loadgen.__version__, "3.99.1", None), r"runs Python 3\.99\.1, expected 3\.\d+ as here.*Start workers with"),
        ((loadgen.__version__, None, "other"), "has the other build.*Install the same wheel in both places"),
    ]:
        wrong = differing("tcp://a:1", *other)
        assert wrong is not None
        assert re.search(expected, wrong)


def test_workers_are_taken_from_every_host_in_turn() -> None:
    workers = [seen(f"tcp://h:{n}", host) for n, host in enumerate("aaabbc")]
    assert [each.host for each in spread(workers)] == ["a", "b", "c", "a", "b", "a"]


def test_what_is_to_be_known_of_machines_is_said() -> None:
    workers = (
        seen("tcp://h:1", "one", cores=1),
        *(seen(f"tcp://h:{n}", "two", cores=2) for n in (2, 3, 4)),
        seen("tcp://h:5", "off", clock_off_ns=-300 * S),
        seen("tcp://h:6", "good", clock_off_ns=S // 2),
    )
    said = list(doubts(workers, Reached("tcp://h:0", workers, silent=("tcp://h:9",))))
    assert said == [
        "the worker tcp://h:9 does not answer, and gets no agent",
        "the time of day of off is 300 s behind this machine's, expected less than 1 s: nothing is measured by it, but "
        "signatures of requests and {{$now}} tell it; let NTP set it",
        "one has one core, expected at least two: its agent shares it with the worker, and what it measures may be "
        "ranges",
        "two has 2 cores for 3 agents, expected a core each: they disturb each other",
    ]


def test_the_offset_of_a_clock_is_where_all_probes_agree_and_starts_anew_where_they_do_not() -> None:
    slow = refined(None, 0, 1_000_500, 1_000)
    assert (slow.low_ns, slow.high_ns) == (999_500, 1_000_500)
    fast = refined(slow, 2_000, 1_002_100, 2_200)
    assert (fast.low_ns, fast.high_ns) == (999_900, 1_000_100)
    assert (fast.ahead_ns, fast.error_ns) == (1_000_000, 100)
    later = refined(fast, 2_200 + S, 1_002_200 + 3 * S // 2, 2_200 + 2 * S)  # says little, two seconds later
    assert later.error_ns == 100 + 200_000 + 1
    moved = refined(later, 3 * S, 300 * S, 3 * S + 50)  # the clock was set
    assert moved == Offset(297 * S - 50, 297 * S, 3 * S + 50)


async def test_workers_that_are_not_there_do_not_answer_or_differ_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    info = tmp_path / "other" / "loadgen-0.0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loadgen\nVersion: 0.0.1\n")
    other = os.pathsep.join([str(info.parent), environment()["PYTHONPATH"]])
    with cluster(tmp_path, 0) as of, pytest.raises(ClusterError, match="has no workers, expected at least one: start"):
        await dask.survey(of.address, None)
    (tmp_path / "scheduler.json").unlink()
    with cluster(tmp_path, 2, more=[{"PYTHONPATH": other}, {"LOADGEN_PURE": "1"}]) as of:
        first, second = of.workers
        with pytest.raises(ClusterError, match=r"has loadgen 0\.0\.1, expected"):
            await dask.survey(of.address, None)
        of.workers[first].terminate()
        of.workers[first].wait()
        from loadgen.build import build

        if build() == "compiled":
            with pytest.raises(ClusterError, match="has the pure build of loadgen, expected the compiled one"):
                await dask.survey(of.address, None)
        monkeypatch.setattr(dask, "_ANSWER_S", 1.0)
        of.workers[second].send_signal(19)
        with pytest.raises(ClusterError, match=r"none of the 1 workers at \S+ answers within 1 s"):
            await dask.survey(of.address, None)


@pytest.mark.skipif(UNSHARE is None or os.geteuid() != 0, reason="another monotonic clock takes root and unshare(1)")
async def test_a_clock_five_minutes_ahead_on_one_core_and_a_busy_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An agent whose clock is another one begins when all do; one that is never placed is not waited for long."""
    ahead = [str(UNSHARE), "--time", "--monotonic", "300", "taskset", "-c", "0"]
    with cluster(tmp_path, 2, before=[ahead]) as of:
        reached = await dask.survey(of.address, None)
        other = next(n for n, each in enumerate(reached.workers) if each.address == next(iter(of.workers)))
        assert any("has one core" in doubt for doubt in doubts([reached.workers[other]], reached))
        from tests.cluster.test_cluster import by_row, crew, load, played

        async with serving(by_row) as server:
            wanted = load(server, tmp_path, open_phase(100, 1.2))
            async with crew(reached, wanted, 2) as together:
                assert abs(together._fleet.ahead_ns(other) - 300 * S) < S // 10
                assert abs(together._fleet.ahead_ns(1 - other)) < S // 10
                total = (await played(together, wanted)).total
        assert list(total.faults()) == []
        assert total.tally.planned == total.tally.completed == 120
        assert max(frames.start_error_ns for frames in total.agents.values()) < S // 4
        late = total.merged("late").max_us
        assert late is not None
        assert late < 500_000

        monkeypatch.setattr(dask, "_PLACE_S", 1.0)
        async with Client(of.address, asynchronous=True, set_as_default=False) as client:
            busy = client.map(time.sleep, [20, 20.1], pure=False)
            plans = [Plan(scenario(function("http://127.0.0.1:9"), open_phase(1, 1)), "127.0.0.1", 0, 0)]
            began = time.monotonic()
            with pytest.raises(FleetError, match=r"no agent placed on its worker \S+ within 1 s: is that worker"):
                async with Crew(dask.DaskFleet(reached), plans):
                    pass
            assert time.monotonic() - began < 8
            with suppress(Exception):
                await asyncio.wait_for(client.cancel(busy), 2)
