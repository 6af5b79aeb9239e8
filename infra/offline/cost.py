"""The cost of an environment at list prices, summed over the resources that the program creates.

    lightwork-estate cost --env prod --tenant acme --workers 20 --hours 2

Costs that depend on use only (storage in the lakes, requests, logs) are not included, as they are unknown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.config.nodes import WORKERS, processors
from infra.config.prices import Prices, load
from infra.config.stack import StackName
from infra.offline.preview import ROOT, copied, preview
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from infra.offline.recording import Resource, Run
    from lightwork.tenants import Environment

GUESSED_NAT_GB = 1.0
"""The estimated traffic of a worker node through NAT in a run: images only, as S3 is reached without NAT."""

FREE = (
    "aws:acm/",
    "aws:autoscaling/attachment:",
    "aws:autoscaling/tag:",
    "aws:cloudwatch/event",
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
    "aws:lb/listener",
    "aws:lb/targetGroup:",
    "aws:rds/parameterGroup:",
    "aws:rds/subnetGroup:",
    "aws:vpc/",
)
"""Prefixes of the types of resources that cost nothing."""

BY_USE = (
    "aws:budgets/",
    "aws:cloudwatch/logGroup:",
    "aws:ecr/",
    "aws:route53/record:",
    "aws:s3/",
    "aws:sns/",
)
"""Prefixes of the types of resources whose cost depends on use only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of a resource, or of one part of it.

    Attributes:
        part: the name of the resource's component.
        what: the description.
        month: the cost in USD per month.
    """

    part: str
    what: str
    month: float


def at_rest(run: Run, prices: Prices) -> list[Cost]:
    """Return the costs of a stack while no run is active.

    Raises:
        InputError: a price is missing; leaving it out would be a surprise on the bill.
    """
    costs = []
    for resource in run.resources:
        if not resource.type.startswith("aws:") or resource.type.startswith((*FREE, *BY_USE)):
            continue
        if resource.type not in _PRICED:
            raise InputError(
                f"infra/offline/cost.py: the cost of {resource.type} ({resource.name}) is unknown; add the"
                " type to _PRICED, FREE or BY_USE"
            )
        part = run.owner(resource)
        costs += [
            Cost(part=part, what=what, month=month)
            for what, month in _PRICED[resource.type](resource, prices)
        ]
    return costs


def nightly(run: Run, prices: Prices, *, workers: int, hours: float, spot: bool = True) -> float:
    """Return the cost of one run in USD: its worker nodes, one driver node, and traffic through NAT.

    Workers that are not on spot are on the drivers' nodes: on as many as have the same processors.

    Args:
        run: the recorded estate.
        prices: the price file.
        workers: the number of worker nodes.
        hours: the duration in hours.
        spot: whether the workers are on spot nodes, as they are by default.
    """
    worker, driver = (
        run.named("aws:eks/nodeGroup:NodeGroup", f"nodes-{name}").inputs["instanceTypes"][0]
        for name in (WORKERS, "drivers")
    )
    driver_hour = _price(prices, "instance_hour", driver)
    worker_hour = _price(prices, "instance_hour", worker) * prices["spot_share"] if spot else driver_hour
    nodes = workers if spot else math.ceil(workers * processors(worker) / processors(driver))
    disk = _disk(prices) * hours / prices["hours_in_month"]
    return float(
        nodes * hours * worker_hour
        + hours * driver_hour
        + (nodes + 1) * disk
        + (nodes + 1) * GUESSED_NAT_GB * prices["nat_gb"]
    )


def table(costs: Iterable[Cost]) -> list[tuple[str, float]]:
    """Return the sum of each part, the largest first."""
    sums: dict[str, float] = defaultdict(float)
    for cost in costs:
        sums[cost.part] += cost.month
    return sorted(sums.items(), key=lambda entry: (-entry[1], entry[0]))


def report(environment: Environment, tenants: Sequence[str], *, workers: int, hours: float) -> str:
    """Return a readable table of the costs of an environment and some of its tenants.

    Args:
        environment: the environment.
        tenants: the tenants to include.
        workers: the number of worker nodes of a nightly run.
        hours: the duration of a nightly run in hours.

    Raises:
        InputError: the program refuses its settings or a tenant's file, or a price is missing.
    """
    prices = load()
    stacks = [environment, *(str(StackName(environment=environment, tenant=tenant)) for tenant in tenants)]
    with copied(ROOT) as root:
        runs = {stack: preview(root, stack) for stack in stacks}
        idle = {stack: at_rest(run, prices) for stack, run in runs.items()}
        spot, on_demand = (
            nightly(runs[environment], prices, workers=workers, hours=hours, spot=spot)
            for spot in (True, False)
        )
    lines = [
        "USD per month while no run is active, without storage, requests and logs",
        f"List prices of {prices['region']}, {prices['date']}",
    ]
    for stack, costs in idle.items():
        lines += ["", stack]
        lines += [f"  {part:<20}{month:>10.2f}" for part, month in table(costs)]
        lines.append(f"  {'total':<20}{sum(cost.month for cost in costs):>10.2f}")
    nodes = f"A run on {workers} worker nodes for {hours:g} h"
    lines += ["", f"{nodes}: {_each_night(spot)}"]
    lines.append(f"On demand instead of spot (`spot: false`, `on_demand_fallback`): {_each_night(on_demand)}")
    return "\n".join(lines)


def _each_night(once: float) -> str:
    return f"{once:.2f} USD; every night: {30 * once:.2f} USD per month"


def _price(prices: Prices, group: str, name: str) -> float:
    if name not in prices[group]:
        raise InputError(f"infra/config/prices.yaml: {group}: the price of {name} is missing; add it")
    return float(prices[group][name])


def _disk(prices: Prices) -> float:
    from infra.aws.nodes import DISK_GIGABYTES

    return float(DISK_GIGABYTES * prices["disk_gb_month"])


Items = list[tuple[str, float]]


def _nodes(resource: Resource, prices: Prices) -> Items:
    scaling, (kind, *_) = resource.inputs["scalingConfig"], resource.inputs["instanceTypes"]
    count = int(scaling["minSize"])
    node = _price(prices, "instance_hour", kind) * prices["hours_in_month"] + _disk(prices)
    return [(f"{count} x {kind}", count * node)]


def _database(resource: Resource, prices: Prices) -> Items:
    inputs = resource.inputs
    zones = 2 if inputs["multiAz"] else 1
    hour = _price(prices, "database_hour", inputs["instanceClass"])
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
            count * hours * _price(prices, "search_hour", cluster["instanceType"]),
        ),
        (f"{count} x {disk:g} GB", count * disk * prices["search_gb_month"]),
    ]
    if managers:
        kind = cluster["dedicatedMasterType"]
        items.append((f"{managers} x {kind}", managers * hours * _price(prices, "search_hour", kind)))
    return items


def _balancer(resource: Resource, prices: Prices) -> Items:
    """Price a balancer without its use, and a public address in each of its subnets if it has them."""
    items = [(resource.name, prices["balancer_hour"] * prices["hours_in_month"])]
    if not resource.inputs["internal"]:
        count = len(resource.inputs["subnets"])
        addresses = count * prices["address_hour"] * prices["hours_in_month"]
        items.append((f"{count} x public address", addresses))
    return items


def _alarm(resource: Resource, prices: Prices) -> Items:
    """Price an alarm, and the metric that it watches unless AWS writes it: one of ours costs by the month."""
    items = [(resource.name, float(prices["alarm_month"]))]
    if not str(resource.inputs["namespace"]).startswith("AWS/"):
        items.append((f"the metric {resource.inputs['metricName']}", float(prices["metric_month"])))
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
    "aws:lb/loadBalancer:LoadBalancer": _balancer,
    "aws:rds/instance:Instance": _database,
    "aws:opensearch/domain:Domain": _search,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:kms/key:Key": _monthly("key_month"),
    "aws:secretsmanager/secret:Secret": _monthly("secret_month"),
}
