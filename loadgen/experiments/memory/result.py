"""The result of a memory comparison: every figure with its interval, and what is decided in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from loadgen.experiments.memory import rounds
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.calls import COLD, UNSURE, Call, Calls
from loadgen.experiments.memory.evidence import inflation, rises
from loadgen.experiments.memory.findings import MemoryResult, MemoryRule, MemorySize
from loadgen.experiments.memory.reasons import LEAST_INSTANCES
from loadgen.experiments.memory.share_url import share_url
from loadgen.experiments.memory.standing import ALPHA, Standing, looks
from loadgen.invocation.bill import GB_SECONDS, Rates
from loadgen.measure.figure import Figure
from loadgen.measure.percentile import ranks, supported

_VERSION = 1
_QUANTILES = (50.0, 95.0, 99.0)
_DRAWS = 4000
_MILLION = 1_000_000


def result(
    settings: MemoryComparison,
    rates: Rates,
    calls: Calls,
    standing: Standing | None,
    left_out: Mapping[int, str],
    notes: Sequence[str],
    rng: np.random.Generator,
) -> MemoryResult:
    """The result of the calls; ``standing`` is None where they allow no comparison."""
    shares = _cheapest_shares(standing, rng) if standing else {}
    costs = _against(standing, standing.costs, looks(settings)) if standing else {}
    durations = _against(standing, standing.durations, looks(settings)) if standing else {}
    pareto = _pareto(calls, rates, sorted(standing.found) if standing else [])

    def described(size: int) -> MemorySize:
        own, warm = calls.of[size], list(calls.warm(size))
        cold = [call for call in own if call.ok and call.start == COLD]
        cold_billed = _mean([call.billed_ns for call in cold])
        cost = mean_cost(calls, rates, size)
        compared = standing is not None and size in standing.found
        found = standing.found[size] if standing and compared else ()
        in_reach = standing is not None and size in standing.active
        cost_ratio, cost_p = costs.get(size, (None, None))
        duration_ratio, duration_p = durations.get(size, (None, None))
        return MemorySize(
            memory_mb=size,
            status="compared" if compared else "failed",
            why=left_out.get(size, "" if compared else "too few of its calls were warm and successful"),
            invocations=len(own),
            warm=len(warm),
            cold=len(cold),
            unsure=sum(call.ok and call.start == UNSURE for call in own),
            failed=sum(not call.ok for call in own),
            rounds=len({call.round for call in warm}),
            service_time_ns=_quantiles(warm, lambda call: call.service_ns),
            duration_ns={
                **_fitted_mean([call.duration_ns for call in warm], standing.durations if standing else None, size),
                **_quantiles(warm, lambda call: call.duration_ns),
            },
            billed_duration_ns=_fitted_mean(
                [call.billed_ns for call in warm], standing.billed if standing else None, size
            ),
            cost=None if cost is None else _within(cost * _MILLION, standing.costs if standing else None, size),
            cost_ratio=cost_ratio,
            cost_p=cost_p,
            duration_ratio=duration_ratio,
            duration_p=duration_p,
            cold_service_time_p50_ns=_median([call.service_ns for call in cold]),
            cold_billed_duration_mean_ns=cold_billed,
            cold_cost=None if cold_billed is None else rates.cost(size, cold_billed) * _MILLION,
            rules=[
                MemoryRule(rule.text, each.verdict, each.broken, each.count, each.more if in_reach else None)
                for rule, each in zip(settings.slo, found, strict=False)
            ],
            cheapest_share=shares.get(size),
            tied=standing is not None and size in standing.tied,
            pareto=pareto.get(size, False),
        )

    sizes = [described(size) for size in settings.sizes_mb]
    in_answer = {*standing.active, standing.recommended} if standing else set()
    instances = min((each.cold for each in sizes if each.memory_mb in in_answer), default=0)
    return MemoryResult(
        version=_VERSION,
        by=settings.by.value,
        rules=[rule.text for rule in settings.slo],
        cost_unit=rates.unit,
        reference_mb=standing.reference if standing else None,
        recommended_mb=standing.recommended if standing else None,
        decided=standing is not None and standing.decided,
        tied_mb=sorted(standing.tied) if standing else [],
        why=_why(settings, calls, standing),
        more_invocations=_more(standing),
        rounds=max((each.rounds for each in sizes), default=0),
        invocations=calls.count,
        instance_deviation=standing.costs.deviation if standing and standing.costs else None,
        precision=standing.precision or None if standing else None,
        shortened=instances < LEAST_INSTANCES,
        share_url=_url(calls, rates, sorted(standing.found) if standing else []),
        sizes=sizes,
        notes=[*notes, *_notes(rates, instances), *_pooled(settings, standing)],
        next=_next(settings, calls, standing),
    )


def mean_cost(calls: Calls, rates: Rates, size: int) -> float | None:
    """The mean cost of the warm calls of a size, none of them left out: a bill is a sum."""
    billed = _mean([call.billed_ns for call in calls.warm(size)])
    return None if billed is None else rates.cost(size, billed)


def _fitted_mean(values: Sequence[int | None], fitted: rounds.Fitted | None, size: int) -> dict[str, Figure]:
    mean = _mean(values)
    return {} if mean is None else {"mean": _within(mean, fitted, size)}


def _within(value: float, fitted: rounds.Fitted | None, size: int) -> Figure:
    """A mean with the interval that the fit gives it."""
    if fitted is None or size not in fitted.names:
        return Figure(value, None, None)
    factor = fitted.error(size, ALPHA)
    return Figure(value, value / factor, value * factor)


def _quantiles(calls: Sequence[Call], value: Callable[[Call], int | None]) -> dict[str, Figure]:
    """The median, p95 and p99 with intervals that allow for calls on one instance being alike."""
    known = sorted((found, call.round) for call in calls if (found := value(call)) is not None)
    if not known:
        return {}
    estimates = {}
    for p in _QUANTILES:
        n, q = len(known), p / 100
        at = math.ceil(q * n) - 1
        groups: dict[int, tuple[int, int]] = {}
        for position, (_, number) in enumerate(known):
            below, count = groups.get(number, (0, 0))
            groups[number] = (below + (position <= at), count + 1)
        effective = int(n / inflation([list(groups.values())]))
        low, high = ranks(effective, q) if supported(effective, p) else (None, None)
        estimates[f"p{p:g}"] = Figure(
            float(known[at][0]),
            None if low is None else float(known[max(0, math.floor(low / effective * n) - 1)][0]),
            None if high is None else float(known[min(n, math.ceil(high / effective * n)) - 1][0]),
        )
    return estimates


def _against(
    standing: Standing, fitted: rounds.Fitted | None, times: int
) -> dict[int, tuple[Figure | None, float | None]]:
    """Each size's ratio to the reference, with intervals and probabilities that hold for all pairs of sizes at once.

    They hold at each of the ``times`` that the comparison may have been looked at.
    """
    if fitted is None or standing.reference not in fitted.names:
        return {}
    compared: dict[int, tuple[Figure | None, float | None]] = {standing.reference: (Figure(1.0, 1.0, 1.0), None)}
    for size in fitted.names:
        if size != standing.reference:
            ratio = fitted.ratio(size, standing.reference, ALPHA / times)
            p = min(1.0, times * fitted.p_value(size, standing.reference))
            compared[size] = (Figure(ratio.value, ratio.low, ratio.high), p)
    return compared


def _cheapest_shares(standing: Standing, rng: np.random.Generator) -> dict[int, float]:
    """How likely each size is the cheapest that meets the rules, by what its mean and its share of broken calls may be.

    Shares of broken calls are drawn from Jeffreys' posterior, Beta(k + ½, n - k + ½).
    """
    sizes = sorted(standing.found)
    drawn = np.ones((_DRAWS, 1)) if standing.costs is None else standing.costs.drawn(_DRAWS, rng)
    for at, size in enumerate(sizes):
        for each in standing.found[size]:
            broken, count = each.broken / each.inflation, each.count / each.inflation
            shares = rng.beta(broken + 0.5, count - broken + 0.5, _DRAWS)
            drawn[shares > each.limit, at] = np.inf
    best = np.where(np.isinf(drawn).all(axis=1), -1, drawn.argmin(axis=1))
    return {size: float((best == at).mean()) for at, size in enumerate(sizes)}


def _pareto(calls: Calls, rates: Rates, sizes: Sequence[int]) -> dict[int, bool]:
    """Whether no other size is both cheaper and faster at the median."""
    points = {}
    for size in sizes:
        cost = mean_cost(calls, rates, size)
        median = _median([call.service_ns for call in calls.warm(size)])
        if cost is not None and median is not None:
            points[size] = (cost, median)
    return {
        size: not any(
            other[0] <= own[0] and other[1] <= own[1] and other != own for at, other in points.items() if at != size
        )
        for size, own in points.items()
    }


def _more(standing: Standing | None) -> int | None:
    """About how many more calls decide the rules that are open for tied sizes; None where nothing can be said."""
    if standing is None:
        return None
    open_ = [each for size in standing.active for each in standing.found[size] if each.verdict == "open"]
    needs = [each.more for each in open_ if each.more is not None]
    return sum(needs) if needs and len(needs) == len(open_) else None


def _why(settings: MemoryComparison, calls: Calls, standing: Standing | None) -> str:
    if standing is None:
        return _no_comparison(settings, calls)
    rules = ", ".join(rule.text for rule in settings.slo)
    if not standing.tied:
        return f"No size meets the rules ({rules})."
    open_ = [size for size in standing.active if any(each.verdict == "open" for each in standing.found[size])]
    more = _more(standing)
    need = "it cannot be said how many more it takes" if more is None else f"about {more} more invocations would tell"
    if standing.recommended is None:
        return f"Undecided: no size is shown to meet the rules ({rules}). Open for {_named(open_)}: {need}."
    shown = f" that is shown to meet the rules ({rules})" if settings.slo else ""
    why = f"{standing.recommended} MB is the cheapest size{shown}."
    if open_:
        why += f" Cheaper, if they meet them, too: {_named(open_)}; {need}."
    if others := [size for size in standing.tied if size not in (standing.recommended, *open_)]:
        why += f" Not ruled out as just as cheap: {_named(others)}."
    return why


def _next(settings: MemoryComparison, calls: Calls, standing: Standing | None) -> str:
    """What would make the answer better."""
    done = max((call.round for own in calls.of.values() for call in own), default=0)
    if standing is None:
        if calls.strayed() or not any(call.ok for own in calls.of.values() for call in own):
            return "Nothing more by more calls: first mend what is said to be wrong."
        return f"More rounds (memory.rounds, {done} were run), and a budget.invocations that allows them."
    more = _more(standing)
    if more is not None:
        rounds = -(-more // max(1, 3 * settings.blocks))
        return (
            f"About {more} more invocations would decide the open rules: some {rounds} rounds more (memory.rounds, now "
            f"{settings.rounds}), with a budget.invocations of about {calls.count + more}."
        )
    if not standing.decided:
        return (
            "More invocations may not decide: a share of broken calls is too close to its limit. Another limit of the "
            "rule (memory.slo), or the recommended size, if there is one."
        )
    if len(standing.tied) > 1:
        return (
            f"The tied sizes are known to ±{standing.precision:.1%}; about four times the rounds (memory.rounds, "
            f"{done} were run) halve that."
        )
    return "Nothing: the size is decided, and its cost told apart from the others."


def _named(sizes: Sequence[int]) -> str:
    *others, last = [f"{size} MB" for size in sorted(sizes)]
    return f"{', '.join(others)} and {last}" if others else last


def _no_comparison(settings: MemoryComparison, calls: Calls) -> str:
    if strayed := calls.strayed():
        (asked, ran), count = strayed.most_common(1)[0]
        if settings.by is MemoryBy.HEADER:
            return (
                f"Nothing can be compared: {count} calls that asked for {asked} MB ran with {ran} MB. Dynamic memory "
                "is off for this function, and its header ignored: turn it on, or compare with by: config."
            )
        return f"Nothing can be compared: {count} calls ran with {ran} MB while the function was set to {asked} MB."
    if any(call.ok for size in settings.sizes_mb for call in calls.of[size]):
        if not any(call.billed_ns for size in settings.sizes_mb for call in calls.of[size]):
            return "Nothing can be compared: no answer says what was billed (X-Cff-Invoke-Summary)."
        return "Nothing can be compared: there were too few rounds. Each size needs warm calls in two of them."
    return "Nothing can be compared: no call succeeded."


def _pooled(settings: MemoryComparison, standing: Standing | None) -> Iterator[str]:
    """What rules are judged by besides a size's own calls."""
    for at, rule in enumerate(settings.slo if standing else ()):
        found = [standing.found[size][at] for size in sorted(standing.found)] if standing else []
        if rises([(each.broken, each.count) for each in found], max((each.inflation for each in found), default=1.0)):
            yield f"{rule.text}: a larger size breaks it more often than a smaller one, so each is judged alone."
        elif len(found) > 1:
            yield (
                f"{rule.text}: as more memory is not slower, a size is judged by its own calls, and by those of "
                "smaller sizes that meet it and of larger ones that break it."
            )


def _notes(rates: Rates, instances: int) -> Iterator[str]:
    yield "Latency is service time: calls ran one after another. The first on each instance is not among the warm ones."
    if rates is GB_SECONDS:
        yield "There are no prices: costs are GB-seconds, without the fee for each call, which matters for short calls."
    if 0 < instances < LEAST_INSTANCES:
        yield (
            f"Shorter than the method asks for: {instances} instances of each size were met, and {LEAST_INSTANCES} are "
            "the fewest that say something about others."
        )


def _url(calls: Calls, rates: Rates, sizes: Sequence[int]) -> str | None:
    rows = []
    for size in sizes:
        duration = _mean([call.duration_ns for call in calls.warm(size)])
        cost = mean_cost(calls, rates, size)
        if duration is not None and cost is not None:
            rows.append((size, duration / 1e6, cost))
    return share_url(rows, rates.unit) if rows else None


def _mean(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _median(values: Sequence[int]) -> float | None:
    return float(sorted(values)[(len(values) - 1) // 2]) if values else None
