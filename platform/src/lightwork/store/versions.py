"""The versions of an artifact in a lake: which there are, in which order, and which of them count."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lightwork.store import records
from lightwork.store.commits import check_schema, checked_commit
from lightwork.store.documents import OddError
from lightwork.store.kinds import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lightwork.lake import Lake

_FACTS = ("name", "kind", "version", "run_id", "created", "lightwork", "code_key", "provenance")


def path_of(name: str, version: str) -> str:
    """Return the path of a version's commit file."""
    return f"artifacts/{name}/{VERSIONS}/{version}.json"


def listed(lake: Lake, name: str) -> Sequence[str]:
    """List the finished versions of an artifact, newest first."""
    start = f"artifacts/{name}/{VERSIONS}/"
    paths = [entry.path.removeprefix(start) for entry in lake.entries(start)]
    files = (path for path in paths if path.endswith(".json") and "/" not in path)
    return newest_first(path.removesuffix(".json") for path in files)


def newest_first(versions: Iterable[str]) -> Sequence[str]:
    """Sort the versions of an artifact, the newest first."""
    return sorted(versions, reverse=True)


def read(lake: Lake, name: str, version: str) -> dict[str, Any]:
    """Return the commit file of a version.

    Raises:
        FileNotFoundError: there is none.
        OddError: it is damaged.
    """
    return checked_commit(lake.read(path_of(name, version)), name, version)


def newest(lake: Lake, name: str) -> dict[str, Any] | None:
    """Return the commit file of the newest version that counts (see `is_trusted`); None if there is none.

    Damaged commit files are passed over.

    Raises:
        LightworkError: the lake cannot be read.
    """
    versions: Sequence[str] | None = None
    # Those that were listed may be gone by now, since newer ones have replaced them: list again then.
    while (found := listed(lake, name)) != versions:
        versions, gone = found, False
        for version in versions:
            try:
                document = read(lake, name, version)
                if document["kind"] == "table":
                    check_schema(document)
            except FileNotFoundError:
                gone = True
            except OddError:
                continue
            else:
                if is_trusted(lake, document):
                    return document
        if not gone:
            return None
    return None


def facts(document: Mapping[str, Any], **more: object) -> bytes:
    """Return what is recorded in a single file with a table: what its commit file says of its origin."""
    return json.dumps({name: document.get(name) for name in _FACTS} | more, default=str).encode()


def is_trusted(lake: Lake, document: Mapping[str, Any]) -> bool:
    """Return whether a version of an artifact was written by a run that succeeded, or outside of any run.

    Args:
        lake: the lake.
        document: the version's commit file.
    """
    record = records.run(lake, document["run_id"])
    if record is None:  # a session that is no run of a pipeline, or one whose record was deleted since
        return not document.get("recorded")
    return bool(record["status"] == "succeeded")
