"""The cluster's nodes: three node groups, and the add-ons that run on them."""

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
"""The prefix of the tags that describe a scaling group's nodes to the autoscaler while it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesArgs:
    """Arguments of `Nodes`.

    Attributes:
        names: the environment's names.
        cluster: the cluster.
        subnet_ids: the subnets of nodes and pods.
        sizes: the environment's sizes.
        boundary: the ARN of the permissions boundary of the estate's roles.
    """

    names: Names
    cluster: Cluster
    subnet_ids: list[pulumi.Output[str]]
    sizes: Sizes
    boundary: pulumi.Input[str]


class Nodes(pulumi.ComponentResource):
    """Three node groups over all zones: `system`, `drivers`, and `workers` on spot, which start at zero.

    Makes: the nodes' role, with the minimal policies; a launch template for each group (encrypted disk;
    instance metadata only with a session token and not from pods); the groups, of a pinned image; tags on the
    scaling groups themselves, from which the autoscaler learns what a node of an empty group looks like (tags
    on the node group do not reach them); the add-ons that need a node: CoreDNS and the EBS driver.

    The autoscaler decides how many nodes run. Pulumi ignores the number, so that no `up` resets it.

    Costs: by the hour of running nodes: an m7i.large about 74 USD a month on demand; an m7i.2xlarge worker
    about 0.16 USD an hour on spot, and nothing while no run is active.

    Deleting: nodes are drained and terminated. They hold no data worth keeping.
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
        node_groups = [self._group(group, role, attached) for group in groups(args.sizes)]
        system: list[pulumi.Resource] = [node_groups[0]]
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
            # One hop ends at the node, so pods cannot read the node's credentials.
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
        node_group = aws.eks.NodeGroup(
            f"{self._name}-{group.name}",
            cluster_name=self._args.cluster.name,
            # A prefix instead of a name, so that a replacement is created before the old group is drained.
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
        self._tag_for_autoscaler(group, node_group)
        return node_group

    def _tag_for_autoscaler(self, group: Group, node_group: aws.eks.NodeGroup) -> None:
        """Describe a group's nodes in tags on its scaling group. EKS itself adds the tags for discovery."""
        hints = {f"{TEMPLATE}/label/{key}": value for key, value in group.labels.items()}
        hints |= {f"{TEMPLATE}/taint/{t['key']}": f"{t['value']}:NoSchedule" for t in group.taints}
        hints[f"{TEMPLATE}/resources/ephemeral-storage"] = f"{DISK_GIGABYTES * 8 // 10}Gi"
        scaling_group = node_group.resources.apply(_scaling_group)
        for key, value in {**hints, **self._tags}.items():
            slug = key.removeprefix(f"{TEMPLATE}/").replace("/", "-")
            aws.autoscaling.Tag(
                f"{self._name}-{group.name}-tag-{slug}",
                autoscaling_group_name=scaling_group,
                tag={"key": key, "value": value, "propagate_at_launch": False},
                opts=self._inner,
            )


def _scaling_group(resources: Sequence[aws.eks.outputs.NodeGroupResource]) -> str:
    """Return the name of the one scaling group that EKS creates for a node group."""
    return (resources[0].autoscaling_groups or [])[0].name or ""
