"""The rule `privileged-creator`: whoever creates a cluster has no more access to it than its entries give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra.rules.subject import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.rules.subject import Subject


def privileged_creator(subject: Subject) -> Iterator[str]:
    """Yield the ways into an EKS cluster besides its access entries.

    pulumi-eks asks for an administrator by default, which only the cluster's creation can prevent.
    """
    if subject.type != "aws:eks/cluster:Cluster":
        return
    access = subject.inputs.get("accessConfig")
    given = access if isinstance(access, Mapping) else {}
    if access is not UNKNOWN and given.get("bootstrapClusterCreatorAdminPermissions") not in (False, UNKNOWN):
        yield (
            "its creator would be an administrator for ever; set"
            " accessConfig.bootstrapClusterCreatorAdminPermissions to false (infra/aws/children.py does)"
        )
    if access is not UNKNOWN and given.get("authenticationMode") not in ("API", UNKNOWN):
        yield "accessConfig.authenticationMode is not API: the ConfigMap aws-auth would give access as well"
