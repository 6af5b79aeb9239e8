"""The CrossGuard pack: `pulumi preview --policy-pack infra/policy_pack`, or `pulumi up`.

Pulumi starts it beside the program, and checks each resource with it before creating the resource. It runs
until Pulumi stops it.
"""

from __future__ import annotations

from pulumi_policy import EnforcementLevel, PolicyPack

from infra.policy_pack import pack

PolicyPack(pack.NAME, pack.policies(), enforcement_level=EnforcementLevel.MANDATORY)
