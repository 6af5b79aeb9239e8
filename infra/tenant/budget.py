"""A tenant's monthly budget, which warns before and after it is exceeded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from infra.config.naming import Names
    from lightwork.tenants import Tenant


NOTICES = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 110))
"""The notifications: on actual costs or on the forecast for the month, and at which percentage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantBudgetArgs:
    """Arguments of `TenantBudget`.

    Attributes:
        tenant: the tenant, whose file sets the amount.
        names: the environment's names.
        topic_arn: the ARN of the topic to notify.
    """

    tenant: Tenant
    names: Names
    topic_arn: str


class TenantBudget(pulumi.ComponentResource):
    """A monthly budget for the resources with the tenant's tag in this environment. It stops nothing.

    It only works after `tenant` and `environment` are activated as cost allocation tags in the account's
    billing settings, once per account. Nodes are shared and not included: Prometheus has each tenant's share
    of them, and split cost allocation data could allocate it.

    Costs: nothing; AWS charges 0.02 USD a day only for budgets with actions.

    Deleting: nobody is notified any more.
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
            metrics="UnblendedCost",
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
