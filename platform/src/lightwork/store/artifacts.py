"""Artifacts: named tables and files in a tenant's lake, with a new version and its provenance per write."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import re
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from lightwork.errors import InputError, LakeAway, LightworkError, near, one_line, public
from lightwork.lake.threads import in_threads
from lightwork.settings import ENV_RUN
from lightwork.store.commits import check_schema, checked_commit
from lightwork.store.documents import OddError, TornError, digest, seal
from lightwork.store.presence import present
from lightwork.store.versions import is_trusted, listed, path_of
from lightwork.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pandas as pd
    import pyarrow as pa

    from lightwork.lake import Lake

T = TypeVar("T")

_ROOT = "artifacts"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-")

_log = logging.getLogger("lightwork.artifacts")
_clock_lock = threading.Lock()
_last_time = 0


@public
@dataclass(frozen=True, slots=True)
class Artifact:
    """One version of a named table or file.

    Attributes:
        name: the artifact's name.
        run_id: the run that wrote it.
        version: the time of writing and the run; later versions sort after earlier ones, whatever the clocks
            of their writers said: the time is later than that of all versions before.
        path: the folder of a table, or the path of a file, relative to the tenant's part of the lake.
        uri: the full address of `path`.
        rows: number of rows of a table; None for a file.
        columns: the columns of a table, in order, including its index if stored; empty for a file.
        bytes: size as stored.
        created: time of writing (UTC).
    """

    name: str
    run_id: str
    version: str
    path: str
    uri: str
    rows: int | None
    columns: tuple[str, ...]
    bytes: int
    created: datetime

    def to_json(self) -> dict[str, object]:
        """Return the attributes as plain JSON values."""
        return {**asdict(self), "columns": list(self.columns), "created": self.created.isoformat()}


@public
class Artifacts:
    """The artifacts of one tenant, as read and written by one run.

    Args:
        lake: the tenant's part of the lake.
        run_id: the run that writes.
        provenance: further facts to record with each artifact (pipeline, parameters, …), or returns them.
        recorded: whether the run has a record in the lake, which says how it ended.
        inside: returns the context in which a table that is still to be computed is computed.

    Attributes:
        written: the artifacts that this run has written, in order.
    """

    def __init__(
        self,
        lake: Lake,
        *,
        run_id: str,
        provenance: Mapping[str, object] | Callable[[], Mapping[str, object]],
        recorded: bool = False,
        inside: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.lake = lake
        self.run_id = run_id
        self._provenance = provenance
        self._recorded = recorded
        self._inside = inside
        self.written: list[Artifact] = []
        self._reported: set[str] = set()

    def write(
        self,
        name: str,
        table: pd.DataFrame | pa.Table | Iterable[pa.Table | pd.DataFrame] | Any,
        *,
        partition_by: Sequence[str] = (),
        code_key: object = None,
    ) -> Artifact:
        """Write a table as Parquet; readers see it complete or not at all.

        Args:
            name: lower-case letters, digits, "-" and "_".
            table: a pandas DataFrame (its index is kept), a pyarrow Table, a Dask DataFrame (each partition
                is written by the worker that computes it), or an iterable of tables with the same columns,
                of which about 128 MiB are held in memory at a time.
            partition_by: columns (text, integers or dates) to store as folders, `column=value`. Rows are
                then sorted by folder.
            code_key: the key of the code that produced the table, recorded with it; by default the key of the
                pipeline's code.

        Raises:
            InputError: the name or the table cannot be written; the message gives the reason.
            LightworkError: the lake cannot be written.
        """
        from lightwork.store.tables_writing import write_table

        _check_name(name, _NAME)
        by = (partition_by,) if isinstance(partition_by, str) else tuple(partition_by)
        version, created = self._version(name)
        folder = f"{_ROOT}/{name}/{version}"
        document = self._document(name, "table", version, created, code_key)
        with self._writing(folder):
            with self._inside():
                written = write_table(self.lake, name, folder, table, by, _dumps(document).encode())
            document |= {
                "rows": sum(part.rows for part in written.parts),
                "columns": written.schema.names,
                "bytes": sum(part.bytes for part in written.parts),
                "partition_by": list(by),
                "files": [list(part) for part in written.parts],
                "schema": base64.b64encode(written.schema.serialize()).decode(),
            }
            return self._publish(document)

    def write_file(self, name: str, data: bytes | str | os.PathLike[str]) -> Artifact:
        """Write a file.

        Args:
            name: lower-case letters, digits, "-", "_" and ".", such as `report.html`.
            data: its bytes, its text (stored as UTF-8), or the path of a local file.

        Raises:
            InputError: the name is invalid, or the local file cannot be read.
            LightworkError: the lake cannot be written.
        """
        _check_name(name, _FILE_NAME)
        content = _content(name, data)
        version, created = self._version(name)
        folder = f"{_ROOT}/{name}/{version}"
        document = self._document(name, "file", version, created, None)
        with self._writing(folder):
            self.lake.write(f"{folder}/{name}", content)
            file = [name, 0, len(content), digest(content)]
            return self._publish(document | {"bytes": len(content), "files": [file]})

    @overload
    def read(
        self,
        name: str,
        *,
        run: str | None = None,
        lazy: Literal[False] = False,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame: ...
    @overload
    def read(
        self, name: str, *, run: str | None = None, lazy: Literal[True], columns: Sequence[str] | None = None
    ) -> Any: ...
    def read(
        self,
        name: str,
        *,
        run: str | None = None,
        lazy: bool = False,
        columns: Sequence[str] | None = None,
    ) -> Any:
        """Read a table: the newest version that a run has written which succeeded, or the newest of one run.

        What this run, or a session that is no run of a pipeline, has written counts too.

        Args:
            name: the artifact's name.
            run: the name of the run that wrote it, however it ended; by default any that succeeded.
            lazy: return a Dask DataFrame with one partition per file instead of a pandas DataFrame.
            columns: the columns to read, in this order, besides the index; by default all.

        Raises:
            LightworkError: no such artifact, run or column; the message suggests existing ones.
        """
        from lightwork.store.tables_reading import read_lazily, read_now, stored_as

        _check_name(name, _FILE_NAME)
        chosen = None if columns is None else list(columns)

        def read(document: dict[str, Any]) -> Any:
            return (read_lazily if lazy else read_now)(stored_as(self.lake, document), chosen)

        return self._read_newest(name, run, "table", read)

    def read_file(self, name: str, *, run: str | None = None) -> bytes:
        """Read a file: the newest version that `read` would choose, or the newest of one run.

        Raises:
            LightworkError: no such artifact or run; the message suggests existing ones.
        """
        _check_name(name, _FILE_NAME)

        def read(document: dict[str, Any]) -> bytes:
            path = f"{_ROOT}/{name}/{document['version']}/{name}"
            try:
                data = self.lake.read(path)
            except FileNotFoundError:
                raise LightworkError(f"{self.lake.uri(path)} is missing although it was written") from None
            if len(data) != document["bytes"] or document["files"][0][3:] not in ([], [digest(data)]):
                raise LightworkError(f"{self.lake.uri(path)} is damaged; write the artifact again")
            return data

        return self._read_newest(name, run, "file", read)

    def _read_newest(self, name: str, run: str | None, kind: str, read: Callable[[dict[str, Any]], T]) -> T:
        """Read the newest version; if that is deleted meanwhile, since a newer one has replaced it, that one.

        Raises:
            LightworkError: there is none, or it cannot be read.
        """
        while True:
            document = self._newest(name, run, kind)
            try:
                return read(document)
            except LightworkError:
                if self.lake.exists(path_of(name, document["version"])):
                    raise

    def find(self, name: str, *, run: str | None = None) -> Artifact:
        """Return the version that `read` or `read_file` would read.

        Raises:
            LightworkError: no such artifact or run; the message suggests existing ones.
        """
        return self._artifact(self._newest(_check_name(name, _FILE_NAME), run, None))

    def list(self, name: str | None = None) -> list[Artifact]:
        """List the versions of one artifact, or of all, newest first; empty if there are none."""
        names = self._names() if name is None else [_check_name(name, _FILE_NAME)]
        versions = [(each, version) for each in names for version in listed(self.lake, each)]
        documents = in_threads(lambda pair: self._load(*pair), versions, 8)
        artifacts = [self._artifact(document) for document in documents if document is not None]
        return sorted(artifacts, key=lambda artifact: artifact.version, reverse=True)

    def _version(self, name: str) -> tuple[str, datetime]:
        """Return the name and time of a new version; the name sorts after those that exist or are begun.

        Clocks differ: the time of this one alone might be earlier than that of the version to replace.
        """
        global _last_time
        with _clock_lock:
            _last_time = max(time.time_ns() // 1000, _last_time + 1)
            created = datetime.fromtimestamp(_last_time // 1_000_000, UTC).replace(
                microsecond=_last_time % 1_000_000
            )
        stamp = created.strftime(_STAMP)
        existing = [*listed(self.lake, name), *self.lake.folders(f"{_ROOT}/{name}")]
        highest = max((each for each in existing if _VERSION.match(each)), default="")
        if highest >= stamp:
            with contextlib.suppress(ValueError, OverflowError):  # no such date, or none after it
                latest = datetime.strptime(highest.partition("-")[0], _STAMP)  # noqa: DTZ007 - UTC by its Z
                stamp = (latest + timedelta(microseconds=1)).strftime(_STAMP)
        return f"{stamp}-{self.run_id}", created

    def _document(
        self, name: str, kind: str, version: str, created: datetime, code_key: object
    ) -> dict[str, Any]:
        facts = dict(self._provenance() if callable(self._provenance) else self._provenance)
        of_pipeline = facts.pop("code_key", None)
        key = getattr(code_key, "digest", code_key) or of_pipeline
        return {
            "name": name,
            "kind": kind,
            "version": version,
            "run_id": self.run_id,
            "created": created.isoformat(),
            "lightwork": __version__,
            "code_key": None if key is None else str(key),
            "provenance": facts,
            "recorded": self._recorded,
        }

    def _publish(self, document: dict[str, Any]) -> Artifact:
        path = path_of(document["name"], document["version"])
        if not self.lake.create(path, seal(document)):
            raise LightworkError(f"{self.lake.uri(path)} exists: another process of the same run wrote it")
        artifact = self._artifact(document)
        self.written.append(artifact)
        if not self._recorded:  # it counts at once, not only when a run has succeeded
            self.renew_latest()
        return artifact

    def renew_latest(self) -> None:
        """Write `latest.parquet` of what this run has written anew; if that fails, a log line says so."""
        from lightwork.store import latest

        latest.renew_all(self.lake, dict.fromkeys(artifact.name for artifact in self.written))

    @contextlib.contextmanager
    def _writing(self, folder: str) -> Iterator[None]:
        """Show that a version is being written; delete its files if that fails."""
        with present(self.lake, self.run_id):
            try:
                yield
            except BaseException:
                self._discard(folder)
                raise

    def _discard(self, folder: str) -> None:
        """Delete the files of a failed write; only log if that fails too, so that the first error shows."""
        try:
            self.lake.delete(entry.path for entry in self.lake.entries(folder))
        except LightworkError as error:
            _log.warning("cannot delete the unfinished files in %s: %s", self.lake.uri(folder), error)

    def _artifact(self, document: dict[str, Any]) -> Artifact:
        name, version = document["name"], document["version"]
        is_file = document["kind"] == "file"
        path = f"{_ROOT}/{name}/{version}" + (f"/{name}" if is_file else "")
        return Artifact(
            name=name,
            run_id=document["run_id"],
            version=version,
            path=path,
            uri=self.lake.uri(path),
            rows=document.get("rows"),
            columns=tuple(document.get("columns", ())),
            bytes=document["bytes"],
            created=datetime.fromisoformat(document["created"]),
        )

    def _names(self) -> Sequence[str]:
        return [name for name in self.lake.folders(_ROOT) if _FILE_NAME.fullmatch(name)]

    def _load(self, name: str, version: str, *, to_read: bool = False) -> dict[str, Any] | None:
        """Read the commit file of a version; None, with a warning, if it is damaged.

        Args:
            name: the artifact's name.
            version: the version.
            to_read: whether the version is to be read. A run then deletes a file that is empty or truncated,
                so that it is reported once.
        """
        path = path_of(name, version)
        try:
            document = checked_commit(self.lake.read(path), name, version)
            if to_read and document["kind"] == "table":
                check_schema(document)
            return document
        except FileNotFoundError:
            return None
        except OddError as error:
            if path not in self._reported:
                _log.warning("ignored a damaged file: %s: %s", self.lake.uri(path), one_line(error))
            self._reported.add(path)
            if to_read and self.run_id and isinstance(error, TornError):
                with contextlib.suppress(LightworkError):  # a lake that may only be read
                    self.lake.delete([path])
            return None

    def _newest(self, name: str, run: str | None, kind: str | None) -> dict[str, Any]:
        versions: Sequence[str] | None = None
        left_out = ""
        # Those that were listed may be gone by now, since newer ones have replaced them: list again then.
        while (found := listed(self.lake, name)) != versions:
            versions = found
            for version in versions:
                if run is None or version.partition("-")[2] == run:
                    document = self._load(name, version, to_read=True)
                    if document is not None and run is None and not self._counts(document):
                        left_out = left_out or document["run_id"]
                        continue
                    if document is not None and kind in (None, document["kind"]):
                        return document
                    if document is not None:
                        method = "read_file" if kind == "table" else "read"
                        raise LightworkError(
                            f"artifact {name!r} is not a {kind}; read it with {method}({name!r})"
                        )
        if run is not None and versions:
            runs = list(dict.fromkeys(version.partition("-")[2] for version in versions))
            raise LightworkError(f"no artifact {name!r} of run {run!r}{near(run, runs)}")
        if left_out:
            raise LightworkError(
                f"no artifact {name!r} of a run that succeeded in {self.lake.root}; the newest is of"
                f" {left_out}, which did not: run={left_out!r} gives it"
            )
        names = [each for each in self._names() if each != name and listed(self.lake, each)]
        raise LightworkError(f"no artifact {name!r} in {self.lake.root}{near(name, names)}")

    def _counts(self, document: Mapping[str, Any]) -> bool:
        """Return whether a version is of a run that succeeded; with a warning if that cannot be known."""
        if document["run_id"] in (self.run_id, os.environ.get(ENV_RUN)):
            return True
        try:
            return is_trusted(self.lake, document)
        except LakeAway:
            raise
        except LightworkError as error:
            if document["name"] not in self._reported:
                _log.warning(
                    "the newest version of artifact %r is taken, as it cannot be known how its run ended: %s",
                    *(document["name"], one_line(error)),
                )
            self._reported.add(document["name"])
            return True


def _check_name(name: str, pattern: re.Pattern[str]) -> str:
    if pattern.fullmatch(name):
        return name
    dot = ' and "."' if pattern is _FILE_NAME else ""
    raise InputError(
        f'artifact {name!r}: expected a name of 1 to 100 of a-z, 0-9, "-", "_"{dot}, starting with a-z or 0-9'
    )


def _content(name: str, data: bytes | str | os.PathLike[str]) -> bytes:
    if isinstance(data, str):
        return data.encode()
    if not isinstance(data, os.PathLike):
        return bytes(data)
    try:
        return Path(data).read_bytes()
    except OSError as error:
        raise InputError(f"artifact {name!r}: cannot read {os.fspath(data)}: {error.strerror}") from error


def _dumps(document: Mapping[str, object]) -> str:
    return json.dumps(document, default=str, ensure_ascii=False, separators=(",", ":"))
