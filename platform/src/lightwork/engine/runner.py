"""What the maps and calls of one session share: the cluster, the results in the lake, the totals."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from lightwork import logs
from lightwork.engine.job import CURRENT, MARK, MARK_ANEW, Job, Parcel, is_mark, pack
from lightwork.engine.limiting import Limiter, LocalSlots, slots_on_worker
from lightwork.engine.proof import absent_names, differing, explain, packages_of
from lightwork.engine.shared import LargeInputs, Shared
from lightwork.engine.tally import Tally
from lightwork.engine.watch import Watch
from lightwork.errors import InputError, LakeAway, LightworkError, RunFailed, near, one_line
from lightwork.functions import pickling
from lightwork.functions.callables import is_coroutine
from lightwork.keys.components import Unkeyable
from lightwork.keys.reached.survey import survey
from lightwork.keys.values.canonical import encode
from lightwork.lake.base import shown
from lightwork.lake.patience import hurried, in_force, is_news
from lightwork.store import presence
from lightwork.store.attempts import COUNTS, FURTHER
from lightwork.store.groups import Group, Groups
from lightwork.store.results import CodeResults, ResultStore, dated_from
from lightwork.store.tending import Tender

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import structlog

    from lightwork.cluster.cluster import Cluster
    from lightwork.engine.limiting import Slots
    from lightwork.engine.only import Only
    from lightwork.engine.progress import Progress, Stats
    from lightwork.engine.proof import Difference, Proof
    from lightwork.functions.decorated import TaskFunction
    from lightwork.functions.limits import Limit
    from lightwork.keys import CodeKey
    from lightwork.keys.reached.survey import Name
    from lightwork.lake import Lake


class Packed(Protocol):
    """A job, or a call of it, that is ready to send."""

    @property
    def proof(self) -> Proof:
        """What a worker has to find by name as the driver has it."""


class Counted(Protocol):
    """A map that has started and not ended."""

    @property
    def task(self) -> TaskFunction[..., Any]:
        """The task that is called."""

    @property
    def stats(self) -> Stats:
        """Counts of its elements so far."""

    @property
    def total(self) -> int | None:
        """The number of its elements; None while that is not known."""


_Packed = TypeVar("_Packed", bound=Packed)

_REFRESH_EVERY = 1.0
"""Seconds after which a call looks again for new results in the lake."""


class Runner:
    """The running half of a session: it starts the cluster, makes jobs, opens results and counts elements.

    Args:
        on: `serial`, `local`, `coiled` or a scheduler's address.
        workers: the number of workers to start, for `local` and `coiled`.
        lake: the tenant's lake.
        folder: the run's folder in the lake.
        context: fields that every log line of the run carries: tenant, pipeline, run.
        refresh: compute everything again, or the tasks of these names.
        cache: look results up, and keep them.
        progress: the progress display of the session's maps.
        dashboard: whether a cluster on this machine serves Dask's dashboard.
        limits: the session's limits by name.
        threads: the threads of numerical libraries in each worker on this machine; None for one.

    Attributes:
        tally: what the session has done so far, by task.
        places: where large inputs are stored for workers.
        replaced: whether another session took the place of this one.
        maps: the maps that have started and not ended.
        only: the elements of a task that alone are computed; None for all. A serial session heeds it.
    """

    def __init__(
        self,
        *,
        on: str,
        workers: int,
        lake: Lake,
        folder: str,
        context: Mapping[str, str],
        refresh: bool | Collection[str],
        cache: bool,
        progress: Progress,
        dashboard: bool = False,
        limits: Mapping[str, Limit] | None = None,
        threads: int | None = None,
    ) -> None:
        self.on = on
        self.limits = dict(limits or {})
        self._threads = threads
        self._slots: dict[str, Slots] = {}
        self._workers = workers
        self._dashboard = dashboard
        self.lake = lake
        self.folder = folder
        self._jobs_folder = f"{folder}/jobs"
        self._run_id = folder.rpartition("/")[2]
        self._is_present = False
        self._presence_lock = threading.Lock()
        self.context = context
        self.refresh = refresh is True
        self._refreshed = dict.fromkeys(() if isinstance(refresh, bool) else refresh, False)
        self.cache = cache
        self.progress = progress
        self.tally = Tally()
        self._cluster: Cluster | None = None
        self._cluster_lock = threading.RLock()
        self._results: dict[tuple[str, str], tuple[CodeResults, float]] = {}
        # By the task itself, not its id: the task of a bound method lives for one call, and ids are reused.
        self._parcels: WeakKeyDictionary[TaskFunction[..., Any], dict[Any, Parcel]] = WeakKeyDictionary()
        self._calls: WeakKeyDictionary[TaskFunction[..., Any], int] = WeakKeyDictionary()
        self._carried: frozenset[str] = frozenset()
        self._held: set[str] = set()
        self._unkept: set[tuple[str, str]] = set()
        self._warnings: Counter[tuple[str, str]] = Counter()
        self._warnings_lock = threading.Lock()
        self._absent: frozenset[Name] = frozenset()
        self._closed = False
        self._groups: Groups[CodeResults] = Groups(self._commit_group)
        self._calls_sent = False
        self.tender = Tender()
        self.large_inputs = LargeInputs(on, lake)
        self.replaced = False
        self.maps: set[Counted] = set()
        self.only: Only | None = None

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger whose lines carry the run's context."""
        return logs.get_logger("lightwork.run")

    @property
    def cluster(self) -> Cluster:
        """The Dask cluster, started or connected to on first use.

        Raises:
            InputError: the session is serial, or closed.
            RunFailed: the scheduler does not respond.
        """
        return self.cluster_for(0)

    def cluster_for(self, batches: int) -> Cluster:
        """Return the Dask cluster, as `cluster`; if it has yet to start, request workers for a map first.

        Args:
            batches: the number of batches that the map has at least.
        """
        with self._cluster_lock:
            if self._closed:
                raise InputError(closed(self))
            if self._cluster is None:
                self._cluster = self._start_cluster(batches)
            return self._cluster

    @property
    def cluster_if_any(self) -> Cluster | None:
        """The Dask cluster; None before anything has needed one, and once the session is closed."""
        return None if self._closed else self._cluster

    def _start_cluster(self, batches: int) -> Cluster:
        from lightwork.cluster.cluster import Cluster
        from lightwork.engine.worker import commit_running

        if self.on == "serial":
            raise InputError("a serial session has no cluster; give on='local' or a scheduler's address")
        is_own = self.on in ("local", "coiled")
        start = time.monotonic()
        with self.progress.doing(
            f"starting {self._workers} workers" if is_own else f"connecting to {self.on}"
        ):
            cluster = Cluster(
                *(self.on, self._workers, batches, commit_running),
                dashboard=self._dashboard,
                threads=self._threads,
            )
        self.tally.connecting += time.monotonic() - start
        if cluster.local:
            cluster.client.subscribe_topic(logs.TOPIC, lambda event: _show(event[1]))
        where = f"{self._workers} workers" if cluster.local else self.on
        dashboard = f", dashboard {cluster.dashboard}" if cluster.dashboard else ""
        # A pipeline's run has named the lake before.
        lake = "" if "pipeline" in self.context else f", lake {shown(self.lake)}"
        self.log.info(f"running on {where}{dashboard}{lake}")
        return cluster

    def parcel(self, task: TaskFunction[..., Any], code: CodeKey | None, state: State) -> Parcel:
        """Return the job of a task's single calls, packed once for each state of its code."""
        parcels = self._parcels.setdefault(task, {})
        if not state.exact:
            return self.store(self.pack(self.job(task, code)))
        key = (state, self._carried, self._absent)
        if key not in parcels:
            parcels[key] = self.store(self.pack(self.job(task, code)))
        return parcels[key]

    def pack_again(self, task: str, difference: Difference, pack: Callable[[], _Packed]) -> _Packed:
        """Pack a job that a worker refused, with the packages by value that the worker has otherwise.

        Args:
            task: the task's name.
            difference: what the worker has.
            pack: packs the job, or a call of it.

        Raises:
            RunFailed: they cannot be sent by value, or are sent so already; the line says what differs.
        """
        try:
            packed = pack()
            if packed.proof != difference.proof:
                if packed.proof.names == difference.proof.names:
                    raise RunFailed(
                        explain(task, difference, "and it has changed again since the run started")
                    )
                return packed  # they go by value since another job was refused
            if absent := absent_names(difference) - self._absent:
                self._absent |= absent
                lacking = ", ".join(map(str, sorted(absent)))
                self.log.warning(
                    f"{task} may import {lacking}, which a worker lacks: the import fails there if it runs; "
                    "import it at the top of its module, so that it is sent along"
                )
                return pack()
            packages = packages_of(differing(difference)) - self._carried
            if difference.libraries or not packages:
                raise RunFailed(explain(task, difference))
            pickling.hold(packages)
            self._carried |= packages
            packed = pack()
        except InputError as error:
            raise RunFailed(explain(task, difference, one_line(error.__cause__ or error))) from error
        names = ", ".join(sorted(packages))
        self.log.info(f"{task}: workers have other code of {names} than this process; sending ours")
        return packed

    def pack(self, job: Job) -> Parcel:
        """Pickle a job as it is now; nothing is sent, and no cluster started.

        Raises:
            InputError: the function or its shared arguments cannot be sent to another process.
        """
        return pack(job, self._jobs_folder, self._absent)

    def watch(self, task: TaskFunction[..., Any]) -> Watch | None:
        """Return what notices changes that a call in this process makes itself; None for most calls."""
        calls = self._calls[task] = self._calls.get(task, 0) + 1
        looks = not calls & (calls - 1) and task.options.version is None
        if not looks:
            return None
        watch = Watch(task.fn)
        watch.before_call()
        return watch

    def store(self, parcel: Parcel) -> Parcel:
        """Make a packed job ready to send; a large one goes to the run's folder in the lake."""
        with self._presence_lock:
            if parcel.is_large and not self._is_present:
                # As long as it is, nobody takes the jobs for those of a killed run.
                self._is_present = True
                presence.enter(self.lake, self._run_id)
        return parcel.stored(lambda: self._lake_mark)

    def job(
        self,
        task: TaskFunction[..., Any],
        code: CodeKey | None,
        *,
        shared: Shared | None = None,
        wide: bool = False,
        names: tuple[str, ...] = (),
        generation: int = 0,
    ) -> Job:
        """Return the job that tells a worker how to run a task."""
        self._hold_packages()
        return Job(
            fn=task.fn,
            task=task.name,
            options=task.options,
            shared=shared or Shared({}),
            wide=wide,
            names=names,
            is_async=is_coroutine(task.fn),
            lake=self.lake,
            code=None if code is None else code.digest,
            context=self.context,
            forward=self.on == "local",
            generation=generation,
            limits=self.limits,
        )

    def limited(
        self, task: TaskFunction[..., Any], call: Callable[[Any], Any], note: Callable[[float], object]
    ) -> Callable[[Any], Any]:
        """Return a task's function as this process calls it: with a slot, if the task has a limit.

        Args:
            task: the task.
            call: the function without one.
            note: is called with the seconds that each call has waited.
        """
        limiter = self.limiter(task, note)
        return call if limiter is None else limiter.call(call)

    def limiter(self, task: TaskFunction[..., Any], note: Callable[[float], object]) -> Limiter | None:
        """Return what takes a slot in this process for each call of a task; None if it has no limit."""
        if task.options.limit is None:
            return None
        limit, outer = self.limits[task.options.limit], CURRENT.get()
        if outer is not None:  # a task that maps another, on a worker
            slots: Slots = slots_on_worker(outer.context.get("run", ""), limit)
        else:
            slots = self._slots.setdefault(limit.name, LocalSlots(limit))
        return Limiter(task.name, limit, slots, note)

    def _hold_packages(self) -> None:
        """Pickle first-party code by value for remote workers, also before there is a connection to them."""
        if self.on in ("serial", "local"):
            return
        if self._cluster is not None:
            self._cluster.hold_packages()
            return
        packages = pickling.own_packages() - self._held
        pickling.hold(packages)
        self._held |= packages

    @functools.cached_property
    def _lake_mark(self) -> str:
        if not self.lake.exists(MARK):
            self.lake.create(MARK, uuid.uuid4().hex.encode())
        mark = self.lake.read(MARK).decode(errors="replace")
        if is_mark(mark):
            return mark
        self.log.warning(f"wrote a damaged file anew: {self.lake.uri(MARK)}")
        # Of several runs that find it damaged, all write the same.
        self.lake.create(MARK_ANEW, uuid.uuid4().hex.encode())
        mark = self.lake.read(MARK_ANEW).decode(errors="replace")
        if not is_mark(mark):
            mark = uuid.uuid4().hex
            self.lake.write(MARK_ANEW, mark.encode())
        self.lake.write(MARK, mark.encode())
        return mark

    def counts(self) -> tuple[dict[str, int], bool]:
        """Return the totals with those of the maps that go on, and whether all of these know their total."""
        maps = list(self.maps)
        counts = dict(self.tally.elements)
        for item in maps:
            _add(counts, item)
        return counts, all(item.total is not None for item in maps)

    def counts_by_task(self) -> dict[str, dict[str, int]]:
        """Return the totals of each task, with those of the maps that go on."""
        tasks = {name: dict(counts) for name, counts in list(self.tally.tasks.items())}
        for item in list(self.maps):
            _add(tasks.setdefault(item.task.name, dict.fromkeys(COUNTS, 0)), item)
        return tasks

    def code_of(self, task: TaskFunction[..., Any]) -> CodeKey | None:
        """Return a task's code key; None if its results are not cached, with a warning if it has no key."""
        if not (self.cache and task.options.cache):
            return None
        from lightwork.keys import code_key

        try:
            key = code_key(task)
        except Unkeyable as error:
            self.warn(task.name, "code", f"{task.name} is not cached: {error}")
            return None
        self.tally.code_keys[task.name] = key.digest
        return key

    def warn(self, task: str, kind: str, message: str) -> None:
        """Log a warning once for a task and kind; later ones are counted, and reported by `close`.

        Args:
            task: the task's name.
            kind: what has no key or cannot be kept, `code`, `arguments` or `result`; `lake` if the lake
                refuses results.
            message: the warning.
        """
        with self._warnings_lock:
            self._warnings[task, kind] += 1
            first = self._warnings[task, kind] == 1
        if first:
            self.log.warning(message)

    def results_of(self, task: TaskFunction[..., Any], code: CodeKey, *, newest: bool = False) -> CodeResults:
        """Return a task's results in the lake, at most a second old; up to date if `newest`."""
        opened = self._results.get((task.name, code.digest))
        if opened is None:
            results = ResultStore(self.lake, task.name).open(code)
            is_new = True
            try:
                results.describe(code)
            except LakeAway:
                raise
            except LightworkError as error:
                self._unkept.add((task.name, code.digest))
                self.warn(task.name, "lake", f"{task.name}: results are not kept in the lake: {error}")
        else:
            results, refreshed = opened
            is_new = False
            if not newest and time.monotonic() - refreshed < _REFRESH_EVERY:
                return results
        results.refresh()
        if is_new:
            self.tender.found(self.lake, results.folder, *results.untended)
        self._results[task.name, code.digest] = (results, time.monotonic())
        return results

    def forget_results(self, task: TaskFunction[..., Any]) -> None:
        """Drop what was read of a task's results, which have been deleted."""
        for name, code in [key for key in self._results if key[0] == task.name]:
            del self._results[name, code]

    def keep(
        self, task: TaskFunction[..., Any], code: CodeKey, key: bytes, value: Any, generation: int
    ) -> None:
        """Keep the result of a call in this process; it is committed with others, a moment later."""
        results = self._results[task.name, code.digest][0]
        self._groups.add((task.name, code.digest), results, key, value, generation)

    def _commit_group(self, group: Group[CodeResults]) -> None:
        results = group.about
        keys, blocks, generations = group.parts()
        try:
            results.commit(keys, blocks, generations)
        except LakeAway:
            raise
        except LightworkError as error:
            text = f"{results.task}: results were computed but not kept in the lake: {error}"
            self.warn(results.task, "lake", text)
            return
        self.tender.note(self.lake, results.folder, 1, len(generations))

    def pending(self, task: TaskFunction[..., Any], code: CodeKey, key: bytes) -> Any:
        """Return the result of a call in this process that is still to be committed; else `MISSING`."""
        return self._groups.find((task.name, code.digest), key)

    def note_call(self, task: TaskFunction[..., Any], code: CodeKey) -> None:
        """Note that a call has been sent to a worker, which will commit its result."""
        self._calls_sent = True
        self.tender.note(self.lake, self._results[task.name, code.digest][0].folder, 1, 1)

    def commit_calls(self) -> None:
        """Commit the results of calls that are still to be committed, here and on the workers."""
        self._groups.commit()
        if self._calls_sent and self._cluster is not None:
            from lightwork.engine.worker import commit_calls, commit_running

            self._calls_sent = False
            self._cluster.on_workers(commit_running if in_force(1.0) == 0.0 else commit_calls)

    def refreshes(self, task: TaskFunction[..., Any]) -> bool:
        """Return whether a task's results are computed again."""
        short = task.name.rpartition(".")[2]
        named = [name for name in (task.name, short) if name in self._refreshed]
        self._refreshed.update(dict.fromkeys(named, True))
        return self.refresh or task.options.refresh or bool(named)

    def generation_of(self, task: TaskFunction[..., Any], results: CodeResults) -> int:
        """Return the generation of a task's results that are computed from now on."""
        dated = dated_from(task.options.lifetime)
        return results.next_generation(dated) if self.refreshes(task) else results.generation_from(dated)

    def keeps(self, task: TaskFunction[..., Any], code: CodeKey) -> bool:
        """Return whether the lake takes new results of a task; `results_of` has tried it."""
        return (task.name, code.digest) not in self._unkept

    def close(self) -> None:
        """Disconnect from the cluster; stop it if this session started it."""
        if self._closed:
            return
        pickling.release(set(self._carried))
        pickling.release(self._held)
        try:
            self.commit_calls()
        finally:
            self._closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        for name in [name for name, done in self._refreshed.items() if not done]:
            self.log.warning(f"refresh: no task {name!r} has run{near(name, self.tally.tasks)}")
        for (task, kind), count in self._warnings.items():
            if count > 1:
                cause = "the lake" if kind == "lake" else f"their {kind}"
                self.log.warning(f"{task}: {count - 1:,} more calls were not cached, because of {cause}")
        try:
            if self._cluster is not None:
                self._cluster.close()
        finally:
            self.large_inputs.close()
            with self.progress.doing("merging small files of results"):
                self.tender.close()

    def remove_jobs(self) -> None:
        """Delete the jobs that were put in the lake for this run's workers; do not wait, ignore errors."""
        with contextlib.suppress(Exception), hurried():
            self.lake.delete([entry.path for entry in self.lake.entries(self._jobs_folder)])
        if self._is_present:
            self._is_present = False
            presence.leave(self.lake, self._run_id)


def _add(counts: dict[str, int], item: Counted) -> None:
    """Add a map that goes on."""
    for name in (*COUNTS, *FURTHER):
        if (number := getattr(item.stats, name)) or name in counts:
            counts[name] = counts.get(name, 0) + number
    counts["total"] += max(0, (item.total or 0) - item.stats.total)


def closed(runner: Runner) -> str:
    """Return the text of an error of a session that is closed."""
    if runner.replaced:
        return (
            "the session is closed: connect was called again with the same arguments, and its session took"
            " the place of this one; use that one, or open each in a `with` statement"
        )
    return "the session is closed; open one: with lightwork.connect() as session: ..."


def _show(line: str) -> None:
    """Show a log line of a worker on this machine; not one that says once more what is waited for."""
    if is_news(line):
        logs.show(line)


@dataclass(frozen=True, slots=True)
class State:
    """A task's code as it is at one moment.

    Attributes:
        digest: it changes if anything changes that has a stable key.
        exact: whether all of the code has one.
    """

    digest: tuple[Any, ...]
    exact: bool


def state_of(task: TaskFunction[..., Any], code: CodeKey | None) -> State:
    """Return the state of a task's code as it is now.

    Args:
        task: the task.
        code: its code key of this moment, if it has one.
    """
    if code is None or task.options.version is not None:
        found = survey(task.fn)
        return State((code and code.digest, found.digest), not found.holes)
    fn = getattr(task.fn, "__func__", task.fn)
    defaults = getattr(fn, "__defaults__", None), getattr(fn, "__kwdefaults__", None)
    try:  # they are not in the code key
        return State((code.digest, encode(defaults)), exact=True)
    except Unkeyable:
        return State((code.digest,), exact=False)
