"""The cluster's nodes: five node groups, and the add-ons that run on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

from infra.aws.roles import service_role
from infra.aws.scaling import live_scalings, to_send
from infra.config import accounts, versions
from infra.config.nodes import LABELS_ZONE, Group, groups
from infra.config.subnets import ZONES
from infra.policies import pods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.aws.children import Children
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
        children: the decisions about what pulumi-eks makes, registered with the engine.
        subnet_ids: the subnets of nodes and pods, one per zone.
        sizes: the environment's sizes.
        boundary: the ARN of the permissions boundary of the estate's roles.
    """

    names: Names
    cluster: Cluster
    children: Children
    subnet_ids: list[pulumi.Output[str]]
    sizes: Sizes
    boundary: pulumi.Input[str]


class Nodes(pulumi.ComponentResource):
    """Node groups: `system` in each zone; over all zones, `drivers`, and `workers` on spot, from zero.

    Makes: the nodes' role, with the minimal policies; a launch template for each pool (encrypted disk;
    instance metadata only with a session token and not from pods); through pulumi-eks, the groups, of a
    pinned image (a third of a group at most is replaced at once; broken nodes are repaired); tags on the
    scaling groups themselves, from which the autoscaler learns what a node of an empty group looks like (tags
    on the node group do not reach them); the add-ons that need a node: CoreDNS and the EBS driver.

    The groups of system nodes are created and updated one after the other, so that an update of their image
    drains one zone at a time.

    The autoscaler decides how many nodes run; `infra.aws.scaling` keeps an `up` from resetting the number.

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
        self._live = live_scalings(args.names.cluster, self)
        needed, system = [*attached, *args.cluster.first_addons], list[pulumi.Resource]()
        templates: dict[str, aws.ec2.LaunchTemplate] = {}
        for group in groups(args.sizes):
            if group.pool not in templates:
                templates[group.pool] = self._template(group.pool)
            is_system = group.pool == "system"
            made = self._group(group, role, templates[group.pool], [*needed, *(system if is_system else ())])
            system += [made] if is_system else []
        args.cluster.addon(f"{name}-dns", "coredns", depends_on=system)
        args.cluster.addon(
            f"{name}-volumes",
            "aws-ebs-csi-driver",
            account=accounts.VOLUMES,
            managed=(pods.AWS_VOLUMES,),
            depends_on=system,
        )
        self.register_outputs({})

    def _template(self, pool: str) -> aws.ec2.LaunchTemplate:
        tags = {**self._tags, "Name": f"{self._args.names.cluster}-{pool}"}
        return aws.ec2.LaunchTemplate(
            f"{self._name}-{pool}-template",
            name=self._args.names.named(pool),
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

    def _group(
        self,
        group: Group,
        role: aws.iam.Role,
        template: aws.ec2.LaunchTemplate,
        after: list[pulumi.Resource],
    ) -> eks.ManagedNodeGroup:
        scaling, unchanged = to_send(group, self._live)
        prefix = f"{group.name}-"
        if unchanged:
            self._args.children.leave_scaling(prefix)
        node_group = eks.ManagedNodeGroup(
            f"{self._name}-{group.name}",
            cluster=self._args.cluster.component,
            # A prefix instead of a name, so that a replacement is created before the old group is drained.
            node_group_name_prefix=prefix,
            node_role_arn=role.arn,
            subnet_ids=[
                subnet
                for zone, subnet in zip(ZONES, self._args.subnet_ids, strict=True)
                if zone in group.zones
            ],
            version=versions.KUBERNETES,
            release_version=versions.NODE_IMAGE,
            ami_type="AL2023_x86_64_STANDARD",
            capacity_type="SPOT" if group.spot else "ON_DEMAND",
            instance_types=list(group.types),
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=scaling.minimum, max_size=scaling.maximum, desired_size=scaling.desired
            ),
            labels=group.labels,
            taints=[aws.eks.NodeGroupTaintArgs(**taint) for taint in group.taints],
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
        self._tag_for_autoscaler(group, node_group)
        return node_group

    def _tag_for_autoscaler(self, group: Group, node_group: eks.ManagedNodeGroup) -> None:
        """Describe a group's nodes in tags on its scaling group. EKS itself adds the tags for discovery."""
        labels = dict(group.labels)
        if len(group.zones) == 1:
            # A volume's pod waits for a node of its zone, which an empty group must be known to have.
            labels |= dict.fromkeys(LABELS_ZONE, f"{self._args.names.region}{group.zones[0]}")
        hints = {f"{TEMPLATE}/label/{key}": value for key, value in labels.items()}
        hints |= {f"{TEMPLATE}/taint/{t['key']}": f"{t['value']}:NoSchedule" for t in group.taints}
        hints[f"{TEMPLATE}/resources/ephemeral-storage"] = f"{DISK_GIGABYTES * 8 // 10}Gi"
        scaling_group: pulumi.Output[str] = node_group.node_group.apply(
            lambda made: made.resources.apply(_scaling_group)
        )
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
