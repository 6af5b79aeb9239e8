"""Deleting what nobody needs from a lake: what killed processes left, and history that is old enough.

What a living process may still use stays; see `store.presence` for how that is known. The newest version of
an artifact stays in any case, and so do all results, whose own rules are in `store.usage`.
"""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.functions import mapped
from lightwork.lake.base import ABANDONED
from lightwork.lake.local import LocalLake
from lightwork.lake.threads import in_threads
from lightwork.store import kinds, marks, presence, records
from lightwork.store.commits import checked_commit
from lightwork.store.documents import OddError
from lightwork.store.versions import is_trusted, newest_first, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lightwork.lake import Lake
    from lightwork.lake.base import Item

_BATCH = 1000
"""Files that are deleted together: as many as S3 takes in one request."""
_LONGEST = 1.0
"""Seconds after which files are deleted that are not as many."""
_INPUTS = "mapped"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept.

    Attributes:
        history: seconds for which runs, their reports, logs of steps, and versions of artifacts that a newer
            one has replaced are kept; None keeps them for ever.
        newest: how many of the newest runs of each pipeline are kept at most; None keeps any number.
        versions: how many of the newest versions of each artifact are kept at most; None keeps any number.
        silent: seconds without a sign of life after which a process counts as ended, where no lock shows it.
        replaced: seconds for which a version is kept after a newer one has replaced it, for those who read
            it, also if `versions` does not keep it.
    """

    history: float | None = None
    newest: int | None = None
    versions: int | None = None
    silent: float = ABANDONED
    replaced: float = 0.0


class Leftover(NamedTuple):
    """Items that go together, all of one kind.

    Attributes:
        kind: one of `kinds.ALL`.
        items: the items.
        spared: whether they stay, as a process may still use them.
    """

    kind: str
    items: list[Item]
    spared: bool = False


@dataclass(slots=True)
class Amount:
    """A number of files and their size in bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, files: int, size: int) -> None:
        """Count files with their size."""
        self.files += files
        self.bytes += size


@dataclass(slots=True)
class Collected:
    """What was deleted so far, by kind, or would be.

    Attributes:
        kinds: the amount of each kind.
        spared: what stays, as a process may still use it.
    """

    kinds: dict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))
    spared: Amount = field(default_factory=Amount)

    def add(self, leftover: Leftover) -> None:
        """Count items."""
        amount = self.spared if leftover.spared else self.kinds[leftover.kind]
        amount.add(len(leftover.items), sum(item.size for item in leftover.items))

    def __str__(self) -> str:
        """Return a line such as `3 jobs, 1 runs (2,034 bytes)`."""
        parts = [f"{amount.files:,} {kind}" for kind, amount in self.kinds.items()]
        return f"{', '.join(parts)} ({self.bytes:,} bytes)"

    @property
    def files(self) -> int:
        """The number of all files."""
        return sum(amount.files for amount in self.kinds.values())

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(amount.bytes for amount in self.kinds.values())


def collect(
    lake: Lake,
    policy: Policy,
    *,
    dry_run: bool = False,
    watch: Callable[[Collected], bool] = lambda _: True,
) -> Collected:
    """Delete what nobody needs.

    Args:
        lake: the lake.
        policy: what is kept.
        dry_run: only count it.
        watch: is called with what was deleted so far after each step; False ends the work.

    Raises:
        LightworkError: the lake cannot be read or written.
    """
    collected = Collected()
    batch: list[Leftover] = []
    flushed = time.monotonic()

    def flush() -> None:
        nonlocal flushed
        flushed = time.monotonic()
        if not dry_run:
            lake.delete(item.path for leftover in batch for item in leftover.items)
        for leftover in batch:
            collected.add(leftover)
        batch.clear()

    for leftover in find(lake, policy, packed=not dry_run):
        if leftover.spared:
            collected.add(leftover)
        elif leftover.items[0].kind == "file" and leftover.kind != kinds.INPUTS:
            batch.append(leftover)
            is_full = sum(len(each.items) for each in batch) >= _BATCH
            if is_full or time.monotonic() - flushed > _LONGEST:
                flush()
        elif dry_run or _discard(lake, leftover):
            collected.add(leftover)
        if not watch(collected):
            return collected
    flush()
    return collected


def find(lake: Lake, policy: Policy, *, packed: bool = False) -> Iterator[Leftover]:
    """Yield what nobody needs, and what a process may still use; what has to be deleted first comes first.

    Args:
        lake: the lake.
        policy: what is kept.
        packed: leave out the runs that the history has not packed since their records changed.
    """
    now = lake.now()
    writers: set[str] = set()
    yield from _artifacts(lake, policy, now, writers)
    yield from _runs(lake, policy, now, writers, packed=packed)
    yield from _step_logs(lake, policy, now)
    yield from _inputs(lake)
    folders = []
    for item in lake.unfinished():
        if item.kind == "folder":
            folders.append(item)
        else:
            yield Leftover(kinds.kind_of(item), [item], not lake.is_abandoned(item, now, policy.silent))
    for item in reversed(folders):  # a folder that holds nothing but an empty one is empty once that is gone
        if lake.is_abandoned(item, now, policy.silent):
            yield Leftover(kinds.FOLDERS, [item])


def _discard(lake: Lake, leftover: Leftover) -> bool:
    if leftover.kind == kinds.INPUTS:
        folder = "/".join(leftover.items[0].path.split("/")[:2])
        return isinstance(lake, LocalLake) and mapped.remove(lake.folder / folder)
    return all(lake.discard(item) for item in leftover.items)


def _inputs(lake: Lake) -> Iterator[Leftover]:
    """Yield the folders of large inputs whose processes have ended."""
    if not isinstance(lake, LocalLake):
        return
    for folder in mapped.abandoned(lake.folder / _INPUTS):
        if items := list(lake.files(f"{_INPUTS}/{folder.name}")):
            yield Leftover(kinds.INPUTS, items)


def _runs(lake: Lake, policy: Policy, now: float, writers: set[str], *, packed: bool) -> Iterator[Leftover]:
    """Yield what ended runs left, and whole runs that are not kept any longer.

    The record of a run stays as long as an artifact that it wrote: it says whether the run succeeded. It
    stays as well until the history has it.
    """
    kept = writers | (marks.runs(lake) if packed else set())
    others: list[tuple[str, float, list[Item]]] = []
    for run_id, group in itertools.groupby(lake.files("runs"), lambda item: kinds.run_of(item.path)):
        if not run_id:
            continue
        items = list(group)
        live = presence.is_live(lake, items, now, policy.silent)
        needed = [item for item in items if kinds.kind_of(item) not in (kinds.JOBS, kinds.SIGNS)]
        used = [item for item in items if kinds.kind_of(item) in (kinds.JOBS, kinds.SIGNS)]
        yield from _by_kind(used, spared=live)
        if not needed:
            continue
        newest = max(item.modified for item in needed)
        is_old = policy.history is not None and now - newest > policy.history
        if is_old and run_id not in kept and (not live or _has_ended(lake, run_id, items)):
            yield from _by_kind(needed)
        elif policy.newest is not None:
            others.append((run_id, newest, needed))
    if policy.newest is not None:
        beyond = list(_beyond_number(lake, others, policy.newest, policy.silent, now))
        # One of them may have ended since the first look at the marks.
        kept |= marks.runs(lake) if packed else set()
        for name, items in beyond:
            if name not in kept:
                yield from _by_kind(items)


def _beyond_number(
    lake: Lake, runs: list[tuple[str, float, list[Item]]], newest: int, silent: float, now: float
) -> Iterator[tuple[str, list[Item]]]:
    """Yield the runs of each pipeline that come after its `newest` newest ones, with what is in them."""
    found = in_threads(lambda run: records.run(lake, run[0]), runs, 8)
    seen: dict[str, int] = defaultdict(int)
    by_start = sorted(zip(runs, found, strict=True), key=lambda pair: _began(*pair), reverse=True)
    for (run_id, modified, items), record in by_start:
        pipeline = str(record and record["pipeline"])
        seen[pipeline] += 1
        over = records.ended(record) if record else now - modified > silent
        if seen[pipeline] > newest and (over or not _is_live_now(lake, run_id, now, silent)):
            yield run_id, items


def _began(run: tuple[str, float, list[Item]], record: Mapping[str, Any] | None) -> float:
    """Return when a run began, by its record; without one, when the newest of its files was written."""
    started = record and record["started"]
    return dt.datetime.fromisoformat(started).timestamp() if started else run[1]


def _has_ended(lake: Lake, run_id: str, items: list[Item]) -> bool:
    """Return whether a run of which there was a sign of life not long ago has ended since."""
    signs = any(kinds.kind_of(item) == kinds.SIGNS for item in items)
    record = None if signs else records.run(lake, run_id)
    return record is not None and records.ended(record)


def _is_live_now(lake: Lake, run_id: str, now: float, silent: float) -> bool:
    return presence.is_live(lake, list(lake.files(f"runs/{run_id}")), now, silent)


def _artifacts(lake: Lake, policy: Policy, now: float, writers: set[str]) -> Iterator[Leftover]:
    """Yield versions without a commit, and those that newer ones have replaced long enough ago.

    Args:
        lake: the lake.
        policy: what is kept.
        now: the time by the lake's clock.
        writers: gets the runs that wrote the versions that stay.
    """

    def name_of(item: Item) -> str:
        return "/".join(item.path.split("/")[:2])

    for _, group in itertools.groupby(lake.files("artifacts"), name_of):
        commits: dict[str, Item] = {}
        parts: dict[str, list[Item]] = defaultdict(list)
        name = ""
        for item in group:
            if (found := kinds.version_of(item.path)) is not None:
                name, version, is_commit = found
                if is_commit:
                    commits[version] = item
                else:
                    parts[version].append(item)
        for version, items in parts.items():
            if version not in commits:
                left = _is_uncommitted(lake, name, version, items, policy, now)
                yield Leftover(kinds.UNCOMMITTED, items, spared=not left)
        replaced = list(_replaced(lake, name, commits, policy, now))
        writers |= {version.partition("-")[2] for version in commits if version not in replaced}
        for version in replaced:
            # Without its commit, a version does not exist any more.
            yield Leftover(kinds.ARTIFACTS, [commits[version], *parts.get(version, ())])


def _is_uncommitted(
    lake: Lake, name: str, version: str, parts: list[Item], policy: Policy, now: float
) -> bool:
    """Return whether nobody will commit a version any more."""
    run_id = version.partition("-")[2]
    signs = list(lake.files(f"runs/{run_id}")) if run_id else []
    if presence.is_live(lake, [*signs, *parts], now, policy.silent):
        return False
    # It may have been committed since it was listed.
    return not lake.exists(path_of(name, version))


def _replaced(lake: Lake, name: str, commits: dict[str, Item], policy: Policy, now: float) -> Iterator[str]:
    """Yield the committed versions that are not kept: never the one that is read, nor newer ones."""
    if len(commits) < 2 or (policy.history is None and policy.versions is None):
        return
    versions = newest_first(commits)
    readable = _newest_readable(lake, name, versions)
    if readable is None:
        return
    for number, version in enumerate(versions):
        if number <= readable:
            continue
        since = now - commits[versions[number - 1]].modified
        too_old = policy.history is not None and since > policy.history
        too_many = policy.versions is not None and number - readable >= policy.versions
        if too_old or (too_many and since >= policy.replaced):
            yield version


def _newest_readable(lake: Lake, name: str, versions: Sequence[str]) -> int | None:
    """Return the position of the version that `Artifacts.read` gives; else of the newest whole one."""
    first = None
    for number, version in enumerate(versions):
        try:
            path = path_of(name, version)
            document = checked_commit(lake.read(path), name, version)
        except (FileNotFoundError, OddError):
            continue
        if is_trusted(lake, document):
            return number
        first = number if first is None else first
    return first


def _step_logs(lake: Lake, policy: Policy, now: float) -> Iterator[Leftover]:
    """Yield the logs of Workflows that Argo has archived long enough ago."""
    if policy.history is None:
        return

    def workflow_of(item: Item) -> str:
        return item.path.split("/")[1]

    for _, group in itertools.groupby(lake.files("argo"), workflow_of):
        items = list(group)
        if now - max(item.modified for item in items) > policy.history:
            yield Leftover(kinds.STEP_LOGS, items)


def _by_kind(items: Iterable[Item], *, spared: bool = False) -> Iterator[Leftover]:
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[kinds.kind_of(item)].append(item)
    for kind, group in groups.items():
        yield Leftover(kind, group, spared)
