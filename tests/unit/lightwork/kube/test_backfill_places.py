"""A backfill in a cluster: which Workflows are of an interval, and what is started. The API is a fake one."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import pytest

from lightwork.kube.runs import Remote
from lightwork.lake import open_lake
from lightwork.runs import backfill_places
from lightwork.runs.backfill_places import InCluster
from lightwork.store.interval_runs import Book, Given
from lightwork.tenants.intervals import Interval
from tests.unit.lightwork.kube.objects import ARGO, CORE

NAMES = ("start", "end")
DAYS = [dt.datetime(2026, 11, day, 6, 30, tzinfo=dt.UTC) for day in (1, 2, 3, 4)]
FIRST, SECOND, THIRD = (Interval(*pair) for pair in itertools.pairwise(DAYS))


def workflow(name: str, phase: str, interval: Interval, **more: str) -> dict[str, Any]:
    values = {**dict(zip(NAMES, interval.texts(), strict=True)), **more}
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-11-05T00:00:00Z"},
        "spec": {
            "workflowTemplateRef": {"name": "daily"},
            "arguments": {"parameters": [{"name": key, "value": text} for key, text in values.items()]},
        },
        "status": {"phase": phase},
    }


def place(lake: Path, **given: str) -> InCluster:
    opened = open_lake(lake.as_uri(), tenant="acme")
    values = {name: Given(text) for name, text in given.items()}
    book = Book(opened, "daily", NAMES, values, DAYS[0])
    return InCluster(Remote("dev", "acme"), "daily", NAMES, values, {"unit": "mph"}, book)


@pytest.fixture
def daily(api):
    template = {
        "metadata": {"name": "daily", "annotations": {}},
        "spec": {
            "arguments": {
                "parameters": [{"name": "start"}, {"name": "end"}, {"name": "unit", "value": "mph"}]
            }
        },
    }
    api.answers["GET", f"{ARGO}/workflowtemplates"] = 200, {"items": [template]}
    api.answers["GET", f"{CORE}/resourcequotas"] = 200, {"items": []}
    api.answers["POST", f"{ARGO}/workflows"] = 201, {"metadata": {"name": "daily-new"}}
    items = [
        workflow("a", "Running", FIRST),
        workflow("b", "Failed", SECOND),
        workflow("c", "Running", THIRD, unit="kmh"),
        {**workflow("d", "Running", THIRD), "spec": {"workflowTemplateRef": {"name": "other"}}},
    ]
    api.answers["GET", f"{ARGO}/workflows"] = 200, {"items": items}
    return api


def created(api) -> list[dict[str, str]]:
    bodies = [
        body for method, path, _, body in api.requests if (method, path) == ("POST", f"{ARGO}/workflows")
    ]
    arguments = [body["spec"]["arguments"]["parameters"] for body in bodies]
    return [{item["name"]: item["value"] for item in items} for items in arguments]


def test_a_workflow_that_goes_on_is_not_started_again(daily, tmp_path: Path) -> None:
    runs = place(tmp_path)
    assert {key: item.status for key, item in runs.known().items()} == {
        FIRST.key: "running",
        SECOND.key: "failed",
        THIRD.key: "running",
    }
    assert runs.start(FIRST) == "a"
    assert created(daily) == []
    assert runs.start(SECOND) == "daily-new"
    assert created(daily) == [dict(zip(NAMES, SECOND.texts(), strict=True))]


def test_runs_with_other_parameters_do_not_count_and_defaults_do(daily, tmp_path: Path) -> None:
    known = place(tmp_path, unit="mph").known()
    assert THIRD.key not in known
    assert known[FIRST.key].run == "a", "its unit is the default"
    runs = place(tmp_path, unit="kmh")
    assert set(runs.known()) == {THIRD.key}
    runs.start(FIRST)
    assert created(daily)[0]["unit"] == "kmh"


def test_a_run_whose_workflow_is_gone_is_as_its_record_says(daily, tmp_path: Path, monkeypatch) -> None:
    runs = place(tmp_path)
    daily.answers["GET", f"{ARGO}/workflows/a"] = 200, workflow("a", "Succeeded", FIRST)
    assert runs.look("a").succeeded
    daily.answers["GET", f"{ARGO}/workflows/a"] = 404, {"message": "gone"}
    daily.answers["GET", f"{CORE}/events"] = 200, {"items": []}
    daily.answers["GET", CORE] = 200, {}
    assert runs.look("a").active, "its record may follow"
    monkeypatch.setattr(backfill_places, "_SETTLES", 0.0)
    found = runs.look("a")
    assert (found.status, "how it ended is not known" in found.error) == ("lost", True)
    daily.answers["GET", f"{ARGO}/workflows/a"] = 503, {"message": "away"}
    assert runs.look("a").active, "while the cluster is away, it goes on"


def test_without_a_look_at_the_workflows_nothing_is_started(daily, tmp_path: Path) -> None:
    daily.answers["GET", f"{ARGO}/workflows"] = 403, {"message": "no"}
    with pytest.raises(Exception, match="runs could be doubled"):
        place(tmp_path).start(FIRST)
    assert created(daily) == []
