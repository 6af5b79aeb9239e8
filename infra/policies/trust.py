"""Who GitLab's jobs may become: trust by audience, project, branch and environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.policies.statements import Condition, Policy, let, policy

if TYPE_CHECKING:
    from infra.config.settings import GitLab


AUDIENCE = "lightwork"
"""What a job asks its token for: `id_tokens: {AWS_TOKEN: {aud: lightwork}}`. Others' tokens are refused."""

SUBJECT = ("project_path", "ref_type", "ref", "environment", "environment_protected")
"""What GitLab must put into the subject of its tokens, in this order: the project's setting
`ci_id_token_sub_claim_components` (projects API, GitLab 18.7 or newer). By default the environment is not in
it, and AWS looks at nothing but audience and subject: any job of the branch could deploy, past the manual
gate.
"""


def preview(*, provider_arn: str, gitlab: GitLab) -> Policy:
    """Any branch of this project: a merge request is previewed before anybody has approved it."""
    subject: Condition = {
        "StringEquals": {f"{gitlab.host}:aud": AUDIENCE},
        "StringLike": {f"{gitlab.host}:sub": previewing(gitlab)},
    }
    return _trust(provider_arn, subject)


def apply(*, provider_arn: str, gitlab: GitLab, environment: str) -> Policy:
    """Jobs of the protected branch alone, in the protected environment of this name alone."""
    subject = deploying(gitlab, environment)
    return _trust(
        provider_arn,
        {"StringEquals": {f"{gitlab.host}:aud": AUDIENCE, f"{gitlab.host}:sub": subject}},
    )


def previewing(gitlab: GitLab) -> str:
    """What the subject of a job's token must be like, for it to look; `*` is anything."""
    return f"project_path:{gitlab.project}:ref_type:branch:ref:*"


def deploying(gitlab: GitLab, environment: str) -> str:
    """What the subject of a job's token must be, for it to deploy to an environment."""
    claims = {
        "project_path": gitlab.project,
        "ref_type": "branch",
        "ref": gitlab.branch,
        "environment": environment,
        "environment_protected": "true",
    }
    return ":".join(f"{claim}:{claims[claim]}" for claim in SUBJECT)


def _trust(provider_arn: str, condition: Condition) -> Policy:
    return policy(
        let("GitLab", {"Federated": provider_arn}, ["sts:AssumeRoleWithWebIdentity"], None, condition)
    )
