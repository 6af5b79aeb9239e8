"""The sizes of an environment, which may differ between environments. Security settings may not."""

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
    """The VPC's address range, a private /16; environments that may be peered one day need different ones."""
    nat_per_zone: bool
    """Whether each zone has a NAT gateway of its own, so that the outage of one zone cuts off no other."""
    system_type: InstanceType
    """The EC2 type of the nodes that run Argo, Prometheus and the cluster's own pods."""
    system_nodes: Few
    """The minimum number of these nodes, spread over the zones; the autoscaler may add one in each zone."""
    driver_type: InstanceType
    """The EC2 type of the on-demand nodes that run drivers and schedulers."""
    drivers_min: Annotated[int, Field(ge=0, le=20)]
    """The minimum number of driver nodes; a run that finds none waits about two minutes for one."""
    drivers_max: Many
    """The maximum number of driver nodes."""
    worker_types: WorkerTypes
    """The EC2 types of the spot nodes that run Dask workers: at least two, all of the same size."""
    workers_max: Many
    """The maximum number of worker nodes."""
    archive_class: Annotated[str, Form(r"db\.[a-z0-9]+\.[a-z0-9]+", "an RDS class such as db.m7g.large")]
    """The RDS class of the archive's database."""
    archive_gigabytes: Gigabytes
    """The initial disk of the database; RDS grows it up to four times that."""
    archive_zones: Annotated[int, Field(ge=1, le=2)]
    """The number of zones of the database: 2 keeps a standby that takes over when the first zone fails."""
    archive_backup_days: Annotated[int, Field(ge=1, le=35)]
    """The days for which the database can be restored to any second."""
    search_type: Annotated[
        str, Form(r"[a-z0-9]+\.[a-z0-9]+\.search", "an OpenSearch type such as r7g.large.search")
    ]
    """The type of the OpenSearch data nodes."""
    search_nodes: Annotated[int, Field(ge=1, le=30)]
    """The number of data nodes, spread over up to three zones."""
    search_gigabytes: Gigabytes
    """The disk of each data node."""
    search_managers: Literal[0, 3]
    """The number of OpenSearch's dedicated manager nodes, which hold no data: 0 or 3, as two that lose
    contact have no majority.
    """
    log_days: Annotated[int, Field(ge=1, le=3653)]
    """The days for which logs are kept: the control plane's, the database's, and those in OpenSearch."""

    @field_validator("drivers_max")
    @classmethod
    def _not_below_the_minimum(cls, maximum: int, info: ValidationInfo) -> int:
        minimum = info.data.get("drivers_min", 0)
        if maximum < minimum:
            raise ValueError(f"must be at least drivers_min, which is {minimum}")
        return maximum


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
    # The same shape as prod, only smaller.
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
"""The default sizes of each environment, which its settings file may override one by one."""
