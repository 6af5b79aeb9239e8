"""An entry of several steps: its mistakes, its order, and which steps run at the same time."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import re
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from lightwork import pipeline, tenants
from lightwork.errors import InputError
from lightwork.tenants import Tenant, checks, fit, graph, steps

HEAD = "name: acme\nenvironments: [dev]\npipelines:\n  nightly:\n"
GOOD = """    parameters: {day: 2026-01-01, unit: mph, hours: 48}
    steps:
      fetch:
        command: [python, -m, fetch]
        args: ["--day", "${day}"]
        outputs: [rows]
      windy:
        pipeline: windy-city
        parameters: {hours: "${fetch.rows}", unit: "${unit}"}
        workers: {count: 2}
      calm:
        pipeline: windy-city
        parameters: {hours: "${hours}"}
        after: [fetch]
      report:
        command: [echo]
        args: ["$${x} ${windy.result}"]
"""


@pipeline
def windy_city(hours: int = 5, unit: Literal["mph", "kn"] = "kn") -> int:
    return hours


@pipeline
def ask_me(what: str) -> str:
    return what


PIPELINES: dict[str, Any] = {"windy-city": windy_city, "ask-me": ask_me}


def check(folder: Path, text: str, head: str = HEAD) -> list[str]:
    path = folder / "acme.yaml"
    path.write_text(head + text)
    return checks.check(tenants.read(path), PIPELINES)


def entry(text: str) -> Any:
    return Tenant.model_validate(yaml.safe_load(HEAD + text)).pipelines["nightly"]


def test_steps_that_use_each_others_outputs_are_valid(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == []


def test_a_step_waits_for_the_steps_it_names_and_those_whose_outputs_it_uses() -> None:
    assert graph.dependencies(entry(GOOD)) == {
        "fetch": (),
        "windy": ("fetch",),
        "calm": ("fetch",),
        "report": ("windy",),
    }
    assert graph.predecessors(graph.dependencies(entry(GOOD)))["report"] == {"windy", "fetch"}
    assert graph.used_results(entry(GOOD)) == {"windy"}, "no step uses the result of calm"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("plain $HOME {x}", ["plain $HOME {x}"]),
        ("${day}", [graph.Reference("", "day")]),
        ("a-${my-step.out-1}-b", ["a-", graph.Reference("my-step", "out-1"), "-b"]),
        ("${a}${b.c}", [graph.Reference("", "a"), graph.Reference("b", "c")]),
        ("$${a} is ${a}", ["${a} is ", graph.Reference("", "a")]),
    ],
)
def test_a_string_is_split_into_literals_and_references(text: str, parts: list[Any]) -> None:
    assert graph.parts(text) == parts


@pytest.mark.parametrize("text", ["${", "${a", "${}", "${a b}", "${a.b.c}", "${A.b}", "x ${1}"])
def test_a_malformed_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"should be \$\{parameter\} or \$\{step\.output\}"):
        graph.parts(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    steps:\n",
            "    workers: {count: 1}\n    steps:\n",
            "6: pipelines.nightly.workers: is only for an entry with one pipeline",
        ),
        (
            "    steps:\n",
            "    image: a/b:1\n    steps:\n",
            "6: pipelines.nightly.image: is only for an entry with one pipeline",
        ),
        (
            "{day: ",
            "{day-one: 1, day: ",
            "5: pipelines.nightly.parameters.day-one: found 'day-one'; should be letters",
        ),
        ("command: [echo]", "image: a/b:1", "has neither `pipeline` nor `command`"),
        (
            "command: [echo]",
            "command: [echo]\n        pipeline: windy-city",
            "has both `pipeline` and `command`",
        ),
        ("command: [echo]", "command: []", "20: pipelines.nightly.steps.report.command: found []; "),
        ("command: [echo]", "command: [echo]\n        argz: 1", "no such field; did you mean 'args'?"),
        (
            "{count: 2}",
            "{cuont: 2}",
            "14: pipelines.nightly.steps.windy.workers.cuont: there is no such field; did you mean 'count'",
        ),
        (
            "after: [fetch]",
            "after: [fetsch]",
            "18: pipelines.nightly.steps.calm.after.0: found 'fetsch'; there is no such step",
        ),
        (
            "after: [fetch]",
            "after: [calm]",
            "18: pipelines.nightly.steps.calm.after.0: found 'calm'; is this step",
        ),
        (
            "${hours}",
            "${hour}",
            "17: pipelines.nightly.steps.calm.parameters.hours: found '${hour}'; the run has no parameter",
        ),
        ("${hours}", "${calm.result}", "found '${calm.result}'; a step cannot use its own output"),
        ("${fetch.rows}", "${fetsch.rows}", "there is no step 'fetsch'; did you mean 'fetch'?"),
        (
            "${fetch.rows}",
            "${fetch.row}",
            "13: pipelines.nightly.steps.windy.parameters.hours: found '${fetch.row}'; ",
        ),
        ("${fetch.rows}", "${fetch.row}", "fetch has no output 'row'; did you mean 'rows'?"),
        (
            "${windy.result}",
            "${windy.rows}",
            "21: pipelines.nightly.steps.report.args.0: found '$${x} ${windy.rows}';",
        ),
        ("${windy.result}", "${windy", "should be ${parameter} or ${step.output}"),
        (
            '"${hours}"',
            '["${hours}"]',
            "a value of the run is allowed in a string, not in a list or a mapping",
        ),
        (
            "      fetch:\n",
            "      fetch:\n        after: [report]\n",
            "steps.fetch: waits for itself: fetch after ",
        ),
        (
            "      fetch:\n",
            "      fetch:\n        after: [report]\n",
            "fetch after report after windy after fetch; ",
        ),
        ("  report:", "  Report:", "pipelines.nightly.steps.Report: found 'Report'; "),
    ],
)
def test_a_wrong_step_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        check(tmp_path, GOOD.replace(old, new, 1))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'hours: "${hours}"',
            "hours: many",
            "17: pipelines.nightly.steps.calm.parameters.hours: found 'many'; expected",
        ),
        ('hours: "${hours}"', 'hours: "${day}"', "found '${day}', which becomes '2026-01-01'; expected int"),
        (
            "hours: 48",
            "hours: soon",
            "17: pipelines.nightly.steps.calm.parameters.hours: found '${hours}', which becomes 'soon'",
        ),
        (
            'hours: "${hours}"',
            "hour: 1",
            "17: pipelines.nightly.steps.calm.parameters.hour: windy-city has no such parameter",
        ),
        (
            "pipeline: windy-city",
            "pipeline: windy",
            "12: pipelines.nightly.steps.windy.pipeline: found 'windy'; there is no such pipeline",
        ),
        (
            "pipeline: windy-city\n        after",
            "pipeline: ask-me\n        after",
            "what is missing, and a step cannot ask for it",
        ),
    ],
)
def test_the_parameters_of_a_scaled_step_are_checked_against_its_pipeline(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (
        GOOD.replace('parameters: {hours: "${hours}"}\n        after', "after", 1)
        if "ask-me" in new
        else GOOD
    )
    assert old in text
    with pytest.raises(InputError) as caught:
        check(tmp_path, text.replace(old, new, 1))
    assert message in str(caught.value)


def test_an_output_of_another_step_is_not_checked_before_the_run(tmp_path: Path) -> None:
    check(tmp_path, GOOD.replace('unit: "${unit}"', 'unit: "${fetch.rows}"'))
    check(tmp_path, GOOD.replace('hours: "${fetch.rows}"', 'hours: "1${fetch.rows}x"'))


def test_an_unused_parameter_of_the_run_causes_a_warning(tmp_path: Path) -> None:
    (line,) = check(tmp_path, GOOD.replace('"${day}"', '"$${day}"'))
    assert line.endswith("5: pipelines.nightly.parameters.day: no step uses it")


def test_a_step_in_its_own_image_is_reported_as_unchecked(tmp_path: Path) -> None:
    text = GOOD.replace("pipeline: windy-city", "image: a/b:1\n        pipeline: theirs", 1)
    (line,) = check(tmp_path, text)
    assert "pipelines.nightly.steps.windy: not checked: 'theirs' is not installed here but in a/b:1" in line


def test_an_entry_with_steps_may_not_have_a_pipelines_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found 'windy-city', which is also a pipeline"):
        check(tmp_path, GOOD, HEAD.replace("nightly", "windy-city"))


def test_the_longest_names_leave_room_for_the_rest_of_a_services_name(tmp_path: Path) -> None:
    name = "n" * 30
    room = "s" * (steps.LONGEST_NAMES - 30)
    check(tmp_path, GOOD.replace("calm", room), HEAD.replace("nightly", name))
    assert len(f"{name}-1732433700-{room}-scheduler") == 63
    with pytest.raises(InputError, match="has 42 characters together"):
        check(tmp_path, GOOD.replace("calm", room + "s"), HEAD.replace("nightly", name))


@pytest.mark.parametrize("seed", range(50))
def test_a_cycle_is_reported_from_its_first_step_and_only_if_there_is_one(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"s{i}" for i in range(chance.randint(2, 9))]
    share = chance.random() / 2
    waits_for = {name: tuple(o for o in names if o != name and chance.random() < share) for name in names}
    reached = {name: set(waits_for[name]) for name in names}
    for _ in names:
        for others in reached.values():
            others |= {far for near in list(others) for far in reached[near]}
    cycle = graph.cycle(waits_for)
    assert bool(cycle) == any(name in reached[name] for name in names)
    assert all(other in waits_for[name] for name, other in itertools.pairwise(cycle))
    assert cycle == [] or cycle[0] == cycle[-1] == min(cycle)
    assert len(set(cycle)) == max(len(cycle) - 1, 0)
    if not cycle:
        assert graph.predecessors(waits_for) == reached


def heaviest_by_brute_force(weights: dict[str, int], earlier: dict[str, set[str]]) -> int:
    """Return the largest weight among all sets of steps that have no order between them."""
    return max(
        sum(weights[name] for name in chosen)
        for size in range(len(weights) + 1)
        for chosen in itertools.combinations(weights, size)
        if not any(a in earlier[b] for a in chosen for b in chosen)
    )


@pytest.mark.parametrize("seed", range(150))
def test_the_heaviest_set_of_steps_that_may_run_at_once_is_exact(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"s{i}" for i in range(chance.randint(1, 9))]
    share = chance.random()
    waits_for = {
        name: tuple(other for other in names[:i] if chance.random() < share) for i, name in enumerate(names)
    }
    weights = {name: chance.randint(0, 6) for name in names}
    earlier = graph.predecessors(waits_for)
    chosen = graph.heaviest(weights, earlier)
    assert not any(a in earlier[b] for a in chosen for b in chosen), "none of them waits for another"
    assert sum(weights[name] for name in chosen) == heaviest_by_brute_force(weights, earlier)


SIZES = """    parameters: {}
    steps:
      one: {command: [x], size: {cpu: 1, memory: 1Gi, storage: 1Gi}}
      two: {command: [x], size: {cpu: 2, memory: 1Gi, storage: 1Gi}}
      big: {command: [x], size: {cpu: 3, memory: 1Gi, storage: 1Gi}, after: [one, two]}
"""


def test_only_steps_that_may_run_at_the_same_time_are_added_up() -> None:
    need = fit.run(entry(SIZES))
    assert need.text("cpu") == "3200m", "one and two, each with Argo's container, need more than big alone"
    assert need.pods == 2
    assert fit.run(entry(SIZES.replace("after: [one, two]", "after: [two]"))).text("cpu") == "4200m"
    assert fit.run(entry(SIZES.replace("cpu: 3", "cpu: 4"))).text("cpu") == "4100m"


@pytest.mark.parametrize(
    ("quota", "more", "field", "message"),
    [
        (
            "3399m",
            "",
            "steps",
            "cpu: 1100m for one + 2100m for two = 3200m; the limit is 3199m (the quota of 3399m less",
        ),
        (
            "6",
            "    max_parallel_runs: 2\n",
            "max_parallel_runs",
            "cpu: 2 runs x (1100m for one + 2100m for two) = 6400m",
        ),
    ],
)
def test_steps_that_do_not_fit_the_quota_are_refused_with_the_calculation(
    tmp_path: Path, quota: str, more: str, field: str, message: str
) -> None:
    check(tmp_path, SIZES, f"quota: {{cpu: 3400m}}\n{HEAD}")
    with pytest.raises(InputError) as caught:
        check(tmp_path, more + SIZES, f"quota: {{cpu: {quota}}}\n{HEAD}")
    assert f"pipelines.nightly.{field}: does not fit the quota: {message}" in str(caught.value)


def test_a_single_scaled_step_needs_as_much_as_a_run_of_its_pipeline() -> None:
    alone = Tenant.model_validate(
        yaml.safe_load("name: acme\nenvironments: [dev]\npipelines: {nightly: {pipeline: windy-city}}")
    )
    several = entry("    steps: {only: {pipeline: windy-city}}\n")
    assert fit.run(several) == fit.run(alone.pipelines["nightly"])


def test_the_example_in_the_documentation_is_valid() -> None:
    page = Path(__file__).resolve().parents[4] / "docs" / "writing-a-pipeline.md"
    text = page.read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(pipelines:\n  nightly:.*?)```", text, re.DOTALL)
    tenant = Tenant.model_validate({"name": "acme", "environments": ["dev"], **yaml.safe_load(example)})
    assert steps.problems(tenant) == []
    assert fit.problems(tenant) == []
    assert graph.dependencies(tenant.pipelines["nightly"])["report"] == ("fetch", "windy")


DAILY = """    interval: [start, end]
    schedule: 30 6 * * *
    timezone: Europe/Berlin
    steps:
      windy:
        pipeline: of-a-day
        parameters: {begin: "${start}", end: "${end}"}
      report:
        command: [echo]
        args: ["${windy.result}"]
"""


@pipeline(interval=("begin", "end"))
def of_a_day(begin: dt.datetime, end: dt.datetime) -> int:
    return 1


PIPELINES["of-a-day"] = of_a_day


def test_steps_take_the_interval_of_the_run(tmp_path: Path) -> None:
    assert check(tmp_path, DAILY) == []
    assert entry(DAILY).interval == ("start", "end")
    (warning,) = check(tmp_path, DAILY.replace('"${end}"', "2026-01-01"))
    assert warning.endswith("interval: no step uses ${end}")


ONLY = "takes the interval, which only a pipeline can be given, as the whole value of a parameter: ${"


@pytest.mark.parametrize(
    ("old", "new", "place", "reason"),
    [
        ("[start, end]", "[start, start]", "interval", "found 'start' twice"),
        ("[start, end]", "[start]", "interval", ""),
        ("[start, end]", "[start, 'the end']", "interval", ""),
        ("[start, end]", "[begin, end]", "steps.windy.parameters.begin", "the run has no parameter 'start'"),
        ("    schedule", "    parameters: {end: x}\n    schedule", "parameters.end", "leave it out here"),
        ("${windy.result}", "${start}", "steps.report.args", f"start {ONLY}start}}"),
        ('"${end}"', '"until ${end}"', "steps.windy.parameters.end", f"end {ONLY}end}}"),
        ("begin:", "other:", "steps.windy.parameters.other", "of-a-day has no such parameter"),
        (
            ", end: ",
            ", }  # ",
            "steps.windy.parameters",
            "such as the start or the end of the entry's `interval`",
        ),
    ],
)
def test_a_wrong_use_of_the_interval_is_one_line(
    tmp_path: Path, old: str, new: str, place: str, reason: str
) -> None:
    assert old in DAILY
    with pytest.raises(InputError) as caught:
        check(tmp_path, DAILY.replace(old, new))
    assert any(place in line and reason in line for line in str(caught.value).splitlines()), caught.value


def test_a_type_that_takes_no_moment_is_refused(tmp_path: Path) -> None:
    text = DAILY.replace("of-a-day", "windy-city").replace("begin", "hours").replace(', end: "${end}"', "")
    with pytest.raises(InputError, match=r"hours: found '\$\{start\}', which becomes '2026-"):
        check(tmp_path, text)


def test_a_single_pipeline_says_its_interval_itself(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"interval: is only for an entry with `steps`; a pipeline says it"):
        check(tmp_path, "    {pipeline: of-a-day, interval: [begin, end]}\n")
