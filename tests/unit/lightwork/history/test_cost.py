"""`lightwork cost`: the sums of workers' time, their prices, and what is said about what is not in them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from lightwork.cli.main import execute
from lightwork.history import segments
from lightwork.history.cost import Bill, size_of
from lightwork.history.packing import Packing
from lightwork.history.query import By, Filter
from lightwork.history.sync import ask
from lightwork.lake import Lake, open_lake
from tests.unit.lightwork.history.leaving import NOW

NODE = {"instance": "m7i.2xlarge", "cpu": 8, "memory": 32 * 2**30, "hour": 0.4}
PRICES: dict[str, Any] = {
    "date": "2026-11-24",
    "region": "us-east-1",
    "currency": "USD",
    "spot": NODE,
    "on_demand": {**NODE, "instance": "m7i.xlarge", "hour": 1.0},
}


def worked(lake: Lake, **runs: list[tuple[str, bool | None, float]]) -> None:
    """Pack runs of a pipeline of their names, with the work of their workers: size, spot, hours."""
    packed = [
        {
            "name": f"{pipeline}-1",
            "pipeline": pipeline,
            "tenant": lake.tenant,
            "status": "succeeded",
            "started": (NOW - number * dt.timedelta(days=1)).isoformat(),
            "finished": NOW.isoformat(),
            "seconds": 60.0,
            "worker_seconds": [{"size": s, "spot": spot, "seconds": h * 3600} for s, spot, h in work],
            "parameters": {},
            "versions": {},
            "tasks": {},
            "retried_by": [],
            "artifacts": [],
            "attempts": [],
        }
        for number, (pipeline, work) in enumerate(runs.items())
    ]
    Packing(lake, segments.listing(lake).segments, NOW).add(packed)


def bill(lake: Lake, by: By = "pipeline", **only: Any) -> Bill:
    result = Bill()
    ask(lake, lambda history: result.add(history, Filter(**only), by))
    return result


def test_a_worker_costs_the_share_of_its_node_that_it_takes_up(lake: Lake) -> None:
    lake.write(segments.PRICES, json.dumps(PRICES).encode())
    worked(
        lake,
        by_cpu=[("cpu=2 memory=4Gi", True, 10)],
        by_memory=[("cpu=1 memory=16Gi", True, 10)],
        on_demand=[("cpu=2 memory=4Gi", False, 10)],
        either=[("cpu=2 memory=4Gi", None, 10)],
        laptop=[("local", False, 10)],
        idle=[],
    )
    costs = {name: round(line.cost, 6) for name, line in bill(lake).lines.items()}
    assert costs == {
        "by_cpu": 10 * 0.4 / 4,
        "by_memory": 10 * 0.4 / 2,
        "on_demand": 10 * 1.0 / 4,
        "either": 10 * 1.0 / 4,
        "laptop": 0,
        "idle": 0,
    }
    total = bill(lake).total()
    assert (total.runs, total.unrecorded, total.hours, total.spot_hours) == (6, 1, 50, 20)
    assert total.priced_hours == 40
    assert len(bill(lake, "day").lines) == 6
    assert list(bill(lake, "tenant").lines) == ["acme"]
    assert list(bill(lake, pipeline="either").lines) == ["either"]
    since = (NOW - dt.timedelta(days=1.5)).timestamp()
    assert list(bill(lake, since=since).lines) == ["by_cpu", "by_memory"]


def test_without_prices_it_is_hours_alone(lake: Lake) -> None:
    worked(lake, one=[("cpu=2 memory=4Gi", True, 10)])
    assert (bill(lake).prices, bill(lake).total().hours, bill(lake).total().priced_hours) == ([], 10, 0)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("cpu=500m memory=4Gi", (0.5, 4 * 2**30)),
        ("cpu=2 memory=8G", (2, 8e9)),
        ("local", None),
        ("cpu=2", None),
        ("cpu=x memory=4Gi", None),
        ("", None),
    ],
)
def test_sizes(text: str, size: tuple[float, float] | None) -> None:
    assert size_of(text) == size


def cost(lake: Lake, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    folder = lake.root.removeprefix("file://").rpartition("/")[0]
    code = execute(["cost", "--lake", folder, "--tenant", "acme", *words])
    out, err = capfd.readouterr()
    return code, out, err


def test_the_command_says_the_prices_and_what_is_not_in_them(
    lake: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    worked(lake, one=[("cpu=2 memory=4Gi", True, 10), ("local", False, 3)], two=[])
    code, out, err = cost(lake, capfd)
    assert (code, err) == (0, "")
    assert "worker-hours only" in out
    assert "USD" not in out
    lake.write(segments.PRICES, json.dumps(PRICES).encode())
    _, out, _ = cost(lake, capfd)
    assert "At list prices of us-east-1, 2026-11-24. Not in it: drivers and schedulers, idle" in out
    assert "3.00 worker-hours have no price" in out
    assert "1 run had no workers, or left no record of their time." in out
    assert out.count("1.00") == 2, "of the pipeline and of all"
    answer = json.loads(cost(lake, capfd, "--json", "--by", "day")[1])
    assert answer["total"] == {
        "runs": 2,
        "runs_without_work": 1,
        "worker_hours": 13.0,
        "spot_hours": 10.0,
        "priced_hours": 10.0,
        "cost": 1.0,
    }
    assert answer["prices"] == [{"date": "2026-11-24", "region": "us-east-1", "currency": "USD"}]
    assert [line["day"] for line in answer["lines"]] == sorted(line["day"] for line in answer["lines"])


def show(lake: Lake, capfd: pytest.CaptureFixture[str], run: str, *words: str) -> str:
    folder = lake.root.removeprefix("file://").rpartition("/")[0]
    assert execute(["show", run, "--lake", folder, "--tenant", "acme", *words]) == 0
    return capfd.readouterr().out


def test_one_run_shows_what_its_workers_cost(lake: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    worked(
        lake,
        one=[("cpu=2 memory=4Gi", True, 10), ("cpu=2 memory=4Gi", False, 10)],
        mixed=[("cpu=2 memory=4Gi", True, 10), ("local", False, 3)],
        idle=[],
    )
    assert "cost" not in show(lake, capfd, "one-1"), "the lake has no prices"
    lake.write(segments.PRICES, json.dumps(PRICES).encode())
    assert "cost         3.50 USD for its workers, at list prices" in show(lake, capfd, "one-1")
    assert json.loads(show(lake, capfd, "one-1", "--json"))["cost"] == {"cost": 3.5, "currency": "USD"}
    for run in ("mixed-1", "idle-1"):
        assert "cost" not in show(lake, capfd, run), "some of it has no price"
    lake.write(segments.PRICES, b"{}")
    assert json.loads(show(lake, capfd, "one-1", "--json"))["cost"] is None, "damaged"


def test_short_work_is_not_shown_as_none(lake: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    worked(lake, short=[("local", False, 0.0007)], long=[("local", False, 1234.5)])
    out = cost(lake, capfd)[1]
    assert "0.0007" in out
    assert "1,234.50" in out
    assert out.splitlines()[2].split()[-1] == "0.00", "none on spot"


def test_tenants_can_be_compared(lake: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    folder = lake.root.removeprefix("file://").rpartition("/")[0]
    worked(lake, one=[("local", False, 1)])
    worked(open_lake(folder, tenant="globex"), one=[("local", False, 2)])
    answer = json.loads(cost(lake, capfd, "--tenant", "globex", "--by", "tenant", "--json")[1])
    hours = {line["tenant"]: line["worker_hours"] for line in answer["lines"]}
    assert hours == {"acme": 1.0, "globex": 2.0}
    assert answer["total"]["worker_hours"] == 3.0


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"date": 1}', json.dumps({**PRICES, "spot": {}}).encode()])
def test_damaged_prices_are_one_line(lake: Lake, capfd: pytest.CaptureFixture[str], damage: bytes) -> None:
    worked(lake, one=[("local", False, 1)])
    lake.write(segments.PRICES, damage)
    code, out, err = cost(lake, capfd)
    assert (code, out) == (1, "")
    assert err.startswith("lightwork: the prices in the lake are damaged: ")
    assert err.count("\n") == 1


def test_no_runs_are_told(lake: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    assert cost(lake, capfd)[1] == "No runs.\n"
    code, _, err = cost(lake, capfd, "--pipeline", "nobody")
    assert code == 2
    assert "cost: there is no pipeline 'nobody'" in err
