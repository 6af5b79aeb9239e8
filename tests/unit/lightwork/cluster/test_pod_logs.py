"""The logs of Dask's pods, kept in the lake, against a fake API.

`tests/cluster/test_logs.py` has a real one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightwork.cluster import pod_logs
from lightwork.cluster.pod_logs import Collector
from lightwork.errors import LakeAway
from lightwork.kube.api import RefusedError
from lightwork.lake import Lake, open_lake
from lightwork.store import run_logs


def line(second: int, text: str) -> str:
    return f"2026-11-28T07:00:{second:02}.000000000Z {text}\n"


class Api:
    """A namespace whose pods write what `logs` says; `before` is what a container said before a restart."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.before: dict[str, str] = {}
        self.asked: list[dict[str, str]] = []

    def add(self, name: str, phase: str = "Running", restarts: int = 0) -> None:
        self.pods[name] = {
            "metadata": {"name": name, "uid": name},
            "spec": {"containers": [{"name": "worker"}]},
            "status": {"phase": phase, "containerStatuses": [{"restartCount": restarts}]},
        }

    def get(self, path: str, **query: str) -> dict[str, Any]:
        self.asked.append(query)
        return {"items": list(self.pods.values())}

    def text(self, path: str, **query: str) -> str:
        self.asked.append(query)
        name = path.split("/")[-2]
        logs = self.before if query.get("previous") else self.logs
        if name not in logs:
            raise RefusedError(400, "Bad Request", "{}")
        return logs[name]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path, tenant="acme")


def collector(api: Api, lake: Lake, writer: str = "driver-1") -> Collector:
    return Collector(api, "tenant-acme", {"lightwork/run": "r1"}, lake, "r1", writer)  # type: ignore[arg-type]


def kept(lake: Lake) -> list[str]:
    return [text for *_, text in run_logs.kept(lake, "r1")]


def test_new_lines_are_kept_once_over_looks_restarts_and_attempts(api: Api, lake: Lake) -> None:
    reader = collector(api, lake)
    api.add("w1")
    api.add("w2", "Pending")
    api.logs["w1"] = line(1, "a") + line(2, "b")
    assert reader.look() == 2
    api.logs["w1"] += line(3, "c")
    reader.look()
    api.before["w1"] = api.logs["w1"] + line(4, "last words")
    api.add("w1", restarts=1)
    api.logs["w1"] = line(6, "again")
    reader.look()
    assert kept(lake) == ["a", "b", "c", "last words", "again"]
    collector(api, lake, "driver-2").look()
    assert kept(lake) == ["a", "b", "c", "last words", "again"], "a second attempt reads them again"
    assert api.asked[0] == {"labelSelector": "lightwork/run=r1,lightwork/role in (scheduler,worker)"}


def test_a_pod_that_is_gone_or_over_holds_up_nothing(api: Api, lake: Lake) -> None:
    reader = collector(api, lake)
    api.add("gone")
    api.add("over", "Failed")
    api.logs["over"] = line(1, "the end")
    reader.look()
    asked = len(api.asked)
    reader.look()
    assert len(api.asked) == asked + 2, "the list, and the one that is not over"
    assert kept(lake) == ["the end"]


def test_lines_wait_for_a_lake_that_is_away_and_what_is_too_much_is_told(
    api: Api, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = collector(api, lake)
    api.add("w1")
    api.logs["w1"] = line(1, "a") + line(2, "b")
    monkeypatch.setattr(pod_logs, "MOST", 2)

    def away(*_: object) -> None:
        raise LakeAway("away")

    with monkeypatch.context() as patch:
        patch.setattr(run_logs, "keep", away)
        with pytest.raises(LakeAway):
            reader.look()
        api.logs["w1"] += line(3, "c") + line(4, "d") + line(5, "e")
        with pytest.raises(LakeAway):
            reader.look()
    reader.look()
    assert kept(lake)[:3] == ["a", "b", "c"]
    assert kept(lake)[3] == "2 lines of pods are not kept: the lake was away too long"


def test_a_tenant_without_the_right_is_told_once(
    api: Api, lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: str, **__: str) -> str:
        raise RefusedError(403, "Forbidden", '{"message": "pods/log is forbidden"}')

    monkeypatch.setattr(api, "text", refuse)
    reader = collector(api, lake)
    api.add("w1")
    for _ in range(2):
        reader.look()
    assert caplog.text.count("are not kept: pods/log is forbidden; deploy the tenant again") == 1


def test_the_last_look_is_made_before_the_workers_are_released(api: Api, lake: Lake) -> None:
    reader = collector(api, lake)
    api.add("w1")
    api.logs["w1"] = line(1, "a")
    reader.end()
    assert kept(lake) == ["a"]
