"""What an environment costs: added up from the resources that the program makes, at list prices.

    lightwork-estate cost --env prod --tenant acme --workers 20 --hours 2

What grows with use alone (storage in the lakes, requests, logs) is not in it: nobody knows it beforehand.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from infra.config.stack import StackName
from infra.offline.preview import ROOT, preview, workspace
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from infra.offline.recording import Resource, Run
    from lightwork.tenants import Environment


Prices = dict[str, Any]
PRICES = Path(__file__).with_name("prices.yaml")
GUESSED_NAT_GB = 1.0
"""What a worker node is taken to fetch through NAT in a run: images; its data comes from S3 without."""

FREE = (
    "aws:autoscaling/tag:",
    "aws:ec2/defaultSecurityGroup:",
    "aws:ec2/flowLog:",
    "aws:ec2/internetGateway:",
    "aws:ec2/launchTemplate:",
    "aws:ec2/route",
    "aws:ec2/securityGroup:",
    "aws:ec2/subnet:",
    "aws:ec2/vpc:",
    "aws:ec2/vpcEndpoint:",
    "aws:eks/access",
    "aws:eks/addon:",
    "aws:eks/podIdentityAssociation:",
    "aws:iam/",
    "aws:kms/alias:",
    "aws:rds/parameterGroup:",
    "aws:rds/subnetGroup:",
    "aws:vpc/",
)
"""What costs nothing, by the beginning of its type."""

BY_USE = (
    "aws:budgets/",
    "aws:cloudwatch/logGroup:",
    "aws:ecr/",
    "aws:s3/",
    "aws:sns/",
)
"""What costs by use alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What something costs.

    Attributes:
        part: what it belongs to: the name of its component.
        what: what it is.
        month: USD a month.
    """

    part: str
    what: str
    month: float


def load(path: Path = PRICES) -> Prices:
    """The price file."""
    prices: Prices = yaml.safe_load(path.read_text(encoding="utf-8"))
    return prices


def at_rest(run: Run, prices: Prices) -> list[Cost]:
    """What a stack costs while no run goes on, one entry for each thing that costs anything.

    Raises:
        InputError: the price of something is not known: an omission would be a surprise on the bill.
    """
    found = []
    for resource in run.resources:
        if not resource.type.startswith("aws:") or resource.type.startswith((*FREE, *BY_USE)):
            continue
        if resource.type not in _PRICED:
            raise InputError(
                f"infra/offline/cost.py: nothing is known about the cost of {resource.type} ({resource.name})"
            )
        part = resource.parent.rpartition("::")[2]
        found += [
            Cost(part=part, what=what, month=month)
            for what, month in _PRICED[resource.type](resource, prices)
        ]
    return found


def nightly(run: Run, prices: Prices, *, workers: int, hours: float) -> float:
    """What one run costs, in USD: its worker nodes on spot, one driver node, what they fetch through NAT.

    Args:
        run: the recorded estate.
        prices: the price file.
        workers: how many worker nodes.
        hours: for how long.
    """
    spot, driver = (
        run.named("aws:eks/nodeGroup:NodeGroup", f"nodes-{name}").inputs["instanceTypes"][0]
        for name in ("workers", "drivers")
    )
    disk = _disk(prices) * hours / prices["hours_in_month"]
    nodes = workers * hours * _look(prices, "instance_hour", spot) * prices["spot_share"]
    return float(
        nodes
        + hours * _look(prices, "instance_hour", driver)
        + (workers + 1) * disk
        + (workers + 1) * GUESSED_NAT_GB * prices["nat_gb"]
    )


def table(costs: Iterable[Cost]) -> list[tuple[str, float]]:
    """The sum of each part, the largest first."""
    sums: dict[str, float] = defaultdict(float)
    for cost in costs:
        sums[cost.part] += cost.month
    return sorted(sums.items(), key=lambda entry: (-entry[1], entry[0]))


def report(environment: Environment, tenants: Sequence[str], *, workers: int, hours: float) -> str:
    """The table of an environment and some of its tenants, for people.

    Args:
        environment: the environment.
        tenants: which of its tenants.
        workers: worker nodes of a nightly run.
        hours: how long it takes.

    Raises:
        InputError: the program refuses what it is given, or a price is missing.
    """
    prices = load()
    stacks = [environment, *(str(StackName(environment=environment, tenant=tenant)) for tenant in tenants)]
    with tempfile.TemporaryDirectory() as folder:
        root = workspace(ROOT, Path(folder))
        runs = {stack: preview(root, stack) for stack in stacks}
        rest = {stack: at_rest(run, prices) for stack, run in runs.items()}
        once = nightly(runs[environment], prices, workers=workers, hours=hours)
    lines = [f"USD a month at rest, list prices of {prices['region']} of {prices['date']}"]
    for stack, costs in rest.items():
        lines += ["", stack]
        lines += [f"  {part:<20}{month:>10.2f}" for part, month in table(costs)]
        lines.append(f"  {'together':<20}{sum(cost.month for cost in costs):>10.2f}")
    run = f"A run on {workers} worker nodes for {hours:g} h"
    return "\n".join([*lines, "", f"{run}: {once:.2f}; every night: {30 * once:.2f} a month"])


def _look(prices: Prices, group: str, name: str) -> float:
    if name not in prices[group]:
        raise InputError(f"infra/offline/prices.yaml: {group}: {name}: is missing; put its price there")
    return float(prices[group][name])


def _disk(prices: Prices) -> float:
    from infra.aws.nodes import DISK_GIGABYTES

    return float(DISK_GIGABYTES * prices["disk_gb_month"])


Items = list[tuple[str, float]]


def _nodes(resource: Resource, prices: Prices) -> Items:
    scaling, (kind, *_) = resource.inputs["scalingConfig"], resource.inputs["instanceTypes"]
    count = int(scaling["minSize"])
    each = _look(prices, "instance_hour", kind) * prices["hours_in_month"] + _disk(prices)
    return [(f"{count} x {kind}", count * each)]


def _database(resource: Resource, prices: Prices) -> Items:
    inputs = resource.inputs
    zones = 2 if inputs["multiAz"] else 1
    hour = _look(prices, "database_hour", inputs["instanceClass"])
    return [
        (f"{inputs['instanceClass']}, {zones} zone(s)", zones * hour * prices["hours_in_month"]),
        (
            f"{inputs['allocatedStorage']:g} GB",
            zones * inputs["allocatedStorage"] * prices["database_gb_month"],
        ),
    ]


def _search(resource: Resource, prices: Prices) -> Items:
    cluster, disk = resource.inputs["clusterConfig"], resource.inputs["ebsOptions"]["volumeSize"]
    hours, count = prices["hours_in_month"], int(cluster["instanceCount"])
    managers = int(cluster.get("dedicatedMasterCount") or 0)
    items = [
        (
            f"{count} x {cluster['instanceType']}",
            count * hours * _look(prices, "search_hour", cluster["instanceType"]),
        ),
        (f"{count} x {disk:g} GB", count * disk * prices["search_gb_month"]),
    ]
    if managers:
        kind = cluster["dedicatedMasterType"]
        items.append((f"{managers} x {kind}", managers * hours * _look(prices, "search_hour", kind)))
    return items


def _hourly(name: str) -> Callable[[Resource, Prices], Items]:
    return lambda resource, prices: [(resource.name, prices[name] * prices["hours_in_month"])]


def _monthly(name: str) -> Callable[[Resource, Prices], Items]:
    return lambda resource, prices: [(resource.name, float(prices[name]))]


_PRICED: Mapping[str, Callable[[Resource, Prices], Items]] = {
    "aws:eks/cluster:Cluster": _hourly("cluster_hour"),
    "aws:eks/nodeGroup:NodeGroup": _nodes,
    "aws:ec2/natGateway:NatGateway": _hourly("nat_hour"),
    "aws:ec2/eip:Eip": _hourly("address_hour"),
    "aws:rds/instance:Instance": _database,
    "aws:opensearch/domain:Domain": _search,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _monthly("alarm_month"),
    "aws:kms/key:Key": _monthly("key_month"),
    "aws:secretsmanager/secret:Secret": _monthly("secret_month"),
}
