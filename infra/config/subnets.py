"""How a VPC's addresses are shared out: plain arithmetic, no resources.

Each pod has an address of the VPC, so how many pods fit is decided here, once: a subnet cannot grow.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from lightwork.errors import InputError

SERVICES = "172.20.0.0/16"
"""The addresses of the cluster's Services; no VPC of ours has them."""

ZONES = 3
RESERVED = 5
"""What AWS keeps of each subnet: the first four addresses and the last one."""

PUBLIC_PREFIX, DATA_PREFIX, CONTROL_PREFIX = 24, 24, 28
"""Public: NAT gateways, load balancers. Data: database and search. Control: the cluster's own interfaces."""

INTERFACES: dict[str, tuple[int, int]] = {
    "large": (3, 10),
    "xlarge": (4, 15),
    "2xlarge": (4, 15),
    "4xlarge": (8, 30),
    "8xlarge": (8, 30),
}
"""Network interfaces of an instance and IPv4 addresses of each, by size; alike for the families c, m and r of
the generations 5 to 7 ("Network specifications" in
https://docs.aws.amazon.com/ec2/latest/instancetypes/gp.html).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnets:
    """The subnets' addresses, one a zone of each kind."""

    private: tuple[str, ...]
    public: tuple[str, ...]
    data: tuple[str, ...]
    control: tuple[str, ...]


def addresses(instance_type: str) -> int:
    """The most addresses that an instance takes: its own, its pods', and those held ready for more.

    Raises:
        InputError: the size is not among those known here.
    """
    size = instance_type.partition(".")[2]
    if size not in INTERFACES:
        known = ", ".join(INTERFACES)
        raise InputError(
            f"{instance_type}: how many addresses this size takes is not known: add it to"
            f" infra/config/subnets.py (known: {known})"
        )
    interfaces, each = INTERFACES[size]
    return interfaces * each


def needed(nodes: dict[str, int]) -> int:
    """The most addresses that nodes take together.

    Args:
        nodes: the most nodes of each instance type.
    """
    return sum(count * addresses(instance_type) for instance_type, count in nodes.items())


def share(vpc: str, nodes: dict[str, int]) -> Subnets:
    """Share out a VPC so that each zone alone holds every node that there can be, with all its pods.

    Spot capacity comes and goes by zone: a whole run may find itself in one of them.

    Args:
        vpc: the VPC's addresses.
        nodes: the most nodes of each instance type.

    Raises:
        InputError: they do not fit.
    """
    network = ipaddress.IPv4Network(vpc)
    want = needed(nodes)
    prefix = 32 - (want + RESERVED - 1).bit_length()
    # A quarter each for three zones; the last quarter is for everything else.
    quarter = network.prefixlen + 2
    if prefix < quarter:
        room = 2 ** (32 - quarter) - RESERVED
        raise InputError(
            f"sizes: {want} addresses for {sum(nodes.values())} nodes and their pods do not fit a zone's"
            f" {room} in {vpc}: fewer or larger nodes"
        )
    quarters = list(network.subnets(new_prefix=quarter))
    # The whole quarter, and not just what is needed: a subnet that is replaced takes its nodes with it.
    private = tuple(str(block) for block in quarters[:ZONES])
    rest = quarters[ZONES].subnets(new_prefix=24)
    public = tuple(str(next(rest)) for _ in range(ZONES))
    data = tuple(str(next(rest)) for _ in range(ZONES))
    control = tuple(str(block) for block in list(next(rest).subnets(new_prefix=CONTROL_PREFIX))[:ZONES])
    return Subnets(private=private, public=public, data=data, control=control)
