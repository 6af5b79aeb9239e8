"""What the process that watches a tenant's runs may do in the lake: records of runs, and nothing else.

Asked of an evaluator of policies, and of an S3 server that enforces them.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from infra.config.naming import Names
from infra.policies import tenant as tenant_policies
from lightwork.errors import LightworkError
from lightwork.lake import open_lake
from lightwork.store import records
from lightwork.store.documents import seal
from lightwork.store.endings import Ledger, Submitted
from tests import s3_server
from tests.cluster import stores
from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.lake import Lake

NAMES = Names(environment="dev", account=ACCOUNT, region=REGION)
LAKE = NAMES.lake_bucket("acme")
BUCKET = f"arn:aws:s3:::{LAKE}"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/acme"
GRANTS = tenant_policies.lake_of_controller(bucket_arn=BUCKET, key_arn=KEY, tenant="acme")
BOUNDARY = tenant_policies.tenant_boundary(
    account=ACCOUNT,
    region=REGION,
    environment="dev",
    domain_arn=f"arn:aws:es:{REGION}:{ACCOUNT}:domain/logs",
)
RUN_NAME = "windy-20260101t120000-abcde"
OF_DRIVER = f"acme/runs/{RUN_NAME}/attempts/20260101t120020000-1.json"
OWN, OPEN = f"acme/runs/{RUN_NAME}/workflow.json", f"acme/runs/.open/{RUN_NAME}.json"
LINK = f"acme/runs/{RUN_NAME}/retries/windy-20260102t120000-abcde"
CLOSED = (
    "acme/runs/20260101T000000-12345678/jobs/0123.job",
    "acme/runs/20260101T000000-12345678/report.html",
    f"acme/runs/{RUN_NAME}/failures/20260101t120020000-1.jsonl.gz",
    f"acme/runs/{RUN_NAME}/log.jsonl",
    "acme/runs/20260101T000000-12345678/run.json",
    "acme/results/wind.speed/0123/0001-4567.seg",
    "acme/artifacts/sun/_versions/20260101T000000Z-1.json",
    "acme/argo/nightly-1/main.log",
    "acme/lightwork-lake",
    f"globex/runs/{RUN_NAME}/workflow.json",
)


def may(action: str, key: str, bucket: str = BUCKET) -> bool:
    return within(BOUNDARY, [GRANTS], action, f"{bucket}/{key}", {})


def test_it_reads_what_drivers_write_and_writes_only_its_own() -> None:
    for action in ("s3:GetObject", "s3:PutObject"):
        assert may(action, OWN), action
        assert may(action, OPEN), action
    assert may("s3:GetObject", OF_DRIVER)
    assert may("s3:PutObject", LINK)
    assert may("s3:DeleteObject", OPEN)
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert not may(action, OF_DRIVER), "a driver's record stays as it is"
    assert not may("s3:DeleteObject", OWN)
    assert not may("s3:DeleteObjectVersion", OPEN)


@pytest.mark.parametrize("key", CLOSED)
def test_it_touches_nothing_else(key: str) -> None:
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"):
        assert not may(action, key), f"{action} of {key}"


def test_it_reaches_no_other_lake_and_no_secret() -> None:
    other = f"arn:aws:s3:::{NAMES.lake_bucket('globex')}"
    assert not may("s3:GetObject", OF_DRIVER, other)
    assert not may("s3:PutObject", OWN, other)
    for action, resource in (
        ("s3:PutBucketPolicy", BUCKET),
        ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/globex"),
        (
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/dev/acme/weather-api-AbCdEf",
        ),
    ):
        context: dict[str, str | list[str]] = {"kms:ResourceAliases": ["alias/lightwork/dev/acme/lake"]}
        assert not within(BOUNDARY, [GRANTS], action, resource, context), f"{action} of {resource}"


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("acme/runs/", True), ("acme/runs/1/", True), ("acme/runs", False), ("acme/", False), (None, False)],
)
def test_it_lists_runs_only(prefix: str | None, expected: bool) -> None:
    context: dict[str, str | list[str]] = {} if prefix is None else {"s3:prefix": prefix}
    assert within(BOUNDARY, [GRANTS], "s3:ListBucket", BUCKET, context) is expected


# The S3 server

needs_server = pytest.mark.skipif(
    not s3_server.is_built(), reason="needs the S3 server of the cluster tests: make cluster-up builds it"
)
START = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
RUN = Submitted(RUN_NAME, "0a1b2c3d-4e5f", "windy", START, {}, "windy-20251231t120000-abcde")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        for account in ("pods", "steps", "controller", "people"):
            running.add_account(account)
        running.add_bucket(LAKE, "pods")
        accounts = {name: name for name in ("steps", "controller", "people")}
        policy = stores.bucket_policy("acme", LAKE, owner="pods", **accounts)
        running.client("root").put_bucket_policy(Bucket=LAKE, Policy=json.dumps(policy))
        yield running


@pytest.fixture
def lake(server: s3_server.Server, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The lake as the controller sees it, with the record of a driver and of one without a record yet."""
    values: dict[str, Any] = {"id": "20260101t120020000-1", "run": RUN_NAME, "status": "running"}
    values |= {"started": START.isoformat(), "pod": "windy-abc-1", "error": None}
    client = server.client("pods")
    client.put_object(Bucket=LAKE, Key=OF_DRIVER, Body=seal(values))
    for key in CLOSED[2:9]:
        client.put_object(Bucket=LAKE, Key=key, Body=b"as it was")
    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_REGION": s3_server.REGION,
        "AWS_ACCESS_KEY_ID": "controller",
        "AWS_SECRET_ACCESS_KEY": s3_server.SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    return open_lake(f"s3://{LAKE}", tenant="acme", patience=0)


@needs_server
def test_the_server_lets_it_record_everything_that_it_has_to(lake: Lake) -> None:
    ledger = Ledger(lake)
    ledger.note(RUN)
    ledger.note(RUN)
    assert ledger.open_notes() == [RUN]
    ledger.settle(RUN, ("failed", "no image"), START, lambda _: ("stopped", "by hand"))
    record = records.run(lake, RUN_NAME)
    assert record is not None
    assert (record["status"], record["error"]) == ("failed", "no image")
    (attempt,) = record["attempts"]
    assert (attempt["status"], attempt["error"]) == ("stopped", "by hand")
    assert ledger.open_notes() == []
    assert lake.entries(f"runs/{RUN.retry_of}/retries")[0].path.endswith(RUN_NAME)


@needs_server
@pytest.mark.parametrize("key", CLOSED[2:9])
def test_the_server_refuses_it_everything_else(lake: Lake, key: str) -> None:
    path = key.removeprefix("acme/")
    for use in (
        lambda: lake.read(path),
        lambda: lake.write(path, b"by the controller"),
        lambda: lake.delete([path]),
        lambda: lake.write(OF_DRIVER.removeprefix("acme/"), b"by the controller"),
        lambda: lake.delete([OF_DRIVER.removeprefix("acme/")]),
        lambda: lake.folders(""),
    ):
        with pytest.raises(LightworkError, match=r"(?i)denied|refused"):
            use()
