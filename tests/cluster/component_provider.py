"""A provider of pulumi-eks' components, in a process of its own, as Pulumi starts it.

It makes what `infra/offline/expected.py` says that the real one makes, by the SDK's way of making components,
except for the Kubernetes provider, whose plugin is not at hand.
"""

from __future__ import annotations

import sys
from typing import Any

import pulumi
import pulumi_aws
import pulumi_eks as eks
from pulumi.provider import ConstructResult, Provider, main

from infra.offline import expected


class Component(pulumi.ComponentResource):
    """A component, with what it is expected to make."""

    def __init__(
        self, type_: str, name: str, inputs: dict[str, Any], options: pulumi.ResourceOptions
    ) -> None:
        super().__init__(type_, name, {}, options)
        made = expected.made(type_, name, {key: _state(value) for key, value in inputs.items()})
        resources: dict[str, pulumi.Resource] = {"": self}
        for child in made.children:
            if child.type.startswith("pulumi:"):
                continue
            resources[child.name] = pulumi.CustomResource(
                child.type,
                child.name,
                dict(child.inputs),
                pulumi.ResourceOptions(
                    parent=resources[child.parent],
                    depends_on=[resources[other] for other in child.depends_on],
                    ignore_changes=list(child.ignore_changes),
                ),
            )
        self.state = {**made.outputs, **{key: resources[child] for key, child in made.references.items()}}
        self.register_outputs(self.state)


class Components(Provider):
    """The provider."""

    def __init__(self) -> None:
        super().__init__(expected.VERSION)

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: pulumi.Inputs,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        component = Component(resource_type, name, dict(inputs), options or pulumi.ResourceOptions())
        return ConstructResult(component.urn, component.state)


def _state(value: Any) -> Any:
    """Return the part of a referenced resource's state that is used; any other value as it is."""
    if isinstance(value, eks.Cluster):
        return {"eksCluster": {"name": value.eks_cluster.apply(lambda cluster: cluster.name)}}
    return {"arn": value.arn} if isinstance(value, pulumi_aws.iam.Role) else value


if __name__ == "__main__":
    main(Components(), sys.argv[1:])
