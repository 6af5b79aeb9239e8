"""The machines: three groups of nodes, and the add-ons that run on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.aws.roles import service_role
from infra.config import accounts, versions
from infra.config.nodes import Group, groups
from infra.policies import pods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.aws.cluster import Cluster
    from infra.config.naming import Names
    from infra.config.sizes import Sizes


NODE_POLICIES = (
    "arn:aws:iam::aws:policy/AmazonEKSWorkerNodeMinimalPolicy",
    "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
)

DISK_GIGABYTES = 100
TEMPLATE = "k8s.io/cluster-autoscaler/node-template"
"""What the autoscaler reads of a scaling group that has no node: tags on the group itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesArgs:
    """What the nodes are made from.

    Attributes:
        names: the environment's names.
        cluster: the cluster that they are nodes of.
        subnet_ids: the subnets that they and their pods are in.
        sizes: how many, and of what type.
        boundary: the ARN of the policy that bounds the estate's roles.
    """

    names: Names
    cluster: Cluster
    subnet_ids: list[pulumi.Output[str]]
    sizes: Sizes
    boundary: pulumi.Input[str]


class Nodes(pulumi.ComponentResource):
    """Three groups of nodes over all zones: `system`, `drivers`, and `workers` on spot, from zero.

    Makes: the nodes' role, with what a node needs and no more; a launch template for each group (encrypted
    disk, metadata only by session token and not from pods); the groups, of a pinned image; tags on the
    scaling groups themselves, by which the autoscaler knows a node of an empty group (tags on the node group
    do not reach them); the add-ons that need a node: CoreDNS and the EBS driver.

    How many nodes run is the autoscaler's: Pulumi ignores it, so that no `up` takes a running group back.

    Costs: by the hour of what runs: m7i.large some 74 USD a month on demand; a worker m7i.2xlarge some 0.16
    USD an hour on spot, and nothing while no run goes on.

    Deleting: nodes are drained and end. Nothing precious is on them.
    """

    def __init__(self, name: str, args: NodesArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Nodes", name, {}, opts)
        self._name, self._args, self._tags = name, args, args.names.tags()
        self._inner = pulumi.ResourceOptions(parent=self)
        role, attached = service_role(
            f"{name}-role",
            role="node",
            sid="Ec2",
            service="ec2.amazonaws.com",
            managed={f"{name}-role-policy-{number}": arn for number, arn in enumerate(NODE_POLICIES)},
            names=args.names,
            boundary=args.boundary,
            parent=self,
        )
        made = [self._group(group, role, attached) for group in groups(args.sizes)]
        system: list[pulumi.Resource] = [made[0]]
        args.cluster.addon(f"{name}-dns", "coredns", depends_on=system)
        args.cluster.addon(
            f"{name}-volumes",
            "aws-ebs-csi-driver",
            account=accounts.VOLUMES,
            managed=(pods.AWS_VOLUMES,),
            depends_on=system,
        )
        self.register_outputs({})

    def _template(self, group: Group) -> aws.ec2.LaunchTemplate:
        tags = {**self._tags, "Name": f"{self._args.names.cluster}-{group.name}"}
        return aws.ec2.LaunchTemplate(
            f"{self._name}-{group.name}-template",
            name=self._args.names.named(group.name),
            update_default_version=True,
            # One hop ends at the node: no pod reads the node's credentials.
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": 1,
            },
            block_device_mappings=[
                {
                    "device_name": "/dev/xvda",
                    "ebs": {
                        "volume_size": DISK_GIGABYTES,
                        "volume_type": "gp3",
                        "encrypted": "true",
                        "delete_on_termination": "true",
                    },
                }
            ],
            tag_specifications=[
                {"resource_type": kind, "tags": tags} for kind in ("instance", "volume", "network-interface")
            ],
            tags=tags,
            opts=self._inner,
        )

    def _group(self, group: Group, role: aws.iam.Role, attached: list[pulumi.Resource]) -> aws.eks.NodeGroup:
        template = self._template(group)
        made = aws.eks.NodeGroup(
            f"{self._name}-{group.name}",
            cluster_name=self._args.cluster.name,
            # A prefix, so that a group that must be replaced is there anew before the old one is drained.
            node_group_name_prefix=f"{group.name}-",
            node_role_arn=role.arn,
            subnet_ids=self._args.subnet_ids,
            version=versions.KUBERNETES,
            release_version=versions.NODE_IMAGE,
            ami_type="AL2023_x86_64_STANDARD",
            capacity_type="SPOT" if group.spot else "ON_DEMAND",
            instance_types=list(group.types),
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config={
                "min_size": group.min_size,
                "max_size": group.max_size,
                "desired_size": group.min_size,
            },
            update_config={"max_unavailable_percentage": 33},
            node_repair_config={"enabled": True},
            labels=group.labels,
            taints=[aws.eks.NodeGroupTaintArgs(**taint) for taint in group.taints],
            tags=self._tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                ignore_changes=["scalingConfig.desiredSize"],
                depends_on=[*attached, *self._args.cluster.first_addons],
            ),
        )
        self._tell_the_autoscaler(group, made)
        return made

    def _tell_the_autoscaler(self, group: Group, made: aws.eks.NodeGroup) -> None:
        """Say on the scaling group what a node of it would be like; EKS puts the tags for discovery there."""
        hints = {f"{TEMPLATE}/label/{key}": value for key, value in group.labels.items()}
        hints |= {f"{TEMPLATE}/taint/{t['key']}": f"{t['value']}:NoSchedule" for t in group.taints}
        hints[f"{TEMPLATE}/resources/ephemeral-storage"] = f"{DISK_GIGABYTES * 8 // 10}Gi"
        scaling_group = made.resources.apply(_scaling_group)
        for key, value in {**hints, **self._tags}.items():
            slug = key.removeprefix(f"{TEMPLATE}/").replace("/", "-")
            aws.autoscaling.Tag(
                f"{self._name}-{group.name}-tag-{slug}",
                autoscaling_group_name=scaling_group,
                tag={"key": key, "value": value, "propagate_at_launch": False},
                opts=self._inner,
            )


def _scaling_group(found: Sequence[aws.eks.outputs.NodeGroupResource]) -> str:
    """The name of the one scaling group that EKS has made for a node group."""
    return (found[0].autoscaling_groups or [])[0].name or ""
