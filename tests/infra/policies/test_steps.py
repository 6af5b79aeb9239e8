"""What a step that runs a container of the tenant's choice may do in the lake.

Asked of an evaluator of policies, and of an S3 server that enforces them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from botocore.exceptions import ClientError

from infra.config.naming import Names
from infra.policies import tenant as tenant_policies
from lightwork import connect, task
from lightwork.errors import LightworkError
from lightwork.kube import contract
from tests import s3_server
from tests.cluster import stores
from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = Names(environment="dev", account=ACCOUNT, region=REGION)
LAKE = NAMES.lake_bucket("acme")
BUCKET = f"arn:aws:s3:::{LAKE}"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/acme"
STEP = tenant_policies.lake_of_steps(bucket_arn=BUCKET, key_arn=KEY, tenant="acme")
PODS = tenant_policies.lake_read_write(bucket_arn=BUCKET, key_arn=KEY)
BOUNDARY = tenant_policies.tenant_boundary(
    account=ACCOUNT,
    region=REGION,
    environment="dev",
    domain_arn=f"arn:aws:es:{REGION}:{ACCOUNT}:domain/logs",
)

CLOSED = (
    "runs/20260101T000000-1/jobs/0123.job",  # a job
    "runs/20260101T000000-1/run.json",
    "runs/20260101T000000-1/report.html",
    "history/runs/2026-11-28-0123.jsonl.gz",  # what runs did and cost
    "history/runs/prices.json",
    "results/wind.speed/0123/0001-4567.seg",  # a result
    "results/wind.speed/0123/code.json",
    "results/deep/er/and/deeper",
)
COMMITS = (
    "artifacts/sun/_versions/20260101T000000Z-1.json",  # a commit
    "artifacts/sun/20260101T000000Z-1/part-0.parquet",
    "lightwork-lake",
    "lightwork-lake-anew",
    "lightwork-collected",
)
OPEN = (
    "argo/nightly-1/nightly-1-step-fetch/main.log",  # where Argo saves the step's log
    "files/rows.csv",
    "history.csv",
    "results.csv",
    "runs-of-mine/1",
)
SOURCE = "files/source"
READS = ("s3:GetObject", "s3:ListMultipartUploadParts")
WRITES = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")


def may(action: str, path: str, grants: dict[str, Any] = STEP) -> bool:
    return within(BOUNDARY, [grants], action, f"{BUCKET}/acme/{path}", {})


@pytest.mark.parametrize("path", CLOSED)
def test_a_step_neither_reads_nor_writes_what_drivers_and_workers_unpickle(path: str) -> None:
    for action in (*READS, *WRITES):
        assert not may(action, path), f"{action} of {path}"
        assert may(action, path, PODS), "a driver and its workers need it"


@pytest.mark.parametrize("path", COMMITS)
def test_a_step_reads_artifacts_and_writes_none(path: str) -> None:
    for action in WRITES:
        assert not may(action, path), f"{action} of {path}"
        assert may(action, path, PODS), "a driver needs it"
    assert may("s3:GetObject", path), "without it no artifact can be read"


@pytest.mark.parametrize("path", OPEN)
def test_a_step_reads_and_writes_the_rest_of_its_tenants_folder(path: str) -> None:
    for action in (*READS, *WRITES):
        assert may(action, path), f"{action} of {path}"


def listing(prefix: str | None) -> bool:
    context: dict[str, str | list[str]] = {} if prefix is None else {"s3:prefix": prefix}
    return within(BOUNDARY, [STEP], "s3:ListBucket", BUCKET, context)


SHOWN = ("acme/artifacts/", "acme/artifacts/sun/_versions/", "acme/files", "acme/results.csv", "acme/runner/")
HIDDEN = [f"acme/{name}/"[:end] for name in contract.LAKE_CLOSED for end in range(len(f"acme/{name}/") + 1)]


@pytest.mark.parametrize(
    "prefix", [None, *sorted(set(HIDDEN)), "acme/results/t/", "acme/runs/1/jobs/", "globex/"]
)
def test_no_listing_shows_a_step_what_is_closed(prefix: str | None) -> None:
    assert not listing(prefix)


@pytest.mark.parametrize("prefix", SHOWN)
def test_a_step_lists_the_rest(prefix: str) -> None:
    assert listing(prefix)


def test_a_step_reaches_no_other_tenants_lake_and_changes_no_bucket() -> None:
    other = f"arn:aws:s3:::{NAMES.lake_bucket('globex')}"
    for action, resource in (
        ("s3:GetObject", f"{other}/globex/files/x"),
        ("s3:PutObject", f"{other}/acme/files/x"),
        ("s3:PutObject", f"{BUCKET}/globex/files/x"),
        ("s3:ListBucket", other),
        ("s3:PutBucketPolicy", BUCKET),
        ("s3:DeleteObjectVersion", f"{BUCKET}/acme/files/x"),
        ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/globex"),
    ):
        context: dict[str, str | list[str]] = {
            "s3:prefix": "acme/files",
            "kms:ResourceAliases": ["alias/lightwork/dev/acme/lake"],
        }
        assert not within(BOUNDARY, [STEP], action, resource, context), f"{action} of {resource}"


# The S3 server

needs_server = pytest.mark.skipif(
    not s3_server.is_built(), reason="needs the S3 server of the cluster tests: make cluster-up builds it"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    """A server with the lake of acme, in which drivers and workers have left one file of each kind."""
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        for account in ("pods", "steps", "controller", "people"):
            running.add_account(account)
        running.add_bucket(LAKE, "pods")
        accounts = {name: name for name in ("steps", "controller", "people")}
        policy = stores.bucket_policy("acme", LAKE, owner="pods", **accounts)
        running.client("root").put_bucket_policy(Bucket=LAKE, Policy=stores.as_text(policy))
        for path in (*CLOSED, *COMMITS, *OPEN, SOURCE):
            running.client("pods").put_object(Bucket=LAKE, Key=f"acme/{path}", Body=b"as it was")
        yield running


def outcome(call: Callable[..., Any], **arguments: Any) -> str:
    try:
        call(Bucket=LAKE, **arguments)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return "refused" if status == 403 else str(error)
    return "done"


def attempts(client: Any, key: str) -> dict[str, str]:
    """Try everything that reads or changes a file; return the outcome of each."""
    copy = {"Bucket": LAKE, "Key": f"acme/{SOURCE}"}
    return {
        "read": outcome(client.get_object, Key=key),
        "look": outcome(client.head_object, Key=key),
        "write": outcome(client.put_object, Key=key, Body=b"by a step"),
        "create": outcome(client.put_object, Key=f"{key}-new", Body=b"by a step", IfNoneMatch="*"),
        "copy": outcome(client.copy_object, Key=key, CopySource=copy),
        "upload": outcome(client.create_multipart_upload, Key=key),
        "delete": outcome(client.delete_object, Key=key),
    }


@needs_server
@pytest.mark.parametrize("path", CLOSED)
def test_the_server_refuses_a_step_that_touches_a_job_or_a_result(
    server: s3_server.Server, path: str
) -> None:
    assert set(attempts(server.client("steps"), f"acme/{path}").values()) == {"refused"}
    stored = server.client("pods").get_object(Bucket=LAKE, Key=f"acme/{path}")["Body"].read()
    assert stored == b"as it was"


@needs_server
@pytest.mark.parametrize("path", COMMITS)
def test_the_server_refuses_a_step_that_writes_a_commit_or_an_artifact(
    server: s3_server.Server, path: str
) -> None:
    tried = attempts(server.client("steps"), f"acme/{path}")
    assert {tried.pop("read"), tried.pop("look")} == {"done"}
    assert set(tried.values()) == {"refused"}


@needs_server
@pytest.mark.parametrize("path", OPEN)
def test_the_server_lets_a_step_use_the_rest(server: s3_server.Server, path: str) -> None:
    assert set(attempts(server.client("steps"), f"acme/{path}").values()) == {"done"}


@needs_server
def test_the_server_deletes_nothing_closed_in_a_batch(server: s3_server.Server) -> None:
    keys = [{"Key": f"acme/{path}"} for path in (*CLOSED, *COMMITS)]
    client, own = server.client("steps"), server.client("pods")
    if outcome(client.delete_objects, Delete={"Objects": keys}) == "done":
        answer = client.delete_objects(Bucket=LAKE, Delete={"Objects": keys})
        assert len(answer["Errors"]) == len(keys)
    for key in keys:
        own.head_object(Bucket=LAKE, **key)


@needs_server
@pytest.mark.parametrize("prefix", ["", "acme/", "acme/r", "acme/results/", "acme/runs/1"])
def test_the_server_lists_nothing_closed(server: s3_server.Server, prefix: str) -> None:
    client = server.client("steps")
    assert outcome(client.list_objects_v2, Prefix=prefix) == "refused"
    assert outcome(client.list_objects, Prefix=prefix) == "refused"
    assert outcome(client.list_objects_v2) == "refused"


@task
def double(x: int) -> int:
    return 2 * x


@needs_server
def test_a_step_uses_the_library_as_far_as_its_account_goes(
    server: s3_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads artifacts and keeps files of its own; what it may not write is refused in one line."""

    def become(account: str) -> None:
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_REGION": s3_server.REGION,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": s3_server.SECRET,
        }.items():
            monkeypatch.setenv(name, value)

    place = {"on": "serial", "lake": f"s3://{LAKE}", "tenant": "acme", "progress": "off"}
    become("pods")
    with connect(**place) as session:
        assert list(double.map([1, 2])) == [2, 4]
        session.artifacts.write("by-a-pipeline", pd.DataFrame({"n": [1, 2]}))
    become("steps")
    with connect(**place, cache=False) as session:
        assert list(session.artifacts.read("by-a-pipeline")["n"]) == [1, 2]
        assert [item.name for item in session.artifacts.list("by-a-pipeline")] == ["by-a-pipeline"]
        assert list(double.map([1, 2])) == [2, 4]
        session.lake.write("files/mine", b"x")
        assert session.lake.read("files/mine") == b"x"
        with pytest.raises(LightworkError, match=r"artifacts/by-a-step/\S+.*(denied|refused)"):
            session.artifacts.write("by-a-step", pd.DataFrame({"n": [1]}))
    with connect(**place) as session, pytest.raises(LightworkError, match=r"results.*(denied|refused)"):
        list(double.map([1, 2]))
