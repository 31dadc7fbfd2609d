from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadgen.measure.histogram import Histogram
from loadgen.measure.labelling import LEAST_COLD
from loadgen.scenario.load import load
from loadgen.stats.mixture import Abstained, Mixture, fit
from loadgen.text.fault import ScenarioError


def faults(text: str) -> list[str]:
    """Each fault as ``path: message``."""
    try:
        load(text, source="s.yaml", directory=Path(), environment={})
    except ScenarioError as error:
        return [fault.render().splitlines()[0].partition(": ")[2] for fault in error.faults]
    return []


def scenario(
    *, target: str = "{endpoint: emulator}", phases: str = "[{name: a, rate: 1/s, duration: 1s}]", rest: str = ""
) -> str:
    return f"name: x\ntarget: {target}\nphases: {phases}\n{rest}\n"


def test_a_small_scenario_has_no_faults() -> None:
    assert faults(scenario()) == []


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ("rate: 1/s, workers: 1, duration: 1s", "phases[0].workers: rate is written too"),
        ("rate: 1/s, burst: {size: 1, gap: 1s}, duration: 1s", "phases[0].burst: rate is written too"),
        ("duration: 1s", "phases[0]: no load: write one of rate, burst, workers and trace"),
        ("workers: 1, duration: 1s, arrivals: poisson", "phases[0].arrivals: arrivals belongs to an open phase"),
        ("workers: 1, duration: 1s, max_in_flight: 5", "phases[0].max_in_flight: max_in_flight belongs to an open"),
        ("workers: 1, duration: 1s, max_lag: 5s", "phases[0].max_lag: max_lag belongs to an open"),
        ("workers: 0, duration: 1s", "phases[0].workers: got 0, expected a whole number of at least 1"),
        ("workers: {from: 0, to: 5}, duration: 1s", "phases[0].workers.from: got 0"),
        ("workers: true, duration: 1s", "phases[0].workers: got true, expected a whole number"),
        ("workers: [1], duration: 1s", "phases[0].workers: got a list, expected a whole number of at least 1"),
        ("rate: 0/s, duration: 1s", 'phases[0].rate: got "0/s", expected a rate above zero'),
        ("rate: 50, duration: 1s", "phases[0].rate: got 50, expected a number per unit such as 50/s or 3000/min"),
        ("rate: {from: 0/s, to: 0/s}, duration: 1s", "phases[0].rate: both ends are zero"),
        ("rate: {from: 1/s}, duration: 1s", "phases[0].rate: to missing"),
        ("rate: {}, duration: 1s", "phases[0].rate: from and to missing"),
        ("rate: {steps: []}, duration: 1s", "phases[0].rate.steps: got 0 items, expected 1 to 1000"),
        ("rate: {steps: [0/s]}, duration: 1s", "phases[0].rate.steps: every step is zero"),
        ("rate: {steps: [1/s], to: 2/s}, duration: 1s", "phases[0].rate.to: steps is written too"),
        ("rate: 1/s, duration: 1s, max_in_flight: 0", "phases[0].max_in_flight: got 0"),
        ("rate: 1/s, duration: 0s", 'phases[0].duration: got "0s", expected a time above zero'),
        ("rate: 1/s, duration: -5s", 'phases[0].duration: got "-5s", expected a number with a unit'),
        ("rate: 1/s, duration: 5", "phases[0].duration: got 5, expected a number with a unit"),
        ("rate: 1/s", "phases[0]: duration is missing"),
        ("burst: {size: 1, gap: 1s}, duration: 1s", "phases[0].duration: a burst phase lasts repeat times gap"),
        ("burst: {size: 1, gap: 1s}, arrivals: poisson", "phases[0].arrivals: the starts of a burst are all at once"),
        ("burst: {size: 0, gap: 1s}", "phases[0].burst.size: got 0"),
        ("burst: {gap: 1s}", "phases[0].burst: size is missing"),
        ("burst: {size: 1, gap: 8760h, repeat: 2}", "phases[0].burst.repeat: the phase would last more than a year"),
        ("trace: {file: x}, duration: 1s", "phases[0].trace: format is missing"),
        ("trace: {file: nowhere.csv, format: azure-2021}, duration: 1s", "phases[0].trace.file: there is no file"),
        ("trace: {file: x, format: azure-2021}", "phases[0]: duration is missing"),
        ("trace: {file: x, format: azure}, duration: 1s", 'phases[0].trace.format: got "azure", expected one of'),
        ("trace: {file: x, format: azure-2021}, duration: 1s, arrivals: poisson", "a trace has its own arrivals"),
        ("trace: {file: x, format: azure-2021, keep: 0%}, duration: 1s", "nothing would be kept"),
        ("trace: {file: x, format: azure-2021, speed: 0}, duration: 1s", "phases[0].trace.speed: got 0"),
        ("rate: 1/s, duration: 1s, rat: 1", "phases[0].rat: unknown key, did you mean rate?"),
        ("rate: 1/s, duration: 1s, arrivals: poison", "did you mean poisson?"),
    ],
)
def test_a_phase_that_cannot_be_is_refused(phase: str, message: str) -> None:
    found = faults(scenario(phases=f"[{{name: a, {phase}}}]"))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ("[]", "phases: no measured phase"),
        ("[{name: a, workers: 1, duration: 1s, warmup: true}]", "phases: no measured phase"),
        (
            "[{name: a, workers: 1, duration: 1s}, {name: a, workers: 1, duration: 1s}]",
            'phases[1].name: phases[0] is called "a" too',
        ),
        ("[{name: -a, workers: 1, duration: 1s}]", 'phases[0].name: got "-a", expected a name of letters'),
        ("[{name: a b, workers: 1, duration: 1s}]", "phases[0].name: got"),
        ("[{workers: 1, duration: 1s}]", "phases[0]: name is missing"),
        ("{a: 1}", "phases: got a mapping, expected a list"),
        ("[5]", "phases[0]: got 5, expected a mapping with name, rate"),
    ],
)
def test_phases_that_do_not_fit_together_are_refused(phases: str, message: str) -> None:
    found = faults(scenario(phases=phases))
    assert len(found) == 1
    assert message in found[0]


REAL = "endpoint: https://x.example, project_id: p, function: f"
USER = "username: u, password: p, domain: d"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{}", "target: endpoint or url is missing"),
        ("5", "target: got 5, expected a mapping"),
        ("{url: http://h/, endpoint: emulator}", "target.endpoint: endpoint belongs to a function"),
        ("{url: http://h/, function: f}", "target.function: function belongs to a function"),
        ("{url: http://h/, memory: 128MB}", "target.memory: memory belongs to a function"),
        ("{url: http://h/, log: tail}", "target.log: log belongs to a function"),
        ("{url: http://h/, response: v1}", "target.response: response belongs to a function"),
        ("{url: http://h/, auth: none}", "target.auth: auth belongs to a function"),
        ("{url: 'ftp://h/'}", "target.url: got"),
        ("{url: 'http://h:99999/'}", "target.url: got"),
        ("{url: 'http://a..b/'}", "expected a host whose parts between dots have 1 to 63 characters"),
        (f"{{url: 'http://{'a' * 64}/'}}", "expected a host whose parts between dots have 1 to 63 characters"),
        ("{url: 'http://'}", "target.url: got"),
        ("{url: 'http://u:pw@h/'}", 'target.url: got "http://***@h/", expected no user or password'),
        ("{url: 'http://h/a b'}", "target.url: got"),
        ('{url: "http://h/", headers: {A: "x\\r\\nB: y"}}', "target.headers.A: got a line break"),
        ("{url: http://h/, headers: {'a b': x}}", "target.headers.a b: got the header name"),
        ("{url: http://h/, headers: {A: x, a: y}}", "target.headers.a: the same header is written twice"),
        ("{url: http://h/, headers: {Content-Length: 5}}", "target.headers.Content-Length: this header follows"),
        ("{url: http://h/, method: get}", "target.method: got"),
        ("{endpoint: https://x.example, function: f}", "target: project_id is missing"),
        ("{endpoint: https://x.example, project_id: p}", "target: function is missing"),
        ("{endpoint: https://x.example/v2, project_id: p, function: f}", "expected an origin only: https://x.example"),
        ("{endpoint: 'https://x.example?a', project_id: p, function: f}", "expected an origin only"),
        ("{endpoint: functiongraph, project_id: p, function: f}", "target.endpoint: got"),
        (f"{{{REAL}, method: GET}}", "target.method: method belongs to a url"),
        (f"{{{REAL}, headers: {{}}}}", "target.headers: headers belongs to a url"),
        (f"{{{REAL}, memory: 100MB}}", "target.memory: got"),
        (f"{{{REAL}, memory: 512}}", "target.memory: got 512, expected one of 128MB, 256MB"),
        (f"{{{REAL}, log: {{tail: 3}}}}", "target.log.tail: got 3, expected a percentage"),
        (
            f"{{{REAL}, auth: {{iam: {{username: u, url: 'https://h'}}}}}}",
            "target.auth.iam: password and domain missing",
        ),
        (f"{{{REAL}, auth: {{iam: {{username: u, password: p, domain: d}}}}}}", "target.auth.iam: url is missing"),
        (
            f"{{{REAL}, auth: {{iam: {{{USER}, url: 'https://iam.example/x'}}}}}}",
            'target.auth.iam.url: got "https://iam.example/x", expected an origin only: https://iam.example',
        ),
        (
            f"{{{REAL}, auth: {{iam: {{{USER}, url: 'http://iam.example'}}}}}}",
            'target.auth.iam.url: got "http://iam.example" with auth: credentials would cross the network',
        ),
        (
            f"{{{REAL}, auth: {{iam: {{{USER}, url: 'https://h', agency_domain: d}}}}}}",
            "target.auth.iam.agency_domain: agency is missing",
        ),
        (f"{{{REAL}, auth: {{access_key: a}}}}", "target.auth.access_key: secret_key is missing"),
        (f"{{{REAL}, auth: {{secret_key: a}}}}", "target.auth.secret_key: access_key is missing"),
        (f"{{{REAL}, auth: {{security_token: a}}}}", "target.auth.security_token: access_key is missing"),
        (
            f"{{{REAL}, auth: {{token: t, access_key: a, secret_key: s}}}}",
            "target.auth.access_key: token is written too",
        ),
        (
            "{endpoint: 'http://10.0.0.1', project_id: p, function: f, auth: {token: t}}",
            'target.endpoint: got "http://10.0.0.1" with auth: credentials would cross the network for anyone to read; '
            "write https://, or force it with target.insecure_auth: true",
        ),
        (
            "{endpoint: 'http://x.example', project_id: p, function: f, auth: environment}",
            'target.endpoint: got "http://x.example" with auth',
        ),
        (
            "{url: 'http://10.0.0.1/', headers: {Authorization: 'Bearer t'}}",
            'target.headers.Authorization: got "http://10.0.0.1/" with the header Authorization: credentials would',
        ),
        (f"{{{REAL}, auth: {{}}}}", "target.auth: got an empty mapping"),
        (f"{{{REAL}, timeout: {{total: 0s}}}}", "target.timeout.total: got"),
        (f"{{{REAL}, tls: {{verify: no}}}}", 'target.tls.verify: got "no", expected true or false'),
        (f"{{{REAL}, tls: {{verify: false, ca: x}}}}", "target.tls.ca: a ca is unused"),
        (f"{{{REAL}, tls: {{ca: no-such-file}}}}", "target.tls.ca: there is no file"),
        ("{endpoint: emulator, project_id: a/b}", "target.project_id: got"),
        ("{endpoint: emulator, project_id: 'a?b'}", "target.project_id: got"),
        ("{endpoint: emulator, project_id: 'a#b'}", "target.project_id: got"),
        ("{endpoint: emulator, project_id: a b}", "target.project_id: got"),
    ],
)
def test_a_target_that_cannot_be_is_refused(target: str, message: str) -> None:
    found = faults(scenario(target=target))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("kind: capacity", "kind: what must hold is missing: write capacity: {slo: [latency.p99 < 250ms"),
        ("kind: laod", "did you mean load?"),
        ("capacity: {slo: []}", "capacity: this block belongs to kind: capacity"),
        ("cold-starts: {}", "cold-starts: this block belongs to kind: cold-starts, but this is kind: load"),
        ("kind: cold-starts", "phases: kind: cold-starts makes its own load"),
        ("prices: huawei-cny", "prices: there is no file"),
        ("prices: huawei-cny-2024-09\nbudget: {cost: 1 EUR}", "budget.cost: got 1 EUR, expected an amount in CNY"),
        ("prices: huawei-cny-2024-09\nthresholds: [cost < 1 EUR]", "thresholds[0]: got 1 EUR, expected an amount in"),
        ("budget: {in_flight: 0}", "budget.in_flight: got 0"),
        ("budget: {errors: 50}", "budget.errors: got 50, expected a percentage"),
        ("confirm: {invocations: -1}", "confirm.invocations: got -1"),
        ("budget: {cost: 0.50 CNY}", "budget.cost: this needs prices"),
        ("budget: {invocations: 0}", "budget.invocations: got 0"),
        ("thresholds: [cost < 1 CNY]", "thresholds[0]: cost needs prices"),
        ("thresholds: ['b:errors < 1%']", 'thresholds[0]: there is no phase "b"; measured phases: a'),
        ("thresholds: [5]", "thresholds[0]: got 5, expected a rule such as"),
        ("thresholds: errors < 1%", 'thresholds: got "errors < 1%", expected a list'),
        ("thresholds:", "thresholds: got nothing, expected a list"),
        ("samples: 1", "samples: got 1, expected none, all or a percentage"),
        ("seed: -1", "seed: got -1"),
        ("seed: 1.5", "seed: got 1.5, expected a whole number"),
        ("tags: {a: true}", "tags.a: got true, expected text"),
        ("event: [1]", "event: got a list, expected a mapping"),
        ("emulator: {auth: token}", 'emulator.auth: got "token", expected one of lenient, off, strict'),
        ("emulator: {throttle: wait}", "emulator.throttle: got"),
        ("emulator: {functions: {hello: {faults: {FSS.9999: 1%}}}}", "hello.faults.FSS.9999: got"),
        ("emulator: {functions: {hello: {faults: {42: 1%}}}}", "expected a documented FSS. or APIG. code"),
        ("emulator: {functions: {hello: {faults: {502: 60%, 4205: 50%}}}}", "the shares add up to more than 100%"),
        ("emulator: {management: {faults: {nonsense: 1%}}}", "emulator.management.faults.nonsense: got"),
        ("emulator: {functions: {}}", "expected at least one entry"),
        ("emulator: {functions: {hello: {cold_start: r2-pyton3}}}", "did you mean r2-python3?"),
        ("emulator: {functions: {hello: {errors: 101%}}}", "emulator.functions.hello.errors: got"),
        ("emulator: {functions: {hello: {}, 'a/b': {}}}", "emulator.functions.a/b: expected a function name"),
        ("emulator: {functions: {other: {}, another: {}}}", "target: function is missing"),
        (
            "thresholds: [errors < 1% over 2s]",
            "got over 2s, but the longest measured phase lasts 1s, and a window lies",
        ),
        ("thresholds: ['a:errors < 1% over 2s']", 'got over 2s, but "a" lasts 1s, and a window lies within a phase'),
        ("thresholds: [errors < 1% over 1s, abort]", 'thresholds[1]: got "abort", expected a rule; between brackets'),
        ("threshold: []", "threshold: unknown key, did you mean thresholds?"),
        ("thresholds: [cold.latency.p50 < 1s]", "thresholds[0]: cold and warm starts are told apart by a probe"),
    ],
)
def test_what_does_not_go_together_or_is_not_built_yet_is_refused(rest: str, message: str) -> None:
    found = faults(scenario(rest=rest))
    assert any(message in fault for fault in found), found


def test_an_emulator_block_needs_the_emulator() -> None:
    found = faults(scenario(target=f"{{{REAL}}}", rest="emulator: {}"))
    assert found == ["emulator: an emulator needs target.endpoint: emulator; write that, or remove this block"]


def test_a_url_has_no_figures_of_the_platform() -> None:
    (found,) = faults(scenario(target="{url: http://h/}", rest="thresholds: [duration.p99 < 5ms]"))
    assert "duration is what FunctionGraph reports" in found


@pytest.mark.parametrize("prices", ["", "prices: huawei-cny-2024-09"])
def test_a_url_is_not_held_to_money(prices: str) -> None:
    rest = f"{prices}\nbudget: {{cost: 1 CNY}}\nthresholds: [cost < 1 CNY]"
    found = faults(scenario(target="{url: http://h/}", rest=rest))
    assert "budget.cost: a url tells no bills, so money is not known; write budget.invocations" in found
    assert "thresholds[0]: a url tells no bills, so cost is not known; remove this rule" in found
    assert not any("write prices" in fault for fault in found)


def test_other_faults_of_a_phase_do_not_hide_its_combinations() -> None:
    found = faults(scenario(phases="[{name: a, rate: 5, workers: 0, duration: 1}]"))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{induce: []}", "cold-starts.induce: got 0 items, expected 1 to 5"),
        ("{gap: 90}", "cold-starts.gap: got 90, expected a number with a unit"),
        ("{burst: 1}", "cold-starts.burst: got 1, expected a whole number of at least 2 and at most 1000"),
        ("{keep_alive: {from: 20s, to: 20s}}", "cold-starts.keep_alive: from is 20s and to is 20s"),
        ("{sizes: [256MB]}", "cold-starts.sizes: sizes are for induce: [memory]"),
        ("{versions: [v1]}", "cold-starts.versions: versions are for induce: [version]"),
        ("{induce: [gap, version]}", 'cold-starts.induce: version needs names: write versions: ["v1", "!prod"]'),
        ("{induce: [version], versions: []}", "cold-starts.versions: got 0 items, expected at least 1"),
        ("{induce: [version], versions: [v1, v1]}", "cold-starts.versions[1]: v1 is written twice"),
        ("{induce: [version], versions: [v 1]}", 'cold-starts.versions[0]: got "v 1", expected the name of a version'),
        ("{induce: 5, versions: [v1]}", "cold-starts.induce: got 5"),
        ("{probe: {nonce: x}}", "cold-starts.probe.nonce: unknown key"),
        ("{induce: [gap, gap]}", "cold-starts.induce[1]: gap is written twice"),
        ("{warm: 199}", "cold-starts.warm: got 199, and cold calls are told from warm ones by at least 200 warm ones"),
        ("{cold: 29}", "cold-starts.cold: got 29, and cold calls are told from warm ones by at least 30 cold ones"),
        ("{cold: 10}", "cold-starts.cold: got 10, and cold calls"),
    ],
)
def test_a_block_of_cold_starts_that_cannot_be_is_refused_where_it_stands(block: str, message: str) -> None:
    found = faults(f"name: x\nkind: cold-starts\ntarget: {{endpoint: emulator}}\ncold-starts: {block}\n")
    assert any(message in fault for fault in found), found


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{url: http://127.0.0.1:1/}", "kind: cold starts are those of a function"),
        ("{endpoint: emulator, connections: fresh}", "target.connections: opening connections would hide"),
    ],
)
def test_cold_starts_need_a_function_and_connections_that_are_kept(target: str, message: str) -> None:
    found = faults(f"name: x\nkind: cold-starts\ntarget: {target}\n")
    assert any(message in fault for fault in found), found


def test_a_rule_on_cold_starts_needs_something_that_tells_them_apart() -> None:
    rule = "thresholds: [cold.latency.p50 < 2s]"
    assert any("told apart by a probe (target.probe)" in fault for fault in faults(scenario(rest=rule)))
    for kind in ("cold-starts", "memory"):  # these make labels of their own
        assert not faults(f"name: x\nkind: {kind}\ntarget: {{endpoint: emulator}}\n{rule}\n")
    phases = "[{name: w, rate: 1/s, duration: 1s, warmup: true}, {name: a, rate: 1/s, duration: 1s}]"
    assert faults(scenario(phases=phases, rest=rule)) == []


CAPACITY_FAULTS = [
    ("{}", "capacity: slo is missing"),
    ("{slo: []}", "capacity.slo: got 0 items, expected at least 1"),
    ("{slo: [latency.p99 < 1s over 9s]}", "capacity.slo[0]: an experiment decides by itself how long it needs"),
    ("{slo: ['errors < 1% over 9s, abort']}", "judges all that it has seen; remove over 9s and abort"),
    ("{slo: [latency.mean < 1s]}", "capacity.slo[0]: expected a percentile from p50 up"),
    ("{slo: [latency.p20 < 1s]}", "capacity.slo[0]: expected a percentile from p50 up"),
    ("{slo: [duration.p99 < 1s]}", "capacity.slo[0]: expected a percentile of latency"),
    ("{slo: [cold.latency.p99 < 1s]}", "capacity.slo[0]: expected a percentile of latency"),
    ("{slo: ['a:latency.p99 < 1s']}", "capacity.slo[0]: the search makes its own phases; remove a:"),
    ("{slo: [achieved_rate > 5/s]}", "capacity.slo[0]: expected a percentile of latency such as"),
    ("{slo: [errors <= 0%]}", "capacity.slo[0]: expected a share above 0% and below 100%"),
    ("{slo: [errors == 0]}", "capacity.slo[0]: expected a share above 0% and below 100%"),
    ("{slo: [errors < 1%], from: 5/s, to: 5/s}", "capacity: from is 5/s and to is 5/s; from must be the smaller rate"),
    ("{slo: [errors < 1%], precision: 0%}", "capacity.precision: got 0%, expected a share from 0.1% to 50%"),
    ("{slo: [errors < 1%], confirm: 0s}", 'capacity.confirm: got "0s", expected a time above zero'),
    ("{slo: [errors < 1%], limit: 0}", "capacity.limit: got 0"),
]


@pytest.mark.parametrize(("block", "message"), CAPACITY_FAULTS)
def test_a_capacity_block_that_cannot_be_answered_is_refused(block: str, message: str) -> None:
    found = faults(f"name: x\ntarget: {{endpoint: emulator}}\nkind: capacity\ncapacity: {block}\n")
    assert [fault for fault in found if message in fault] != [], found


def test_an_experiment_has_no_rules_that_are_judged_while_a_load_goes_on() -> None:
    of_memory = "name: x\nkind: memory\ntarget: {endpoint: emulator, function: f}\nemulator: {functions: {f: {}}}\n"
    rest = "memory: {sizes: [128MB, 256MB], slo: ['errors < 1%, abort']}\nthresholds: [errors < 1% over 5s]\n"
    found = faults(of_memory + rest)
    assert [fault.partition(": ")[0] for fault in found] == ["memory.slo[0]", "thresholds[0]"], found
    assert found[0].endswith("remove abort")
    assert found[1].endswith("remove over 5s")


def test_a_window_may_be_as_long_as_the_longest_phase_that_its_rule_is_about() -> None:
    phases = "[{name: w, warmup: true, workers: 1, duration: 9s}, {name: b, burst: {size: 2, gap: 2s, repeat: 3}}]"
    assert faults(scenario(phases=phases, rest="thresholds: [errors < 1% over 6s, latency.p50 < 1s over 2s]")) == []
    (found,) = faults(scenario(phases=phases, rest="thresholds: [errors < 1% over 7s]"))
    assert "the longest measured phase lasts 6s" in found


def test_a_capacity_has_no_phases_and_no_thresholds() -> None:
    text = "name: x\ntarget: {endpoint: emulator}\nkind: capacity\ncapacity: {slo: [errors < 1%]}\n"
    assert faults(text) == []
    assert "write the rules as capacity.slo" in faults(text + "thresholds: [errors < 1%]\n")[0]
    assert "makes its own load" in faults(text + "phases: [{name: a, rate: 1/s, duration: 1s}]\n")[0]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{slo: [p99 < 1s]}", "memory.slo[0]: got"),
        ("{slo: [latency.mean < 1s]}", "memory.slo[0]: expected a percentile from p50 up"),
        ("{slo: [lag.p99 < 1s]}", "memory.slo[0]: expected a percentile from p50 up"),
        ("{slo: [warm.latency.p99 < 1s]}", "memory.slo[0]: rules are about warm calls; remove warm."),
        ("{slo: ['a:latency.p99 < 1s']}", "memory.slo[0]: the comparison makes its own phases; remove a:"),
        ("{slo: [errors <= 0%]}", "memory.slo[0]: expected a share above 0%"),
        ("{slo: [errors == 0]}", "memory.slo[0]: expected a share above 0%"),
        ("{slo: [throttled < 1%]}", "memory.slo[0]: expected a percentile such as"),
        ("{sizes: [128MB]}", "memory.sizes: got 1 items"),
        ("{sizes: [128MB, 256MB, 128MB]}", "memory.sizes[2]: 128MB is written twice"),
        ("{sizes: [128MB, 300MB]}", 'memory.sizes[1]: got "300MB", expected one of 128MB, 256MB, 512MB'),
        ("{sizes: [128MB, 300]}", "memory.sizes[1]: got 300, expected one of 128MB, 256MB, 512MB"),
        ("{sizes: [128MB, large]}", 'memory.sizes[1]: got "large", expected one of 128MB, 256MB, 512MB'),
        ("{by: alias}", "memory.by: got"),
        ("{rounds: 1}", "memory.rounds: got 1"),
    ],
)
def test_what_does_not_go_together_in_a_memory_comparison_is_refused(block: str, message: str) -> None:
    found = faults(f"name: x\nkind: memory\ntarget: {{endpoint: emulator}}\nmemory: {block}\n")
    assert any(message in fault for fault in found), found


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{url: http://h/}", "kind: memory sizes are those of a function"),
        ("{endpoint: emulator, memory: 512MB}", "target.memory: kind: memory chooses the sizes itself"),
        ("{endpoint: emulator, connections: fresh}", "target.connections: opening connections"),
    ],
)
def test_a_memory_comparison_needs_a_function_whose_size_and_connections_are_left_to_it(
    target: str, message: str
) -> None:
    found = faults(f"name: x\nkind: memory\ntarget: {target}\n")
    assert any(message in fault for fault in found), found


def test_a_memory_comparison_needs_no_settings() -> None:
    assert faults("name: x\nkind: memory\ntarget: {endpoint: emulator}\n") == []


COLD = "name: x\nkind: cold-starts\ntarget: {target}\ncold-starts: {block}\n"


@pytest.mark.parametrize(
    ("target", "block"),
    [
        ("{endpoint: emulator}", "{warm: 5, cold: 1, probe: {}}"),
        ("{endpoint: emulator, log: tail}", "{warm: 5, cold: 1}"),
        ("{endpoint: emulator}", "{warm: 200, cold: 30}"),
    ],
)
def test_few_calls_are_enough_for_a_function_that_tells_by_itself(target: str, block: str) -> None:
    assert faults(COLD.format(target=target, block=block)) == []


def test_the_least_number_of_cold_calls_is_what_the_classifier_asks_for() -> None:
    """One call fewer is what it abstains for, however far from the warm ones they are."""
    rng = np.random.default_rng(1)
    warm_us = rng.lognormal(7.6, 0.1, 1_000).astype(int).tolist()

    def overheads(cold: int) -> Histogram:
        histogram = Histogram()
        for us in (*warm_us, *range(500_000, 500_000 + 9_000 * cold, 9_000)):
            histogram.record(us)
        return histogram

    assert isinstance(fit(overheads(LEAST_COLD), overheads(0)), Mixture)
    found = fit(overheads(LEAST_COLD - 1), overheads(0))
    assert isinstance(found, Abstained)
    assert found.reason == f"about {LEAST_COLD - 1} cold calls, at least {LEAST_COLD} needed"


@pytest.mark.parametrize(
    ("block", "emulator", "refused"),
    [
        ("{gap: 1s}", "{keep_alive: 2s}", True),
        ("{induce: [burst], gap: 59s}", "{}", True),
        ("{induce: [gap, config], gap: 1s}", "{keep_alive: 2s}", True),
        ("{gap: 2s}", "{keep_alive: 2s}", False),
        ("{induce: [memory], gap: 1s}", "{}", False),
        ("{induce: [config], gap: 1s}", "{}", False),
        ("{}", "{}", False),
    ],
)
def test_silence_after_which_the_emulator_still_has_its_instances_is_refused(
    block: str, emulator: str, refused: bool
) -> None:
    found = faults(COLD.format(target="{endpoint: emulator}", block=block) + f"emulator: {emulator}\n")
    assert [fault.startswith("cold-starts.gap: gap is ") for fault in found] == [True] * refused


def test_an_unknown_kind_is_the_only_fault_of_a_block_that_belongs_to_another() -> None:
    (found,) = faults(scenario(rest="kind: 5\ncapacity: {slo: [errors < 1%]}"))
    assert found.startswith("kind: got 5, expected one of capacity")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{auth: {iam: {username: u}}}", "target.auth.iam: password and domain missing"),
        ("{url: 'http://127.0.0.1:1', auth: {access_key: aaaaaaaa}}", "target.auth.access_key: secret_key is missing"),
        ("{method: TRACE}", "event: a TRACE request has no body"),
        ("{endpoint: emulator, method: TRACE}", "event: a TRACE request has no body"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_whoever_the_target_is(target: str, message: str) -> None:
    assert any(fault.startswith(message) for fault in faults(scenario(target=target, rest="event: {a: 1}")))


def test_a_log_that_no_call_asks_for_tells_no_cold_start() -> None:
    target = "{endpoint: emulator, log: {tail: 0%}}"
    (fault,) = faults(scenario(target=target, rest="thresholds: ['cold.latency.p50 < 1s']"))
    assert "told apart by a probe (target.probe)" in fault


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("proxy", "target.address"), ("http2", "HTTP/1.1"), ("script", "checks"), ("async", "target.url"),
        ("retries", "a failure is a result"), ("follow_redirects", "the URL that a redirect leads to"),
    ],
)  # fmt: skip
def test_a_key_for_what_stays_out_is_refused_with_the_reason_and_the_way(key: str, instead: str) -> None:
    (message,) = faults(scenario(target=f"{{url: 'http://h/', {key}: x}}"))
    assert f"target.{key}: there is none, as " in message
    assert instead in message


def test_a_rule_names_the_calls_that_have_a_name_and_each_once() -> None:
    calls = "calls: [{name: a, function: f}, {name: a, function: g}, {function: h}]\nthresholds: [b/errors < 1%]"
    assert any(fault.endswith('there is no call "b"; calls: a') for fault in faults(scenario(rest=calls)))


def test_a_probe_of_one_call_is_enough_for_a_rule_about_its_cold_starts() -> None:
    calls = "calls: [{name: a, function: f, probe: {}}, {name: b, function: g}]\nthresholds: [a/cold.latency.p50 < 1s]"
    assert not any("told apart" in fault for fault in faults(scenario(rest=calls)))
