"""A map over the workers of a Dask cluster: sends batches, and yields results in the order of the input.

All work happens in the driver's thread when it asks for a result; Dask's thread only reports which batches
have returned. Dask resends a batch that was lost with its worker; this module resends those lost with the
scheduler. A batch that kills its workers is split until the element responsible is found.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import pickle
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.cluster.cluster import Lost
from lightwork.cluster.offers import check_offered, threads_of_a_call
from lightwork.cluster.relief import Patience
from lightwork.engine.compute import Failure, killed, shorten
from lightwork.engine.feed import PAGE, Page, Span
from lightwork.engine.places import Places
from lightwork.engine.proof import Difference
from lightwork.engine.sizing import FIRST, Sizer
from lightwork.engine.worker import NO_KEY, Reply, as_error, pack_batch, run_batch, unloadable
from lightwork.errors import ElementError, LakeAway, LightworkError, RunFailed
from lightwork.functions.frozen import Frozen, Unfreezable, freeze, mapped_bytes, thaw
from lightwork.functions.raised import describe, watching
from lightwork.kube.contract import WORK_SECONDS
from lightwork.logs import get_logger
from lightwork.store import segments
from lightwork.store.results import MISSING
from lightwork.store.segments import SegmentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Future

    from lightwork.engine.job import Parcel
    from lightwork.engine.mapping import MapCall

_WAIT = 0.2
"""Seconds to wait for a batch or for more input in one step."""
_REPORT_WAITING = 5.0
"""Seconds without a worker after which a log line says so."""
_SUSPECT_GROUPS = 32
"""Up to this many suspects are tried one by one; more are first split into this many groups."""

_EMITTED = object()
"""Stands for a result that was handed out in any order."""


@dataclass(slots=True, eq=False)
class Batch:
    """Elements that are sent to a worker together.

    Attributes:
        spans: the elements.
        count: the number of elements.
        sent_bytes: the size of the payload, and of what the worker maps for it.
        alone: whether nothing else runs meanwhile, so that a killed worker is this batch's fault.
        future: Dask's future; None before the batch is sent and after it has returned.
    """

    spans: list[Span]
    count: int
    sent_bytes: int
    alone: bool
    future: Future | None = field(default=None, repr=False)

    @property
    def start(self) -> int:
        """The index of its first element in the input."""
        return self.spans[0].start


def iterate(call: MapCall) -> Iterator[Any]:
    """Compute what is not cached, on the session's workers; yield the results in order.

    Raises:
        ElementError: an element failed, and the task's `on_error` is "raise".
        RunFailed: the scheduler was lost for good, or there are no workers.
    """
    with watching():
        yield from Scatter(call).iterate()


class Scatter:
    """Runs one map."""

    def __init__(self, call: MapCall) -> None:
        self._call = call
        self._feed = call.feed
        self._options = call.task.options
        self._sizer = Sizer(fixed=self._options.batch)
        self._parcel: Parcel | None = None
        self._carrying = False
        self._name = f"{call.task.__name__}-{uuid.uuid4().hex[:12]}"
        self._numbers = itertools.count()
        self._inflight: set[Batch] = set()
        self._places = Places()
        self._arrived: deque[Batch] = deque()
        self._suspects: deque[list[Span]] = deque()
        self._wake = threading.Event()
        self._patience = Patience()
        self._error: ElementError | None = None
        self._waiting_since: float | None = None
        self._warned = False
        self._working_since: float | None = None
        self._reported_waiting = False
        self._needed = self._options.resources
        self._threads = threads_of_a_call(call.runner.on, self._needed)

    def iterate(self) -> Iterator[Any]:
        """Yield the results in order.

        Raises:
            ElementError: an element failed, and the task's `on_error` is "raise".
            RunFailed: the scheduler was lost for good, or there are no workers.
        """
        feed = self._feed
        try:
            while True:
                if feed.ready:
                    yield from self._emit_ready(feed.ready.popleft())
                elif feed.ready is not None:
                    feed.pages.clear()
                    if feed.exhausted and feed.emitted == feed.read:
                        feed.check()
                        return
                    self._step(block=True)
                elif feed.pages:
                    yield from self._emit(feed.pages[0])
                    feed.pages.popleft()
                    self._places.forget(feed.emitted)
                elif feed.exhausted:
                    feed.check()
                    return
                else:
                    self._step(block=True)
        except KeyboardInterrupt:
            if (cluster := self._call.runner.cluster_if_any) is not None:
                cluster.interrupted()
            raise
        finally:
            self._cancel()

    def _emit(self, page: Page) -> Iterator[Any]:
        values = page.values
        feed = self._feed
        for i in range(len(values)):
            value = values[i]
            while value is MISSING:
                self._step(block=True)
                value = values[i]
            values[i] = None
            feed.emitted += 1
            if type(value) is Failure:
                if self._options.on_error == "raise":
                    raise as_error(self._call.task.name, page.start + i, value)
                if self._options.on_error == "collect":
                    yield as_error(self._call.task.name, page.start + i, value)
            else:
                yield value
            if self._arrived:
                self._step(block=False)

    def _emit_ready(self, span: Span) -> Iterator[Any]:
        """Hand out what is there of some elements, and was not handed out before."""
        page = span.page
        for i in span.positions:
            value = page.values[i]
            if value is MISSING or value is _EMITTED:
                continue
            page.values[i] = _EMITTED
            self._feed.emitted += 1
            if type(value) is not Failure:
                yield value
            elif self._options.on_error == "collect":
                yield as_error(self._call.task.name, page.start + i, value)
            if self._arrived:
                self._step(block=False)

    def _step(self, *, block: bool) -> None:
        """Take in the batches that have returned, and send as many as the workers have room for."""
        try:
            if self._needed and (self._inflight or self._feed.waiting):
                cluster = self._call.runner.cluster_for(self._batches_left())
                self._needed = None if cluster.offers(self._call.task.name, self._needed) else self._needed
            self._take_in_blamed()
            collected = bool(self._arrived)
            if collected:
                self._patience.renew()
                self._collect()
            if self._error is not None:
                raise self._error
            if collected and block and self._feed.slow:
                return  # hand out these results before waiting for the input again
            self._fill()
            if self._inflight or self._feed.waiting:
                batches = len(self._inflight) + self._batches_left()
                self._call.runner.cluster.need(self._name, math.ceil(batches * self._threads))
            if block and not self._arrived and (self._inflight or self._feed.waiting):
                self._wait()
        except Lost:
            self._recover()
        self._call.tick()

    def _batches_left(self) -> int:
        """Return the number of batches that the remaining elements make, each worth starting a worker for."""
        left = self._feed.left()
        left = self._feed.waiting if left is None else left
        if self._sizer.seconds is None:
            # No batch has returned. After a long wait elements must be slow: each is then worth a worker.
            slow = self._working_since is not None and time.monotonic() - self._working_since > WORK_SECONDS
            return left if slow else math.ceil(left / FIRST)
        return math.ceil(left * self._sizer.seconds / WORK_SECONDS)

    def _wait(self) -> None:
        """Wait a moment for a batch to return."""
        if self._inflight:
            self._wake.wait(_WAIT)
            self._wake.clear()
        cluster = self._call.runner.cluster
        if self._inflight and not self._arrived and self._patience.ends():
            cluster.relieve()
        if cluster.slots():
            self._waiting_since = None
            self._working_since = self._working_since or time.monotonic()
            return
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since > _REPORT_WAITING and not self._reported_waiting:
            get_logger("lightwork").info(f"no worker at {cluster.on} yet; waiting for one")
            self._reported_waiting = True
        if not self._inflight:
            time.sleep(_WAIT)

    def _fill(self) -> None:
        """Read input and send batches until each slot has enough of them."""
        feed, sizer = self._feed, self._sizer
        if self._suspects:
            if not self._inflight:
                self._send(self._suspects.popleft(), alone=True)
            return
        slots = 0
        while not any(batch.alone for batch in self._inflight):
            if not feed.waiting:
                if feed.exhausted or feed.full(sizer.output_bytes) or not feed.read_page(PAGE):
                    return
                if not feed.waiting:
                    return  # the whole page is cached: hand it out first
            left = feed.left()
            if self._needed:
                check_offered(self._call.runner.on, self._call.task.name, self._needed)
            slots = slots or max(1, self._call.runner.cluster_for(self._batches_left()).slots())
            if len(self._inflight) >= slots * sizer.depth():
                return
            if sizer.seconds is None and feed.input_bytes():
                sizer.input_bytes = feed.input_bytes()
            size = sizer.size(slots, left)
            # Read further ahead if the length of the input is unknown, to notice its end early.
            wanted = size if left is not None else 3 * slots * size
            start = time.monotonic()
            while feed.waiting < wanted and not feed.exhausted and not feed.slow:
                if feed.full(sizer.output_bytes) or not feed.read_page(wanted - feed.waiting):
                    break
                if time.monotonic() - start > _WAIT:
                    break
            if self._inflight and feed.full(sizer.output_bytes) and not self._next_is_first():
                return
            self._send(feed.take(size))
            if feed.slow and self._arrived:
                return

    def _next_is_first(self) -> bool:
        """Return whether an element that waits is before all that are sent: handing out waits for it."""
        index = self._feed.next_index()
        return index is not None and all(index < batch.start for batch in self._inflight)

    def _send(self, spans: list[Span], *, alone: bool = False) -> None:
        elements = spans[0].elements() if len(spans) == 1 else [e for span in spans for e in span.elements()]
        keys = None
        if self._call.code is not None:
            keys = b"".join(key or NO_KEY for span in spans for key in span.keys() or ())
        slots = max(1, self._call.runner.cluster.slots())
        budget = math.inf if alone else self._sizer.budget(slots)
        if self._parcel is None:
            self._parcel = self._call.parcel()
        if self._carrying:
            elements = [freeze(thaw(e)) if type(e) is Frozen else e for e in elements]
        if self._feed.names:
            self._parcel = self._call.extend(self._parcel)
        try:
            payload = pack_batch(self._parcel, elements, keys, budget)
        except Exception:  # noqa: BLE001 - some element cannot be pickled: find which
            self._refuse(spans, elements)
            return
        batch = Batch(spans, len(elements), len(payload) + mapped_bytes(elements), alone)
        self._inflight.add(batch)  # first: if the scheduler is lost now, `_recover` puts it back
        batch.future = self._call.runner.cluster.submit(
            run_batch,
            payload,
            key=f"{self._name}-{next(self._numbers)}",
            place=self._places.place(batch.start),
            resources=self._options.resources,
        )
        batch.future.add_done_callback(lambda _: self._arrive(batch))

    def _arrive(self, batch: Batch) -> None:
        self._arrived.append(batch)
        self._wake.set()

    def _refuse(self, spans: list[Span], elements: list[Any]) -> None:
        """Make failures of the elements that cannot be pickled; put the others back."""
        others: dict[Page, list[int]] = {}
        for (page, i), element in zip(_locations(spans), elements, strict=True):
            frozen = freeze(element)
            if type(frozen) is Unfreezable:
                text = f"an input of type {frozen.kind} cannot be sent to a worker: {describe(frozen.error)}"
                self._fail(page, i, Failure(0, shorten(element), text, "", None, 1))
            else:
                page.elements[i] = frozen
                others.setdefault(page, []).append(i)
        self._feed.give_back(Span(page, positions) for page, positions in others.items())

    def _collect(self) -> None:
        batches = [self._arrived.popleft() for _ in range(len(self._arrived))]
        batches = [batch for batch in batches if batch in self._inflight and batch.future is not None]
        finished = [b for b in batches if b.future is not None and b.future.status == "finished"]
        failed = [batch for batch in batches if batch not in finished]
        if finished:
            replies = self._call.runner.cluster.gather(
                [batch.future for batch in finished if batch.future is not None]
            )
            for batch, reply in zip(finished, replies, strict=True):
                self._inflight.discard(batch)
                batch.future = None
                received = pickle.loads(reply)
                if isinstance(received, Difference):
                    self._carry(batch, received)
                else:
                    self._take_in(batch, received, len(reply))
        for batch in failed:
            self._take_in_error(batch)

    def _carry(self, batch: Batch, difference: Difference) -> None:
        """Send a batch again, with the code of this process, that a worker refused as it has other code."""
        self._feed.give_back(batch.spans)
        if self._parcel is not None and self._parcel.proof == difference.proof:
            self._parcel = self._call.carry(difference)
            self._carrying = True

    def _take_in(self, batch: Batch, reply: Reply, received_bytes: int) -> None:
        """Store the results of a batch; put back the elements that the worker did not reach."""
        values: list[Any]
        if reply.blocks is None:
            try:
                assert self._call.results is not None  # noqa: S101 - it was committed to the lake
                values = self._call.results.read_segment(reply.path)
            except (FileNotFoundError, SegmentError):
                self._feed.look_again()
                self._feed.give_back(batch.spans, look_again=True)
                return
        elif len(reply.blocks) == 1:
            values = segments.from_block(reply.blocks[0][1])
        else:
            values = [value for _, data in reply.blocks for value in segments.from_block(data)]
        failures = reply.failures
        for failure in failures:
            values.insert(failure.position, failure)
        if Unfreezable in set(map(type, values)):
            elements = _locations(batch.spans)
            for position, value in enumerate(values):
                if type(value) is Unfreezable:
                    page, i = elements[position]
                    values[position] = unloadable(position, shorten(page.elements[i]), value)
            failures = [value for value in values if type(value) is Failure]
        stats = self._call.stats
        stats.batches += 1
        stats.computed += reply.done - len(failures)
        stats.retried += reply.retried
        stats.waited += reply.waited
        self._call.runner.tally.batches.add(
            reply.worker, self._call.task.name, reply.begun, reply.seconds, reply.done, len(failures)
        )
        self._sizer.record(
            reply.done, reply.seconds, batch.sent_bytes * reply.done // batch.count, received_bytes
        )
        if reply.unkept:
            self._call.note_unkept(reply.unkept, reply.refusal)
        if reply.warning and not self._warned:
            self._warned = True  # further batches have the same warning
            get_logger("lightwork").warning(f"{self._call.task.name}: {reply.warning}")
        self._call.note_changes(reply.changed)
        self._call.add_segment(reply.path, reply.done)
        start = 0
        unreached: list[Span] = []
        for span in batch.spans:
            count = len(span.positions)
            span_values = values[start : start + count]
            if len(span_values) < count:
                unreached.append(Span(span.page, span.positions[len(span_values) :]))
                span = Span(span.page, span.positions[: len(span_values)])
            self._feed.put(span, span_values)
            start += count
        self._feed.give_back(unreached)
        if failures:
            locations = _locations(batch.spans)
            for failure in failures:
                self._fail(*locations[failure.position], failure)

    def _fail(self, page: Page, position: int, failure: Failure) -> None:
        self._feed.put(Span(page, [position]), [failure])
        self._call.stats.failed += 1
        self._call.stats.timed_out += failure.timed_out
        error = as_error(self._call.task.name, page.start + position, failure)
        self._call.runner.tally.failures.add(error, self._call.number)
        if self._options.on_error == "raise":
            if self._error is None or (self._error.index or 0) > page.start + position:
                self._error = error
        else:
            self._call.report_failure(error)

    def _take_in_error(self, batch: Batch) -> None:
        """Handle a batch that Dask gave up: blame its element, split it, or end the run.

        Raises:
            Lost: it was lost with the scheduler.
            LakeAway: the lake stayed away from the worker, which could not commit or read.
            RunFailed: a worker could not run it.
        """
        from distributed.scheduler import KilledWorker

        future = batch.future
        if future is None or future.status != "error":
            raise Lost
        error = future.exception()
        self._inflight.discard(batch)
        batch.future = None
        if not isinstance(error, KilledWorker):
            if isinstance(error, LightworkError):
                kind = LakeAway if isinstance(error, LakeAway) else RunFailed
                raise kind(str(error)) from error
            text = f"{self._call.task.name}: a worker could not run a batch: {describe(error)}"
            raise RunFailed(text) from error
        reason = self._call.runner.cluster.end_of(error.last_worker.address)
        self._blame(batch, int(error.allowed_failures) + 1, reason)

    def _take_in_blamed(self) -> None:
        """Handle the batches that have ended too many workers, as the workers' pods tell."""
        cluster = self._call.runner.cluster_if_any
        blamed = {} if cluster is None else cluster.blamed
        for batch in list(self._inflight) if blamed else ():
            future = batch.future
            if future is not None and future.key in blamed and not future.done():
                self._inflight.discard(batch)
                batch.future = None
                future.cancel(force=True)
                self._blame(batch, *blamed[future.key])

    def _blame(self, batch: Batch, tries: int, reason: str) -> None:
        """Fail the element of a batch that has ended its workers, or split it to find the element."""
        if batch.count == 1 and batch.alone:
            span = batch.spans[0]
            failure = Failure(0, shorten(span.elements()[0]), killed(reason), "", None, tries)
            self._fail(span.page, span.positions[0], failure)
            return
        get_logger("lightwork").warning(
            f"{self._call.task.name}: a batch of {batch.count} elements killed its workers"
            f"{f' ({reason})' if reason else ''}; splitting it to find the element responsible"
        )
        self._call.stats.resubmitted += batch.count
        self._suspects.extend(_split(batch.spans, batch.count))
        self._suspects = deque(sorted(self._suspects, key=lambda spans: spans[0].start))

    def _recover(self) -> None:
        """Reconnect to a scheduler; put back the unfinished elements that are not in the lake by now."""
        batches, self._inflight = list(self._inflight), set()
        self._arrived.clear()
        self._call.runner.cluster.reconnect()
        self._feed.look_again()
        cached = self._feed.cached
        for batch in batches:
            batch.future = None
            self._feed.give_back(batch.spans, look_again=True)
        committed = self._feed.cached - cached
        self._feed.cached = cached
        self._call.stats.computed += committed
        self._call.stats.resubmitted += sum(batch.count for batch in batches) - committed

    def _cancel(self) -> None:
        futures = [batch.future for batch in self._inflight if batch.future is not None]
        self._inflight.clear()
        if (cluster := self._call.runner.cluster_if_any) is not None:
            with contextlib.suppress(Exception):
                cluster.need(self._name, 0)
                if futures:
                    cluster.client.cancel(futures, force=True)


def _locations(spans: list[Span]) -> list[tuple[Page, int]]:
    """Return the page and the position in it of each element."""
    return [(span.page, i) for span in spans for i in span.positions]


def _split(spans: list[Span], count: int) -> Iterator[list[Span]]:
    """Split suspects into groups: of one element each if they are few."""
    locations = _locations(spans)
    step = 1 if count <= _SUSPECT_GROUPS else math.ceil(count / _SUSPECT_GROUPS)
    for start in range(0, count, step):
        group = locations[start : start + step]
        yield [
            Span(page, [i for _, i in pairs]) for page, pairs in itertools.groupby(group, key=lambda p: p[0])
        ]
