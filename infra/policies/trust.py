"""The trust policies of CI's roles: GitLab's jobs, by audience, project, branch and environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.policies.statements import Condition, Policy, let, policy

if TYPE_CHECKING:
    from infra.config.settings import GitLab


AUDIENCE = "lightwork"
"""The audience of a job's token: `id_tokens: {AWS_TOKEN: {aud: lightwork}}`. Other tokens are refused."""

SUBJECT = ("project_path", "ref_type", "ref", "environment", "environment_protected")
"""The claims that GitLab must put into the subject of its tokens, in this order: the project's setting
`ci_id_token_sub_claim_components` (projects API, GitLab 18.7 or newer). AWS checks only audience and subject,
and by default the subject does not contain the environment: any job of the branch could then deploy, past the
manual gate.
"""


def preview(*, provider_arn: str, gitlab: GitLab) -> Policy:
    """Trust jobs of any branch of this project: merge requests are previewed before they are approved."""
    subject: Condition = {
        "StringEquals": {f"{gitlab.host}:aud": AUDIENCE},
        "StringLike": {f"{gitlab.host}:sub": previewing(gitlab)},
    }
    return _trust(provider_arn, subject)


def apply(*, provider_arn: str, gitlab: GitLab, environment: str) -> Policy:
    """Trust only jobs of the protected branch that run in the protected environment of this name."""
    subject = deploying(gitlab, environment)
    return _trust(
        provider_arn,
        {"StringEquals": {f"{gitlab.host}:aud": AUDIENCE, f"{gitlab.host}:sub": subject}},
    )


def previewing(gitlab: GitLab) -> str:
    """Return the pattern for the subject of a previewing job's token; `*` matches anything."""
    return f"project_path:{gitlab.project}:ref_type:branch:ref:*"


def deploying(gitlab: GitLab, environment: str) -> str:
    """Return the subject that a job's token must have to deploy to an environment."""
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
