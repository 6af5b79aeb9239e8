"""The stand-in for EKS Pod Identity in the cluster tests: its patches of pods, and its credentials."""

from __future__ import annotations

import base64
import copy
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from tests.cluster import pod_identity, pod_identity_server, pod_identity_webhook, stores
from tests.cluster.pod_identity_server import RefusedError
from tests.waiting import patience

REGION = "eu-central-1"


def a_pod(**spec: Any) -> dict[str, Any]:
    main = {"name": "main", "env": [{"name": "A", "value": "1"}], "volumeMounts": [{"name": "tls"}]}
    whole = {"containers": [main, {"name": "wait"}], "volumes": [{"name": "tls"}], **spec}
    return {"metadata": {"name": "p"}, "spec": {"serviceAccountName": "driver", **whole}}


def patched(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod with the webhook's patch applied."""
    changed = copy.deepcopy(pod)
    for step in pod_identity_webhook.injection(pod["spec"], REGION):
        assert step["op"] == "add"
        _, spec, name = step["path"].split("/")
        changed[spec][name] = step["value"]
    return changed


def review(pod: dict[str, Any], namespace: str = "tenant-acme") -> dict[str, Any]:
    request = {"request": {"uid": "u", "namespace": namespace, "object": pod}}
    document = pod_identity_webhook.review(
        request, associated=lambda *account: account == ("tenant-acme", "driver"), region=REGION
    )
    return dict(document["response"])


def test_every_container_gets_the_endpoint_and_can_read_the_token_but_not_write_it() -> None:
    spec = patched(a_pod(initContainers=[{"name": "init"}]))["spec"]
    for container in [*spec["containers"], *spec["initContainers"]]:
        env = {item["name"]: item["value"] for item in container["env"]}
        assert env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://169.254.170.23/v1/credentials"
        assert env["AWS_REGION"] == REGION
        mount = container["volumeMounts"][-1]
        file = f"{mount['mountPath']}/eks-pod-identity-token"
        assert env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] == file
        assert mount["readOnly"] is True
    token = spec["volumes"][-1]["projected"]["sources"][0]["serviceAccountToken"]
    assert token["audience"] == "pods.eks.amazonaws.com"


def test_a_pods_own_settings_stay() -> None:
    region = {"name": "AWS_REGION", "value": "us-west-2"}
    main = {"name": "main", "env": [region], "volumeMounts": [{"name": "x"}]}
    spec = patched(a_pod(containers=[main]))["spec"]
    (container,) = spec["containers"]
    assert [item for item in container["env"] if item["name"] == "AWS_REGION"] == [region]
    assert container["volumeMounts"][0] == {"name": "x"}
    assert spec["volumes"][0] == {"name": "tls"}


def test_a_second_patch_changes_nothing() -> None:
    once = patched(a_pod(initContainers=[{"name": "init"}]))
    assert patched(once) == once


def test_no_list_of_containers_is_added() -> None:
    assert "initContainers" not in patched(a_pod())["spec"]


def test_a_pod_whose_account_has_an_association_gets_the_patch() -> None:
    response = review(a_pod())
    assert response["allowed"]
    assert response["patchType"] == "JSONPatch"
    steps = json.loads(base64.b64decode(response["patch"]))
    assert [step["path"] for step in steps] == ["/spec/volumes", "/spec/containers"]


@pytest.mark.parametrize(
    ("namespace", "account"), [("tenant-acme", "scheduler"), ("tenant-acme", None), ("elsewhere", "driver")]
)
def test_any_other_pod_is_admitted_unchanged(namespace: str, account: str | None) -> None:
    assert review(a_pod(serviceAccountName=account), namespace) == {"uid": "u", "allowed": True}


USERS = {
    "a-token-of-driver": "system:serviceaccount:tenant-acme:driver",
    "a-token-of-scaler": "system:serviceaccount:tenant-acme:scaler",
    "a-token-of-driver-elsewhere": "system:serviceaccount:elsewhere:driver",
    "a-token-of-a-person": "system:admin",
    "a-token-of-nobody": "system:serviceaccount:tenant-acme",
}


@pytest.fixture
def address(tmp_path, monkeypatch) -> Iterator[str]:
    """The endpoint, with an API server that knows five tokens, and one association."""

    def reviewed(token: str) -> str:
        if token not in USERS:
            raise RefusedError(403, "AccessDeniedException", "the token is not a valid one")
        return USERS[token]

    monkeypatch.setenv("LIGHTWORK_CLUSTER_RUN", str(tmp_path))
    monkeypatch.setattr(pod_identity_server, "reviewed", reviewed)
    monkeypatch.setattr(
        stores, "credentials", lambda account: {"access": f"AKIA-{account}", "secret": "a-secret"}
    )
    pod_identity.associate("tenant-acme", "driver", "acme")
    server = ThreadingHTTPServer(("127.0.0.1", 0), pod_identity_server.Credentials)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(address: str, token: str | None, path: str = "/v1/credentials") -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(address, timeout=patience(10))
    connection.request("GET", path, headers={"Authorization": token} if token else {})
    response = connection.getresponse()
    result = response.status, json.load(response)
    connection.close()
    return result


def test_a_token_of_an_associated_account_gets_its_credentials_in_the_form_of_aws(address: str) -> None:
    status, document = ask(address, "a-token-of-driver")
    assert status == 200
    assert set(document) == {"AccessKeyId", "SecretAccessKey", "Token", "AccountId", "Expiration"}
    assert (document["AccessKeyId"], document["SecretAccessKey"]) == ("AKIA-acme", "a-secret")


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (None, 400),
        ("a-stranger", 403),
        ("a-token-of-a-person", 403),
        ("a-token-of-nobody", 403),
        ("a-token-of-scaler", 404),
        ("a-token-of-driver-elsewhere", 404),
    ],
)
def test_any_other_token_gets_a_code_and_a_reason(address: str, token: str | None, expected: int) -> None:
    status, document = ask(address, token)
    assert (status, set(document)) == (expected, {"code", "message"})


def test_any_other_page_is_not_found(address: str) -> None:
    assert ask(address, "a-token-of-driver", "/v1/other")[0] == 404


def test_the_log_has_the_account_and_the_result_but_no_token_and_no_secret(address: str, capfd) -> None:
    for token in ("a-token-of-driver", "a-token-of-scaler", "a-stranger", None):
        ask(address, token)
    log = "".join(capfd.readouterr())
    assert "credentials for tenant-acme/driver" in log
    assert "404 tenant-acme/scaler" in log
    assert log.count("\n") == 4
    for hidden in ("a-token", "a-stranger", "a-secret", "AKIA-acme"):
        assert hidden not in log
