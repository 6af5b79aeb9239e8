"""How large an environment is: what may differ between environments. Security is not among it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from infra.config.fields import Few, Form, Gigabytes, InstanceType, Many, Vpc, WorkerTypes
from lightwork import documents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.tenants import Environment


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
    worker_types: WorkerTypes
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
