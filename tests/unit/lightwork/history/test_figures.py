"""What the job of the history leaves for the metrics: of real records, packed, in a real lake."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from lightwork.errors import LightworkError
from lightwork.history import figures, segments
from lightwork.history.collect import collect
from lightwork.history.sync import ask
from lightwork.lake import Lake
from lightwork.pods import history as job
from tests.unit.lightwork.history.leaving import NOW, leave
from tests.unit.lightwork.history.test_cost import PRICES

HOUR = dt.timedelta(hours=1)


def of(lake: Lake, now: dt.datetime = NOW) -> dict[str, dict[str, object]]:
    return ask(lake, lambda history: figures.of(history, now))


def test_usual_is_the_median_of_the_time_at_work_of_successes(lake: Lake) -> None:
    for number, (seconds, waiting, status) in enumerate(
        [(100, 40, "succeeded"), (70, 0, "succeeded"), (900, 820, "succeeded"), (5, 0, "failed")]
    ):
        leave(
            lake,
            f"windy-{number}",
            seconds=float(seconds),
            status=status,
            phases={"waiting": float(waiting)},
            ended=NOW - number * HOUR,
        )
    collect(lake)
    own = of(lake)["windy-city"]
    assert own["usual"] == 70.0
    assert own["succeeded"] == pytest.approx(NOW.timestamp(), abs=0.01)


def test_the_last_is_the_last_that_ended_and_that_nobody_chose(lake: Lake) -> None:
    leave(lake, "long", seconds=36_000.0, status="failed", error="no data", ended=NOW - HOUR)
    leave(lake, "short", ended=NOW - 2 * HOUR)  # started later, and ended earlier
    leave(lake, "stopped", status="stopped")
    leave(lake, "going", ended=None, status="running")
    own = of(lake)["windy-city"]
    assert own["last"] == {
        "run": "long",
        "status": "failed",
        "finished": pytest.approx((NOW - HOUR).timestamp(), abs=0.01),
        "error": "no data",
    }


def test_spend_is_that_of_the_month_by_pipeline_and_unknown_without_prices(lake: Lake) -> None:
    month = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    work = [{"size": "cpu=2 memory=4Gi", "spot": False, "seconds": 3600.0}]
    leave(lake, "now", seconds=1.0, ended=month + dt.timedelta(seconds=2), worker_seconds=work)
    leave(lake, "before", seconds=1.0, ended=month - HOUR, worker_seconds=work)
    assert of(lake)["windy-city"]["spend"] is None
    lake.write(segments.PRICES, json.dumps(PRICES).encode())
    own = of(lake)["windy-city"]
    assert own["spend"] == 0.25, "a quarter of a node that costs 1 an hour"
    assert own["month"] == f"{NOW:%Y-%m}"


def test_the_job_leaves_figures_that_are_read_back(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures.read(lake) == {}
    leave(lake, "windy-1")
    monkeypatch.setattr(job, "open_lake", lambda *_, **__: lake)
    job.main()
    assert figures.read(lake)["windy-city"]["last"]["run"] == "windy-1"
    lake.write(figures.PATH, b"[]")
    with pytest.raises(LightworkError, match=figures.PATH):
        figures.read(lake)
