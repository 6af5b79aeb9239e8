"""The controller, with an API of the test's own; `tests/cluster/test_starts.py` has the real one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from lightwork.errors import LightworkError
from lightwork.kube.api import KubeApi, RefusedError
from lightwork.lake import Lake, open_lake
from lightwork.pods.controller import DRIVER_PATIENCE, EVERY, Controller
from lightwork.store import attempts, records
from lightwork.store.documents import seal
from lightwork.store.endings import Ledger

ARGO = "/apis/argoproj.io/v1alpha1/namespaces/tenant-acme/workflows"
CORE = "/api/v1/namespaces/tenant-acme"


class Api(KubeApi):
    """Workflows, pods and events as lists; a patch is kept and applied to its Workflow."""

    def __init__(self) -> None:
        self.workflows: list[dict[str, Any]] = []
        self.pods: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.patches: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[str] = []
        self.refuses: tuple[str, int] | None = None

    def _request(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> str:
        raise NotImplementedError

    def get(self, path: str, **query: str) -> dict[str, Any]:
        self.requests.append(path)
        self._refuse("GET")
        if path == ARGO:
            start, size = int(query.get("continue", 0)), int(query["limit"])
            more = str(start + size) if start + size < len(self.workflows) else ""
            return {"metadata": {"continue": more}, "items": self.workflows[start : start + size]}
        return {"metadata": {}, "items": self.pods if path == f"{CORE}/pods" else self.events}

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._refuse("PATCH")
        self.patches.append((path, body))
        for item in self.workflows:
            if path == f"{ARGO}/{item['metadata']['name']}":
                item["metadata"]["annotations"] = body["metadata"]["annotations"]
                item["spec"] |= body["spec"]
        return {}

    def _refuse(self, method: str) -> None:
        if self.refuses and self.refuses[0] == method:
            raise RefusedError(self.refuses[1], "no", "")


class World:
    """A namespace, its lake, and a clock."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.api, self.now = lake, Api(), 1000.0
        self.restart()

    def restart(self) -> None:
        self.controller = Controller(self.api, "tenant-acme", Ledger(self.lake))

    def look(self, seconds: float = 0.0) -> None:
        """Look now, or each few seconds for so long."""
        until = self.now + seconds
        self.controller.look(self.now)
        while self.now < until:
            self.now += EVERY
            self.controller.look(self.now)

    def submit(self, name: str = "windy-abc", phase: str = "Running", **nodes: Any) -> dict[str, Any]:
        workflow: dict[str, Any] = {
            "metadata": {
                "name": name,
                "uid": f"{len(self.api.workflows):08x}-1",
                "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T12:00:00Z",
                "labels": {"lightwork/pipeline": "windy"},
            },
            "spec": {"arguments": {"parameters": [{"name": "hours", "value": "24"}]}},
            "status": {"phase": phase, "nodes": nodes},
        }
        self.api.workflows.append(workflow)
        return workflow

    def records(self) -> dict[str, tuple[str, str | None]]:
        return {item["name"]: (item["status"], item["error"]) for item in records.recent(self.lake)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(open_lake(str(tmp_path), tenant="acme"))


OWN = "windy-abc"


def driver(phase: str, run: str = "windy-abc", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"uid": "p", "labels": {"lightwork/run": run, "lightwork/role": "driver"}},
        "spec": {"containers": [{"name": "main", "image": "acme/own:7"}]},
        "status": {"phase": phase, **status},
    }


def without_image(run: str = "windy-abc") -> dict[str, Any]:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    return driver("Pending", run, containerStatuses=[{"name": "main", "state": state}])


REASON = "the driver did not start within 2 minutes: the image acme/own:7 cannot be pulled: not found"


def test_a_run_whose_image_is_missing_is_ended_and_recorded(world: World) -> None:
    workflow = world.submit()
    world.api.pods = [without_image()]
    world.look(110)
    assert world.api.patches == []
    assert world.records() == {OWN: ("submitted", None)}
    world.look(60)
    ((path, body),) = world.api.patches
    assert path == f"{ARGO}/windy-abc"
    assert body["spec"] == {"shutdown": "Stop"}, "the exit handler runs"
    assert body["metadata"]["resourceVersion"] == "7", "nothing that came between is overwritten"
    assert body["metadata"]["annotations"]["lightwork/reason"] == REASON
    workflow["status"]["phase"], world.api.pods = "Failed", []
    world.look()
    assert world.records() == {OWN: ("failed", REASON)}


def test_a_run_that_somebody_ended_already_is_not_ended_again(world: World) -> None:
    world.submit()["spec"]["shutdown"] = "Terminate"
    world.api.pods = [without_image()]
    world.look(200)
    assert world.api.patches == []


@pytest.mark.parametrize("status", [403, 404, 409, 500])
def test_a_run_that_could_not_be_ended_is_ended_at_the_next_look(world: World, status: int) -> None:
    world.submit()
    world.api.pods = [without_image()]
    world.api.refuses = ("PATCH", status)
    world.look(130)
    assert world.records() == {OWN: ("submitted", None)}, "it keeps nothing else from being done"
    world.api.refuses = None
    world.look(EVERY)
    assert len(world.api.patches) == 1


def test_the_events_of_a_pod_say_what_it_waits_for(world: World) -> None:
    world.submit()
    world.api.pods = [driver("Pending")]
    message = 'MountVolume.SetUp failed for volume "tls" : secret "dask-tls" not found'
    world.api.events = [
        {"reason": "FailedMount", "message": message, "involvedObject": {"uid": uid}}
        for uid in ("p", "other")
    ]
    world.look(120)
    ((_, body),) = world.api.patches
    assert message in body["metadata"]["annotations"]["lightwork/reason"]


def test_a_refusal_of_the_api_is_told(world: World) -> None:
    world.submit()
    world.api.refuses = ("GET", 403)
    with pytest.raises(RefusedError):
        world.look()
    world.api.refuses = None
    world.look()
    assert world.records() == {OWN: ("submitted", None)}


def test_an_end_is_recorded_when_the_driver_is_gone(world: World) -> None:
    """A stopped driver may still be writing its own record."""
    workflow = world.submit()
    world.api.pods = [driver("Running")]
    world.look()
    workflow["status"]["phase"], workflow["spec"]["shutdown"] = "Failed", "Stop"
    world.look(30)
    assert world.records() == {OWN: ("submitted", None)}
    world.api.pods = []
    world.look()
    assert world.records() == {OWN: ("stopped", "stopped by hand")}


def test_a_driver_on_a_lost_node_is_not_waited_for_without_end(world: World) -> None:
    world.submit(phase="Failed")
    world.api.pods = [driver("Running")]
    world.look(DRIVER_PATIENCE)
    assert world.records() == {}
    world.look(EVERY)
    assert world.records()[OWN][0] == "failed"


def test_a_deleted_workflow_is_recorded(world: World) -> None:
    world.submit()
    world.look(10)
    world.api.workflows = []
    world.look(EVERY)
    assert world.records() == {OWN: ("stopped", "its Workflow was deleted")}
    before = len(world.api.requests)
    world.look()
    assert world.api.requests[before:] == [ARGO], "nothing is left to do for it"
    assert world.controller._runs == {}, "it needs no memory any more"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_workflow_that_was_gone_after_a_pause_is_lost_not_succeeded(world: World, restarted: bool) -> None:
    world.submit()
    world.look(10)
    world.api.workflows = []
    world.now += 300
    if restarted:
        world.restart()
    world.look(2 * EVERY)
    status, error = world.records()[OWN]
    assert (status, str(error)[:31]) == ("lost", "its Workflow was gone before an")


def test_a_workflow_that_ended_while_nobody_watched_but_is_still_there_is_recorded(world: World) -> None:
    workflow = world.submit()
    world.look()
    workflow["status"]["phase"] = "Succeeded"
    world.restart()
    world.look()
    assert world.records() == {OWN: ("succeeded", None)}


def test_a_lake_that_is_away_delays_records_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = world.submit()
    world.api.pods = [without_image()]

    def refuse(*_: object, **__: object) -> None:
        raise LightworkError("the lake is away")

    with monkeypatch.context() as away:
        for name in ("folders", "create", "write"):
            away.setattr(type(world.lake), name, refuse)
        world.look(130)
        assert len(world.api.patches) == 1, "the run is ended all the same"
        workflow["status"]["phase"], world.api.pods = "Failed", []
        world.look(EVERY)
        world.api.workflows = []
        world.look(EVERY)
    assert world.records() == {}
    world.look(EVERY)
    assert world.records() == {OWN: ("failed", REASON)}


def test_all_pages_of_workflows_are_seen(world: World) -> None:
    for number in range(120):
        world.submit(f"windy-{number}", phase="Succeeded")
    world.look()
    assert len(world.records()) == 120


def test_the_record_of_a_killed_driver_has_the_reason_of_its_pod(world: World) -> None:
    node = {
        "type": "Pod",
        "phase": "Failed",
        "message": "OOMKilled (exit code 137)",
        "displayName": "driver(0)",
    }
    world.submit(phase="Failed", **{"windy-abc-77": node})
    started = dt.datetime(2026, 1, 1, 12, 0, 9, tzinfo=dt.UTC).isoformat()
    record = {"id": "1", "run": OWN, "status": "running", "pipeline": "windy", "started": started}
    record |= {"workflow": OWN, "pod": "windy-abc-driver-77", "error": None}
    world.lake.write(attempts.path(OWN, "1"), seal(record))
    world.look()
    assert world.records() == {OWN: ("failed", "OOMKilled (exit code 137)")}


@pytest.mark.parametrize(
    ("text", "earlier"),
    [("windy-1", "windy-1"), ("", None), ("../x", None), ("a/b", None), ("..", None), ("a\nb", None)],
)
def test_a_retry_is_recorded_as_one_if_it_names_a_run(world: World, text: str, earlier: str | None) -> None:
    workflow = world.submit()
    workflow["metadata"]["annotations"] = {"lightwork/retry-of": text}
    world.look()
    (record,) = (item for item in records.recent(world.lake) if item["name"] == OWN)
    assert record["retry_of"] == earlier
    links = [entry.path for entry in world.lake.entries("runs") if "/retries/" in entry.path]
    assert links == ([f"runs/{earlier}/retries/{OWN}"] if earlier else [])


def test_a_parameter_that_is_kept_elsewhere_is_recorded_as_long(world: World) -> None:
    workflow = world.submit()
    values = [{"name": "a", "value": "lightwork:file:a 9 bytes"}, {"name": "b", "value": "x"}]
    workflow["spec"]["arguments"]["parameters"] = values
    world.look()
    assert records.recent(world.lake)[0]["long_parameters"] == ["a"]


def test_an_empty_namespace_costs_one_request_per_look(world: World) -> None:
    world.look(20)
    assert set(world.api.requests) == {ARGO}
