"""The ways to a cluster that the documentation shows, as far as they can be gone or read here."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

import loadgen
from loadgen.fleet import dask
from loadgen.fleet.cluster import ClusterError
from tests.e2e.conftest import environment, running_in
from tests.servers.ports import free_port
from tests.servers.scripted import answer_all, serving

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCS = (ROOT / "docs" / "cluster.md").read_text()
SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")


def loaded(path: str) -> Any:
    # YAML 1.1 takes the key "on" of a workflow for true
    return yaml.safe_load((ROOT / path).read_text())


def shown(mark: str) -> list[list[str]]:
    """The commands below a mark in the page."""
    found = re.search(rf"<!-- {mark} -->\n```sh\n(.*?)```", DOCS, re.DOTALL)
    assert found is not None
    return [line.split() for line in found[1].splitlines()]


def test_every_wheel_is_of_a_python_that_is_promised_and_compiled() -> None:
    promised = {each.rpartition(" ")[2] for each in PROJECT["project"]["classifiers"] if "Python :: 3." in each}
    built = {f"3.{each[3:5]}" for each in PROJECT["tool"]["cibuildwheel"]["build"]}
    assert built == promised
    assert "build() == 'compiled'" in PROJECT["tool"]["cibuildwheel"]["test-command"]


def test_the_release_publishes_what_was_built_and_only_from_a_tag_that_is_the_version() -> None:
    release = loaded(".github/workflows/release.yml")
    assert set(release) == {"name", True, "permissions", "jobs"}
    assert release[True]["push"] == {"tags": ["v*"]}
    assert release["permissions"] == {"contents": "read"}
    jobs = release["jobs"]
    for job in jobs.values():
        assert set(job) <= {"if", "needs", "strategy", "runs-on", "environment", "permissions", "steps"}
        assert set(job.get("needs", [])) <= set(jobs)
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert "@" in step.get("uses", "@")
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"] == {"persist-credentials": False}
    assert {"wheels", "sdist", "version"} <= set(jobs["publish"]["needs"])
    assert "version" in jobs["image"]["needs"]
    assert jobs["version"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert f'__version__ = "{loadgen.__version__}"' in (ROOT / "loadgen" / "__init__.py").read_text().splitlines()


def test_the_image_is_made_of_what_there_is() -> None:
    lines = (ROOT / "deploy" / "Containerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists(), name
    assert {line.split()[0] for line in lines if re.match("[A-Z]+ ", line)} <= {
        *("FROM", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"),
    }
    pythons = {found[1] for line in lines for found in re.finditer(r"python:?(3\.\d+)", line)}
    assert len(pythons) == 1
    assert "USER loadgen" in lines


@pytest.mark.parametrize("path", ["deploy/compose.yaml", "deploy/kubernetes.yaml"])
def test_what_is_deployed_has_this_version(path: str) -> None:
    assert set(re.findall(r"loadgen:(\S+)", (ROOT / path).read_text())) == {loadgen.__version__}


def test_the_services_of_compose_publish_no_port_and_run_one_agent_a_worker() -> None:
    compose = loaded("deploy/compose.yaml")
    assert set(compose) == {"x-image", "services", "networks"}
    assert set(compose["services"]) == {"scheduler", "worker", "loadgen"}
    known = {"image", "build", "init", "networks", "command", "depends_on", "ulimits", "profiles", "entrypoint"}
    for service in compose["services"].values():
        assert set(service) <= known | {"volumes", "working_dir"}
        assert "ports" not in service
        assert set(service["networks"]) <= set(compose["networks"])
    held_worker(compose["services"]["worker"]["command"])


def test_the_kubernetes_objects_have_the_keys_of_their_kinds() -> None:
    cluster, policy, job = yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    assert set(cluster["spec"]) == {"worker", "scheduler"}
    assert set(cluster["spec"]["worker"]) == {"replicas", "spec"}
    assert set(cluster["spec"]["scheduler"]) == {"spec", "service"}
    (worker,) = cluster["spec"]["worker"]["spec"]["containers"]
    held_worker(worker["args"])
    assert worker["resources"]["requests"] == worker["resources"]["limits"]
    assert set(policy["spec"]) == {"podSelector", "policyTypes", "ingress"}
    (container,) = job["spec"]["template"]["spec"]["containers"]
    address = container["command"][container["command"].index("--cluster") + 1]
    assert address == f"tcp://{cluster['metadata']['name']}-scheduler:8786"
    volumes = {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def held_worker(command: list[str]) -> None:
    """A worker is started as an agent needs it."""
    assert command[:2] == ["dask", "worker"]
    for option, value in (("--nworkers", "1"), ("--nthreads", "1"), ("--memory-limit", "0")):
        assert command[command.index(option) + 1] == value


def run_of(command: list[str]) -> list[str]:
    """A command of dask as this interpreter runs it."""
    assert command[0] == "dask"
    return [sys.executable, "-m", f"distributed.cli.dask_{command[1]}", *command[2:]]


def replaced(command: list[str], **values: str) -> list[str]:
    return [re.sub("|".join(values), lambda found: values[found[0]], word) for word in command]


@contextmanager
def beside(directory: Path, *commands: list[str], env: dict[str, str] | None = None) -> Iterator[None]:
    with (directory / "log").open("wb") as log:
        started = [
            subprocess.Popen(
                command,
                cwd=directory,
                env={**environment(), **(env or {})},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            for command in commands
        ]
        try:
            yield
        finally:
            for process in started:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            for process in started:
                try:
                    process.communicate(timeout=10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.communicate()


async def agents_of_a_run_on(port: int, directory: Path, workers: int) -> list[int]:
    """The agents of a run, as soon as there is a cluster of so many workers."""
    async with asyncio.timeout(30):
        while True:
            with suppress(ClusterError):
                if len((await dask.survey(f"tcp://127.0.0.1:{port}", None)).workers) == workers:
                    break
            await asyncio.sleep(0.1)
    async with serving(answer_all) as server:
        url = f"http://127.0.0.1:{server.port}"
        options = ["--rate", "50/s", "--duration", "1s", "--cluster", f"tcp://127.0.0.1:{port}"]
        run = await asyncio.to_thread(running_in(directory), url, *options)
    assert run.passed, run.stderr
    assert run.summary["totals"]["started"] == 50
    return [agent["agent"] for agent in run.summary["generator"]["agents"]]


@pytest.mark.skipif(SSHD is None, reason="there is no sshd")
async def test_the_cluster_by_ssh_that_is_shown_runs_a_load(tmp_path: Path) -> None:
    (command,) = shown("ssh")
    port, ssh_port = free_port(), free_port()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    (tmp_path / "authorized").write_text((tmp_path / "user.pub").read_text())
    with suppress(OSError):  # what root's needs
        Path("/run/sshd").mkdir(exist_ok=True)
    served = [
        *(str(SSHD), "-D", "-e", "-f", "/dev/null", "-p", str(ssh_port), "-h", str(tmp_path / "host")),
        *("-o", "ListenAddress=127.0.0.1", "-o", f"AuthorizedKeysFile={tmp_path / 'authorized'}"),
        *("-o", "StrictModes=no", "-o", "PermitRootLogin=yes", "-o", "UsePAM=no"),
    ]
    hosts = ["127.0.0.1", "localhost"]
    own = [
        *(
            "--ssh-port",
            str(ssh_port),
            "--ssh-private-key",
            str(tmp_path / "user"),
            "--ssh-username",
            getpass.getuser(),
        ),
        *("--remote-python", sys.executable, "--local-directory", str(tmp_path)),
    ]
    ssh = replaced(run_of(command)[:-3], **{"8786": str(port)}) + own + hosts
    with beside(tmp_path, served):
        time.sleep(0.5)
        with beside(tmp_path, ssh):
            assert await agents_of_a_run_on(port, tmp_path, 2) == [0, 1]


@pytest.mark.soak
async def test_the_cluster_by_hand_that_is_shown_runs_a_load(tmp_path: Path) -> None:
    port = free_port()
    values = {"8786": str(port), r"host-1": "127.0.0.1", "0.0.0.0": "127.0.0.1"}
    scheduler, worker = (replaced(run_of(command), **values) for command in shown("by hand"))
    quiet = {"DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__ENABLED": "false"}
    with beside(tmp_path, [*scheduler, "--no-dashboard"], [*worker, "--no-dashboard"], env=quiet):
        assert await agents_of_a_run_on(port, tmp_path, 1) == [0]
