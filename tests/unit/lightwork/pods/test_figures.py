"""The figures of pipelines, with an API of the test's own and a real lake."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from lightwork.history import figures as history
from lightwork.kube import contract
from lightwork.kube.api import KubeApi, RefusedError
from lightwork.lake import Lake, open_lake
from lightwork.pods.controller import Controller
from lightwork.pods.figures import BEAT, HOURLY, Board, Ended, Going, begun, going
from lightwork.store.endings import Ledger

PATH = f"/api/v1/namespaces/tenant-acme/configmaps/{contract.FIGURES}"
CRON = "/apis/argoproj.io/v1alpha1/namespaces/tenant-acme/cronworkflows"
NOW = dt.datetime(2026, 11, 28, 7, 40, tzinfo=dt.UTC).timestamp()


class Api(KubeApi):
    """The ConfigMap of the figures, and schedules."""

    def __init__(self) -> None:
        self.annotations = {contract.ANNOTATION_PIPELINES: "moon,sun"}
        self.data: dict[str, str] = {}
        self.schedules: list[dict[str, Any]] = []
        self.patches = 0
        self.refuses = False

    def _request(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> str:
        if self.refuses:
            raise RefusedError(403, "no", "")
        if path == PATH and method == "PATCH":
            assert body is not None
            self.patches += 1
            for key, value in body["data"].items():
                if value is None:
                    self.data.pop(key, None)
                else:
                    self.data[key] = value
        elif path != PATH:
            return json.dumps({"items": self.schedules, "metadata": {}})
        return json.dumps({"metadata": {"annotations": self.annotations}, "data": self.data})

    def of(self, pipeline: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.data[contract.FIGURES_OF + pipeline])
        return document


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake", tenant="acme", patience=0)


@pytest.fixture
def board(api: Api, lake: Lake) -> Board:
    return Board(api, "tenant-acme", lake)


def end(status: str = "failed", number: int = 1, error: str = "no data", **fields: Any) -> Ended:
    values: dict[str, Any] = {"pipeline": "sun", "finished": NOW + number, "seconds": 60.0, **fields}
    return Ended(f"sun-{number}", f"{number:08x}-1", status=status, error=error, **values)


def test_every_pipeline_has_figures_before_its_first_run(board: Board, api: Api) -> None:
    board.publish([], NOW)
    for name in ("moon", "sun"):
        assert api.of(name)["ended"] == dict.fromkeys(
            ("succeeded", "failed", "lost", "stopped", "skipped"), 0
        )
        assert api.of(name)["last"] is None
    assert float(api.data[contract.FIGURES_UPDATED]) == NOW


def test_ends_are_counted_and_the_last_one_that_decides_is_the_outcome(board: Board, api: Api) -> None:
    board.publish([], NOW)
    for ended in (end(number=1), end("succeeded", 2, ""), end(number=4), end(number=3), end("stopped", 5)):
        board.end(ended)
    board.publish([], NOW + 9)
    own = api.of("sun")
    assert own["ended"] == {"succeeded": 1, "failed": 3, "lost": 0, "stopped": 1, "skipped": 0}
    assert own["last"] == {"run": "sun-4", "status": "failed", "finished": NOW + 4, "error": "no data"}, (
        "a stop changes nothing, and neither does an earlier end that was seen late"
    )
    assert own["succeeded"] == NOW + 2
    assert own["seconds"] == 60.0
    assert api.of("moon")["last"] is None


def test_a_restart_loses_nothing_and_counts_nothing_twice(board: Board, api: Api, lake: Lake) -> None:
    board.end(end())
    board.publish([], NOW)
    before = dict(api.data)
    again = Board(api, "tenant-acme", lake)
    again.end(end())  # its Workflow is still there
    again.publish([], NOW)
    assert {**api.data, contract.FIGURES_UPDATED: ""} == {**before, contract.FIGURES_UPDATED: ""}
    again.end(end("succeeded", 2))
    again.publish([], NOW)
    assert api.of("sun")["ended"]["failed"] == 1
    assert api.of("sun")["last"]["run"] == "sun-2"


def test_an_end_that_could_not_be_left_is_left_later(board: Board, api: Api) -> None:
    board.publish([], NOW)
    board.end(end())
    api.refuses = True
    with pytest.raises(RefusedError):
        board.publish([], NOW + 1)
    api.refuses = False
    board.publish([], NOW + 2)
    assert api.of("sun")["ended"]["failed"] == 1


def test_an_end_is_not_lost_with_a_first_look_that_is_refused(board: Board, api: Api) -> None:
    board.end(end())
    api.refuses = True
    with pytest.raises(RefusedError):
        board.publish([], NOW)
    api.refuses = False
    board.publish([], NOW + 1)
    assert api.of("sun")["last"]["run"] == "sun-1"


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{", '"x"', "{}", '{"ended": 1, "seen": 2, "last": 3}'),
        *('{"ended": {"failed": "x"}, "succeeded": "y"}', '{"last": {"run": 1}}'),
    ],
)
def test_figures_that_cannot_be_read_begin_anew(board: Board, api: Api, text: str) -> None:
    api.data = {contract.FIGURES_OF + "sun": text, contract.FIGURES_OF + "gone": "{}"}
    board.end(end())
    board.publish([], NOW)
    assert api.of("sun")["ended"]["failed"] == 1
    assert contract.FIGURES_OF + "gone" not in api.data, "this pipeline is in the tenant's file no more"


def test_only_what_changes_is_written_and_a_sign_of_life(board: Board, api: Api) -> None:
    board.publish([], NOW)
    first = api.patches
    for second in range(5, 60, 5):
        board.publish([], NOW + second)
    assert api.patches == first
    board.publish([], NOW + BEAT + 1)
    assert api.patches == first + 1
    assert float(api.data[contract.FIGURES_UPDATED]) == round(NOW + BEAT + 1)


def test_runs_that_run_and_wait_are_told_with_the_oldest(board: Board, api: Api) -> None:
    runs = [
        Going("sun-3", "sun", waits=False, since=NOW - 30),
        Going("sun-2", "sun", waits=False, since=NOW - 60),
        Going("sun-4", "sun", waits=True, since=NOW - 10),
        Going("moon-1", "moon", waits=True, since=NOW - 500),
    ]
    board.publish(runs, NOW)
    assert api.of("sun")["running"] == {"runs": 2, "run": "sun-2", "since": NOW - 60}
    assert api.of("sun")["waiting"] == {"runs": 1, "run": "sun-4", "since": NOW - 10}
    assert api.of("moon")["running"] is None
    board.publish([], NOW + 5)
    assert api.of("sun")["running"] is None


def test_a_pipeline_that_has_just_been_deployed_is_told_too(board: Board, api: Api) -> None:
    board.publish([], NOW)
    api.annotations[contract.ANNOTATION_PIPELINES] = "moon,mars"
    board.end(end(pipeline="mars"))
    board.publish(
        [Going("mars-2", "mars", waits=False, since=NOW), Going("x", "", waits=False, since=NOW)], NOW + 5
    )
    assert api.of("mars")["ended"]["failed"] == 1
    assert api.of("mars")["running"]["run"] == "mars-2"
    board.publish([], NOW + HOURLY + 1)
    assert api.of("mars")["ended"]["failed"] == 1
    left = {key for key in api.data if key.startswith(contract.FIGURES_OF)}
    assert left == {contract.FIGURES_OF + name for name in ("moon", "mars")}


def test_an_error_is_one_short_line(board: Board, api: Api) -> None:
    board.end(end(error="first\nsecond \x1b[31m" + "x" * 1000))
    board.publish([], NOW)
    error = api.of("sun")["last"]["error"]
    assert len(error) == 200
    assert error.startswith("first second \\x1b[31m")
    assert len(api.data[contract.FIGURES_OF + "sun"]) < 900, "a few hundred bytes"


def test_the_history_fills_in_what_was_missed(board: Board, api: Api, lake: Lake) -> None:
    last = {"run": "sun-9", "status": "lost", "finished": NOW - 5, "error": "gone"}
    left = {"usual": 61.5, "month": "2026-11", "spend": 3.25, "succeeded": NOW - 100, "last": last}
    history.write(lake, {"sun": left, "gone": left})
    board.publish([], NOW)
    own = api.of("sun")
    assert (own["usual"], own["spend"], own["succeeded"], own["last"]) == (61.5, 3.25, NOW - 100, last)
    board.end(end("succeeded", 10))
    board.publish([], NOW + HOURLY + 1)
    assert api.of("sun")["last"]["run"] == "sun-10", "the newer one counts, also after the history is read"


def test_a_damaged_file_of_the_history_changes_nothing(
    board: Board, api: Api, lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    lake.write(history.PATH, b"{}x")
    board.publish([], NOW)
    assert api.of("sun")["usual"] is None
    assert "could not be read" in caplog.text


def cron(name: str, last: str | None = "2026-11-28T06:00:00Z", **spec: Any) -> dict[str, Any]:
    created = "2026-11-01T00:00:00Z"
    return {
        "metadata": {"name": name, "creationTimestamp": created},
        "spec": {"schedules": ["0 6 * * *"], "timezone": "Etc/UTC", "startingDeadlineSeconds": 60, **spec},
        "status": {"lastScheduledTime": last} if last else {},
    }


@pytest.mark.parametrize(
    ("item", "state"),
    [
        (cron("sun"), "on time"),
        (cron("sun", "2026-11-26T06:00:00Z"), "missed"),
        (cron("sun", None), "never started"),
        (cron("sun", None, suspend=True), "suspended"),
        (cron("sun", "2026-11-26T06:00:00Z", suspend=True), "suspended"),
        (cron("sun", timezone="Nowhere/Town"), "unreadable"),
    ],
)
def test_schedules_are_told_as_the_command_line_tells_them(
    board: Board, api: Api, item: dict[str, Any], state: str
) -> None:
    api.schedules = [item]
    board.publish([], NOW)
    own = api.of("sun")["schedule"]
    assert own["state"] == state
    assert own["suspended"] == (state == "suspended")
    if state == "on time":
        following = dt.datetime(2026, 11, 29, 6, tzinfo=dt.UTC).timestamp()
        assert (own["next"], own["interval"], own["last"]) == (following, 86_400, following - 86_400)
    assert api.of("moon")["schedule"] is None


def workflow(*starts: str, lock: str = "") -> dict[str, Any]:
    nodes = {
        f"w-{number}": {"type": "Pod", "startedAt": start, "phase": "Running"}
        for number, start in enumerate(starts)
    }
    waiting = {"type": "DAG", "phase": "Pending", "message": lock, "synchronizationStatus": {"waiting": lock}}
    return {
        "metadata": {"name": "sun-1", "creationTimestamp": "2026-11-28T07:00:00Z"},
        "spec": {},
        "status": {"phase": "Running", "nodes": {**nodes, **({"w": waiting} if lock else {})}},
    }


def test_a_run_waits_until_its_first_pod_is_started() -> None:
    assert going(workflow(lock="Waiting for tenant-acme/ConfigMap/semaphores/sun lock"), "sun").waits
    assert going(workflow(), "sun").waits
    run = going(workflow("2026-11-28T07:30:00Z", "2026-11-28T07:10:00Z"), "sun")
    assert not run.waits
    assert run.since == begun(workflow("2026-11-28T07:10:00Z")) == NOW - 30 * 60


def test_the_controller_leaves_figures_and_goes_on_without(lake: Lake, tmp_path: Path) -> None:
    class Everything(Api):
        def get(self, path: str, **query: str) -> dict[str, Any]:
            if path.endswith("/workflows"):
                return {"items": self.workflows, "metadata": {}}
            if path.endswith(("/pods", "/events")):
                return {"items": [], "metadata": {}}
            return super().get(path, **query)

    item = workflow("2026-11-28T07:10:00Z")
    item["metadata"] |= {"uid": "0a0b0c0d-1", "resourceVersion": "1", "labels": {"lightwork/pipeline": "sun"}}
    api = Everything()
    api.workflows = [item]  # type: ignore[attr-defined]
    ledger = Ledger(lake)
    controller = Controller(api, "tenant-acme", ledger, Board(api, "tenant-acme", lake))
    controller.look(1000.0)
    assert api.of("sun")["running"]["run"] == "sun-1"
    item["status"] |= {"phase": "Failed", "message": "no data", "finishedAt": "2026-11-28T07:20:00Z"}
    api.refuses = True
    controller.look(1005.0)
    assert not ledger.open_notes(), "its record does not wait for the figures"
    api.refuses = False
    controller.look(1010.0)
    own = api.of("sun")
    assert own["running"] is None
    assert own["last"]["run"] == "sun-1"
    assert own["ended"]["failed"] == 1
    controller.look(1015.0)
    assert api.of("sun")["ended"]["failed"] == 1
