"""How large an environment is: what may differ between environments. Security is not among it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import core_schema

from infra.subnets import SERVICES
from lightwork import documents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.annotated_handlers import GetCoreSchemaHandler, GetJsonSchemaHandler

    from lightwork.tenants import Environment


@dataclass(frozen=True, slots=True)
class Form:
    """A text of a form; where it is not, the message says in words what belongs there.

    Attributes:
        pattern: the form, for the whole of the text.
        what: what belongs there.
    """

    pattern: str
    what: str

    def check(self, text: str) -> str:
        """The text, if it is of the form.

        Raises:
            ValueError: it is not.
        """
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"{self.what} belongs here")
        return text

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self.pattern})$"}


def _x86(instance_type: str) -> str:
    family = re.fullmatch(r"[a-z]+\d+([a-z-]*)\.\w+", instance_type)
    if family is None or "g" in family[1]:
        raise ValueError("the platform's image is for x86; Graviton types do not run it")
    return instance_type


def _vpc(cidr: str) -> str:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        network = None
    if network is None or network.prefixlen != 16 or not network.is_private:
        raise ValueError("a private network of 16 bits belongs here, such as 10.20.0.0/16")
    if network.overlaps(ipaddress.IPv4Network(SERVICES)):
        raise ValueError("the cluster's own Services have these addresses: take others, such as 10.20.0.0/16")
    return cidr


def _alike(types: tuple[str, ...]) -> tuple[str, ...]:
    # The autoscaler takes one type of a group for all: a smaller one would come up short.
    if len(types) < 2:
        raise ValueError("at least two types belong here: spot is had more often where there is a choice")
    if len({(name[0], name.partition(".")[2]) for name in types}) > 1:
        raise ValueError("these are not all of one size: processors and memory of all must be the same")
    return types


InstanceType = Annotated[
    str,
    Form(r"[cmr]\d[a-z-]*\.\d*x?large", "an EC2 type of the families c, m or r, such as m7i.2xlarge,"),
    AfterValidator(_x86),
]
"""An EC2 type of the families c, m or r, such as m7i.2xlarge."""

Vpc = Annotated[str, AfterValidator(_vpc)]
"""The addresses of a VPC."""

Few = Annotated[int, Field(ge=1, le=20)]
Many = Annotated[int, Field(ge=1, le=500)]
Gigabytes = Annotated[int, Field(ge=20, le=16384)]


class Sizes(documents.Document):
    """The sizes of one environment."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    vpc_cidr: Vpc
    """The VPC's addresses; environments that may be joined one day differ here."""
    nat_per_zone: bool
    """A NAT gateway in each zone, so that the loss of one zone takes no other's way out."""
    system_type: InstanceType
    """The EC2 type of the nodes of Argo, Prometheus and the cluster's own pods."""
    system_nodes: Few
    """How many nodes these are."""
    driver_type: InstanceType
    """The EC2 type of the nodes on which schedulers and drivers run, on demand."""
    drivers_min: Annotated[int, Field(ge=0, le=20)]
    """How many driver nodes are always there; a run that finds none waits some two minutes."""
    drivers_max: Many
    """The most driver nodes."""
    worker_types: Annotated[tuple[InstanceType, ...], AfterValidator(_alike)]
    """The EC2 types of the nodes of Dask workers, on spot: several, all of one size."""
    workers_max: Many
    """The most worker nodes."""
    archive_class: Annotated[str, Form(r"db\.[a-z0-9]+\.[a-z0-9]+", "a class of RDS, such as db.m7g.large,")]
    """The class of the database."""
    archive_gigabytes: Gigabytes
    """The database's disk to begin with; RDS lets it grow to four times that."""
    archive_zones: Annotated[int, Field(ge=1, le=2)]
    """2 keeps a copy in a second zone, and takes over when the first one fails."""
    archive_backup_days: Annotated[int, Field(ge=1, le=35)]
    """For how long the database can be restored to any second."""
    search_type: Annotated[
        str, Form(r"[a-z0-9]+\.[a-z0-9]+\.search", "a type of OpenSearch, such as r7g.large.search,")
    ]
    """The type of the OpenSearch nodes that hold data."""
    search_nodes: Annotated[int, Field(ge=1, le=30)]
    """How many nodes hold data; they are spread over as many zones, up to three."""
    search_gigabytes: Gigabytes
    """The disk of each of them."""
    search_managers: Literal[0, 3]
    """OpenSearch nodes that hold no data and keep the cluster together: 0 or 3, since of two none wins when
    they part.
    """
    log_days: Annotated[int, Field(ge=1, le=3653)]
    """For how long the cluster's own logs are kept."""

    @field_validator("drivers_max")
    @classmethod
    def _not_below_the_least(cls, most: int, info: ValidationInfo) -> int:
        least = info.data.get("drivers_min", 0)
        if most < least:
            raise ValueError(f"drivers_min is {least}, which is more")
        return most


_SMALL: dict[str, Any] = {
    "vpc_cidr": "10.20.0.0/16",
    "nat_per_zone": False,
    "system_type": "m7i.large",
    "system_nodes": 2,
    "driver_type": "m7i.large",
    "drivers_min": 0,
    "drivers_max": 10,
    "worker_types": ["m7i.2xlarge", "m7a.2xlarge", "m6i.2xlarge", "m6a.2xlarge", "m5.2xlarge", "m5a.2xlarge"],
    "workers_max": 20,
    "archive_class": "db.t4g.medium",
    "archive_gigabytes": 20,
    "archive_zones": 1,
    "archive_backup_days": 7,
    "search_type": "t3.medium.search",
    "search_nodes": 1,
    "search_gigabytes": 50,
    "search_managers": 0,
    "log_days": 30,
}

DEFAULTS: Mapping[Environment, Mapping[str, Any]] = {
    "dev": _SMALL,
    # The rehearsal has prod's shape, in small.
    "staging": {
        **_SMALL,
        "vpc_cidr": "10.30.0.0/16",
        "nat_per_zone": True,
        "archive_zones": 2,
        "search_nodes": 2,
    },
    "prod": {
        **_SMALL,
        "vpc_cidr": "10.40.0.0/16",
        "nat_per_zone": True,
        "system_type": "m7i.xlarge",
        "system_nodes": 3,
        "driver_type": "m7i.xlarge",
        "drivers_min": 1,
        "drivers_max": 50,
        "workers_max": 100,
        "archive_class": "db.m7g.large",
        "archive_gigabytes": 100,
        "archive_zones": 2,
        "archive_backup_days": 35,
        "search_type": "r7g.large.search",
        "search_nodes": 3,
        "search_gigabytes": 500,
        "search_managers": 3,
        "log_days": 365,
    },
}
"""The sizes of each environment, where its settings file does not say otherwise."""
