"""A minimal reader of GitLab's YAML: includes, `extends`, defaults and global variables."""

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
    """A pipeline: its YAML content with includes, and its expanded jobs by name."""

    content: dict[str, Any]
    jobs: dict[str, Job] = field(default_factory=dict)

    def text(self) -> str:
        """Return the YAML with the includes."""
        return yaml.safe_dump(self.content)


def read(content: dict[str, Any]) -> Pipeline:
    """Resolve a pipeline's includes, and expand its jobs."""
    resolved: dict[str, Any] = {}
    for entry in content.get("include", []):
        resolved = merged(resolved, yaml.safe_load((REPOSITORY / entry["local"].lstrip("/")).read_text()))
    resolved = merged(resolved, {key: value for key, value in content.items() if key != "include"})
    default = resolved.get("default", {})
    jobs = {}
    for name in resolved:
        if name not in KEYWORDS and not name.startswith("."):
            job = merged(default, extended(resolved, name))
            job["variables"] = {**resolved.get("variables", {}), **job.get("variables", {})}
            jobs[name] = job
    return Pipeline(content=resolved, jobs=jobs)


def main() -> Pipeline:
    """Return the repository's own pipeline."""
    return read(yaml.safe_load(MAIN.read_text()))


def extended(content: dict[str, Any], name: str) -> Job:
    """Return a job merged with the jobs that it extends, recursively."""
    job = content[name]
    parents = job.get("extends", [])
    base: Job = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        base = merged(base, extended(content, parent))
    return merged(base, {key: value for key, value in job.items() if key != "extends"})


def merged(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Merge two mappings recursively; other values are replaced."""
    result = dict(base)
    for key, value in override.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        result[key] = merged(old, value) if both else value
    return result


def commands(job: Job) -> list[str]:
    """Return the lines of a job's script without its setup."""
    return [line for line in job.get("script", []) if line != "make setup"]


def role(job: Job) -> str | None:
    """Return the role that a job assumes; None for a job that does not access AWS."""
    words = [line.split() for line in commands(job)]
    roles = {line[line.index("infra.ci.assume") + 1] for line in words if "infra.ci.assume" in line}
    assert len(roles) <= 1, f"a job has one role: {roles}"
    return roles.pop() if roles else None
