"""What the files of a lake are, by their paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightwork.lake.base import Item

RESULTS = "results"
RUNS = "runs"
HISTORY = "history of runs"
REPORTS = "reports"
ARTIFACTS = "artifacts"
STEP_LOGS = "logs of steps"
JOBS = "jobs"
SIGNS = "signs of life"
UNCOMMITTED = "artifacts without a commit"
INPUTS = "large inputs"
TEMPORARY = "temporary files"
UPLOADS = "unfinished uploads"
FOLDERS = "folders"
OTHER = "other"
ALL = (
    RESULTS,
    RUNS,
    HISTORY,
    REPORTS,
    ARTIFACTS,
    STEP_LOGS,
    JOBS,
    SIGNS,
    UNCOMMITTED,
    INPUTS,
    TEMPORARY,
    UPLOADS,
    FOLDERS,
    OTHER,
)
"""All kinds, in the order in which they are shown: what is kept, what only living runs need, the rest."""

VERSIONS = "_versions"
"""The folder of an artifact with the commit file of each version."""


def kind_of(item: Item) -> str:
    """Return the kind of an item; a part of an artifact is `ARTIFACTS`, with or without a commit."""
    if item.kind != "file":
        return {"folder": FOLDERS, "temporary": TEMPORARY, "upload": UPLOADS}.get(item.kind, OTHER)
    match item.path.split("/"):
        case ["results", _, _, _, *_]:
            return RESULTS
        case ["runs", _, "jobs", _, *_]:
            return JOBS
        case ["runs", _, name] if name.startswith("report") and name.endswith(".html"):
            return REPORTS
        case ["runs", _, "alive"]:
            return SIGNS
        case ["runs", _, name] if name.startswith("owner-"):
            return SIGNS
        case ["runs", _, _, *_]:
            return RUNS
        case ["history", _, _, *_]:
            return HISTORY
        case ["artifacts", _, _, *_]:
            return ARTIFACTS
        case ["argo", _, _, *_]:
            return STEP_LOGS
        case ["mapped", _, _, *_]:
            return INPUTS
    return OTHER


def run_of(path: str) -> str:
    """Return the run whose folder a path is in; empty if it is in none."""
    parts = path.split("/")
    is_in_one = parts[0] == "runs" and len(parts) > 2 and not parts[1].startswith(".")
    return parts[1] if is_in_one else ""


def version_of(path: str) -> tuple[str, str, bool] | None:
    """Return name, version and whether it is the commit file, for a file of an artifact; None for others."""
    match path.split("/"):
        case ["artifacts", name, folder, file] if folder == VERSIONS:
            return (name, file.removesuffix(".json"), True) if file.endswith(".json") else None
        case ["artifacts", name, version, _, *_] if version != VERSIONS:
            return name, version, False
    return None
