"""Say in one line what a run of this directory's scenarios found out, to be pasted into an issue.

    python scenarios/platform/findings.py reports/log-tail-… reports/throttled-… …

It reads ``summary.json`` and ``samples.ndjson.gz`` of each run, and nothing else. What a run does not show it says
cannot be told, with the reason.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

Sample = dict[str, Any]
Summary = dict[str, Any]

INITIALIZER_NS = 5_000_000_000
"""How long the initializer of docs/probe/index.py waits."""
_WARM = "json.cold == true"
_NO_LOG = "header.X-Cff-Function-Log exists"
_AT_ONCE_NS = 500_000_000
_WAITED = 3
"""So many times the overhead of a warm call is one that waited for an instance."""
_LEAST_OF_A_SIZE = 5
_ALIKE = 0.15
"""Durations that differ by a smaller share are taken for the same."""


class UntoldError(Exception):
    """The run does not answer its question; the message says why."""


def log_tail(summary: Summary, samples: list[Sample]) -> str:
    """Whether the log of a cold call has the lines of the start."""
    if any(sample["reason"] == _NO_LOG for sample in samples):
        raise UntoldError("answers came without a log: has the function logs at all?")
    cold = _cold(samples)
    told = sum(sample["start_source"] == "log" for sample in cold)
    if not told:
        _hold_to_have_waited(cold, [sample for sample in samples if sample["reason"] == _WARM])
    if 0 < told < len(cold):
        return f"{told} of {len(cold)} cold calls have lines of the start in their log, the others have none"
    return f"the log of a cold call has {'the' if told else 'no'} lines of the start ({len(cold)} cold calls)"


def init_billing(summary: Summary, samples: list[Sample]) -> str:
    """Where the time of an initializer is billed."""
    cold = _cold(samples)
    took_ns = min(sample["ended_ns"] - sample["started_ns"] for sample in cold)
    if took_ns < INITIALIZER_NS:
        raise UntoldError(f"a cold call took {_s(took_ns)}, so no initializer of {_s(INITIALIZER_NS)} ran")
    if any(sample["duration_ns"] is None or sample["billed_duration_ns"] is None for sample in cold):
        raise UntoldError("cold calls did not tell a duration and a billed duration")
    ran = [sample["duration_ns"] for sample in cold]
    billed = [sample["billed_duration_ns"] for sample in cold]
    told = (
        f"({len(cold)} cold calls with an initializer of {_s(INITIALIZER_NS)}: duration {_span(ran)}, "
        f"billed duration {_span(billed)})"
    )
    if min(ran) >= INITIALIZER_NS:
        return f"an initializer is in the duration of the call that waits for it, and billed with it {told}"
    if max(ran) < INITIALIZER_NS <= min(billed):
        return f"an initializer is in the billed duration of the call that waits for it, not in its duration {told}"
    if max(billed) < INITIALIZER_NS:
        return (
            "an initializer is in neither duration nor billed duration of the call that waits for it: it is billed "
            f"apart or not at all, which the account's bill tells {told}"
        )
    raise UntoldError(f"cold calls differ {told}")


def throttled(summary: Summary, samples: list[Sample]) -> str:
    """What a 429 holds, and whether it comes at once."""
    waits = [sample["ended_ns"] - sample["started_ns"] for sample in samples if sample["outcome"] == "throttled"]
    if not waits:
        served = [sample["ended_ns"] - sample["started_ns"] for sample in samples if sample["outcome"] == "ok"]
        raise UntoldError(
            f"none of {len(samples)} calls was throttled, {len(served)} were ok"
            + (
                f" after {_span(served)}: may the function have two instances at most, or do calls wait?"
                if served
                else ""
            )
        )
    failures = [each for phase in summary["phases"] for each in phase["examples"]["failures"]]
    example = next(each for each in failures if each["outcome"] == "throttled")
    when = "at once" if median(waits) < _AT_ONCE_NS else "after a wait"
    body = " ".join(example["body"].split())
    code = f"code {example['error_code']}" if example["error_code"] else "no code"
    return (
        f"{len(waits)} of {len(samples)} calls were throttled, {when} ({_span(waits)}); "
        f"status {example['status']}, {code}, body {body or 'empty'}"
    )


def cpu_share(summary: Summary, samples: list[Sample]) -> str:
    """How fast a function is by its memory."""
    durations: dict[int, list[int]] = {}
    for sample in samples:
        if sample["outcome"] == "ok" and sample["memory_size_mb"] and sample["duration_ns"]:
            durations.setdefault(sample["memory_size_mb"], []).append(sample["duration_ns"])
    seen = {size: median(each) for size, each in sorted(durations.items()) if len(each) >= _LEAST_OF_A_SIZE}
    if len(seen) < 2:
        sizes = ", ".join(f"{size} MB" for size in seen) or "no size"
        raise UntoldError(f"enough calls ran at {sizes} alone: is dynamic memory turned on?")
    documented = {size: 1 / min((256 + size) / 1280, 1) for size in seen}
    if not _alike(documented, dict.fromkeys(seen, 1)):
        agrees = [
            said
            for said, law in (
                ("as documented, 0.2 + MB/1280 cores and one at most", documented),
                ("the same at every size", dict.fromkeys(seen, 1.0)),
            )
            if _alike(seen, law)
        ]
        told = ", ".join(f"{size} MB {_s(took)}" for size, took in seen.items())
        return f"the share of a core is {agrees[0] if agrees else 'neither as documented nor the same'} ({told})"
    raise UntoldError("these sizes have the same share by the documents; compare some below 1024 MB")


def keep_alive(summary: Summary, samples: list[Sample]) -> str:
    """How long an idle instance lives."""
    found = (summary["experiment"] or {}).get("keep_alive")
    if found is None or found["policy"] == "unknown":
        raise UntoldError(found["why"] if found else "the run ended before it was looked for")
    tried = f"({len(found['probes'])} calls after silences)"
    if found["policy"] == "fixed":
        return f"an idle instance lives {_s(found['low_ns'])} to {_s(found['high_ns'])}, always the same time {tried}"
    if found["policy"] == "random":
        return f"an idle instance lives {_s(found['estimate_ns'])} in the median, not always the same time {tried}"
    if found["policy"] == "longer":
        _hold_to_none_always_there({each["name"]: each for each in summary["experiment"]["means"]})
    edge = max if found["policy"] == "longer" else min
    return (
        f"an idle instance lives {found['policy']} than {_s(edge(each['gap_ns'] for each in found['probes']))} {tried}"
    )


QUESTIONS: Mapping[str, Callable[[Summary, list[Sample]], str]] = {
    "log-tail": log_tail,
    "init-billing": init_billing,
    "throttled": throttled,
    "cpu-share": cpu_share,
    "keep-alive": keep_alive,
}


def finding(run: Path) -> str:
    """The line of a run directory. Raises OSError or ValueError where it is none of a scenario of this directory."""
    summary = json.loads((run / "summary.json").read_text())
    name = summary["run"]["name"]
    if name not in QUESTIONS:
        raise ValueError(f"{run} is of {name}, expected one of {', '.join(QUESTIONS)}")
    try:
        said = QUESTIONS[name](summary, _samples(run))
    except UntoldError as why:
        said = f"cannot be told: {why}"
    where = (
        "emulator"
        if summary["environment"]["synthetic"]
        else urlsplit(summary["scenario"]["target"]["endpoint"]).netloc
    )
    return f"{name}: {said} · {where}, {summary['run']['started_at'][:10]}, loadgen {summary['run']['version']}"


def _samples(run: Path) -> list[Sample]:
    file = run / "samples.ndjson.gz"
    if not file.exists():
        return []
    with gzip.open(file, "rt") as lines:
        samples = map(json.loads, lines)
        return [sample for sample in samples if sample["started_ns"] is not None]


def _cold(samples: list[Sample]) -> list[Sample]:
    """Those that the probe says were the first call of their instance."""
    cold = [sample for sample in samples if sample["outcome"] == "ok"]
    if not cold:
        warm = sum(sample["reason"] == _WARM for sample in samples)
        raise UntoldError(
            f"no call was cold by the probe's word: of {len(samples)} {warm} were warm (or no probe's), "
            f"{len(samples) - warm} failed"
        )
    return cold


def _hold_to_have_waited(cold: list[Sample], warm: list[Sample]) -> None:
    """Hold first calls of instances to have waited for their start: that of one started ahead has no lines of it."""
    spent = [median(map(_overhead_ns, each)) if each else 0 for each in (cold, warm)]
    if not warm or spent[0] < _WAITED * spent[1]:
        raise UntoldError(
            f"outside of the function, {len(cold)} first calls of instances took {_s(spent[0])}, {len(warm)} others "
            f"{_s(spent[1])}: were instances started ahead, or reserved?"
        )


def _hold_to_none_always_there(means: Mapping[str, Mapping[str, int]]) -> None:
    """Hold silence to end either every instance or none."""
    burst = means["burst"]
    ended = burst["cold"] > burst["invocations"] / burst["rounds"]  # more than the first one can have had
    if ended and means["gap"]["warm"]:
        raise UntoldError(
            "after silence calls at once had to wait for instances, and single ones had not: some instances are always "
            "there (reserved ones), or someone else calls the function"
        )


def _overhead_ns(sample: Sample) -> int:
    took_ns = sample["ended_ns"] - sample["started_ns"] - (sample["connect_ns"] or 0)
    return int(took_ns - (sample["duration_ns"] or 0))


def _alike(seen: Mapping[int, float], law: Mapping[int, float]) -> bool:
    """Whether durations by size are to each other as a law has it."""
    factors = [took / law[size] for size, took in seen.items()]
    return max(factors) / min(factors) <= 1 + _ALIKE


def _span(times_ns: Iterable[float]) -> str:
    low, *_, high = sorted([*times_ns] * 2)
    return _s(low) if _s(low) == _s(high) else f"{_s(low)} to {_s(high)}"


def _s(ns: float) -> str:
    return f"{ns / 1e9:.3g} s" if ns >= 1e9 else f"{ns / 1e6:.3g} ms"


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("expected run directories, such as reports/log-tail-20261130T100000Z")
    try:
        sys.stdout.writelines(f"{finding(Path(run))}\n" for run in sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(str(error))
