"""Which interval of time each run in a lake has worked on, and how that went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from lightwork.functions.parameter_types import to_text
from lightwork.lake.threads import in_threads
from lightwork.store import records
from lightwork.tenants import intervals

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from lightwork.lake import Lake

__all__ = ["ACTIVE", "Book", "Key", "Known", "best"]

Key: TypeAlias = "tuple[dt.datetime, dt.datetime]"
"""The start and the end of an interval in UTC, as `Interval.key` has them."""
SUCCEEDED = "succeeded"
ACTIVE = ("running", "submitted")
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Known:
    """A run of an interval.

    Attributes:
        run: its name.
        status: as in its record.
        error: why it did not succeed; empty if it did, or has not ended.
    """

    run: str
    status: str
    error: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the interval needs no other run."""
        return self.status == SUCCEEDED

    @property
    def active(self) -> bool:
        """Whether it goes on."""
        return self.status in ACTIVE


def best(runs: Iterable[tuple[Key, Known]]) -> dict[Key, Known]:
    """Return of each interval the run that matters: one that succeeded, else one that goes on, else the last.

    Args:
        runs: the runs, the oldest first.
    """
    found: dict[Key, Known] = {}
    for key, known in runs:
        if key not in found or _rank(known) >= _rank(found[key]):
            found[key] = known
    return found


def _rank(known: Known) -> int:
    return 2 if known.succeeded else 1 if known.active else 0


class Book:
    """The runs of a pipeline by interval, as their records in a lake tell.

    A record that is final is read once, so looking again costs one listing and the runs that go on.

    Args:
        lake: the tenant's lake.
        pipeline: the pipeline's name.
        names: the parameters that take the interval.
        given: other parameters as texts; only runs with the same values count.
    """

    def __init__(self, lake: Lake, pipeline: str, names: tuple[str, str], given: Mapping[str, str]) -> None:
        self._lake = lake
        self._pipeline = pipeline
        self._names = names
        self._given = given
        self._final: dict[str, tuple[str, Key, Known] | None] = {}

    def look(self) -> list[tuple[Key, Known]]:
        """Return the runs that have an interval, the oldest first."""
        names = records.names(self._lake)
        fresh = [name for name in names if name not in self._final]
        found = in_threads(self._read, fresh, _THREADS)
        runs = [*found, *(self._final.get(name) for name in names)]
        in_order = sorted((item for item in runs if item is not None), key=lambda item: item[0])
        return [(key, known) for _, key, known in in_order]

    def of_run(self, name: str) -> Known | None:
        """Return one run; None if it has no record."""
        record = records.run(self._lake, name)
        return None if record is None else _known(record)

    def _read(self, name: str) -> tuple[str, Key, Known] | None:
        record = records.run(self._lake, name)
        if record is None:
            return None
        key = self._key(record)
        item = None if key is None else (str(record.get("started") or ""), key, _known(record))
        if records.ended(record):
            self._final[name] = item
            return None  # `look` adds it
        return item

    def _key(self, record: Mapping[str, Any]) -> Key | None:
        parameters = record.get("parameters")
        if record.get("pipeline") != self._pipeline or not isinstance(parameters, Mapping):
            return None
        if any(to_text(parameters.get(name)) != text for name, text in self._given.items()):
            return None
        own = record.get("interval") or [parameters.get(name) for name in self._names]
        return intervals.parse(own)


def _known(record: Mapping[str, Any]) -> Known:
    status = str(record["status"])
    if status == "failed" and not records.ended(record):
        status = "running"  # in a cluster, its driver may be started again
    return Known(str(record["name"]), status, str(record.get("error") or ""))
