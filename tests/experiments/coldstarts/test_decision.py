from __future__ import annotations

import pytest
from msgspec.structs import replace

from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.coldstarts.decision import cold_starts, widest
from loadgen.experiments.coldstarts.findings import ColdStartsResult
from loadgen.experiments.coldstarts.reasons import found
from loadgen.experiments.decision import Ask, Seen
from loadgen.invocation.bill import Rates
from loadgen.invocation.metric import Metric
from loadgen.invocation.sample import Sample
from loadgen.invocation.start import COLD, PROBE, WARM
from loadgen.measure.merge import PhasePlan, totals
from loadgen.measure.relabel import relabel
from loadgen.measure.rule import MetricRule
from loadgen.measure.summary import PhaseSummary, Verdict
from loadgen.measure.threshold import evaluate
from loadgen.measure.verdict import judge
from loadgen.targets.functiongraph.emulator.model import Admitted
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, InitBilling, Initializer, Work
from tests.simulate.world import World, play

S = 1_000_000_000
FUNCTION = EmulatedFunction("hello", 512, Work(20_000_000, 0.3), "r2-go", 100, True, 0.0)
VERSIONS = ("v1", "v2")
SETTINGS = ColdStarts((Induce.GAP, Induce.BURST), 90 * S, 20, 60, 400, (10 * S, 120 * S), (256, 1024), None, VERSIONS)


def world(
    function: EmulatedFunction = FUNCTION, *, keep_alive_s: float = 60, seed: int = 1, kind: type[World] = World
) -> World:
    settings = Emulator(seed, round(keep_alive_s * S), (function,))
    made = kind(settings, seed=seed, totals=False, remember=True)
    for version in VERSIONS:
        made.platform.publish("hello", version)
    return made


class Noting(World):
    """Remembers what it was asked for."""

    def run(self, ask: Ask) -> Seen:
        self.asked = [*getattr(self, "asked", []), ask]
        return super().run(ask)


class Upgrading(World):
    """A platform that, when settings change, has new instances in the place of the old ones before a call comes."""

    def run(self, ask: Ask) -> Seen:
        return super().run(replace(ask, renewed=False))


class Totalling(World):
    """Remembers the totals of its phases, which a real run makes its Summary of."""

    def run(self, ask: Ask) -> Seen:
        seen = super().run(ask)
        self.told = [*getattr(self, "told", []), *seen.totals]
        return seen


def summarised(on: Totalling, settings: ColdStarts = SETTINGS) -> tuple[ColdStartsResult, PhaseSummary]:
    result = play(cold_starts(settings, 100 * S, 1), on)
    plans = [PhasePlan(total.name, False, False, S, None) for total in on.told]
    assert not [fault for total in on.told for fault in total.faults()]
    return result, totals(plans, on.told, (50.0,))


class Probing(Totalling):
    """Its function says whether a call is the first of its instance."""

    def run(self, ask: Ask) -> Seen:
        seen = super().run(ask)
        return replace(seen, samples=tuple(map(self.labelled, seen.samples)))

    def labelled(self, sample: Sample) -> Sample:
        assert sample.request_id is not None
        first = getattr(self.truth[sample.request_id], "ordinal", 0) == 1
        return replace(sample, start=COLD if first else WARM, start_source=PROBE)


def played(settings: ColdStarts = SETTINGS, on: World | None = None) -> ColdStartsResult:
    return play(cold_starts(settings, 100 * S, 1), on or world())


def test_the_experiment_finds_every_cold_start_and_the_keep_alive_time() -> None:
    on = world(keep_alive_s=43.7)
    result = played(on=on)
    truth = [call for call in on.truth.values() if isinstance(call, Admitted)]
    assert result.complete
    assert result.cold.count == sum(call.cold for call in truth)
    assert result.warm.count == sum(not call.cold for call in truth)
    assert result.keep_alive is not None
    assert result.keep_alive.policy == "fixed"
    assert result.keep_alive.estimate_ns == pytest.approx(43.7 * S, abs=2 * S)
    assert result.notes == []


def test_the_bounds_from_the_trace_alone_enclose_what_was_seen() -> None:
    pool = played().pool
    assert pool is not None
    assert pool.fewest <= pool.seen <= pool.most


def test_what_a_cold_start_costs_is_the_difference_of_the_medians() -> None:
    """The profile's median is 0.61 s, and the duration of a call does not depend on how it started."""
    penalty = played().penalty_ns
    assert penalty is not None
    assert penalty.low is not None
    assert penalty.high is not None
    assert penalty.low < 0.61 * S < penalty.high


def test_every_means_says_what_it_gave() -> None:
    means = {each.name: each for each in played(replace(SETTINGS, induce=tuple(Induce))).means}
    assert list(means) == ["gap", "burst", "memory", "version", "config"]
    assert all(each.cold == each.invocations > 0 for each in means.values())
    calls = {"gap": 1, "burst": 20, "memory": 2, "version": 2, "config": 1}
    assert {name: each.invocations for name, each in means.items()} == {
        name: number * means[name].rounds for name, number in calls.items()
    }


def test_each_ask_says_what_it_is_for_and_what_is_known_by_then() -> None:
    on = world(kind=Noting)
    assert isinstance(on, Noting)
    played(replace(SETTINGS, induce=tuple(Induce)), on)
    assert {"warm calls, one after another", "one call, to see whether an instance lived so long"} <= {
        ask.purpose for ask in on.asked
    }
    turns = [ask.purpose for ask in on.asked if "turn 1 " in ask.purpose]
    assert [purpose.partition(", turn")[0] for purpose in turns] == [
        "one call",
        "20 calls at once, twice",
        "one call at each of 2 memory sizes",
        "one call of each of 2 versions",
        "one call of a new instance",
    ]
    assert on.asked[0].found == "0 of 400 warm calls, 0 calls meant to be cold, 60 wanted"
    last = [ask.found for ask in on.asked if "lived" in ask.purpose][-1]
    assert "an instance lived 59" in last
    assert "one was gone after 6" in last


def test_a_change_of_settings_needs_no_silence_and_other_versions_need_none_before_the_first_turn() -> None:
    on = world(kind=Noting)
    assert isinstance(on, Noting)
    played(replace(SETTINGS, induce=(Induce.VERSION, Induce.CONFIG)), on)
    changes = [ask for ask in on.asked if ask.renewed]
    versions = [ask for ask in on.asked if ask.versions]
    assert {ask.idle_ns for ask in changes} == {0}
    assert all(len(ask.phases) == 1 and ask.phases[0].name.startswith("config-") for ask in changes)
    assert [ask.idle_ns for ask in versions] == [0, *[SETTINGS.gap_ns] * (len(versions) - 1)]
    assert {ask.versions for ask in versions} == {VERSIONS}


def test_cold_calls_after_a_change_of_settings_are_compared_with_warm_ones_but_none_of_other_versions() -> None:
    """They are of the same function; another version may be another handler."""
    on = world()
    result = played(replace(SETTINGS, induce=(Induce.VERSION, Induce.CONFIG)), on)
    truth = [call for call in on.truth.values() if isinstance(call, Admitted)]
    assert {call.version for call in truth} == {"latest", *VERSIONS}
    own = [call for call in truth if call.version == "latest"]
    assert result.cold.count == sum(call.cold for call in own) > result.means[1].cold > 0
    assert result.warm.count == sum(not call.cold for call in own)


def test_with_changes_of_settings_and_other_versions_the_bounds_enclose_what_was_seen() -> None:
    on = world()
    result = played(replace(SETTINGS, induce=(Induce.CONFIG, Induce.BURST, Induce.VERSION)), on)
    own = [call for call in on.truth.values() if isinstance(call, Admitted) and call.version == "latest"]
    assert result.pool is not None
    assert result.pool.seen == sum(call.cold for call in own)
    assert result.pool.fewest <= result.pool.seen <= result.pool.most
    assert result.notes == []


def test_a_change_of_settings_whose_cold_start_the_platform_hides_is_seen_and_no_fault_of_the_traffic() -> None:
    result = played(replace(SETTINGS, induce=(Induce.BURST, Induce.CONFIG)), world(kind=Upgrading))
    (config,) = [each for each in result.means if each.name == "config"]
    assert (config.cold, config.warm) == (0, config.invocations)
    assert result.pool is not None
    assert result.pool.fewest <= result.pool.seen <= result.pool.most
    (note,) = result.notes
    assert "meant to be cold by config were warm: the platform had new instances" in note


def test_two_names_of_one_version_are_seen_to_share_its_instances() -> None:
    class Aliased(World):
        """Its second version is an alias of the first."""

        def run(self, ask: Ask) -> Seen:
            return super().run(replace(ask, versions=ask.versions and ("v1", "v1")))

    result = played(replace(SETTINGS, induce=(Induce.BURST, Induce.VERSION)), world(kind=Aliased))
    (version,) = [each for each in result.means if each.name == "version"]
    assert version.cold == version.warm == version.rounds
    assert any("two of the names are of one version" in note for note in result.notes)


def test_a_version_that_does_not_exist_ends_the_run_at_once_and_is_named() -> None:
    class Missing(World):
        """It has no version v2."""

        def run(self, ask: Ask) -> Seen:
            seen = super().run(ask)
            return replace(
                seen,
                samples=tuple(
                    replace(each, outcome="not_found", reason="404") if each.phase.endswith("-v2") else each
                    for each in seen.samples
                ),
            )

    result = played(replace(SETTINGS, induce=(Induce.VERSION, Induce.GAP)), world(kind=Missing))
    assert not result.complete
    assert [each.rounds for each in result.means] == [1]
    assert result.notes[0] == "The function has no v2: correct cold-starts.versions."


def test_cold_starts_that_are_all_of_other_handlers_are_not_compared_with_warm_ones() -> None:
    result = played(replace(SETTINGS, induce=(Induce.MEMORY, Induce.VERSION), keep_alive_ns=None))
    assert result.cold.count == 15  # the first call of the first warm lane, and of each that follows a silence
    assert result.notes == [
        "Cold starts at other memory sizes and of other versions are not compared with warm ones, as handlers may run "
        "at another speed."
    ]


def test_a_gap_shorter_than_instances_live_is_seen_to_induce_nothing() -> None:
    result = played(replace(SETTINGS, induce=(Induce.BURST, Induce.GAP)), world(keep_alive_s=100))
    (gap,) = [each for each in result.means if each.name == "gap"]
    assert (gap.cold, gap.warm) == (0, gap.invocations)
    assert any("longer gap" in note for note in result.notes)


def test_a_function_without_dynamic_memory_has_no_cold_starts_by_memory() -> None:
    settings = replace(SETTINGS, induce=(Induce.BURST, Induce.MEMORY))
    result = played(settings, world(replace(FUNCTION, dynamic_memory=False)))
    (memory,) = [each for each in result.means if each.name == "memory"]
    assert memory.invocations == 0
    assert any("no dynamic memory" in note for note in result.notes)


def test_a_function_that_always_fails_gives_no_figures_and_says_why() -> None:
    result = played(on=world(replace(FUNCTION, errors=1.0)))
    assert not result.complete
    assert (result.cold.count, result.warm.count, result.penalty_ns) == (0, 0, None)
    assert result.notes == [
        "The warm lane had no invocation that succeeded.",
        "No invocation succeeded; see the failure examples.",
    ]


def test_without_cold_starts_the_classifier_abstains_and_nothing_is_told_apart() -> None:
    result = played(on=world(replace(FUNCTION, cold_start="none")))
    assert (result.cold.count, result.warm.count) == (0, 0)
    assert set(result.evidence) == {"none"}
    assert result.labelling is not None
    assert result.labelling.cuts is None
    assert result.keep_alive is not None
    assert result.keep_alive.policy == "unknown"


@pytest.mark.parametrize("runs", [0, 1, 3, 8])
def test_a_run_cut_short_reports_what_is_known_so_far(runs: int) -> None:
    on, decision = world(), cold_starts(SETTINGS, 100 * S, 1)
    ask = next(decision)
    for _ in range(runs):
        ask = decision.send(on.run(ask))
    with pytest.raises(StopIteration) as ended:
        decision.send(Seen((), (), Verdict("invalid", []), stopped=True))
    result: ColdStartsResult = ended.value.value
    assert not result.complete
    assert sum(result.evidence.values()) == on.invocations


def test_nothing_asked_for_has_more_in_flight_than_was_announced() -> None:
    most = widest(SETTINGS, 100 * S).max_in_flight
    on = world(kind=Noting)
    assert isinstance(on, Noting)
    played(on=on)
    assert max(phase.max_workers for ask in on.asked for phase in ask.phases) == most


def test_what_an_invalid_run_measured_is_left_out_but_its_calls_stay_traffic() -> None:
    class Stalling(World):
        """Its second burst has a load generator that stalls."""

        def run(self, ask: Ask) -> Seen:
            seen = super().run(ask)
            return replace(seen, verdict=Verdict("invalid", [])) if ask.phases[0].name == "burst-2" else seen

    on = Stalling(Emulator(1, 60 * S, (FUNCTION,)), totals=False, remember=True)
    result = played(on=on)
    (burst,) = [each for each in result.means if each.name == "burst"]
    assert burst.invocations == 20 * (burst.rounds - 1)
    assert sum(result.evidence.values()) == on.invocations - 40
    assert result.pool is not None
    assert result.pool.unclear >= 40
    assert result.pool.fewest <= result.pool.seen + result.pool.unclear
    assert any("could not keep up" in note for note in result.notes)


def test_a_cold_start_costs_what_it_is_billed_more() -> None:
    settings = Emulator(
        1,
        60 * S,
        (replace(FUNCTION, initializer=Initializer(300_000_000, 0.1, 3 * S)),),
        init_billing=InitBilling.SAME_CALL,
    )
    on = World(settings, totals=False)
    result = play(cold_starts(SETTINGS, 100 * S, 1, Rates("CNY", 0.001, 0.1)), on)
    assert result.billed_penalty_ns is not None
    assert result.penalty_cost is not None
    assert result.cost_unit == "CNY"
    assert result.billed_penalty_ns.value == pytest.approx(300_000_000, rel=0.1)
    assert result.penalty_cost.value == pytest.approx(1e6 * 0.001 * 0.5 * result.billed_penalty_ns.value / 1e9)


def test_reserved_instances_do_not_make_the_keep_alive_time_longer() -> None:
    longer = replace(SETTINGS, keep_alive_ns=(10 * S, 240 * S))
    result = played(longer, world(replace(FUNCTION, reserved=3), keep_alive_s=30))
    assert result.keep_alive is not None
    assert (result.keep_alive.policy, result.keep_alive.low_ns) == ("unknown", None)
    assert "always there" in result.keep_alive.why


def test_a_call_that_joins_an_instance_that_starts_is_not_called_warm_by_a_probe() -> None:
    on = Probing(Emulator(1, 60 * S, (replace(FUNCTION, concurrency=4),)), remember=True)
    result, together = summarised(on)
    (burst,) = [each for each in result.means if each.name == "burst"]
    assert (burst.cold, burst.warm, burst.ambiguous) == (5 * burst.rounds, 0, 15 * burst.rounds)
    assert any("takes several at once" in note for note in result.notes)
    truth = [call for call in on.truth.values() if isinstance(call, Admitted)]
    assert result.warm.count <= sum(not call.cold for call in truth)
    counts = {start: metrics["latency"].count for start, metrics in together.by_start.items()}
    assert (counts[COLD], counts[WARM]) == (result.cold.count, result.warm.count)
    assert counts["ambiguous"] == burst.ambiguous  # whatever their own answers say


# what the run's rules read


def totalling(function: EmulatedFunction = FUNCTION) -> Totalling:
    made = Totalling(Emulator(1, 60 * S, (function,)), seed=1, totals=True, remember=True)
    for version in VERSIONS:
        made.platform.publish("hello", version)
    return made


def rule(start: str, limit_ns: int) -> MetricRule:
    text = f"{start}.service_time.p50 < {limit_ns}ns"
    return MetricRule(text, None, start, Metric.SERVICE_TIME, "p", 50, limit_ns)


def test_rules_are_about_the_calls_that_the_experiment_calls_cold_and_warm() -> None:
    result, together = summarised(totalling())
    for start, population in ((COLD, result.cold), (WARM, result.warm)):
        assert together.by_start[start]["service_time"].count == population.count > 50
        median = population.times["service_time"].p50_ns
        assert median is not None
        for factor, passed in ((0.9, False), (1.1, True)):
            (ended,) = evaluate([rule(start, round(factor * median.value))], [], together, Verdict("valid", []))
            assert (ended.passed, ended.decided_by) == (passed, "value")
    assert together.metrics["service_time"].count == together.outcomes["ok"]


def test_calls_at_other_sizes_and_of_other_versions_are_in_no_rule_on_cold_ones_as_in_no_figure() -> None:
    settings = replace(SETTINGS, induce=(Induce.GAP, Induce.MEMORY, Induce.VERSION), cold=30)
    result, together = summarised(totalling(), settings)
    assert together.by_start[COLD]["latency"].count == result.cold.count
    apart = sum(each.invocations for each in result.means if each.name in ("memory", "version"))
    assert together.by_start["apart"]["latency"].count == apart > 0


def test_a_run_that_ended_before_calls_could_be_told_apart_leaves_its_rules_undecided() -> None:
    on = totalling()
    decision = cold_starts(SETTINGS, 100 * S, 1)
    seen = replace(on.run(next(decision)), stopped=True)
    with pytest.raises(StopIteration) as ended:
        decision.send(seen)
    assert not ended.value.value.complete
    plans = [PhasePlan(total.name, False, False, S, None) for total in on.told]
    rules = [rule(COLD, S)]
    verdict = judge(plans, on.told, rules, found=found(ended.value.value))
    (result,) = evaluate(rules, [], totals(plans, on.told, (50.0,)), verdict)
    count = on.told[0].tally.outcomes["ok"]
    assert (result.passed, result.why) == (None, f"none of {count} ok invocations is known to be cold")
    said = [reason.message for reason in verdict.reasons if reason.rule == "starts_unknown"]
    assert any("the run ended early, let it come to its end" in message for message in said)
    assert not any("warm-up" in message for message in said)


def test_labels_change_nothing_where_the_samples_are_not_every_ok_call() -> None:
    on = totalling()
    decision = cold_starts(SETTINGS, 100 * S, 1)
    seen = on.run(next(decision))
    (total,) = seen.totals
    before = dict(total.histograms)
    assert not relabel(total, [(sample, COLD) for sample in seen.samples[1:]])
    assert total.histograms == before
    assert relabel(total, [(sample, COLD) for sample in seen.samples])
    assert total.merged("latency", start=COLD) == total.merged("latency")
