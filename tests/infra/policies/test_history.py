"""What the job that packs a tenant's history does in the lake with the tenant's role, and no other role may.

Asked of an evaluator of policies, and of an S3 server that enforces them.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from lightwork.errors import LightworkError
from lightwork.history import segments
from lightwork.history.collect import collect
from lightwork.history.query import Filter
from lightwork.history.sync import ask
from lightwork.kube.contract import ENV_HISTORY_ARTIFACTS, ENV_HISTORY_RUNS, ENV_PRICES
from lightwork.lake import open_lake
from lightwork.lake.s3 import S3Lake
from lightwork.pods import history as command
from lightwork.store import latest, upkeep
from lightwork.store.artifacts import Artifacts
from lightwork.store.documents import seal
from tests import s3_server
from tests.cluster import stores
from tests.infra.policies.test_controller import LAKE, NAMES, may, needs_server
from tests.unit.lightwork.history.leaving import leave

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lightwork.lake import Lake

OTHERS = NAMES.lake_bucket("globex")
SEGMENT = "acme/history/runs/2026-11-28-0123.jsonl.gz"
NODE = {"instance": "m7i.2xlarge", "cpu": 8, "memory": 2**35, "hour": 0.4}
PRICES = {
    "date": "2026-11-24",
    "region": "us-east-1",
    "currency": "USD",
    "spot": NODE,
    "on_demand": NODE,
}


MARK = "acme/history/runs/open/windy-city-20261128t060000-a1b2c~0123"


def test_the_controller_marks_runs_and_reads_figures_and_has_nothing_else_of_the_history() -> None:
    assert may("s3:PutObject", MARK)
    assert may("s3:GetObject", "acme/history/figures/pipelines.json")
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        for key in (SEGMENT, "acme/history/parquet/2026-11.parquet", "acme/history/runs/prices.json"):
            assert not may(action, key), f"{action} of {key}"
        assert not may(action, MARK.replace("acme", "globex")), action
        assert not may(action, MARK, f"arn:aws:s3:::{OTHERS}"), action
    assert not may("s3:DeleteObject", MARK)
    assert not may("s3:PutObject", "acme/history/figures/pipelines.json"), "they are the job's"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        for account in ("pods", "steps", "controller", "people", "others"):
            running.add_account(account)
        for tenant, bucket, controller in (
            ("acme", LAKE, "controller"),
            ("globex", OTHERS, "others"),
        ):
            running.add_bucket(bucket, "pods")
            policy = stores.bucket_policy(
                tenant, bucket, owner="pods", steps="steps", controller=controller, people="people"
            )
            if tenant == "globex":  # the whole is too long for the server
                policy["Statement"] = [s for s in policy["Statement"] if s["Principal"]["AWS"] != ["steps"]]
            running.client("root").put_bucket_policy(Bucket=bucket, Policy=stores.as_text(policy))
        yield running


def lake_of(
    server: s3_server.Server, account: str, monkeypatch: pytest.MonkeyPatch, tenant: str = "acme"
) -> Lake:
    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_REGION": s3_server.REGION,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": s3_server.SECRET,
        "LIGHTWORK_TENANT": tenant,
        "LIGHTWORK_LAKE": f"s3://{NAMES.lake_bucket(tenant)}",
        "LIGHTWORK_LAKE_PATIENCE": "0",
        ENV_PRICES: json.dumps(PRICES),
    }.items():
        monkeypatch.setenv(name, value)
    return open_lake(f"s3://{NAMES.lake_bucket(tenant)}", tenant=tenant, patience=0)


@needs_server
def test_the_server_lets_the_job_do_all_of_its_work_and_people_read_it(
    server: s3_server.Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pods = lake_of(server, "pods", monkeypatch)
    month = dt.datetime.now(dt.UTC) - dt.timedelta(days=40)
    for number in range(3):
        leave(pods, f"run-{number}", ended=month + dt.timedelta(hours=number))
    leave(pods, "run-of-today")
    leave(pods, "busy", ended=None, status="running", marked=False)
    pods.write("runs/busy/alive", dt.datetime.now(dt.UTC).isoformat().encode())
    command.work(pods)
    command.work(pods)
    people = lake_of(server, "people", monkeypatch)
    assert not segments.listing(people).marks.keys() - {"busy"}
    found = ask(people, lambda history: (history.page(Filter(), 10), history.prices()))
    assert {run["name"] for run in found[0]} == {"busy", "run-of-today", "run-0", "run-1", "run-2"}
    assert found[1] == PRICES
    table = pq.read_table(io.BytesIO(people.read(f"history/parquet/{month:%Y-%m}.parquet")))
    assert table.column("name").to_pylist() == ["run-0", "run-1", "run-2"]
    with pytest.raises(LightworkError, match=r"(?i)denied|refused"):
        people.write("history/runs/open/run-0~1", b"")


@needs_server
@pytest.mark.parametrize("account", ["steps", "others"])
def test_the_server_refuses_it_to_steps_and_to_another_tenants_job(
    server: s3_server.Server, monkeypatch: pytest.MonkeyPatch, account: str
) -> None:
    leave(lake_of(server, "pods", monkeypatch), "one")
    lake = lake_of(server, account, monkeypatch)
    for step in (command.work, command.prune):
        with pytest.raises(LightworkError, match=r"(?i)denied|refused"):
            step(lake)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    for use in (
        lambda: lake.entries("history/runs"),
        lambda: lake.read("history/runs/prices.json"),
        lambda: lake.write("history/runs/open/one~1", b""),
        lambda: lake.write("history/runs/prices.json", b"{}"),
    ):
        with pytest.raises(LightworkError, match=r"(?i)denied|refused"):
            use()


# What it deletes


def artifact_of(lake: Lake, run: str, status: str, n: int) -> None:
    """Leave a run that has written a version of the artifact `sun`."""
    ended = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10 - n)
    leave(lake, run, ended=None, status="running")
    written = Artifacts(lake, run_id=run, provenance={}, recorded=True).write("sun", pd.DataFrame({"n": [n]}))
    leave(lake, run, ended=ended, status=status, artifacts=[written.to_json()])


@pytest.fixture
def filled(server: s3_server.Server, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake with runs that have ended, one at work, and versions of an artifact, a day after a clean-up."""
    lake = lake_of(server, "pods", monkeypatch)
    lake.delete([entry.path for entry in lake.entries()])
    for number in range(4):
        artifact_of(lake, f"run-{number}", "succeeded", number)
    artifact_of(lake, "run-4", "failed", 4)
    for number in range(3):
        leave(lake, f"idle-{number}", seconds=3600.0 - number)
    leave(lake, "busy", ended=None, status="running", seconds=7200.0)
    lake.write("runs/busy/alive", dt.datetime.now(dt.UTC).isoformat().encode())
    marker = upkeep.Marker(lake.now() - 25 * 3600, "the job of yesterday", done=True)
    lake.write(upkeep.MARKER, seal(marker._asdict()))
    time.sleep(1.1)  # the server's times are whole seconds
    return lake


def names(lake: Lake) -> set[str]:
    return {entry.path.split("/")[1] for entry in lake.entries("runs")}


@needs_server
def test_it_deletes_what_the_file_keeps_no_longer_and_nothing_that_somebody_needs(
    filled: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_READING", -60.0)  # nobody reads the versions of before any more
    monkeypatch.setenv(ENV_HISTORY_RUNS, "1")
    monkeypatch.setenv(ENV_HISTORY_ARTIFACTS, "1")
    command.main()
    assert names(filled) == {"busy", "run-3", "run-4"}, "at work, the newest, and the newest that succeeded"
    artifacts = Artifacts(filled, run_id="", provenance={})
    assert [item.run_id for item in artifacts.list("sun")] == ["run-4", "run-3"]
    assert artifacts.read("sun")["n"].tolist() == [3]
    assert latest.version_in(filled, "sun") == artifacts.find("sun").version, "which nobody had written yet"
    packed = {run["name"] for run in ask(filled, lambda history: history.page(Filter(), 100))}
    assert packed == {"busy", *(f"run-{n}" for n in range(5)), *(f"idle-{n}" for n in range(3))}
    command.main()
    assert names(filled) == {"busy", "run-3", "run-4"}, "once a day"


@needs_server
def test_by_default_it_deletes_nothing_in_the_first_year(
    filled: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {entry.path for entry in filled.entries() if not entry.path.startswith("history/")}
    monkeypatch.setattr(S3Lake, "now", lambda _: time.time() + 360 * 86400)
    command.prune(filled)
    after = {entry.path for entry in filled.entries() if not entry.path.startswith("history/")}
    assert after - before == {"artifacts/sun/latest.parquet"}
    assert before - after == {"runs/busy/alive"}, "of a run that has not been heard of for a year"


@needs_server
def test_a_run_that_the_history_could_not_pack_stays(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_HISTORY_RUNS, "1")

    def pack_and_let_another_end(*arguments: Any, **options: Any) -> Any:
        packed = collect(*arguments, **options)
        if options.get("look"):
            leave(filled, "idle-9", seconds=1800.0)  # it ends between the packing and the deletion
        return packed

    monkeypatch.setattr(command, "collect", pack_and_let_another_end)
    command.prune(filled)
    assert "idle-9" in names(filled)
    assert "idle-1" not in names(filled)
    monkeypatch.setattr(command, "collect", refusing)
    filled.delete([upkeep.MARKER])
    leave(filled, "idle-10", seconds=1900.0)
    with pytest.raises(LightworkError, match="disk full"):
        command.prune(filled)
    assert "idle-10" in names(filled)


def refusing(*_: object, **__: object) -> None:
    raise LightworkError("disk full")
