"""What CI's two roles must be able to do, walked from every resource of every stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from infra.config.stack import ENVIRONMENTS
from infra.offline.dump import entries
from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import decide
from tests.infra.policies import service_needs
from tests.infra.policies.needs import VERBS, Request, requests

if TYPE_CHECKING:
    from infra.offline.dump import Entry
    from tests.infra.engine import Run

OF_THE_ACCOUNT = {
    "*",
    f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1",
    *(
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}.amazonaws.com/{role}"
        for service in (
            *("eks", "eks-nodegroup", "elasticloadbalancing", "opensearchservice", "rds", "spot"),
        )
        for role in ("AWSServiceRole", "AWSServiceRoleForX")
    ),
}
"""What environments in one account share: log deliveries, roles of AWS's services, names that RDS gives."""
ROLE, POLICY = "aws:iam/role:Role", "aws:iam/policy:Policy"


def documents(estate: Run, role: str) -> list[dict[str, Any]]:
    """Return the documents of one of CI's roles, as the stack attaches them."""
    attached = {
        resource.inputs["policyArn"]
        for resource in estate.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if resource.inputs["role"].endswith(f"-{role}")
    }
    found = [
        json.loads(policy.inputs["policy"])
        for policy in estate.all(POLICY)
        if any(arn.endswith(f"{policy.inputs['path']}{policy.inputs['name']}") for arn in attached)
    ]
    assert len(found) == len(attached) > 0
    return found


def resources(run: Run) -> list[Entry]:
    """Return the resources of AWS; grants know path and boundary of their role."""
    found = [entry for entry in entries(run) if entry["type"].startswith("aws:")]
    roles = {entry["inputs"]["name"]: entry["inputs"] for entry in found if entry["type"] == ROLE}
    for entry in found:
        if of := roles.get(entry["inputs"].get("role", "")):
            entry["inputs"] |= {key: of[key] for key in ("path", "permissionsBoundary") if key in of}
    return found


def is_ci_own(entry: Entry) -> bool:
    """Tell whether a resource belongs to CI's access, which a person deploys."""
    return entry["options"]["parent"].endswith("lightwork:infra:Access::access")


def is_started(asked: Request) -> bool:
    """Tell whether a request is about what a launch template starts: that needs the template as well."""
    starting = "RunInstances" in (asked.action.partition(":")[2], asked.context.get("ec2:CreateAction"))
    return starting and not any(f":{kind}/" in asked.resource for kind in ("launch-template", "subnet"))


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def walked(
    request: pytest.FixtureRequest, estates: dict[str, Run], customers: dict[str, Run]
) -> tuple[str, Run, list[Entry]]:
    """An environment, its estate, and the resources of all its stacks."""
    environment: str = request.param
    runs = [run for stack, run in customers.items() if stack.startswith(f"{environment}.")]
    found = [entry for run in (estates[environment], *runs) for entry in resources(run)]
    assert len(runs) > 0
    return environment, estates[environment], found


def refused(held: list[dict[str, Any]], entry: Entry, verb: str, environment: str) -> list[str]:
    return [
        f"{entry['name']}: {verb}: {asked.action} on {asked.resource}"
        for asked in requests(entry["type"], entry["inputs"], verb, environment)
        if not decide(held, asked.action, asked.resource, asked.context)
    ]


def test_every_type_of_resource_has_a_row(walked: tuple[str, Run, list[Entry]]) -> None:
    _, _, found = walked
    assert {entry["type"] for entry in found} <= set(service_needs.ROWS)


def test_the_deploying_role_makes_changes_and_reads_everything_but_its_own_access(
    walked: tuple[str, Run, list[Entry]],
) -> None:
    environment, estate, found = walked
    held = documents(estate, "apply")
    lines = {
        line
        for entry in found
        if not is_ci_own(entry)
        for verb in VERBS
        for line in refused(held, entry, verb, environment)
    }
    assert not lines, "\n".join(sorted(lines))


def test_the_previewing_role_reads_everything(walked: tuple[str, Run, list[Entry]]) -> None:
    environment, estate, found = walked
    held = documents(estate, "preview")
    lines = {line for entry in found for line in refused(held, entry, "read", environment)}
    assert not lines, "\n".join(sorted(lines))


@pytest.mark.parametrize("role", ["preview", "apply"])
def test_both_roles_ask_for_quotas_and_the_live_sizes_of_their_own_node_groups(
    estates: dict[str, Run], role: str
) -> None:
    for environment, estate in estates.items():
        held = documents(estate, role)
        for cluster, own in ((f"lightwork-{environment}", True), ("lightwork-other", False)):
            for action, resource in (
                ("eks:ListNodegroups", f"cluster/{cluster}"),
                ("eks:DescribeNodegroup", f"nodegroup/{cluster}/workers-1/1"),
            ):
                arn = f"arn:aws:eks:{REGION}:{ACCOUNT}:{resource}"
                assert decide(held, action, arn, {}) is own, f"{environment}: {action} on {arn}"
        for action in (
            "ec2:DescribeAddresses",
            "eks:ListClusters",
            "iam:GetAccountSummary",
            "servicequotas:GetAWSDefaultServiceQuota",
            "servicequotas:GetServiceQuota",
        ):
            assert decide(held, action, "*", {}), f"{environment}: {action}"
        for action in ("servicequotas:RequestServiceQuotaIncrease", "iam:GetAccountAuthorizationDetails"):
            assert not decide(held, action, "*", {}), "a person asks for more"


def test_the_previewing_role_changes_nothing_of_all_this(walked: tuple[str, Run, list[Entry]]) -> None:
    environment, estate, found = walked
    held, reading = (
        documents(estate, "preview"),
        {
            asked.action
            for entry in found
            for asked in requests(entry["type"], entry["inputs"], "read", environment)
        },
    )
    allowed = {
        f"{entry['name']}: {asked.action}"
        for entry in found
        for verb in ("create", "update", "delete")
        for asked in requests(entry["type"], entry["inputs"], verb, environment)
        if decide(held, asked.action, asked.resource, asked.context)
        and not asked.action.partition(":")[2].startswith(("Describe", "Get", "List"))
    }
    assert not allowed
    assert reading


def test_the_deploying_role_changes_nothing_of_cis_own_access(walked: tuple[str, Run, list[Entry]]) -> None:
    environment, estate, found = walked
    held = documents(estate, "apply")
    own = [entry for entry in found if is_ci_own(entry)]
    assert len(own) > 10
    allowed = [
        f"{entry['name']}: {verb}: {asked.action}"
        for entry in own
        for verb in ("create", "update", "delete")
        for asked in requests(entry["type"], entry["inputs"], verb, environment)
        if decide(held, asked.action, asked.resource, asked.context)
        and not asked.action.startswith(("iam:Get", "iam:List"))
    ]
    assert not allowed


def test_no_role_of_an_environment_changes_another_one(
    walked: tuple[str, Run, list[Entry]], estates: dict[str, Run]
) -> None:
    environment, _, found = walked
    for other, estate in estates.items():
        if other == environment:
            continue
        held = documents(estate, "apply")
        allowed = [
            f"{entry['name']}: {verb}: {asked.action} on {asked.resource}"
            for entry in found
            for verb in ("create", "update", "delete")
            for asked in requests(entry["type"], entry["inputs"], verb, environment)
            if decide(held, asked.action, asked.resource, asked.context)
            and not asked.action.partition(":")[2].startswith(("Describe", "Get", "List"))
            and asked.resource not in OF_THE_ACCOUNT
            and not is_started(asked)
        ]
        assert not allowed, f"{other}'s role in {environment}"
