"""Only regular files are read, and whatever is none is a fault."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.scenario.load import load
from loadgen.scenario.prices import load_price_book
from loadgen.text import file
from loadgen.text.fault import ScenarioError

SECRET = "PLANTED-content-6b1f"


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[dict[str, tuple[str, str]]]:
    """What a path may lead to other than a file, and why it is refused."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text(SECRET)
    (tmp_path / "environ").symlink_to("/proc/self/environ")
    listening = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(tmp_path)  # the name of a socket is short
    listening.bind("socket")
    os.chdir(here)
    yield {
        "fifo": ("fifo", "it is a pipe, no regular file"),
        "socket": ("socket", "it is a socket, no regular file"),
        "device": ("/dev/zero", "it is a device, no regular file"),
        "directory": (".", "it is a directory, no regular file"),
        "environment": ("/proc/self/environ", "it is made up by the system, no regular file"),
        "link to it": ("environ", "it is made up by the system, no regular file"),
        "of sysfs": (
            "/sys/kernel/mm/transparent_hugepage/enabled",
            "made up by the system|No such file|there is no file",
        ),
        "loop": ("loop", "Too many levels of symbolic links"),
        "below a file": ("file/x", "Not a directory"),
        "component": ("a" * 300, "File name too long"),
        "path": ("a/" * 2500, "File name too long"),
        "null": ("a\0b", r"it is no path \(embedded null byte\)"),
        "none": ("none", "No such file or directory|there is no file"),
    }
    listening.close()


KINDS = (
    "fifo", "socket", "device", "directory", "environment", "link to it", "of sysfs", "loop", "below a file",
    "component", "path", "null", "none",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_not_read(unreadable: dict[str, tuple[str, str]], tmp_path: Path, kind: str) -> None:
    name, why = unreadable[kind]
    with pytest.raises(OSError) as caught:  # noqa: PT011  the reason is looked at below
        file.opened(tmp_path / name)
    assert any(
        each.removeprefix(r"it is no path \(") in file.reason(caught.value) or kind == "null" for each in why.split("|")
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names",
    [
        "feeder: {{file: {0}}}",
        "event_file: {0}",
        "prices: {0}",
        "phases: [{{name: s, trace: {{file: {0}, format: azure-2021}}, duration: 1s}}]",
        "target: {{url: https://h/, tls: {{ca: {0}}}}}",
    ],
)
def test_every_file_that_a_scenario_names_is_held_to_that(
    unreadable: dict[str, tuple[str, str]], tmp_path: Path, kind: str, names: str
) -> None:
    name, why = unreadable[kind]
    parts = {
        "target": "target: {endpoint: emulator, function: f}",
        "phases": "phases: [{name: s, workers: 1, duration: 1s}]",
    }
    written = names.format('"' + name.replace("\0", "\\0") + '"')
    parts[written.partition(":")[0]] = written
    with pytest.raises(ScenarioError, match=why) as caught:
        load("name: x\n" + "\n".join(parts.values()), source="s.yaml", directory=tmp_path, environment=os.environ)
    assert SECRET not in str(caught.value)
    assert str(caught.value).startswith("s.yaml:")


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert file.read(tmp_path / "empty") == b""


def test_a_link_of_proc_to_a_file_leads_to_that_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (tmp_path / "file").open() as held:
        assert file.read(f"/proc/self/fd/{held.fileno()}") == b"x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0)
    with pytest.raises(PermissionError):
        file.opened(tmp_path / "file")


BODIES = {
    "environment": f"HOME=/root\0TOKEN={SECRET}\0",
    "private key": f"-----BEGIN KEY-----\n{SECRET}\n-----END KEY-----\n",
    "comma": f"root:x:0,{SECRET},\n{SECRET},{SECRET}\n{SECRET}",
    "doubled": f"{SECRET},{SECRET}\n1,2\n",
    "quoted": f'"{SECRET}\n',
    "json": f'{{"{SECRET}": 1, "{SECRET}": 2}}\n',
    "json text": f'"{SECRET}"\n',
    "escape": f'{{"a": "\\{SECRET}"}}\n',
    "yaml": f"{SECRET}: 1\ncurrency: {SECRET}\ndated: {SECRET}\n{SECRET}: 2\n",
    "anchor": f"a: *{SECRET}\n",
    "tag": f"currency: !{SECRET} x\n",
    "number": f"per_gb_second: {'9' * 200}\n",
    "list": f"[{SECRET}]: x\n",
    "trace": f"app,func,end_timestamp,duration\n{SECRET},{SECRET},{SECRET},{SECRET}\n",
    "counts": f"day,time,{SECRET}\n0,0,{SECRET}\n",
    "latin": f"{SECRET}\xe9".encode("latin-1").decode("latin-1"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(
    "names",
    [
        "feeder: {file: foreign}\nevent: {a: '{{wanted}}'}",
        "feeder: {file: foreign.jsonl}\nevent: {a: '{{wanted}}'}",
        "event_file: foreign",
        "prices: foreign",
        "phases: [{name: s, trace: {file: foreign, format: azure-2021}, duration: 1s}]",
        "phases: [{name: s, trace: {file: foreign, format: azure-2019}, duration: 60s}]",
        "phases: [{name: s, trace: {file: foreign, format: huawei-minute}, duration: 60s}]",
        "phases: [{name: s, trace: {file: foreign, format: huawei-requests}, duration: 60s}]",
    ],
)
def test_no_fault_shows_anything_of_a_file_that_a_scenario_names(tmp_path: Path, names: str, body: str) -> None:
    for name in ("foreign", "foreign.jsonl"):
        (tmp_path / name).write_bytes(body.encode("latin-1" if "\xe9" in body else "utf-8"))
    parts = {
        "target": "target: {endpoint: emulator, function: f}",
        "phases": "phases: [{name: s, workers: 1, duration: 1s}]",
    }
    parts[names.partition(":")[0]] = names
    with pytest.raises(ScenarioError) as caught:
        load("name: x\n" + "\n".join(parts.values()), source="s.yaml", directory=tmp_path, environment={})
    assert "foreign" in str(caught.value)
    assert not {"PLANTED", "HOME", "9999"} & set(re.findall(r"[A-Z]+|9999", str(caught.value)))


def test_a_fault_of_a_price_book_still_says_where_and_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(f"currency: {SECRET}\nper_gb_secnd: 1\n")
    with pytest.raises(ScenarioError) as caught:
        load_price_book("p.yaml", tmp_path)
    message = str(caught.value)
    assert f"{tmp_path / 'p.yaml'}:1:11: currency: expected the three letters of a currency" in message
    assert "p.yaml:2:1: unknown key, did you mean per_gb_second?" in message
