"""The runbook: each alert has a section, and each command names what exists.

`tests/cluster/test_operating.py` types the commands of `lightwork` and `kubectl` on a real cluster. Here,
those of `lightwork` are parsed by the command line itself. Those of `kubectl` are held against what the
estate and a tenant create, and those of `aws` against botocore's models of AWS.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, Any

import botocore.session
import click
import pytest
from botocore import xform_name

from infra.config import versions
from infra.config.naming import Names
from infra.services import alerts
from infra.services.charts import argo
from lightwork.cli.main import cli
from lightwork.kube import contract
from tests import runbook
from tests.estate import files
from tests.infra.engine import ACCOUNT, REGION

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel

    from tests.infra.engine import Run

GROUPS = [
    *alerts.rules("monitoring")["spec"]["groups"],
    *alerts.tenant_rules(files.load(runbook.TENANT))["spec"]["groups"],
]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
NAMES = Names(environment=runbook.ENVIRONMENT, account=ACCOUNT, region=REGION)

# Alerts


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    assert sorted(runbook.sections()) == sorted(RULES)


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_leads_to_its_section_which_has_commands(alert: str) -> None:
    page, _, anchor = RULES[alert]["annotations"]["runbook"].partition("#")
    assert runbook.REPOSITORY / page == runbook.PAGE
    assert anchor == alert.lower(), "as headings' anchors are made"
    section = runbook.sections()[alert]
    assert section.split("```")[0].strip(), "what it means"
    assert "```sh\n" in section, "what to look at, and what mends it"


def test_each_alarm_of_cloudwatch_is_in_the_table(estates: dict[str, Run]) -> None:
    prefix = f"{NAMES.cluster}-"
    alarms = {
        resource.inputs["name"].removeprefix(prefix)
        for resource in estates[runbook.ENVIRONMENT].all("aws:cloudwatch/metricAlarm:MetricAlarm")
    }
    (part,) = re.findall(r"^## Alarms\n(.*)", runbook.PAGE.read_text(), re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`[^|]+) \|", part, re.MULTILINE)
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == sorted(alarms)


# Commands of lightwork


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Parse a command line as Click does before it calls a command; raises for what is wrong in it."""
    with command.make_context(words[0], words[1:], parent=parent) as context:
        rest = [*context._protected_args, *context.args]
        if isinstance(command, click.Group) and rest:
            _, inner, others = command.resolve_command(context, rest)
            assert inner is not None
            parse(inner, [rest[0], *others], context)


@pytest.mark.parametrize("words", runbook.of("lightwork"), ids=" ".join)
def test_the_command_line_takes_the_commands_of_lightwork(words: list[str]) -> None:
    parse(cli, words)


@pytest.mark.parametrize(
    "line", ["runs --lost", "schedule halt x", "cost --by hour", "show", "runs --env qa"]
)
def test_a_wrong_command_would_be_found(line: str) -> None:
    with pytest.raises((click.UsageError, ValueError)):
        parse(cli, ["lightwork", *line.split()])


def test_commands_are_about_one_tenant_of_one_environment() -> None:
    for words in runbook.of("lightwork"):
        given = dict(itertools.pairwise(words))
        assert given.get("--env", runbook.ENVIRONMENT) == runbook.ENVIRONMENT, words
        assert given.get("--tenant", runbook.TENANT) == runbook.TENANT, words


# Commands of kubectl

OF_CHARTS = {
    ("argo", "deployment", f"argo-{argo.CONTROLLER}"),
    ("logging", "daemonset", "fluent-bit"),
}
"""What charts create and the page names; the names follow from the values, which a test below looks at."""
LABELS = {
    ("argo", contract.ARGO_CONTROLLERS),
    ("logging", "app.kubernetes.io/name=fluent-bit"),
    ("monitoring", "app.kubernetes.io/name=kube-state-metrics"),
    ("monitoring", "app.kubernetes.io/name=prometheus"),
    ("monitoring", "app.kubernetes.io/name=alertmanager"),
    (f"tenant-{runbook.TENANT}", f"{contract.LABEL_ROLE}=worker"),
    (f"tenant-{runbook.TENANT}", f"{contract.LABEL_RUN}={runbook.RUN}"),
}
OF_RUNS = {("workflow", runbook.RUN)}
SHORT = {"cronjobs": "cronjob", "pods": "pod"}
VERBS = {"get", "describe", "logs", "delete", "create", "wait", "rollout"}


@functools.cache
def referred(line: tuple[str, ...]) -> tuple[str, list[tuple[str, str]], str]:
    """Return the namespace, the objects by kind and name, and the label selector of a command of kubectl."""
    _, option, namespace, verb, *words = line
    assert option == "-n"
    assert verb in VERBS
    selector = words[words.index("-l") + 1] if "-l" in words else ""
    created = [word.partition("=")[2] for word in words if word.startswith("--from=")]
    plain = [word for word in words if not word.startswith("-") and word != selector]
    plain = plain[1:] if verb == "rollout" else plain
    pairs = [tuple(word.split("/")) for word in [*plain, *created] if "/" in word]
    plain = [word for word in plain if "/" not in word and word not in ("prometheus", "alertmanager", "yaml")]
    if len(plain) == 2 and verb != "create":
        pairs.append((plain[0], plain[1]))
    return namespace, [(SHORT.get(kind, kind), name) for kind, name in pairs], selector


@pytest.fixture(scope="module")
def created(estates: dict[str, Run], customers: dict[str, Run]) -> set[tuple[str, str, str]]:
    """Return namespace, kind and name of each object that an estate and a tenant create."""
    stacks = [estates[runbook.ENVIRONMENT], customers[f"{runbook.ENVIRONMENT}.{runbook.TENANT}"]]
    objects = [r for run in stacks for r in run.resources if r.type.startswith("kubernetes:")]
    found = set(OF_CHARTS)
    for item in objects:
        metadata = item.inputs.get("metadata") or {}
        found.add(
            (str(metadata.get("namespace")), item.type.rpartition(":")[2].lower(), str(metadata.get("name")))
        )
    return found


def test_commands_of_kubectl_name_what_is_created(created: set[tuple[str, str, str]]) -> None:
    jobs = {(words[2], words[5]) for words in runbook.of("kubectl") if words[3:5] == ["create", "job"]}
    for words in runbook.of("kubectl"):
        namespace, pairs, selector = referred(tuple(words))
        for kind, name in pairs:
            there = (namespace, kind, name) in created or (kind, name) in OF_RUNS
            assert there or (kind == "job" and (namespace, name) in jobs), " ".join(words)
        assert not selector or (namespace, selector) in LABELS, " ".join(words)
        assert namespace in {item[0] for item in created}, " ".join(words)


def test_what_charts_create_has_these_names(estates: dict[str, Run]) -> None:
    releases = {
        r.inputs["name"]: r.inputs for r in estates[runbook.ENVIRONMENT].all("kubernetes:helm.sh/v3:Release")
    }
    values = releases["argo-workflows"]["values"]
    name = f"{values['fullnameOverride']}-{values['controller']['name']}"
    assert name == contract.ARGO_CONTROLLER
    key, _, value = contract.ARGO_CONTROLLERS.partition("=")
    assert argo.PODS.startswith(f"{key} in ({value},"), "the pods that the Job of Argo's login replaces"
    assert ("argo", "deployment", name) in OF_CHARTS
    assert releases["fluent-bit"]["values"]["kind"] == "DaemonSet", "the release's name is the chart's"
    assert {"argo-workflows", "fluent-bit", "kube-prometheus-stack"} <= versions.CHARTS.keys()


# Commands of AWS


@functools.cache
def service(name: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model({"s3api": "s3"}.get(name, name))


def operation(words: list[str]) -> OperationModel:
    found = {xform_name(name, "-"): name for name in service(words[1]).operation_names}
    return service(words[1]).operation_model(found[words[2]])


OF_THE_PROGRAM = {"--output", "--query"}
"""Options that each command of `aws` takes."""


@pytest.mark.parametrize("words", runbook.of("aws"), ids=" ".join)
def test_commands_of_aws_have_parameters_that_exist(words: list[str]) -> None:
    shape: Any = operation(words).input_shape
    known = {f"--{xform_name(name, '-')}" for name in shape.members}
    given = {word for word in words if word.startswith("--")} - OF_THE_PROGRAM
    assert given <= known, f"{words}: expected {sorted(known)}"
    required = {f"--{xform_name(name, '-')}" for name in shape.required_members}
    assert required <= given


def test_commands_of_aws_name_what_is_created(estates: dict[str, Run]) -> None:
    alarms = {
        resource.inputs["name"]
        for resource in estates[runbook.ENVIRONMENT].all("aws:cloudwatch/metricAlarm:MetricAlarm")
    }
    for words in runbook.of("aws"):
        given = dict(itertools.pairwise(words))
        if name := given.get("--alarm-names"):
            assert name in alarms
        if prefix := given.get("--alarm-name-prefix"):
            assert any(name.startswith(prefix) for name in alarms)
        assert given.get("--domain-name", NAMES.search_domain) == NAMES.search_domain
        assert given.get("--bucket", NAMES.lake_bucket(runbook.TENANT)) == NAMES.lake_bucket(runbook.TENANT)
        assert given.get("--state-value", "ALARM") in ("ALARM", "OK", "INSUFFICIENT_DATA")
