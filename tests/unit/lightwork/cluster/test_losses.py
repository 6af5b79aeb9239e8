"""Lost workers in Kubernetes: which count, whom they blame, and when the run fails by their reason."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lightwork.cluster import losses as module
from lightwork.cluster import run_objects
from lightwork.cluster.losses import TRIES, Loss, Losses
from lightwork.cluster.run_objects import KubernetesPods
from lightwork.errors import RunFailed

DISK = 'evicted: Usage of EmptyDir volume "spill" exceeds the limit "1Gi"'


def lose(losses: Losses, *tasks: str, own: bool = True, reason: str = DISK) -> None:
    losses.note(Loss("10.0.0.1", reason, own), tasks)


def test_a_task_that_ends_its_worker_several_times_is_blamed_with_the_reason():
    losses = Losses()
    for number in range(TRIES):
        assert losses.blamed == {}
        lose(losses, "bad")
        lose(losses, f"good-{number}")
    assert losses.blamed == {"bad": (TRIES, DISK)}


def test_a_node_that_is_gone_blames_nothing():
    losses = Losses()
    for _ in range(20):
        lose(losses, "slow", own=False, reason="its node is gone")
    assert losses.blamed == {}


def test_a_task_that_ends_many_workers_at_once_is_left_to_its_map():
    losses = Losses()
    for _ in range(3 * TRIES):
        lose(losses, "bad")
    assert losses.blamed == {"bad": (3 * TRIES, DISK)}


def test_a_task_that_nobody_fails_fails_the_run(monkeypatch):
    monkeypatch.setattr(module, "UNHANDLED", 0.0)
    losses = Losses()
    for _ in range(2 * TRIES - 1):
        lose(losses, "sum-1")
    with pytest.raises(RunFailed, match=r"task sum-1 ended its worker 6 times: evicted: .*exceeds"):
        lose(losses, "sum-1")


EXIT = "container worker ended with exit code 1"


def start_in_vain(losses: Losses) -> None:
    losses.note(Loss("10.0.0.1", EXIT, own=True), None)


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock of the module: its `now` is set by the test."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    return clock


def test_workers_that_end_as_they_start_for_long_fail_the_run(clock):
    losses = Losses()
    for _ in range(4):
        start_in_vain(losses)
        clock.now += 40
    with pytest.raises(RunFailed, match=f"as soon as they start: {EXIT}"):
        start_in_vain(losses)


def test_many_workers_that_end_at_once_do_not_fail_the_run(clock):
    """All workers that start before the scheduler trusts a new authority end so."""
    losses = Losses()
    for _ in range(8):
        for _ in range(3):
            start_in_vain(losses)
        clock.now += 10
    losses.working()
    clock.now += 600
    for _ in range(20):
        start_in_vain(losses)


def test_workers_that_end_as_they_start_while_others_work_do_not_fail_the_run():
    losses = Losses()
    for _ in range(20):
        start_in_vain(losses)
        losses.working()


def test_workers_that_were_ended_as_their_work_was_cancelled_do_not_fail_the_run():
    losses = Losses()
    for _ in range(20):
        lose(losses, reason="ended by SIGKILL")


def pod(uid: str = "a", *, restarts: int = 0, phase: str = "Running", **more) -> dict:
    container = {"name": "worker", "restartCount": restarts, "lastState": more.pop("last", {})}
    metadata = {"uid": uid, "name": uid, **more.pop("metadata", {})}
    status = {"phase": phase, "podIP": "10.0.0.1", "containerStatuses": [container], **more}
    return {"metadata": metadata, "status": status}


class Api:
    """The API's answers: the Deployment and its pods."""

    def __init__(self) -> None:
        self.pods: list[dict] = []

    def get(self, path: str, **_: str) -> dict:
        if path.endswith("/pods"):
            return {"items": self.pods}
        return {"spec": {"selector": {"matchLabels": {"role": "worker"}}}}

    def patch(self, path: str, body: dict) -> None: ...


@pytest.fixture
def api() -> Api:
    return Api()


def lost(api: Api, before: list[dict], after: list[dict]) -> list[Loss]:
    """Return what is lost between two looks."""
    objects = KubernetesPods(api, "run-workers", "tenant-acme")  # type: ignore[arg-type]
    api.pods = before
    assert objects.losses() == []
    api.pods = after
    found = objects.losses()
    assert objects.losses() == [], "each is told once"
    return found


EXCEEDED = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": 'Usage of EmptyDir volume "spill" exceeds the limit',
}
SHORT = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
OOM = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
DRAINED = {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]}


@pytest.mark.parametrize(
    ("after", "reason", "own"),
    [
        (pod(**EXCEEDED), 'evicted: Usage of EmptyDir volume "spill" exceeds the limit', True),
        (pod(**SHORT), "evicted: The node was low on resource: memory.", False),
        (pod(restarts=1, last=OOM), "container worker ran out of memory (OOMKilled)", True),
        (
            pod(restarts=1, last={"terminated": {"exitCode": 3}}),
            "container worker ended with exit code 3",
            True,
        ),
        (pod(restarts=1, last={"terminated": {"exitCode": 0}}), "its container ended with exit code 0", True),
        (pod(**DRAINED), "its node was drained", False),
    ],
)
def test_pods_tell_why_a_worker_was_lost(api, after, reason, own):
    assert lost(api, [pod()], [after]) == [Loss("10.0.0.1", reason, own)]


def test_a_pod_that_is_gone_is_lost_unless_workers_were_released(api, monkeypatch):
    assert lost(api, [pod()], []) == [Loss("10.0.0.1", "its pod is gone", own=False)]
    objects = KubernetesPods(api, "run-workers", "tenant-acme")  # type: ignore[arg-type]
    api.pods = [pod()]
    objects.losses()
    objects.scale(0)
    api.pods = []
    assert objects.losses() == []
    assert run_objects._RELEASE_SECONDS > 60


def test_a_new_pod_is_not_a_loss(api):
    assert lost(api, [], [pod(phase="Pending")]) == []
