"""Tenants cannot reach each other: real requests with a tenant's own credentials."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from distributed import Client, Security

from lightwork.pods import certificates
from tests.cluster import probes, stores, tenants
from tests.cluster.kube import get, kubectl, port_of, stranger
from tests.cluster.progress import HarnessError
from tests.waiting import patience

pytestmark = pytest.mark.core

GROUPS = {
    "workflows": "/apis/argoproj.io/v1alpha1",
    "deployments": "/apis/apps/v1",
    "clusterrolebindings": "/apis/rbac.authorization.k8s.io/v1",
}
ACCOUNTS = ("scaler", "driver", "worker", "step", "controller", "default")


def refused(call, **arguments) -> bool:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_tenants_own_bucket_is_open(globex):
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
    other = tenants.namespace(acme)
    user = as_account(globex, account)
    for what in ("pods", "pods/any/log", "workflows", "secrets", "configmaps", "deployments", "services"):
        assert denied(user, "get", what, other), (account, what)
    for what in ("workflows", "pods", "secrets", "deployments"):
        assert denied(user, "create", what, other), (account, what)


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


def test_the_controller_lists_runs_and_pods_of_its_namespace_and_no_more(globex):
    own, user = tenants.namespace(globex), as_account(globex, "controller")
    for what in ("workflows", "pods", "events"):
        assert kubectl(*user, "get", "--raw", f"{GROUPS.get(what, '/api/v1')}/namespaces/{own}/{what}")
    for verb, what in (
        *(("get", what) for what in ("secrets", "configmaps", "deployments", "services", "pods/any/log")),
        *(("create", what) for what in ("pods", "workflows", "secrets", "deployments", "events")),
    ):
        assert denied(user, verb, what, own), (verb, what)


def test_a_workflow_of_a_tenants_account_in_another_namespace_is_refused(acme, globex):
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "intruder", "namespace": tenants.namespace(acme)},
        "spec": {"workflowTemplateRef": {"name": "windy-city"}},
    }
    with pytest.raises(HarnessError, match="forbidden"):
        kubectl(*as_account(globex, "driver"), "create", "-f", "-", stdin=json.dumps(workflow))


@pytest.fixture(scope="module")
def scheduler(both_tenants) -> Iterator[str]:
    """Start a run of the first tenant; the address of its scheduler, without the scheme."""
    tenant, label = both_tenants[0], probes.new_label()
    name = probes.submit(tenant, label, elements=100_000)
    probes.wait_until_at_work(tenant, name, label, 50)
    (pod,) = probes.running(tenant, name, "scheduler")
    with port_of(tenants.namespace(tenant), pod, 8786) as address:
        yield address
    kubectl("-n", tenants.namespace(tenant), "delete", "workflow", name, "--wait=false")


@pytest.fixture
def certificate(tmp_path):
    """A function that writes a tenant's certificates to files, and returns Dask's settings for them."""

    def write(tenant: str) -> Security:
        secret = get("-n", tenants.namespace(tenant), "secret", "dask-tls")["data"]
        for name, value in secret.items():
            (tmp_path / f"{tenant}-{name}").write_bytes(base64.b64decode(value))
        return Security(
            require_encryption=True,
            tls_ca_file=str(tmp_path / f"{tenant}-ca.crt"),
            tls_client_cert=str(tmp_path / f"{tenant}-tls.crt"),
            tls_client_key=str(tmp_path / f"{tenant}-tls.key"),
        )

    return write


def workers_of(address: str, security: Security | None = None, *, timeout: float = 5) -> int:
    with Client(address, security=security, timeout=timeout, set_as_default=False) as client:
        return len(client.nthreads())


def test_a_scheduler_is_open_to_its_own_tenants_certificate(acme, scheduler, certificate):
    assert workers_of(f"tls://{scheduler}", certificate(acme), timeout=patience(10)) > 0


def test_a_scheduler_is_closed_to_plain_text(scheduler):
    with pytest.raises(OSError, match=r"Timed out|closed|handshake"):
        workers_of(f"tcp://{scheduler}")


def test_a_scheduler_is_closed_to_another_tenants_certificate(globex, scheduler, certificate):
    with pytest.raises(OSError, match=r"(?i)Timed out|certificate|handshake"):
        workers_of(f"tls://{scheduler}", certificate(globex))


def test_a_scheduler_is_closed_to_a_certificate_that_claims_to_be_the_tenants(
    acme, scheduler, certificate, tmp_path
):
    """The caller trusts the tenant's authority, but its certificate is signed by another."""
    now = dt.datetime.now(dt.UTC)
    forged = certificates.certificate(acme, certificates.authority(acme, now), now)
    certificate(acme)
    for name in ("tls.crt", "tls.key"):
        (tmp_path / f"forged-{name}").write_bytes(forged[name])
    security = Security(
        require_encryption=True,
        tls_ca_file=str(tmp_path / f"{acme}-ca.crt"),
        tls_client_cert=str(tmp_path / "forged-tls.crt"),
        tls_client_key=str(tmp_path / "forged-tls.key"),
    )
    with pytest.raises(OSError, match=r"(?i)Timed out|certificate|handshake|closed"):
        workers_of(f"tls://{scheduler}", security)


def as_account(tenant: str, account: str) -> list[str]:
    """Return kubectl's options for a real token of a service account."""
    return stranger(kubectl("-n", tenants.namespace(tenant), "create", "token", account).strip())


def denied(user: list[str], verb: str, what: str, namespace: str | None) -> bool:
    """Return whether the server refuses a real request as forbidden, not for another reason."""
    scope = f"/namespaces/{namespace}" if namespace else ""
    path = f"{GROUPS.get(what, '/api/v1')}{scope}/{what}"
    if verb == "create":
        words, body = ["create", "--raw", path, "-f", "-"], "{}"
    else:
        words, body = ["get", "--raw", path], None
    with pytest.raises(HarnessError) as raised:
        kubectl(*user, *words, stdin=body)
    return "forbidden" in str(raised.value).lower()
