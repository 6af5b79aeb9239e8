"""The account's quotas against what a deployment takes; botocore's models judge requests and answers."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.config.sizes import DEFAULTS, Sizes
from infra.driver import quotas
from infra.driver.selection import Choice
from lightwork.errors import LightworkError
from tests.infra.engine import REGION, Run

SESSION = boto3.Session()
ROLE = "aws:iam/role:Role"
ADDON = "aws:eks/addon:Addon"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
DOCS = Path(__file__).resolve().parents[3] / "docs" / "first-install.md"


@dataclass
class Account:
    """An account: its quotas by code, the tags of its addresses, its roles, and which tenants have theirs."""

    quotas: dict[str, float] = field(default_factory=dict)
    defaults: dict[str, float] = field(default_factory=dict)
    addresses: list[dict[str, str]] = field(default_factory=list)
    roles: int = 30
    tenants: dict[str, bool] = field(default_factory=dict)
    denied: bool = False
    missing: str = "NoSuchEntity"

    def client(self, service: str) -> Any:
        """Return a client of botocore whose requests this account answers."""
        client = SESSION.client(
            service, region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none"
        )
        stubber = Stubber(client)
        getattr(self, f"_{service.replace('-', '_')}")(stubber)
        stubber.activate()
        return client

    def _service_quotas(self, stubber: Stubber) -> None:
        for code in ("L-1216C47A", "L-34B43A08", "L-0263D0A3"):
            asked = {"ServiceCode": "ec2", "QuotaCode": code}
            if self.denied:
                stubber.add_client_error("get_service_quota", "AccessDeniedException", "no")
            elif code in self.quotas:
                quota = {"QuotaCode": code, "Value": self.quotas[code]}
                stubber.add_response("get_service_quota", {"Quota": quota}, asked)
            else:
                stubber.add_client_error("get_service_quota", "NoSuchResourceException")
                quota = {"QuotaCode": code, "Value": self.defaults[code]}
                stubber.add_response("get_aws_default_service_quota", {"Quota": quota}, asked)

    def _ec2(self, stubber: Stubber) -> None:
        answer = [
            {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]} for tags in self.addresses
        ]
        stubber.add_response("describe_addresses", {"Addresses": answer}, {})

    def _iam(self, stubber: Stubber) -> None:
        summary = {"Roles": self.roles, "RolesQuota": 1000}
        stubber.add_response("get_account_summary", {"SummaryMap": summary}, {})
        for tenant, exists in self.tenants.items():
            name = f"lightwork-dev-pods-{tenant}"
            if exists:
                role = {
                    "Path": "/",
                    "RoleName": name,
                    "RoleId": "A" * 16,
                    "Arn": f"arn:aws:iam::1:role/{name}",
                }
                answer = {"Role": {**role, "CreateDate": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}}
                stubber.add_response("get_role", answer, {"RoleName": name})
            else:
                stubber.add_client_error("get_role", self.missing, expected_params={"RoleName": name})


NEW = {"L-1216C47A": 5.0, "L-34B43A08": 5.0, "L-0263D0A3": 5.0}
"""The quotas of a new account."""
AMPLE = dict.fromkeys(NEW, 10_000.0)
Check = Callable[..., list[str]]


@pytest.fixture
def check(root: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    def run(account: Account, *tenants: str, environment: Any = "dev", estate: bool = True) -> list[str]:
        monkeypatch.setattr(boto3, "Session", lambda **_: account)
        choice = Choice(environment=environment, estate=estate, tenants=tenants)
        return quotas.check(root, environment, choice)

    return run


def test_a_new_account_is_refused_with_the_request_to_make(check: Check) -> None:
    with pytest.raises(LightworkError) as refused:
        check(Account(quotas=NEW))
    (line,) = str(refused.value).splitlines()
    assert line == (
        "the account may have 5 processors of on-demand instances, fewer than are needed to begin with: 6 to"
        " 30; to ask for more: aws service-quotas request-service-quota-increase --service-code ec2"
        f" --quota-code L-1216C47A --desired-value 30 --region {REGION}"
    )


def test_without_room_for_a_worker_an_estate_comes_up_with_a_warning(check: Check) -> None:
    (line,) = check(Account(quotas={**NEW, "L-1216C47A": 30.0}))
    assert line.startswith("the account may have 5 processors of spot instances, fewer than are needed")
    assert "--quota-code L-34B43A08 --desired-value 160" in line


def test_a_quota_that_only_growth_may_reach_is_a_warning(check: Check) -> None:
    lines = check(Account(quotas={**AMPLE, "L-1216C47A": 8.0, "L-34B43A08": 64.0}))
    assert [
        re.findall(r"may have (\d+) processors of ([a-z-]+) .*fewer than it may come", it) for it in lines
    ] == [
        [("8", "on-demand")],
        [("64", "spot")],
    ]


def test_ample_quotas_are_no_news_and_defaults_count_where_the_account_has_none_of_its_own(
    check: Check,
) -> None:
    assert check(Account(quotas=AMPLE)) == []
    assert check(Account(defaults=AMPLE)) == []
    with pytest.raises(LightworkError):
        check(Account(defaults=NEW))


@pytest.mark.parametrize(
    ("addresses", "refused"),
    [
        ([], False),
        ([{}, {}], False),
        ([{}, {}, {}], True),
        ([{"project": "lightwork", "environment": "dev"}] * 3, True),
        ([{"project": "lightwork", "environment": "prod"}] * 3, False),
    ],
    ids=["none", "two of others", "three of others", "another environment's", "its own"],
)
def test_the_gateways_addresses_have_room_beside_those_of_others(
    check: Check, addresses: list[dict[str, str]], refused: bool
) -> None:
    account = Account(quotas={**AMPLE, "L-0263D0A3": 5.0}, addresses=addresses)
    if not refused:
        assert check(account, environment="prod") == []
        return
    with pytest.raises(LightworkError, match=r"5 Elastic IP addresses, .*: 6; .*--desired-value 6 "):
        check(account, environment="prod")


def test_tenants_that_may_not_find_room_for_their_roles_are_a_warning(check: Check) -> None:
    assert check(Account(roles=990), "acme", "globex", estate=False) == []
    new = {"acme": False, "globex": False}
    (line,) = check(Account(roles=991, tenants=new), "acme", "globex", estate=False)
    denied = Account(roles=991, tenants=new, missing="AccessDenied")
    assert check(denied, "acme", "globex", estate=False) == [line], "as CI's roles are told of a missing role"
    assert "may have 1000 IAM roles" in line
    assert "--service-code iam --quota-code L-FE177D64 --desired-value 1001 --region us-east-1" in line
    known = {"acme": True, "globex": False}
    assert check(Account(roles=991, tenants=known), "acme", "globex", estate=False) == [], (
        "one of them is new"
    )
    assert len(check(Account(roles=996, tenants=known), "acme", "globex", estate=False)) == 1


def test_quotas_that_cannot_be_read_stop_nothing(check: Check) -> None:
    (line,) = check(Account(denied=True))
    assert line.startswith("the account's quotas cannot be read (")
    assert "AccessDenied" in line
    assert "docs/first-install.md" in line


def test_nothing_is_asked_for_no_stack(check: Check) -> None:
    assert check(Account(denied=True), estate=False) == []


@pytest.mark.parametrize("environment", DEFAULTS)
def test_the_needs_are_those_of_the_node_groups(environment: Any, estates: dict[str, Run]) -> None:
    cores = {"large": 2, "xlarge": 4, "2xlarge": 8}
    least, most = {"ON_DEMAND": 0, "SPOT": 0}, {"ON_DEMAND": 0, "SPOT": 0}
    for group in estates[environment].all("aws:eks/nodeGroup:NodeGroup"):
        each = cores[group.inputs["instanceTypes"][0].partition(".")[2]]
        least[group.inputs["capacityType"]] += each * int(group.inputs["scalingConfig"]["minSize"])
        most[group.inputs["capacityType"]] += each * int(group.inputs["scalingConfig"]["maxSize"])
    on_demand, spot = quotas.of_nodes(Sizes.model_validate(DEFAULTS[environment]), REGION)
    assert (on_demand.most, spot.most) == (most["ON_DEMAND"], most["SPOT"])
    first_driver = 0 if environment == "prod" else 2
    assert (on_demand.least, spot.least) == (least["ON_DEMAND"] + first_driver, 8)


def test_the_docs_have_the_number_of_roles_for_any_number_of_tenants(
    estates: dict[str, Run], customers: dict[str, Run]
) -> None:
    prod = estates["prod"]
    of_estate = len(prod.all(ROLE))
    of_tenant = max(len(run.all(ROLE)) for run in customers.values())
    (identities,) = {len(run.all(ASSOCIATION)) for stack, run in customers.items()}
    of_addons = [addon.inputs.get("podIdentityAssociations") or [] for addon in prod.all(ADDON)]
    of_cluster = len(prod.all(ASSOCIATION)) + sum(map(len, of_addons))  # EKS makes those of an add-on
    assert of_tenant == quotas.ROLES_OF_A_TENANT
    page = DOCS.read_text()
    rows = dict(re.findall(r"^\| ([\d,]+) \| ([\d,]+ \| [\d,]+) \|", page, re.MULTILINE))
    expected = {
        f"{tenants:,}": f"{of_estate + of_tenant * tenants:,} | {of_cluster + identities * tenants:,}"
        for tenants in (1, 50, 200, 1000)
    }
    assert rows == expected, f"{DOCS.name}: the table of roles"
    most, with_people = (1000 - of_estate) // of_tenant, 5000 - of_estate - (of_tenant - 1) * 1000
    text = " ".join(page.split())
    assert f"is then enough for {most} tenants of an environment" in text
    assert f"of 1,000 tenants, {with_people} may have people" in text
