"""What a tenant's people may do in its lake: read it, and nothing else.

Asked of an evaluator of policies, and of an S3 server that enforces them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from infra.config.naming import Names
from infra.policies import tenant as tenant_policies
from lightwork.errors import LightworkError
from lightwork.lake import open_lake
from lightwork.store import records
from lightwork.store.artifacts import Artifacts
from lightwork.store.documents import seal
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
GRANTS = tenant_policies.lake_of_people(bucket_arn=BUCKET, key_arn=KEY, tenant="acme", region=REGION)
BOUNDARY = tenant_policies.tenant_boundary(
    account=ACCOUNT,
    region=REGION,
    environment="dev",
    domain_arn=f"arn:aws:es:{REGION}:{ACCOUNT}:domain/logs",
)
RUN = "20260101T000000-12345678"
VIA_S3 = {
    "kms:ViaService": f"s3.{REGION}.amazonaws.com",
    "kms:ResourceAliases": "alias/lightwork/dev/acme/lake",
}


def may(action: str, resource: str, **context: str) -> bool:
    return within(BOUNDARY, [GRANTS], action, resource, {**context})


@pytest.mark.parametrize("path", [f"runs/{RUN}/run.json", "artifacts/x/1/part-0.parquet", "results/t/1.seg"])
def test_they_read_everything_of_their_tenant_and_write_nothing(path: str) -> None:
    assert may("s3:GetObject", f"{BUCKET}/acme/{path}")
    for action in (
        *("s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion", "s3:AbortMultipartUpload"),
        *("s3:PutObjectAcl", "s3:RestoreObject", "s3:PutObjectTagging"),
    ):
        assert not may(action, f"{BUCKET}/acme/{path}"), action


def test_they_reach_no_other_lake_and_no_other_folder() -> None:
    other = f"arn:aws:s3:::{NAMES.lake_bucket('globex')}"
    for resource in (f"{other}/globex/x", f"{other}/acme/x", f"{BUCKET}-2/acme/x", f"{BUCKET}/globex/x"):
        assert not may("s3:GetObject", resource), resource
    for prefix, expected in (("acme/", True), ("acme/runs/", True), ("acme-2/", False), ("", False)):
        context: dict[str, str | list[str]] = {"s3:prefix": prefix}
        assert within(BOUNDARY, [GRANTS], "s3:ListBucket", BUCKET, context) is expected, prefix
    assert not may("s3:ListBucket", BUCKET), "not the whole bucket"
    assert not within(BOUNDARY, [GRANTS], "s3:ListBucket", other, {"s3:prefix": "acme/"})


def test_the_key_decrypts_what_s3_reads_for_them_only() -> None:
    assert within(BOUNDARY, [GRANTS], "kms:Decrypt", KEY, {**VIA_S3})
    secrets = {**VIA_S3, "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}
    assert not within(BOUNDARY, [GRANTS], "kms:Decrypt", KEY, {**secrets}), "the tenant's secrets have it too"
    assert not within(
        BOUNDARY, [GRANTS], "kms:Decrypt", KEY, {"kms:ResourceAliases": "alias/lightwork/dev/a/b"}
    )
    assert not within(BOUNDARY, [GRANTS], "kms:Decrypt", KEY.replace("acme", "globex"), {**VIA_S3})
    assert not within(BOUNDARY, [GRANTS], "kms:GenerateDataKey", KEY, {**VIA_S3})


# The S3 server

needs_server = pytest.mark.skipif(
    not s3_server.is_built(), reason="needs the S3 server of the cluster tests: make cluster-up builds it"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        accounts = {name: name for name in ("steps", "controller", "people")}
        for account in ("pods", *accounts):
            running.add_account(account)
        running.add_bucket(LAKE, "pods")
        policy = stores.bucket_policy("acme", LAKE, owner="pods", **accounts)
        running.client("root").put_bucket_policy(Bucket=LAKE, Policy=json.dumps(policy))
        yield running


def lake_of(
    server: s3_server.Server, account: str, monkeypatch: pytest.MonkeyPatch, tenant: str = "acme"
) -> Lake:
    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_REGION": s3_server.REGION,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": s3_server.SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    return open_lake(f"s3://{LAKE}", tenant=tenant, patience=0)


@needs_server
def test_the_server_shows_them_runs_and_artifacts(
    server: s3_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = lake_of(server, "pods", monkeypatch)
    values = {"run_id": RUN, "status": "succeeded", "workflow": "w", "started": "2026-01-01T00:00:00+00:00"}
    own.write(f"runs/{RUN}/run.json", seal(values))
    Artifacts(own, run_id=RUN, provenance={}).write("winds", pd.DataFrame({"n": [1, 2]}))
    own.write("argo/w/w-driver-1/main.log", b"a line")
    lake = lake_of(server, "people", monkeypatch)
    assert [record["name"] for record in records.recent(lake)] == [RUN]
    artifacts = Artifacts(lake, run_id="", provenance={})
    assert [item.name for item in artifacts.list()] == ["winds"]
    assert list(artifacts.read("winds")["n"]) == [1, 2]
    assert lake.read("argo/w/w-driver-1/main.log") == b"a line"


@needs_server
def test_the_server_refuses_them_everything_else(
    server: s3_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake_of(server, "pods", monkeypatch).write("files/x", b"as it was")
    lake = lake_of(server, "people", monkeypatch)
    other = lake_of(server, "people", monkeypatch, "globex")
    for use in (
        lambda: lake.write("files/x", b"by somebody"),
        lambda: lake.write("files/new", b"by somebody"),
        lambda: lake.delete(["files/x"]),
        lambda: other.read("files/x"),
        lambda: other.folders(""),
    ):
        with pytest.raises(LightworkError, match=r"(?i)denied|refused"):
            use()
    assert lake.read("files/x") == b"as it was"
