"""Which interval of time each run in a lake has worked on, and how that went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from lightwork import run_names
from lightwork.functions import parameters
from lightwork.functions.parameter_types import to_text
from lightwork.lake.threads import in_threads
from lightwork.store import records
from lightwork.tenants import intervals

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from lightwork.functions.parameters import Parameter
    from lightwork.lake import Lake

__all__ = ["ACTIVE", "Book", "Given", "Key", "Known", "best"]

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


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter that is given beside the interval.

    Attributes:
        text: its value as it is given.
        parameter: its type; None if that is known in the pipeline's image only.
    """

    text: str
    parameter: Parameter | None = None

    def matches(self, recorded: object) -> bool:
        """Return whether a run's record has the same value: `0.50` is 0.5, and `yes` is true."""
        if (text := to_text(recorded)) == self.text:
            return True
        try:
            if self.parameter is None:
                return bool(json.loads(self.text) == recorded)
            return bool(_value(self.parameter, self.text) == _value(self.parameter, text))
        except ValueError:  # an InputError is a ValueError
            return False


def _value(parameter: Parameter, text: str) -> object:
    return parameters.value_of(parameter.name, parameter, text)


class Book:
    """The runs of a pipeline by interval, as their records in a lake tell.

    A record that is final is read once, so looking again costs one listing and the runs that go on.

    Args:
        lake: the tenant's lake.
        pipeline: the pipeline's name.
        names: the parameters that take the interval.
        given: other parameters by name; only runs with the same values count.
        since: runs that were submitted earlier do not count, and are not read if their names tell that.
    """

    def __init__(
        self,
        lake: Lake,
        pipeline: str,
        names: tuple[str, str],
        given: Mapping[str, Given],
        since: dt.datetime,
    ) -> None:
        self._lake = lake
        self._since = since
        self._start = run_names.new(pipeline).rsplit("-", 2)[0]
        self._pipeline = pipeline
        self._names = names
        self._given = given
        self._final: dict[str, tuple[str, Key, Known] | None] = {}

    def look(self) -> list[tuple[Key, Known]]:
        """Return the runs that have an interval, the oldest first."""
        names = [name for name in records.names(self._lake) if self._may_count(name)]
        fresh = [name for name in names if name not in self._final]
        found = in_threads(self._read, fresh, _THREADS)
        runs = [*found, *(self._final.get(name) for name in names)]
        in_order = sorted((item for item in runs if item is not None), key=lambda item: item[0])
        return [(key, known) for _, key, known in in_order]

    def _may_count(self, name: str) -> bool:
        """Return whether a run's name may be one of the pipeline, and of a run that is new enough."""
        submitted = run_names.time_in(name)
        new = submitted is None or submitted >= self._since
        # Names of before have no pipeline in them, and begin with a time.
        return new and (name[:1].isdigit() or name.startswith(self._start))

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
        values = record.get("parameters")
        if record.get("pipeline") != self._pipeline or not isinstance(values, Mapping):
            return None
        if not all(given.matches(values.get(name)) for name, given in self._given.items()):
            return None
        # The run's own first: with several steps, the record may have the interval of one of them.
        own = [values.get(name) for name in self._names]
        return intervals.parse(own) or intervals.parse(record.get("interval"))


def _known(record: Mapping[str, Any]) -> Known:
    status = str(record["status"])
    if status == "failed" and not records.ended(record):
        status = "running"  # in a cluster, its driver may be started again
    return Known(str(record["name"]), status, str(record.get("error") or ""))
