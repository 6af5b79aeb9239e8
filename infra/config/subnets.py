"""The split of a VPC's addresses into subnets: plain arithmetic, no resources.

Each pod takes an address of the VPC, so this decides for good how many pods fit: subnets cannot grow.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from lightwork.errors import InputError

SERVICES = "172.20.0.0/16"
"""The addresses of the cluster's Services; no VPC may overlap them."""


def api_address(services: str) -> str:
    """Return the address of the Kubernetes API's Service, as a range: the first of the Services' addresses.

    Args:
        services: the address range of the cluster's Services.
    """
    return f"{next(ipaddress.IPv4Network(services).hosts())}/32"


ZONES = ("a", "b", "c")
"""The letters of an environment's zones.

All regions but us-west-1 and a few small ones have these; AWS orders them differently for each account.
"""

RESERVED = 5
"""The number of addresses that AWS reserves in each subnet: the first four and the last."""

PUBLIC_PREFIX, DATA_PREFIX, CONTROL_PREFIX = 24, 24, 28
"""Public: NAT gateways, load balancers. Data: database and search. Control: the cluster's own interfaces."""

INTERFACES: dict[str, tuple[int, int]] = {
    "large": (3, 10),
    "xlarge": (4, 15),
    "2xlarge": (4, 15),
    "4xlarge": (8, 30),
    "8xlarge": (8, 30),
}
"""Network interfaces of an instance and IPv4 addresses of each, by size; the same for the families c, m and r
of generations 5 to 7 ("Network specifications" in
https://docs.aws.amazon.com/ec2/latest/instancetypes/gp.html).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnets:
    """The address ranges of the subnets: for each kind, one per zone."""

    private: tuple[str, ...]
    public: tuple[str, ...]
    data: tuple[str, ...]
    control: tuple[str, ...]


def addresses(instance_type: str) -> int:
    """Return the most addresses that an instance can take: its own, its pods', and those kept in reserve.

    Raises:
        InputError: the size is not in `INTERFACES`.
    """
    size = instance_type.partition(".")[2]
    if size not in INTERFACES:
        sizes = ", ".join(INTERFACES)
        raise InputError(
            f"{instance_type}: unknown size {size!r}: choose one of {sizes}, or add it with its number of"
            " addresses to infra/config/subnets.py"
        )
    interfaces, per_interface = INTERFACES[size]
    return interfaces * per_interface


def needed(nodes: dict[str, int]) -> int:
    """Return the most addresses that all nodes can take together.

    Args:
        nodes: the maximum number of nodes of each instance type.
    """
    return sum(count * addresses(instance_type) for instance_type, count in nodes.items())


def share(vpc: str, nodes: dict[str, int]) -> Subnets:
    """Split a VPC so that each zone has room for the maximum number of nodes, with all their pods.

    Spot capacity varies by zone: all workers of a run may end up in one zone.

    Args:
        vpc: the VPC's address range.
        nodes: the maximum number of nodes of each instance type.

    Raises:
        InputError: they do not fit.
    """
    network = ipaddress.IPv4Network(vpc)
    demand = needed(nodes)
    prefix = 32 - (demand + RESERVED - 1).bit_length()
    # A quarter for each of the three zones; the last quarter for everything else.
    quarter = network.prefixlen + 2
    if prefix < quarter:
        room = 2 ** (32 - quarter) - RESERVED
        raise InputError(
            f"sizes: {sum(nodes.values())} nodes and their pods need {demand} addresses, but a zone of {vpc}"
            f" has {room}: allow fewer nodes, or larger ones"
        )
    quarters = list(network.subnets(new_prefix=quarter))
    # The whole quarter, not just what is needed today: replacing a subnet later would replace its nodes.
    private = tuple(str(block) for block in quarters[: len(ZONES)])
    blocks = quarters[len(ZONES)].subnets(new_prefix=24)
    public = tuple(str(next(blocks)) for _ in ZONES)
    data = tuple(str(next(blocks)) for _ in ZONES)
    parts = next(blocks).subnets(new_prefix=CONTROL_PREFIX)
    control = tuple(str(next(parts)) for _ in ZONES)
    return Subnets(private=private, public=public, data=data, control=control)
