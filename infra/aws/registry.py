"""The ECR repository of the platform's image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from infra.aws.key import Key, KeyArgs
from infra.policies import resources

if TYPE_CHECKING:
    from infra.config.naming import Names


BRANCH_TAGS = "mr-"
"""The prefix of the tags of merge requests' images; all other images were deployed somewhere."""


def lifecycle() -> dict[str, Any]:
    """Expire merge requests' images after two weeks and untagged ones after one; keep deployed images."""
    return {
        "rules": [
            {
                "rulePriority": 1,
                "description": "images of merge requests",
                "selection": {
                    "tagStatus": "tagged",
                    "tagPrefixList": [BRANCH_TAGS],
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": 14,
                },
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 2,
                "description": "images that nothing names",
                "selection": {
                    "tagStatus": "untagged",
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": 7,
                },
                "action": {"type": "expire"},
            },
        ]
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryArgs:
    """Arguments of `Registry`: the environment's names."""

    names: Names


class Registry(pulumi.ComponentResource):
    """A private repository with immutable tags, which scans images when they are pushed.

    Costs: 0.10 USD a month per GB; 1 USD for the key.

    Deleting: repository and key are protected and retained, as running images are pulled from here.

    Attributes:
        url: the repository's URL, an image's name without its tag.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Registry", name, {}, opts)
        inner, tags = pulumi.ResourceOptions(parent=self), args.names.tags()
        key = Key(
            name,
            KeyArgs(
                alias=args.names.key("images"),
                description="Encrypts the platform's images",
                policy=resources.account_key(account=args.names.account),
                tags=tags,
            ),
            inner,
        )
        repository = aws.ecr.Repository(
            f"{name}-repository",
            name=args.names.image_repository,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": key.arn}],
            force_delete=False,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        aws.ecr.LifecyclePolicy(
            f"{name}-lifecycle", repository=repository.name, policy=json.dumps(lifecycle()), opts=inner
        )
        self.url = repository.repository_url
        self.register_outputs({"url": self.url})
