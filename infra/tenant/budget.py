"""Who is told when a tenant costs more than was foreseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from infra.config.naming import Names
    from lightwork.tenants import Tenant


NOTICES = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 110))
"""When somebody is told: of what is spent or will be by the month's end, and at how many percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantBudgetArgs:
    """What it is made from.

    Attributes:
        tenant: the tenant, whose file says how much.
        names: the environment's names.
        topic_arn: the topic that is told.
    """

    tenant: Tenant
    names: Names
    topic_arn: str


class TenantBudget(pulumi.ComponentResource):
    """A monthly budget of what carries the tenant's tag in this environment. It tells; it stops nothing.

    It sees what is tagged once `tenant` and `environment` are switched on as cost allocation tags, once an
    account, in its billing settings. Nodes are everybody's and not in it: what a tenant's pods take of them
    is in Prometheus, and split cost allocation data would book it.

    Costs: nothing; AWS takes 0.02 USD a day only for budgets that act.

    Deleting: nobody is told any more.
    """

    def __init__(self, name: str, args: TenantBudgetArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:TenantBudget", name, {}, opts)
        tags = args.names.tags(args.tenant.name)
        aws.budgets.Budget(
            f"{name}-month",
            name=args.names.named(f"tenant-{args.tenant.name}", limit=100),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.tenant.budget),
            limit_unit="USD",
            filter_expression={
                "ands": [
                    {"tags": {"key": key, "values": [tags[key]], "match_options": ["EQUALS"]}}
                    for key in ("tenant", "environment")
                ]
            },
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "notification_type": kind,
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_sns_topic_arns": [args.topic_arn],
                }
                for kind, percent in NOTICES
            ],
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
