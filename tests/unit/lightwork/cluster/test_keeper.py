"""A pipeline gets workers for all of its work in a cluster, and releases them."""

from __future__ import annotations

import threading
import time

import pytest

from lightwork import ElementError, connect, task
from lightwork.cluster import fleet as fleets
from lightwork.cluster import keeper
from lightwork.cluster.fleet import Fleet
from lightwork.cluster.losses import TRIES, Loss
from lightwork.engine import calls
from lightwork.errors import RunFailed
from tests.waiting import patience, wait_until

QUOTA = "exceeded quota: quota, requested: pods=1, used: pods=12, limited: pods=12"


class Pods:
    """A stand-in for the Deployment: it starts and stops Dask workers in this process."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.scaled = []
        self.refused = ""

    def replicas(self):
        return self.scaled[-1] if self.scaled else 0

    def scale(self, count):
        self.scaled.append(count)
        if not self.refused:
            self.cluster.scale(count)

    def let_go_first(self, hosts):
        return len(hosts)

    def losses(self):
        return []

    def refusal(self):
        return self.refused


@pytest.fixture
def pods(monkeypatch):
    """A scheduler that has no workers until some are requested, as in Kubernetes."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=0, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        pods = Pods(cluster)
        monkeypatch.setattr(
            "lightwork.cluster.cluster.fleet_from", lambda _: Fleet(pods, max_workers=3, threads=1)
        )
        yield pods


def add(x: int, y: int) -> int:
    return x + y


def session_on(pods, tmp_path):
    return connect(on=pods.cluster.scheduler_address, lake=tmp_path, progress="off")


def test_single_calls_get_workers(pods, tmp_path):
    with session_on(pods, tmp_path):
        assert task(add).submit(1, 2).result(timeout=patience(60)) == 3
    assert pods.scaled[0] >= 1


def test_dasks_own_collections_get_workers(pods, tmp_path):
    import dask.bag

    with session_on(pods, tmp_path):
        assert dask.bag.from_sequence(range(10), npartitions=2).sum().compute() == 45
    assert pods.scaled[0] >= 1


def test_a_map_requests_workers_before_it_connects_to_the_scheduler(pods, tmp_path, monkeypatch):
    from lightwork.cluster import connection

    requested = []

    def record_and_connect(*args):
        requested.extend(pods.scaled)
        return real_connect(*args)

    real_connect = connection.connect
    monkeypatch.setattr(connection, "connect", record_and_connect)
    with session_on(pods, tmp_path):
        assert sum(task(add).map(range(3000), shared={"y": 1})) == sum(range(1, 3001))
    assert requested == [3]


def test_a_run_that_computes_nothing_gets_no_workers(pods, tmp_path):
    with session_on(pods, tmp_path) as session:
        assert session.client is not None
        time.sleep(2.5)
    assert pods.scaled == []


def test_workers_are_released_when_the_run_ends(pods, tmp_path):
    with session_on(pods, tmp_path):
        task(add).submit(1, 2).result(timeout=patience(60))
    assert pods.scaled[-1] == 0


def test_idle_workers_are_released_while_the_pipeline_does_something_else(pods, tmp_path, monkeypatch):
    monkeypatch.setattr(fleets, "IDLE_SECONDS", 1.0)
    with session_on(pods, tmp_path):
        list(task(add).map(range(3000), shared={"y": 1}))
        wait_until(lambda: pods.scaled[-1] == 0, "no worker is left")


@pytest.mark.parametrize("kind", ["map", "submit", "collection"])
def test_a_run_that_gets_no_workers_fails_with_the_reason(pods, tmp_path, monkeypatch, kind):
    import dask.bag

    monkeypatch.setattr(fleets, "REFUSED_SECONDS", 1.0)
    pods.refused = QUOTA
    work = {
        "map": lambda: list(task(add).map(range(10), shared={"y": 1})),
        "submit": lambda: task(add).submit(1, 2).result(),
        "collection": lambda: dask.bag.from_sequence(range(10), npartitions=2).sum().compute(),
    }
    with session_on(pods, tmp_path), pytest.raises(RunFailed, match="exceeded quota: quota, requested"):
        work[kind]()
    assert "lightwork-workers" not in [thread.name for thread in threading.enumerate()]


DISK = 'evicted: Usage of EmptyDir volume "spill" exceeds the limit "1Gi"'
started = threading.Event()
evictions = [0]


def wait_or_add(x: int, y: int) -> int:
    """Return a sum; 7 waits until its worker is evicted, as what fills its disk."""
    before = evictions[0]
    if x == 7:
        started.set()
        until = time.monotonic() + patience(30)
        while evictions[0] == before and time.monotonic() < until:
            time.sleep(0.02)
    return x + y


def wait_at_seven(x: int) -> int:
    return wait_or_add(x, 0)


@pytest.fixture
def evicted(pods, monkeypatch):
    """The worker that computes the 7 is evicted, and replaced, each time."""

    async def remove() -> None:
        for worker in list(pods.cluster.scheduler.workers.values()):
            if worker.processing:
                await pods.cluster.scheduler.remove_worker(worker.address, stimulus_id="evicted")

    def losses() -> list[Loss]:
        if not started.is_set():
            return []
        started.clear()
        pods.cluster.sync(remove)
        evictions[0] += 1
        pods.cluster.scale(0)
        pods.cluster.scale(pods.scaled[-1])
        return [Loss("127.0.0.1", DISK, own=True)]

    monkeypatch.setattr(keeper, "_LOSSES_EVERY", 0.1)
    monkeypatch.setattr(keeper, "EVERY", 0.2)
    monkeypatch.setattr(calls, "_LOOK", 0.2)
    pods.losses = losses
    started.clear()
    pods.cluster.sync(_allow, pods.cluster.scheduler)


async def _allow(scheduler) -> None:
    scheduler.allowed_failures = 100  # Dask's own count, which knows no reason


def test_an_element_that_has_its_workers_evicted_fails_with_the_reason(pods, evicted, tmp_path):
    waiting = task(wait_or_add, on_error="collect", batch=1, cache=False)
    with session_on(pods, tmp_path):
        (error,) = waiting.map([7], shared={"y": 1})
    assert isinstance(error, ElementError)
    assert error.attempts >= TRIES
    assert f"its worker process was killed on every attempt: {DISK}" in str(error)


def test_a_call_that_has_its_workers_evicted_fails_with_the_reason(pods, evicted, tmp_path):
    waiting = task(wait_or_add, cache=False)
    with session_on(pods, tmp_path):
        first = waiting.submit(7, 1)
        second = waiting.submit(first, 1)
        for call in (second, first):
            with pytest.raises(ElementError, match="evicted: Usage of EmptyDir volume"):
                call.result(timeout=patience(30))


def test_a_collection_that_has_its_workers_evicted_fails_the_run_with_the_reason(pods, evicted, tmp_path):
    import dask.bag

    with session_on(pods, tmp_path), pytest.raises(RunFailed, match="ended its worker 6 times: evicted"):
        dask.bag.from_sequence([7], npartitions=1).map(wait_at_seven).compute()
