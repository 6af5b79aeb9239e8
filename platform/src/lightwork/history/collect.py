"""The collector of the history: packs the runs that have ended, and looks for those that nobody has marked.

It may be killed at any moment, and run several times at once. It deletes nothing whose content it has not
written elsewhere before, and a run that two segments hold counts once.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightwork.history import segments, source
from lightwork.history.packing import Packing
from lightwork.lake.threads import in_threads
from lightwork.store import marks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightwork.history.segments import Listing
    from lightwork.lake import Lake

EVERY = 24 * 3600.0
"""Seconds between two looks for runs without a mark."""
_NEVER_RECORDED = 24 * 3600.0
"""Seconds after which a mark of a run without a record is deleted; its process was killed at its start."""
_ATTEMPTS = 5
"""How often a collector begins anew, as another one has replaced a segment that it was about to read."""
_AT_ONCE = 2_000
"""Runs that are read before they are packed, which bounds the memory."""
_THREADS = 16


@dataclass(slots=True)
class Packed:
    """What a collector has done.

    Attributes:
        runs: the number of runs that it has packed.
        written: the number of segments that it has written.
        artifacts: the names of the artifacts that those runs have written.
        expired: the periods that it has deleted, as they are not kept any longer.
        segments: the period of each segment that there is now, by its path.
    """

    runs: int
    written: int
    artifacts: set[str]
    expired: list[str]
    segments: dict[str, str]


def collect(
    lake: Lake,
    keep: float | None = None,
    *,
    look: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Packed:
    """Pack the runs that have ended; once a day, look for runs that are neither packed nor marked.

    Args:
        lake: the lake.
        keep: seconds for which the history is kept; None keeps it for ever.
        look: look for such runs now, as any that there are may be deleted next.
        stop: returns whether the work is to end; another collector goes on with it.

    Raises:
        LightworkError: the lake cannot be read or written.
    """
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError):
            return _collect(lake, keep, look, stop)
    return _collect(lake, keep, look, stop)


def _collect(lake: Lake, keep: float | None, look: bool, stop: Callable[[], bool]) -> Packed:
    now = dt.datetime.now(dt.UTC)
    listed = segments.listing(lake)
    packing = Packing(lake, listed.segments, now)
    packed = Packed(0, 0, set(), [], packing.segments)
    _pack(lake, sorted(listed.marks), listed, packing, packed, stop)
    before = listed.modified.get(segments.STATE)
    is_due = look or before is None or not 0 <= now.timestamp() - before < EVERY
    if is_due and not stop():
        _look(lake, listed, packing, packed, stop)
        if keep is not None and before is not None:
            # The lake's own clock decides what is deleted, not that of this machine.
            packed.expired = packing.expire(dt.datetime.fromtimestamp(before - keep, dt.UTC))
    if not stop():
        packed.written += packing.fold()
        if is_due:
            lake.write(segments.STATE, b"-")
    return packed


def _pack(
    lake: Lake,
    names: Sequence[str],
    listed: Listing,
    packing: Packing,
    packed: Packed,
    stop: Callable[[], bool],
) -> None:
    """Pack those of some runs that have ended, and delete their marks; mark the others if they are not."""
    oldest = packing.now.timestamp() - _NEVER_RECORDED
    for start in range(0, len(names), _AT_ONCE):
        if stop():
            return
        some = names[start : start + _AT_ONCE]
        runs = in_threads(lambda name: source.run(lake, name), some, _THREADS)
        over = [run for run in runs if run is not None and source.ended(run)]
        packed.written += packing.add(over)
        packed.runs += len(over)
        packed.artifacts |= {str(item.get("name")) for run in over for item in run["artifacts"]}
        done = {run["name"] for run in over}
        gone = [path for name in done for path in listed.marks.get(name, ())]
        for name, run in zip(some, runs, strict=True):
            if run is None:
                gone += [path for path in listed.marks.get(name, ()) if listed.modified[path] < oldest]
            elif name not in done and name not in listed.marks:
                marks.mark(lake, name)
        lake.delete(gone)


def _look(lake: Lake, listed: Listing, packing: Packing, packed: Packed, stop: Callable[[], bool]) -> None:
    """Pack or mark the runs that are neither packed nor marked, and drop what is packed twice."""
    places = _places(lake, packing)
    names = source.names(lake)
    _drop_doubles(places, packing)
    _pack(lake, sorted({*names} - {*places} - {*listed.marks}), listed, packing, packed, stop)


def _places(lake: Lake, packing: Packing) -> dict[str, list[tuple[float, str]]]:
    """Return the segments that have each run, with the time at which its record was read for them."""
    places: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for path in list(packing.segments):
        for run in segments.runs_of(segments.read(lake, path) or ()):
            places[run["name"]].append((run[segments.NOTED], path))
    return places


def _drop_doubles(places: dict[str, list[tuple[float, str]]], packing: Packing) -> None:
    """Drop all but the newest of what several days have of one run, which came back after it was lost."""
    doubles: dict[str, list[str]] = defaultdict(list)
    for name, held in places.items():
        for _, path in sorted(held)[:-1]:
            doubles[path].append(name)
    for path, names in doubles.items():
        if path in packing.segments:
            packing.drop(path, names)
