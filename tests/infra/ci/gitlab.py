"""Just enough of GitLab's reading of YAML: includes, `extends`, defaults and global variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
MAIN = REPOSITORY / ".gitlab-ci.yml"
KEYWORDS = {"stages", "include", "variables", "workflow", "default", "image"}

Job = dict[str, Any]


@dataclass(frozen=True)
class Pipeline:
    """The jobs by name, as they run."""

    content: dict[str, Any]
    jobs: dict[str, Job] = field(default_factory=dict)

    def text(self) -> str:
        """All of it, with the includes."""
        return yaml.safe_dump(self.content)


def read(content: dict[str, Any]) -> Pipeline:
    """A pipeline with its includes in it."""
    whole: dict[str, Any] = {}
    for entry in content.get("include", []):
        whole = merged(whole, yaml.safe_load((REPOSITORY / entry["local"].lstrip("/")).read_text()))
    whole = merged(whole, {key: value for key, value in content.items() if key != "include"})
    default = whole.get("default", {})
    jobs = {}
    for name in whole:
        if name not in KEYWORDS and not name.startswith("."):
            job = merged(default, extended(whole, name))
            job["variables"] = {**whole.get("variables", {}), **job.get("variables", {})}
            jobs[name] = job
    return Pipeline(content=whole, jobs=jobs)


def main() -> Pipeline:
    """The repository's own pipeline."""
    return read(yaml.safe_load(MAIN.read_text()))


def extended(whole: dict[str, Any], name: str) -> Job:
    """A job with what it extends, and what that extends."""
    job = whole[name]
    parents = job.get("extends", [])
    found: Job = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        found = merged(found, extended(whole, parent))
    return merged(found, {key: value for key, value in job.items() if key != "extends"})


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Mappings are merged; everything else is replaced."""
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        found[key] = merged(old, value) if both else value
    return found


def commands(job: Job) -> list[str]:
    """The lines that the job runs after it was set up."""
    return [line for line in job.get("script", []) if line != "make setup"]


def role(job: Job) -> str | None:
    """The role that a job becomes; None for a job that asks AWS nothing."""
    words = [line.split() for line in commands(job)]
    roles = {line[line.index("infra.ci.assume") + 1] for line in words if "infra.ci.assume" in line}
    assert len(roles) <= 1, f"a job is one role: {roles}"
    return roles.pop() if roles else None
