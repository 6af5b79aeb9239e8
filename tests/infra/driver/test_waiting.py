"""What keeps pods from starting, told during a deployment, with a fake API."""

from __future__ import annotations

from typing import Any

import pytest

from infra.driver import waiting
from infra.driver.engine import EngineError
from infra.driver.outcome import Command, Task
from infra.driver.precious import Step
from infra.driver.work import Work
from lightwork.kube.api import RefusedError
from tests.infra.driver.pretended import Pretended, Silent
from tests.waiting import wait_until

BACK_OFF = 'Back-off pulling image "example/none:1"'


def pod(name: str, *, waits: str = "ImagePullBackOff", image: str = "example/none:1", **more: Any) -> dict:
    status = {"name": "main", "ready": False, "state": {"waiting": {"reason": waits, "message": BACK_OFF}}}
    return {
        "metadata": {"name": name, **more},
        "spec": {"containers": [{"name": "main", "image": image}]},
        "status": {"phase": "Pending", "containerStatuses": [status]},
    }


class Api:
    """An API that has these pods in each namespace."""

    def __init__(self, **pods: Any) -> None:
        self.pods, self.asked = pods, 0

    def get(self, path: str) -> dict[str, Any]:
        self.asked += 1
        found = self.pods[path.split("/")[4]]
        if isinstance(found, Exception):
            raise found
        return {"items": found}


def step(namespace: str, op: str = "create") -> Step:
    return Step(op=op, urn="", type="kubernetes:batch/v1:Job", name="job", namespace=namespace)


def looked(api: Any, *steps: Step, times: int = 2) -> list[str]:
    said: list[str] = []
    look = waiting.Look(lambda: api, said.append)
    for item in steps:
        look.step(item)
    for _ in range(times):
        look.look()
    assert sorted(look.lines()) == sorted(said)
    return said


LINE = f"the image example/none:1 cannot be pulled: {BACK_OFF}"


def test_an_image_that_cannot_be_pulled_is_named_once_at_the_second_look() -> None:
    api = Api(a=[pod("one"), pod("two")])
    assert looked(api, step("a"), times=1) == [], "it may be just about to come"
    assert looked(api, step("a"), times=5) == [f"pod two: {LINE}"]


def test_only_the_namespaces_that_change_are_looked_at() -> None:
    api = Api(a=[pod("one")], b=[pod("one")])
    assert looked(api, step("a", "same"), step("b", "refresh"), step("")) == []
    assert api.asked == 0


@pytest.mark.parametrize(
    "healthy",
    [
        pod("of-a-run", labels={"lightwork/run": "windy-1"}),
        pod("of-argo", labels={"workflows.argoproj.io/workflow": "windy-1"}),
        pod("on-its-way-out", deletionTimestamp="2030-01-02T03:04:05Z"),
        {**pod("done"), "status": {"phase": "Succeeded"}},
        {"metadata": {"name": "new"}, "spec": {}, "status": {"phase": "Pending"}},
        {
            "metadata": {"name": "was-restarted"},
            "spec": {},
            "status": {
                "phase": "Running",
                "containerStatuses": [
                    {"name": "main", "ready": True, "lastState": {"terminated": {"exitCode": 1}}}
                ],
            },
        },
    ],
    ids=lambda item: item["metadata"]["name"],
)
def test_pods_of_runs_and_pods_without_trouble_are_left_out(healthy: dict[str, Any]) -> None:
    assert looked(Api(a=[healthy]), step("a")) == []


def test_a_pod_that_crashes_is_told() -> None:
    status = {"name": "main", "ready": False, "lastState": {"terminated": {"exitCode": 3}}}
    crashed = {**pod("one"), "status": {"phase": "Running", "containerStatuses": [status]}}
    assert looked(Api(a=[crashed]), step("a")) == ["pod one: container main ended with exit code 3"]


@pytest.mark.parametrize("error", [OSError("away"), RefusedError(403, "Forbidden", "")])
def test_an_api_that_does_not_answer_costs_nothing(error: Exception) -> None:
    assert looked(Api(a=error, b=[pod("one")]), step("a"), step("b")) == [f"pod one: {LINE}"]


def test_a_cluster_that_is_not_known_costs_nothing() -> None:
    def unknown() -> Any:
        raise EngineError("dev does not exist yet")

    look = waiting.Look(unknown, lambda text: pytest.fail(text))
    look.step(step("a"))
    look.look()
    assert look.lines() == ()
    with pytest.raises(EngineError, match="no output 'cluster_name'"):
        waiting.of_estate(Pretended(), "dev")
    with waiting.watched(None, lambda text: pytest.fail(text)) as nowhere:
        nowhere.step(step("a"))
        nowhere.look()


class Slow(Pretended):
    """An engine whose deployment fails once something was said."""

    said: list[str]

    def up(self, stack: str, watch: Any) -> Any:
        watch(step("a"))
        wait_until(lambda: self.said, "the trouble")
        raise EngineError("timed out waiting")


def test_it_is_told_while_the_engine_waits_and_leads_the_reasons_of_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "EVERY", 0.01)
    engine, view = Slow(stacks={"local.a": 1}), Silent()
    engine.said = []
    view.say = engine.said.append  # type: ignore[method-assign]
    work = Work(
        command=Command.UP,
        environment="local",
        engine=engine,
        view=view,
        api=lambda: Api(a=[pod("one")]),  # type: ignore[arg-type,return-value]
    )
    (outcome,) = work.run(None, [Task(stack="local.a")])
    assert outcome.error == (f"pod one: {LINE}", "timed out waiting")
    assert engine.said == [f"local.a: pod one: {LINE}"]
