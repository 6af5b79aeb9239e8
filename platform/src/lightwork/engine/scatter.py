"""A map over the workers of a Dask cluster: batches out, results in, in the order of the input.

The driver's thread does all the work, when it asks for a result; Dask's own thread only says which
batches are back. A batch that was lost with its worker is sent again by Dask; one that was lost with the
scheduler, by this module. A batch that killed its workers is taken apart until the element is found.
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
from lightwork.engine.compute import KILLED, Failure, describe, shorten
from lightwork.engine.feed import PAGE, Page, Span
from lightwork.engine.job import Parcel, pack
from lightwork.engine.sizing import FIRST, Sizer
from lightwork.engine.worker import NO_KEY, Reply, as_error, pack_batch, run_batch
from lightwork.errors import ElementError, LightworkError, RunFailed
from lightwork.functions.pickling import dump
from lightwork.kube.contract import WORK_SECONDS
from lightwork.logs import get_logger
from lightwork.store import segments
from lightwork.store.results import MISSING
from lightwork.store.segments import SegmentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Future

    from lightwork.engine.mapping import MapCall

_WAIT = 0.2
_SAY_WAITING = 5.0
_LOCAL_PATIENCE = 180.0
_TOGETHER = 32
"""Suspects up to this number are tried one by one; more are first divided by this number."""


@dataclass(slots=True, eq=False)
class Batch:
    """Elements on their way.

    Attributes:
        spans: which.
        count: how many.
        sent_bytes: the size of the payload.
        alone: whether nothing else runs meanwhile, so that what it does is its own fault.
        future: Dask's.
    """

    spans: list[Span]
    count: int
    sent_bytes: int = 0
    alone: bool = False
    future: Future | None = field(default=None, repr=False)


def iterate(call: MapCall) -> Iterator[Any]:
    """Compute what is not cached on the session's workers; yield the results in order.

    Raises:
        ElementError: an element failed, and the task says to stop then.
        RunFailed: the scheduler did not come back.
    """
    return Scatter(call).iterate()


class Scatter:
    """Carries out one map."""

    def __init__(self, call: MapCall) -> None:
        self._call = call
        self._feed = call.feed
        self._options = call.task.options
        self._sizer = Sizer(fixed=self._options.batch)
        self._parcel: Parcel | None = None
        self._name = f"{call.task.fn.__name__}-{uuid.uuid4().hex[:12]}"
        self._numbers = itertools.count()
        self._inflight: set[Batch] = set()
        self._arrived: deque[Batch] = deque()
        self._suspects: deque[list[Span]] = deque()
        self._wake = threading.Event()
        self._ready = 0
        self._error: ElementError | None = None
        self._waiting_since: float | None = None
        self._warned = False
        self._working_since: float | None = None
        self._said_waiting = False

    def iterate(self) -> Iterator[Any]:
        """Yield the results in order.

        Raises:
            ElementError: an element failed, and the task says to stop then.
            RunFailed: the scheduler did not come back.
        """
        feed = self._feed
        try:
            while True:
                if feed.pages:
                    yield from self._emit(feed.pages[0])
                    feed.pages.popleft()
                elif feed.exhausted:
                    feed.check()
                    return
                else:
                    self._step(block=True)
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

    # One step: take in what is back, send what there is room for.

    def _step(self, *, block: bool) -> None:
        try:
            came = bool(self._arrived)
            if came:
                self._collect()
            if self._error is not None:
                raise self._error
            if came and block and self._feed.slow:
                return  # what is here is handed out before the input is waited for again
            self._fill()
            if self._inflight or self._feed.waiting:
                batches = len(self._inflight) + self._batches_left()
                self._call.runner.cluster.need(self._name, batches)
            if block and not self._arrived and (self._inflight or self._feed.waiting):
                self._rest()
        except Lost:
            self._recover()
        self._call.tick()

    def _batches_left(self) -> int:
        """How many batches what is in none yet would make, at a worker's worth of work each."""
        left = self._feed.left()
        left = self._feed.waiting if left is None else left
        if self._sizer.seconds is None:
            # Nothing is back yet. If that takes long, elements are: then each is worth a worker.
            slow = self._working_since is not None and time.monotonic() - self._working_since > WORK_SECONDS
            return left if slow else math.ceil(left / FIRST)
        return math.ceil(left * self._sizer.seconds / WORK_SECONDS)

    def _rest(self) -> None:
        if self._inflight:
            self._wake.wait(_WAIT)
            self._wake.clear()
        cluster = self._call.runner.cluster
        if cluster.slots():
            self._waiting_since = None
            self._working_since = self._working_since or time.monotonic()
            return
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        elif cluster.local and now - self._waiting_since > _LOCAL_PATIENCE:
            raise RunFailed("this machine's worker processes did not come back; what is done is kept")
        elif now - self._waiting_since > _SAY_WAITING and not self._said_waiting:
            get_logger("lightwork").info(f"no worker at {cluster.on} yet; waiting for one")
            self._said_waiting = True
        if not self._inflight:
            time.sleep(_WAIT)

    def _fill(self) -> None:
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
                    return  # all of it is known already: it can be handed out first
            left = feed.left()
            slots = slots or max(1, self._call.runner.cluster_for(self._batches_left()).slots())
            if len(self._inflight) >= slots * sizer.depth():
                return
            if sizer.seconds is None and feed.input_bytes():
                sizer.input_bytes = feed.input_bytes()
            size = sizer.size(slots, left)
            # With an input of unknown length, look further ahead, so as to see its end in time.
            wanted = size if left is not None else 3 * slots * size
            begun = time.monotonic()
            while feed.waiting < wanted and not feed.exhausted and not feed.slow:
                if feed.full(sizer.output_bytes) or not feed.read_page(wanted - feed.waiting):
                    break
                if time.monotonic() - begun > _WAIT:
                    break
            if self._inflight and feed.full(sizer.output_bytes):
                return
            self._send(feed.take(size))
            if feed.slow and self._arrived:
                return

    def _send(self, spans: list[Span], *, alone: bool = False) -> None:
        elements = spans[0].elements() if len(spans) == 1 else [e for span in spans for e in span.elements()]
        keys = None
        if self._call.code is not None:
            keys = b"".join(key or NO_KEY for span in spans for key in span.keys() or ())
        slots = max(1, self._call.runner.cluster.slots())
        budget = math.inf if alone else self._sizer.budget(slots)
        batch = Batch(spans, len(elements), alone=alone)
        if self._parcel is None:
            self._parcel = pack(self._call.job(), f"{self._call.runner.folder}/jobs")
        try:
            payload = pack_batch(self._parcel, elements, keys, budget)
        except Exception:  # noqa: BLE001 - some element cannot be pickled: find which
            self._refuse(batch, elements)
            return
        batch.sent_bytes = len(payload)
        self._inflight.add(batch)
        batch.future = self._call.runner.cluster.submit(
            run_batch, payload, key=f"{self._name}-{next(self._numbers)}"
        )
        batch.future.add_done_callback(lambda _: self._came(batch))

    def _came(self, batch: Batch) -> None:
        self._arrived.append(batch)
        self._wake.set()

    def _refuse(self, batch: Batch, elements: list[Any]) -> None:
        """Make failures of the elements that cannot be sent; the others wait again."""
        places = [(span.page, i) for span in batch.spans for i in span.positions]
        for (page, i), element in zip(places, elements, strict=True):
            try:
                dump(element)
            except Exception as reason:  # noqa: BLE001
                text = (
                    f"the input, a {type(element).__name__}, cannot be sent to a worker: {describe(reason)}"
                )
                self._failed(page, i, Failure(0, shorten(element), text, "", None, 1))
            else:
                self._feed.give_back([Span(page, [i])])

    # What came back

    def _collect(self) -> None:
        batches = [self._arrived.popleft() for _ in range(len(self._arrived))]
        batches = [batch for batch in batches if batch in self._inflight and batch.future is not None]
        good = [batch for batch in batches if batch.future is not None and batch.future.status == "finished"]
        bad = [batch for batch in batches if batch not in good]
        if good:
            replies = self._call.runner.cluster.gather(
                [batch.future for batch in good if batch.future is not None]
            )
            for batch, reply in zip(good, replies, strict=True):
                self._inflight.discard(batch)
                batch.future = None
                self._done(batch, pickle.loads(reply), len(reply))
        for batch in bad:
            self._broken(batch)

    def _done(self, batch: Batch, reply: Reply, received: int) -> None:
        values: list[Any]
        if reply.blocks is None:
            try:
                assert self._call.results is not None  # noqa: S101 - it was committed there
                values = self._call.results.read_segment(reply.path)
            except (FileNotFoundError, SegmentError):
                self._feed.look_again()
                self._feed.give_back(batch.spans, look_again=True)
                return
        elif len(reply.blocks) == 1:
            values = segments.from_block(reply.blocks[0][1])
        else:
            values = [value for _, data in reply.blocks for value in segments.from_block(data)]
        for failure in reply.failures:
            values.insert(failure.position, failure)
        stats = self._call.stats
        stats.batches += 1
        stats.computed += reply.done - len(reply.failures)
        self._sizer.measured(
            reply.done, reply.seconds, batch.sent_bytes * reply.done // batch.count, received
        )
        if reply.warning and not self._warned:
            self._warned = True  # each further batch would say the same
            get_logger("lightwork").warning(f"{self._call.task.name}: {reply.warning}")
        self._call.committed(reply.path)
        start = 0
        rest: list[Span] = []
        for span in batch.spans:
            count = len(span.positions)
            held = values[start : start + count]
            if len(held) < count:
                rest.append(Span(span.page, span.positions[len(held) :]))
                span = Span(span.page, span.positions[: len(held)])
            span.put(held)
            start += count
        self._feed.give_back(rest)
        if reply.failures:
            places = [(span.page, i) for span in batch.spans for i in span.positions]
            for failure in reply.failures:
                self._failed(*places[failure.position], failure)

    def _failed(self, page: Page, position: int, failure: Failure) -> None:
        page.values[position] = failure
        self._call.stats.failed += 1
        error = as_error(self._call.task.name, page.start + position, failure)
        if self._options.on_error == "raise":
            if self._error is None or (self._error.index or 0) > page.start + position:
                self._error = error
        else:
            self._call.report_failure(error)

    def _broken(self, batch: Batch) -> None:
        """A batch that Dask gave up, or that was lost with the scheduler."""
        from distributed.scheduler import KilledWorker

        future = batch.future
        if future is None or future.status != "error":
            raise Lost
        error = future.exception()
        self._inflight.discard(batch)
        batch.future = None
        if not isinstance(error, KilledWorker):
            if isinstance(error, LightworkError):
                raise RunFailed(str(error)) from error
            text = f"{self._call.task.name}: a worker could not run a batch: {describe(error)}"
            raise RunFailed(text) from error
        if batch.count == 1 and batch.alone:
            span = batch.spans[0]
            tries = int(error.allowed_failures) + 1
            failure = Failure(0, shorten(span.elements()[0]), KILLED, "", None, tries)
            self._failed(span.page, span.positions[0], failure)
            return
        get_logger("lightwork").warning(
            f"{self._call.task.name}: workers died again and again; "
            f"looking for the element among {batch.count}"
        )
        self._call.stats.resubmitted += batch.count
        self._suspects.extend(_divided(batch.spans, batch.count))

    def _recover(self) -> None:
        """Reach a scheduler again, and put everything unfinished back; what was committed is found."""
        batches, self._inflight = list(self._inflight), set()
        self._arrived.clear()
        self._call.runner.cluster.reconnect()
        self._feed.look_again()
        before = self._feed.cached
        for batch in sorted(
            batches, key=lambda b: b.spans[0].page.start + b.spans[0].positions[0], reverse=True
        ):
            batch.future = None
            self._feed.give_back(batch.spans, look_again=True)
        found = self._feed.cached - before
        self._feed.cached = before
        self._call.stats.computed += found
        self._call.stats.resubmitted += sum(batch.count for batch in batches) - found

    def _cancel(self) -> None:
        futures = [batch.future for batch in self._inflight if batch.future is not None]
        self._inflight.clear()
        if (cluster := self._call.runner.cluster_if_any) is not None:
            with contextlib.suppress(Exception):
                cluster.need(self._name, 0)
                if futures:
                    cluster.client.cancel(futures, force=True)


def _divided(spans: list[Span], count: int) -> Iterator[list[Span]]:
    """Suspects in parts: each one alone if they are few."""
    places = [(span.page, i) for span in spans for i in span.positions]
    step = 1 if count <= _TOGETHER else math.ceil(count / _TOGETHER)
    for start in range(0, count, step):
        part = places[start : start + step]
        yield [
            Span(page, [i for _, i in group]) for page, group in itertools.groupby(part, key=lambda p: p[0])
        ]
