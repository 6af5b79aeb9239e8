"""`latest.parquet`: the newest version of a table as one Parquet file, for whoever knows only its path.

It lies beside the versions of the artifact, and is a copy of the one that `Artifacts.read` gives. Whoever
ends a run that succeeded looks which version that is, and replaces the file unless another process has
replaced it since: then it looks again. So the file never goes back to a version that a newer one has
replaced, whoever is slow, and whatever the clocks say. docs/decisions/artifacts-parquet.md tells what a
killed process leaves.
"""

from __future__ import annotations

import itertools
import json
import logging
import secrets
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO

from lightwork.errors import LakeAway, LightworkError, one_line
from lightwork.store import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lightwork.lake import Lake

FILE = "latest.parquet"
MOST_BYTES = 256 * 10**6
"""Bytes of a table's files above which there is no such file."""
_ATTEMPTS = 20
_PADDING = 1 << 16
"""Bytes before the rows at most, a random number in each file.

A reader of S3 asks for the end of the file first, which says where the rows are, and then for these. If the
file is replaced in between, the rows are elsewhere: it gets an error, and not the columns of two versions.
"""

_log = logging.getLogger("lightwork.artifacts")


def path_of(name: str) -> str:
    """Return the path of an artifact's `latest.parquet`."""
    return f"artifacts/{name}/{FILE}"


def renew_all(lake: Lake, names: Iterable[str]) -> None:
    """Renew the files of several artifacts; what cannot be renewed is told by a log line."""
    for name in names:
        try:
            renew(lake, name)
        except LightworkError as error:
            _log.warning("%s was not renewed: %s", lake.uri(path_of(name)), one_line(error))
            if isinstance(error, LakeAway):
                return


def renew_every(lake: Lake, stop: Callable[[], bool] = lambda: False) -> None:
    """Renew the files of all artifacts in a lake, as a killed process may have left one as it was.

    Args:
        lake: the lake.
        stop: returns whether the work is to end.
    """
    renew_all(lake, itertools.takewhile(lambda _: not stop(), lake.folders("artifacts")))


def renew(lake: Lake, name: str) -> None:
    """Make `latest.parquet` the newest version that counts; delete it if there is none, or a too large one.

    It may be killed at any moment, and run in any number of processes at once.

    Raises:
        LightworkError: the lake cannot be read or written, or the version is damaged; of that, no older one
            takes the place.
    """
    path = path_of(name)
    for _ in range(_ATTEMPTS):
        tag = lake.tag(path)
        document = versions.newest(lake, name)
        if document is None or not fits(document):
            if tag is None:
                return
            lake.delete([path])
        elif tag is not None and version_in(lake, name) == document["version"]:
            return
        else:
            _put(lake, path, document, tag)
    raise LightworkError("other processes replace it again and again")


def fits(document: Mapping[str, Any]) -> bool:
    """Return whether a version is a table of which there is one file."""
    return bool(document["kind"] == "table" and document["bytes"] <= MOST_BYTES)


def version_in(lake: Lake, name: str) -> str | None:
    """Return the version that `latest.parquet` holds; None if there is no such file, or a damaged one.

    Raises:
        LightworkError: the lake cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lightwork.store.tables_writing import PROVENANCE

    system, base = lake.arrow()

    def attempt() -> str | None:
        try:
            with system.open_input_file(f"{base}/{path_of(name)}") as file:
                facts = json.loads((pq.read_schema(file).metadata or {})[PROVENANCE])
            return str(facts["version"])
        except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
            return None
        except OSError as error:
            kind = LakeAway if lake.is_away(error) else LightworkError
            raise kind(f"cannot read {lake.uri(path_of(name))}: {one_line(error)}") from error

    return lake.patiently(attempt)


def _put(lake: Lake, path: str, document: Mapping[str, Any], tag: str | None) -> None:
    """Replace the file by a version, unless it has changed since it had the tag."""
    with tempfile.TemporaryFile(prefix="lightwork-") as file:
        try:
            _write(lake, file, document)
        except LakeAway:
            raise
        except (LightworkError, OSError) as error:
            if not lake.exists(versions.path_of(document["name"], document["version"])):
                return  # deleted meanwhile, as a newer one has replaced it
            lake.delete([path])
            if isinstance(error, LightworkError):
                raise
            raise LightworkError(f"cannot write a temporary file: {error.strerror or error}") from error
        lake.replace(path, file, tag)


def _write(lake: Lake, file: BinaryIO, document: Mapping[str, Any]) -> None:
    from lightwork.store.one_file import write_parquet
    from lightwork.store.tables_reading import stored_as

    # The last field makes each file differ, and so its tag.
    facts = versions.facts(document, written=secrets.token_hex(8))
    write_parquet(stored_as(lake, document), file, facts, padding=1 + secrets.randbelow(_PADDING))
