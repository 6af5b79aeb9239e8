"""The logs that a lake keeps of a run: of a run on one machine, and of a run's pods in a cluster.

runs/<run>/log.jsonl, .jsonl.gz          the events of a run on one machine
runs/<run>/logs/<driver pod>/<n>.jsonl.gz  lines of scheduler and workers, as `cluster.pod_logs` read them
argo/<run>/<pod>/main.log                what a driver or a step wrote, kept by Argo at its end
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lightwork.errors import one_line
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lightwork.lake import Entry, Lake

__all__ = ["Kept", "keep", "kept", "of_machine", "tail"]

_OF_ARGO = "main.log"
_UNPACKED = 32 << 20
"""Bytes to which a log is unpacked for its tail, at most."""
_PODS = 16
"""Pods whose logs a tail takes in: those that wrote last."""


class Kept(NamedTuple):
    """A line of a log.

    Attributes:
        time: when it was written, in ISO 8601; that of the line before if the line does not say.
        pod: the pod's name; empty for a run on one machine.
        text: the line.
    """

    time: str
    pod: str
    text: str


def keep(lake: Lake, run: str, writer: str, number: int, lines: Iterable[Kept]) -> None:
    """Keep lines of a run's pods.

    Args:
        lake: the tenant's lake.
        run: the run's name.
        writer: the driver's pod, which has read them.
        number: how often it has done so before.
        lines: the lines.
    """
    text = "".join(f"{json.dumps(line._asdict())}\n" for line in lines)
    lake.write(f"runs/{run}/logs/{writer}/{number:06}.jsonl.gz", gzip.compress(text.encode(), 6))


def kept(lake: Lake, run: str) -> list[Kept]:
    """Return what a lake keeps of a run's log, in the order of time; nothing if it keeps none."""
    of_dask = _of_dask(lake, lake.entries(f"runs/{run}/logs"))
    lines = [*_of_argo(lake, run), *of_dask, *of_machine(lake, run)]
    return sorted(lines, key=lambda line: line.time)


def of_machine(lake: Lake, run: str) -> list[Kept]:
    """Return the log of a run on one machine in the order in which it was written; nothing if there is none.

    A line that is being written is left out.
    """
    for name in ("log.jsonl", "log.jsonl.gz"):
        path = f"runs/{run}/{name}"
        try:
            text = _text(lake.read(path))
        except FileNotFoundError:
            continue
        except zlib.error as error:
            _damaged(lake, path, error)
            continue
        return list(_events(text[: text.rfind("\n") + 1]))
    return []


def tail(lake: Lake, run: str, most: int = 1 << 20) -> tuple[list[Kept], bool]:
    """Return the end of what a lake keeps of a run's log, and whether there is more before it.

    Args:
        lake: the lake.
        run: the run's name.
        most: bytes at the end of a pod's log that are looked at, and of the log of all workers.
    """
    of_argo = [item for item in lake.entries(f"argo/{run}") if item.path.endswith(f"/{_OF_ARGO}")]
    of_run = lake.entries(f"runs/{run}")
    own = [item for item in of_run if item.path.rpartition("/")[2] in ("log.jsonl", "log.jsonl.gz")][:1]
    newest = sorted(of_argo, key=lambda item: item.modified)[-_PODS:]
    is_cut = len(newest) < len(of_argo)
    lines: list[Kept] = []
    for entry in [*newest, *own]:
        text, part = _end(lake, entry, most)
        is_cut = is_cut or part
        lines += _events(text, "" if entry in own else entry.path.split("/")[2])
    of_workers = [item for item in of_run if item.path.startswith(f"runs/{run}/logs/")]
    last: list[Entry] = []
    for entry in sorted(of_workers, key=lambda item: item.modified, reverse=True):
        if (most := most - entry.size) < 0:
            is_cut = True
            break
        last.append(entry)
    return sorted([*lines, *_of_dask(lake, last)], key=lambda line: line.time), is_cut


def _end(lake: Lake, entry: Entry, most: int) -> tuple[str, bool]:
    """Return the last whole lines of a log, and whether there is more before them."""
    is_long = entry.size > most
    if is_long and lake.read_range(entry.path, 0, 2) == b"\x1f\x8b":
        return "", True  # its end is not readable without all before it
    try:
        data = lake.read_range(entry.path, entry.size - most if is_long else 0, most)
        text = _text(data, _UNPACKED)
    except FileNotFoundError:
        return "", False
    except zlib.error as error:
        _damaged(lake, entry.path, error)
        return "", False
    return (text.partition("\n")[2] if is_long else text), is_long


def _of_argo(lake: Lake, run: str) -> Iterator[Kept]:
    for entry in lake.entries(f"argo/{run}"):
        if entry.path.endswith(f"/{_OF_ARGO}"):
            yield from _events(_text(lake.read(entry.path)), entry.path.split("/")[2])


def _of_dask(lake: Lake, entries: Iterable[Entry]) -> Iterator[Kept]:
    """Yield the lines of scheduler and workers, once if several attempts of the driver have read them."""
    by_writer: dict[str, Counter[Kept]] = {}
    for entry in entries:
        lines = by_writer.setdefault(entry.path.rpartition("/")[0], Counter())
        try:
            lines.update(_segment(_text(lake.read(entry.path))))
        except (ValueError, TypeError, KeyError, zlib.error) as error:
            _damaged(lake, entry.path, error)
    most: Counter[Kept] = Counter()
    for lines in by_writer.values():
        most |= lines
    yield from most.elements()


def _segment(text: str) -> list[Kept]:
    lines = [json.loads(line) for line in text.split("\n") if line]
    return [Kept(*(str(line[name]) for name in Kept._fields)) for line in lines]


def _damaged(lake: Lake, path: str, error: Exception) -> None:
    get_logger("lightwork").warning(f"ignored a damaged file: {lake.uri(path)}: {one_line(error)}")


def _events(text: str, pod: str = "") -> Iterator[Kept]:
    """Yield lines that tell their time themselves, if they are events."""
    time = ""
    for line in text.split("\n"):
        if line:
            time = _time(line) or time
            yield Kept(time, pod, line)


def _time(line: str) -> str:
    if not line.startswith("{"):
        return ""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    return str(event.get("timestamp") or "")


def _text(data: bytes, most: int = 0) -> str:
    """Return a log's text; of a compressed one that was cut off, what is whole.

    Args:
        data: the log.
        most: bytes to which it is unpacked at most; 0 for all.

    Raises:
        zlib.error: it is damaged.
    """
    if data[:2] == b"\x1f\x8b":
        data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, most)
    return data.decode(errors="replace")
