"""What the job that packs a tenant's history may do in the lake, with the controller's role.

Asked of an evaluator of policies, and of an S3 server that enforces them.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from lightwork.errors import LightworkError
from lightwork.history import segments
from lightwork.history.query import Filter
from lightwork.history.sync import ask
from lightwork.kube.contract import ENV_PRICES
from lightwork.lake import open_lake
from lightwork.pods import history as command
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


def test_it_reads_writes_and_replaces_the_history_of_its_own_tenant() -> None:
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert may(action, SEGMENT), action
        assert may(action, "acme/history/parquet/2026-11.parquet"), action
        assert not may(action, SEGMENT.replace("acme", "globex")), action
        assert not may(action, SEGMENT, f"arn:aws:s3:::{OTHERS}"), action
        assert not may(action, "acme/history.csv"), action
    assert not may("s3:DeleteObjectVersion", SEGMENT), "what was deleted can be restored"


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
    lake_of(server, "controller", monkeypatch)
    command.work()
    command.work()
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
    with pytest.raises(LightworkError, match=r"(?i)denied|refused"):
        command.work()
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
