"""What one tenant may not do to another, asked for real with its own credentials."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.cluster import stores, tenants
from tests.cluster.certificates import SERVER, folder
from tests.cluster.kube import kubectl
from tests.cluster.progress import HarnessError

pytestmark = pytest.mark.core

GROUPS = {
    "workflows": "/apis/argoproj.io/v1alpha1",
    "deployments": "/apis/apps/v1",
    "clusterrolebindings": "/apis/rbac.authorization.k8s.io/v1",
}
ACCOUNTS = ("scaler", "driver", "worker", "default")


def refused(call, **arguments) -> bool:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_its_own_bucket_is_open_to_a_tenant(globex):
    s3, bucket = stores.client(globex), tenants.bucket(globex)
    s3.put_object(Bucket=bucket, Key="globex/own", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="globex/own")["Body"].read() == b"x"


def test_another_tenants_bucket_is_closed(acme, globex):
    bucket = tenants.bucket(acme)
    stores.client(acme).put_object(Bucket=bucket, Key="acme/own", Body=b"x")
    s3 = stores.client(globex)
    assert refused(s3.get_object, Bucket=bucket, Key="acme/own")
    assert refused(s3.put_object, Bucket=bucket, Key="acme/new", Body=b"x")
    assert refused(s3.list_objects_v2, Bucket=bucket)
    assert refused(s3.delete_object, Bucket=bucket, Key="acme/own")


@pytest.mark.parametrize("account", ACCOUNTS)
def test_another_tenants_objects_are_closed(acme, globex, account):
    there = tenants.namespace(acme)
    user = as_account(globex, account)
    for what in ("pods", "workflows", "secrets", "configmaps", "deployments", "services"):
        assert denied(user, "get", what, there), (account, what)
    for what in ("workflows", "pods", "secrets", "deployments"):
        assert denied(user, "create", what, there), (account, what)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_the_cluster_is_closed_to_a_tenants_accounts(globex, account):
    user = as_account(globex, account)
    for verb, what in (
        ("list", "nodes"),
        ("list", "namespaces"),
        ("create", "clusterrolebindings"),
        ("create", "namespaces"),
    ):
        assert denied(user, verb, what, None), (account, what)


def test_a_workflow_of_a_tenants_account_in_another_namespace_is_refused(acme, globex):
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "intruder", "namespace": tenants.namespace(acme)},
        "spec": {"workflowTemplateRef": {"name": "windy-city"}},
    }
    with pytest.raises(HarnessError, match="forbidden"):
        kubectl(*as_account(globex, "driver"), "create", "-f", "-", stdin=json.dumps(workflow))


def as_account(tenant: str, account: str) -> list[str]:
    """Options of kubectl for a real token of a service account."""
    token = kubectl("-n", tenants.namespace(tenant), "create", "token", account).strip()
    return [
        "--kubeconfig",
        "/dev/null",
        "--server",
        SERVER,
        "--token",
        token,
        "--certificate-authority",
        str(folder() / "ca.crt"),
    ]


def denied(user: list[str], verb: str, what: str, namespace: str | None) -> bool:
    """Whether the server refuses a real request, as forbidden and not for another reason."""
    place = f"/namespaces/{namespace}" if namespace else ""
    path = f"{GROUPS.get(what, '/api/v1')}{place}/{what}"
    if verb == "create":
        words, body = ["create", "--raw", path, "-f", "-"], "{}"
    else:
        words, body = ["get", "--raw", path], None
    with pytest.raises(HarnessError) as raised:
        kubectl(*user, *words, stdin=body)
    return "forbidden" in str(raised.value).lower()
