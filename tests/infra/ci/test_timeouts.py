"""A job that deploys outlasts all that Pulumi waits for: killed in a wait, it leaves the state locked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from tests.infra.ci import gitlab

if TYPE_CHECKING:
    from tests.infra.engine import Run

MINUTES = {
    "aws:eks/cluster:Cluster": 60,
    "aws:eks/nodeGroup:NodeGroup": 60,
    "aws:eks/addon:Addon": 40,
    "aws:opensearch/domain:Domain": 180,
    "aws:rds/instance:Instance": 80,
    "kubernetes:helm.sh/v3:Release": 15,
}
"""The longest that the provider waits for these types by default: creating, changing or deleting them."""
OTHERS = 30
"""For all other types."""
REST = 30
"""What else a deployment does in the same job: setup, preview, what comes before and after."""
HOSTED = 180
"""Jobs on GitLab.com's own runners end after three hours, whatever the job says."""


def minutes(text: str) -> int:
    """Return a duration of GitLab (`2 hours 45 minutes`) or of Pulumi (`2h`, `20m`) in minutes."""
    parts = re.findall(r"(\d+)\s*(h|m)", text)
    assert parts, text
    return sum(int(number) * (60 if unit == "h" else 1) for number, unit in parts)


def waits(run: Run) -> dict[str, int]:
    """Return for how long Pulumi waits for each resource at the most."""
    return {
        f"{resource.type} {resource.name}": max(map(minutes, resource.timeouts.values()))
        if resource.timeouts
        else MINUTES.get(resource.type, OTHERS)
        for resource in run.resources
    }


def test_a_deploying_job_outlasts_every_wait_of_pulumi(estate: Run) -> None:
    template = yaml.safe_load((gitlab.REPOSITORY / "ci" / "deploy.yml").read_text())[".stack"]
    limit = minutes(template["timeout"])
    assert limit < HOSTED, "GitLab.com would kill it earlier"
    late = {name: wait for name, wait in waits(estate).items() if wait + REST > limit}
    assert not late, f"the job ends after {limit} minutes"
