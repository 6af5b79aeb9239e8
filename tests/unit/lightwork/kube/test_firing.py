"""The interval of a scheduled run, from the CronWorkflow's parameters to the driver's command line."""

from __future__ import annotations

import json

import pytest

from lightwork.errors import InputError
from lightwork.functions.parameters import REQUIRED, Described, Parameter
from lightwork.kube import contract, firing, texts
from lightwork.manifests import workflows
from lightwork.pods import driver
from tests.unit.lightwork.manifests import objects

NAMES = ("begin", "finish")
SCHEDULE = "  hourly: {image: 'registry.example/x:1', schedule: 30 2 * * *, timezone: Europe/Berlin}"
DESCRIBED = Described(
    "hourly", "", {name: Parameter(name, str, REQUIRED, "str") for name in NAMES}, interval=NAMES
)
FIRED = "2026-10-25T00:30:00Z"
"""The first of two firings of the day, at 2:30 in summer time."""


def tenant(entry: str = SCHEDULE):
    return objects.tenant(f"quota: {{cpu: 8, memory: 20Gi}}\npipelines:\n{entry}")


def scheduled(firing: str | None = FIRED) -> dict:
    """Return the Workflow that Argo makes of the CronWorkflow."""
    cron = workflows.cron_workflow(tenant(), "hourly", DESCRIBED)
    assert cron is not None
    metadata: dict = {"name": "hourly-1", "labels": {contract.LABEL_CRON: "hourly"}, "annotations": {}}
    if firing:
        metadata["annotations"][contract.ANNOTATION_SCHEDULED] = firing
    return {"metadata": metadata, "spec": cron["spec"]["workflowSpec"]}


def test_a_scheduled_run_has_the_interval_that_ends_with_its_firing() -> None:
    workflow = scheduled()
    expected = {"begin": "2026-10-24T02:30:00+02:00", "finish": "2026-10-25T02:30:00+02:00"}
    assert firing.given(workflow) == expected
    interval = firing.of_workflow(workflow, NAMES)
    assert interval is not None
    assert [moment.isoformat() for moment in interval.key] == [
        "2026-10-24T00:30:00+00:00",
        "2026-10-25T00:30:00+00:00",
    ]
    second = firing.given(scheduled("2026-10-25T01:30:00Z"))
    assert second == {"begin": "2026-10-25T02:30:00+02:00", "finish": "2026-10-25T02:30:00+01:00"}


def test_one_that_is_made_by_hand_of_the_schedule_has_the_last_interval() -> None:
    """On Argo's page, or by its command line: it then has the time of that."""
    values = firing.given(scheduled("2026-11-03T14:07:12Z"))
    assert values == {"begin": "2026-11-02T02:30:00+01:00", "finish": "2026-11-03T02:30:00+01:00"}


def test_the_driver_gets_the_interval_on_its_command_line() -> None:
    arguments = {item["name"]: item["value"] for item in scheduled()["spec"]["arguments"]["parameters"]}
    got = {name: f"{value}{FIRED}" for name, value in arguments.items()}  # as the template's expression
    words = driver.command({"LIGHTWORK_FUNCTION": "hourly", "LIGHTWORK_ARGUMENTS": json.dumps(got)})
    assert words[-2:] == ["begin=2026-10-24T02:30:00+02:00", "finish=2026-10-25T02:30:00+02:00"]


@pytest.mark.parametrize("wrong", ["", "0001-01-01T00:00:00Z", "soon"])
def test_a_run_whose_firing_is_unknown_says_so_in_one_line(wrong: str) -> None:
    """Argo itself gives the year 1 if it changes a schedule at the moment in which it fires."""
    value = f"{firing.parameters(NAMES, '30 2 * * *', 'Europe/Berlin')['begin']}{wrong}"
    with pytest.raises(InputError, match=r"30 2 \* \* \*") as caught:
        firing.text(value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", ["start", "start Mars 30 2 * * * " + FIRED, "x UTC * * * * * " + FIRED, "start UTC ? " + FIRED]
)
def test_a_mark_that_nobody_made_here_is_refused_in_one_line(wrong: str) -> None:
    with pytest.raises(InputError, match="cannot be told"):
        firing.text(texts.OF_FIRING + wrong)


def test_a_submitted_run_has_its_interval_in_its_parameters() -> None:
    workflow = {
        "metadata": {"name": "x", "annotations": {contract.ANNOTATION_SCHEDULED: FIRED}},
        "spec": {
            "arguments": {
                "parameters": [
                    {"name": "begin", "value": "2026-10-24T02:30:00+02:00"},
                    {"name": "finish", "value": "2026-10-25T00:30:00+00:00"},
                ]
            }
        },
    }
    assert firing.moment(workflow) is None, "the annotation alone is anybody's"
    assert firing.of_workflow(workflow, NAMES).key == firing.of_workflow(scheduled(), NAMES).key
    assert firing.of_workflow({"metadata": {}, "spec": {}}, NAMES) is None


def test_only_the_parameters_of_an_interval_wait_for_the_firing() -> None:
    described = Described(
        "hourly", "", {**DESCRIBED.parameters, "unit": Parameter("unit", str, "mph", "str")}, NAMES
    )
    template = workflows.workflow_template(tenant(), "hourly", objects.TARGET, described)
    assert template["metadata"]["annotations"][contract.ANNOTATION_INTERVAL] == "begin,finish"
    (work,) = (item for item in template["spec"]["templates"] if item["name"] == "work")
    arguments = {item["name"]: item["value"] for item in work["steps"][0][0]["arguments"]["parameters"]}
    assert arguments["arguments"].count("+ workflow.scheduledTime :") == 2
    assert 'workflow.parameters["unit"], "lightwork:firing:"' not in arguments["arguments"]
    plain = workflows.workflow_template(tenant(), "hourly", objects.TARGET, Described("hourly", "", {}))
    assert "scheduledTime" not in json.dumps(plain)
    assert contract.ANNOTATION_INTERVAL not in plain["metadata"]["annotations"]
