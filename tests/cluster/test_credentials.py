"""Pods get credentials only as on EKS: from an endpoint, for a token in a file. Keys are nowhere else."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lightwork.kube import contract
from tests.cluster import pod_identity, pod_identity_webhook, probes, stores, tenants
from tests.cluster.kube import get, items, kubectl, stranger
from tests.cluster.progress import HarnessError
from tests.cluster.settings import logs

pytestmark = pytest.mark.core

AUDIENCE = pod_identity_webhook.AUDIENCE
WITHOUT_ROLE = (
    "default",
    contract.ACCOUNT_SCALER,
    contract.ACCOUNT_SCHEDULER,
    contract.ACCOUNT_CERTIFICATES,
)
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
ALL_ENVIRONMENTS = """
import glob, json
document = {}
for name in glob.glob("/proc/[0-9]*/environ"):
    try:
        document[name] = open(name, "rb").read().decode().split(chr(0))
    except OSError:
        pass
print(json.dumps(document))
"""
"""Prints the environments of all processes in a container."""
USE_THE_LAKE = """
import os
from lightwork.lake import open_lake
lake = open_lake(os.environ["LIGHTWORK_LAKE"], tenant=os.environ["LIGHTWORK_TENANT"])
lake.write("credentials/x", b"1")
system, base = lake.arrow()
print(lake.read("credentials/x"), system.open_input_file(base + "/credentials/x").read())
lake.delete(["credentials/x"])
"""
CONTAINERS = {"driver": "main", "worker": "worker", "scheduler": "scheduler"}


def token(namespace: str, account: str, audience: str | None = AUDIENCE) -> str:
    """Create a real token of a service account; for the API server if the audience is None."""
    words = ["-n", namespace, "create", "token", account]
    return kubectl(*words, *([f"--audience={audience}"] if audience else [])).strip()


def secret_values(tenant: str) -> list[str]:
    """Return the secrets that must appear nowhere: the tenant's keys, and the root account's."""
    return [*stores.credentials(tenant).values(), stores.credentials("root")["secret"]]


@pytest.fixture(scope="module")
def at_work(both_tenants) -> Iterator[str]:
    """Start a run, and wait until its workers compute; its name."""
    tenant, label = both_tenants[0], probes.new_label()
    name = probes.submit(tenant, label, elements=50_000)
    probes.wait_until_at_work(tenant, name, label, 50)
    yield name
    kubectl("-n", tenants.namespace(tenant), "delete", "workflow", name, "--wait=false")
    tenants.wait_until_clear(tenant, name, seconds=120)


def pods_of(tenant: str, run_name: str, role: str) -> list[dict[str, Any]]:
    names = probes.running(tenant, run_name, role)
    assert names, f"no {role} runs"
    return [get("-n", tenants.namespace(tenant), "pod", name) for name in names]


def in_pod(tenant: str, run_name: str, role: str, code: str) -> str:
    """Run Python code in a running pod of a run; return its output."""
    (pod, *_) = pods_of(tenant, run_name, role)
    where = ["-n", tenants.namespace(tenant), "exec", pod["metadata"]["name"], "-c", CONTAINERS[role], "--"]
    return kubectl(*where, "python", "-c", code)


@pytest.mark.parametrize("role", ["driver", "worker"])
def test_no_process_of_a_running_pod_has_a_key_in_its_environment(acme, at_work, role):
    environments = json.loads(in_pod(acme, at_work, role, ALL_ENVIRONMENTS))
    assert environments
    for process, lines in environments.items():
        names = {line.partition("=")[0] for line in lines}
        assert not names & KEYS, process
        for value in secret_values(acme):
            assert not [line.partition("=")[0] for line in lines if value in line], process
    all_lines = {line for lines in environments.values() for line in lines}
    assert f"AWS_CONTAINER_CREDENTIALS_FULL_URI={pod_identity_webhook.URL}" in all_lines


@pytest.mark.parametrize("role", ["driver", "worker"])
def test_every_container_of_a_pod_with_a_role_gets_the_endpoint(acme, at_work, role):
    """Including Argo's own containers, which save the logs in the lake."""
    for pod in pods_of(acme, at_work, role):
        spec = pod["spec"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            env = {item["name"]: item.get("value") for item in container["env"]}
            where = f"{pod['metadata']['name']} {container['name']}"
            assert env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == pod_identity_webhook.URL, where
            file = env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
            (mount,) = [
                item for item in container["volumeMounts"] if file.startswith(f"{item['mountPath']}/")
            ]
            assert mount["readOnly"], where
            (volume,) = [item for item in spec["volumes"] if item["name"] == mount["name"]]
            (source,) = volume["projected"]["sources"]
            assert source["serviceAccountToken"]["audience"] == AUDIENCE, where


@pytest.mark.parametrize("role", ["driver", "worker"])
def test_boto3_and_pyarrow_use_the_lake_from_a_pod_with_a_role(acme, at_work, role):
    assert in_pod(acme, at_work, role, USE_THE_LAKE).strip() == "b'1' b'1'"


def test_a_pod_without_a_role_cannot_use_the_lake(acme, at_work):
    with pytest.raises(HarnessError, match="there are no AWS credentials"):
        in_pod(acme, at_work, "scheduler", USE_THE_LAKE)


def test_a_pod_without_a_role_is_not_patched(acme, at_work):
    for pod in pods_of(acme, at_work, "scheduler"):
        assert AUDIENCE not in json.dumps(pod)
        assert "AWS_CONTAINER" not in json.dumps(pod)


def test_nothing_in_a_tenants_namespace_holds_a_key(acme, at_work):
    where = ["-n", tenants.namespace(acme)]
    hidden = secret_values(acme)
    kinds = "secrets,configmaps,pods,deployments,workflows,workflowtemplates,cronworkflows,serviceaccounts"
    objects = items(*where, kinds)
    assert {item["kind"] for item in objects} > {"Secret", "ConfigMap", "Pod", "Workflow"}
    for item in objects:
        name = f"{item['kind']}/{item['metadata']['name']}"
        texts = [json.dumps(item)]
        if item["kind"] == "Secret":
            texts += [base64.b64decode(value).decode("latin-1") for value in item.get("data", {}).values()]
        for text in texts:
            assert not any(value in text for value in hidden), name
        assert not KEYS & set(item.get("data", {})), name


def test_a_tenants_driver_and_worker_get_the_tenants_own_credentials(acme, globex):
    for account in pod_identity.ACCOUNTS:
        status, document = pod_identity.ask(token(tenants.namespace(globex), account))
        assert status == 200, document
        key = stores.credentials(globex)
        assert (document["AccessKeyId"], document["SecretAccessKey"]) == (key["access"], key["secret"])
        assert {"Token", "AccountId"} <= set(document)
        left = dt.datetime.fromisoformat(document["Expiration"]) - dt.datetime.now(dt.UTC)
        assert dt.timedelta(0) < left < dt.timedelta(hours=1)


def test_a_pods_credentials_open_its_tenants_bucket_and_no_other(acme, globex):
    import boto3

    status, document = pod_identity.ask(token(tenants.namespace(globex), contract.ACCOUNT_WORKER))
    assert status == 200
    s3 = boto3.client(
        "s3",
        endpoint_url=stores.s3_url(),
        region_name=stores.REGION,
        aws_access_key_id=document["AccessKeyId"],
        aws_secret_access_key=document["SecretAccessKey"],
        aws_session_token=document["Token"] or None,
    )
    s3.put_object(Bucket=tenants.bucket(globex), Key="globex/by-a-worker", Body=b"x")
    with pytest.raises(ClientError) as raised:
        s3.list_objects_v2(Bucket=tenants.bucket(acme))
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_steps_credentials_write_no_job_no_result_and_no_commit(globex):
    import boto3

    status, document = pod_identity.ask(token(tenants.namespace(globex), contract.ACCOUNT_STEP))
    assert status == 200
    s3 = boto3.client(
        "s3",
        endpoint_url=stores.s3_url(),
        region_name=stores.REGION,
        aws_access_key_id=document["AccessKeyId"],
        aws_secret_access_key=document["SecretAccessKey"],
    )
    bucket = tenants.bucket(globex)
    s3.put_object(Bucket=bucket, Key="globex/files/by-a-step", Body=b"x")
    for path in ("runs/1/jobs/1.job", "results/t/c/1.seg", "artifacts/t/_versions/1.json"):
        with pytest.raises(ClientError) as raised:
            s3.put_object(Bucket=bucket, Key=f"globex/{path}", Body=b"x")
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, path


@pytest.mark.parametrize("account", WITHOUT_ROLE)
def test_an_account_without_a_role_gets_no_credentials(globex, account):
    status, document = pod_identity.ask(token(tenants.namespace(globex), account))
    assert status == 404
    assert set(document) == {"code", "message"}
    assert "no association" in document["message"]


def test_an_account_of_the_same_name_in_another_namespace_gets_no_credentials(both_tenants):
    kubectl("-n", "default", "create", "serviceaccount", contract.ACCOUNT_DRIVER)
    try:
        status, document = pod_identity.ask(token("default", contract.ACCOUNT_DRIVER))
    finally:
        kubectl("-n", "default", "delete", "serviceaccount", contract.ACCOUNT_DRIVER)
    assert (status, set(document)) == (404, {"code", "message"})


@pytest.mark.parametrize("audience", [None, "sts.amazonaws.com"])
def test_a_token_for_another_audience_is_refused(globex, audience):
    status, document = pod_identity.ask(token(tenants.namespace(globex), contract.ACCOUNT_DRIVER, audience))
    assert (status, set(document)) == (403, {"code", "message"})


def test_an_invalid_token_is_refused(both_tenants):
    valid = token(tenants.namespace(both_tenants[0]), contract.ACCOUNT_DRIVER)
    head, body, _ = valid.split(".")
    for wrong in ("x", f"{head}.{body}.", f"{head}.{body}.{'A' * 342}"):
        assert pod_identity.ask(wrong)[0] == 403
    assert pod_identity.ask("")[0] == 400


def test_the_token_is_valid_for_nothing_else(globex):
    """Reading it from a pod gives no access to the Kubernetes API."""
    words = stranger(token(tenants.namespace(globex), contract.ACCOUNT_DRIVER))
    with pytest.raises(HarnessError, match=r"Unauthorized|must be logged in"):
        kubectl(*words, "get", "--raw", f"/api/v1/namespaces/{tenants.namespace(globex)}/pods")


def test_the_log_of_the_endpoint_has_neither_tokens_nor_secrets(globex):
    valid = token(tenants.namespace(globex), contract.ACCOUNT_DRIVER)
    assert pod_identity.ask(valid)[0] == 200
    assert pod_identity.ask("a-wrong-token")[0] == 403
    log = (logs() / f"{pod_identity.SERVER}.log").read_text()
    assert f"credentials for {tenants.namespace(globex)}/{contract.ACCOUNT_DRIVER}" in log
    for hidden in (valid, valid.split(".")[1], "a-wrong-token", *secret_values(globex)):
        assert hidden not in log
