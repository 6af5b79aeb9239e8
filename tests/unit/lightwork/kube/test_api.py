"""Requests to the Kubernetes API and its refusals, against a fake one on this machine."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme

from lightwork.cluster.fleet import KubernetesPods
from lightwork.kube.api import ByClient, InCluster, KubeApi, RefusedError

WORKERS = "/apis/apps/v1/namespaces/tenant-acme/deployments/r1-workers"
UNREACHABLE = "http://127.0.0.1:9"
PODS = "/api/v1/namespaces/tenant-acme/pods"


@pytest.fixture(params=["in a pod", "by a kubeconfig"])
def api(request, server, tmp_path: Path) -> KubeApi:
    """Both clients, with the same token."""
    if request.param == "in a pod":
        return in_pod(server, tmp_path)
    from kubernetes.client import ApiClient, Configuration

    settings = Configuration(host=server.url, api_key={"authorization": "Bearer t0ken"})
    settings.retries = False
    return ByClient(ApiClient(settings))


def in_pod(server: Any, folder: Path, authority: trustme.CA | None = None) -> InCluster:
    for name, text in (("namespace", "tenant-acme\n"), ("token", "t0ken\n")):
        (folder / name).write_text(text)
    (authority or trustme.CA()).cert_pem.write_to_path(folder / "ca.crt")
    return InCluster(folder, server.url)


def test_a_pod_trusts_only_a_server_with_a_certificate_of_the_clusters_authority(
    server, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = server.url.replace("http://", "https://")
    server.answers["GET", PODS] = (200, {"items": []})
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        in_pod(server, tmp_path).get(PODS)
    assert server.requests == [], "no request, and so no token, was sent"
    assert in_pod(server, tmp_path, authority).get(PODS) == {"items": []}


def test_requests_have_the_form_that_the_api_expects(api, server):
    server.answers |= {
        ("GET", PODS): (200, {"items": []}),
        ("POST", PODS): (201, {}),
        ("PATCH", f"{PODS}/p1"): (200, {}),
        ("GET", f"{PODS}/p1/log"): (200, "one\ntwo\n"),
    }
    assert api.get(PODS, labelSelector="a=b,c in (d,e)") == {"items": []}
    api.create(PODS, {"kind": "Pod"})
    api.patch(f"{PODS}/p1", {"metadata": {}})
    assert api.text(f"{PODS}/p1/log", container="main") == "one\ntwo\n"
    assert [(method, path, body) for method, path, _, body in server.requests] == [
        ("GET", PODS, None),
        ("POST", PODS, {"kind": "Pod"}),
        ("PATCH", f"{PODS}/p1", {"metadata": {}}),
        ("GET", f"{PODS}/p1/log", None),
    ]
    assert parse_qs(server.requests[0][2]) == {"labelSelector": ["a=b,c in (d,e)"]}
    kinds = [headers["Content-Type"] for headers in server.headers]
    assert kinds[1:3] == ["application/json", "application/merge-patch+json"]
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer t0ken"}


@pytest.mark.parametrize(
    ("body", "words"),
    [({"message": "pods is\nforbidden"}, "pods is forbidden"), ("<html>", "403 Forbidden")],
)
def test_a_refusal_has_the_apis_status_and_message(api, server, body, words):
    server.answers["GET", PODS] = (403, body)
    with pytest.raises(RefusedError) as caught:
        api.get(PODS)
    assert (caught.value.status, str(caught.value)) == (403, words)


def test_an_api_that_cannot_be_reached_is_an_os_error(api, server):
    if isinstance(api, ByClient):
        api.client.configuration.host = UNREACHABLE
    else:
        api._url = UNREACHABLE
    with pytest.raises(OSError, match="refused"):
        api.get(PODS)


def test_the_token_is_read_for_each_request(server, tmp_path):
    api = in_pod(server, tmp_path)
    server.answers["GET", PODS] = (200, {})
    api.get(PODS)
    (tmp_path / "token").write_text("an0ther")
    api.get(PODS)
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer t0ken", "Bearer an0ther"]


# The workers' Deployment


@pytest.fixture
def workers(server, tmp_path: Path) -> KubernetesPods:
    return KubernetesPods(in_pod(server, tmp_path), "r1-workers", "tenant-acme")


@pytest.mark.parametrize(
    ("status", "spec", "count"), [(200, {"replicas": 3}, 3), (200, {}, 0), (404, {}, None)]
)
def test_the_number_of_workers_is_read(workers, server, status, spec, count):
    server.answers["GET", f"{WORKERS}/scale"] = (status, {"spec": spec})
    assert workers.replicas() == count


@pytest.mark.parametrize(("status", "address"), [(200, "10.96.0.7"), (404, None)])
def test_the_schedulers_service_is_found(workers, server, status, address):
    path = "/api/v1/namespaces/tenant-acme/services/r1-scheduler"
    server.answers["GET", path] = (status, {"spec": {"clusterIP": "10.96.0.7"}})
    assert workers.service_ip("r1-scheduler") == address


def test_the_number_of_workers_is_set(workers, server):
    server.answers["PATCH", f"{WORKERS}/scale"] = (200, {})
    workers.scale(5)
    assert server.requests == [("PATCH", f"{WORKERS}/scale", "", {"spec": {"replicas": 5}})]


def test_idle_workers_are_marked_unless_they_are_being_deleted(workers, server):
    server.answers["GET", WORKERS] = (200, {"spec": {"selector": {"matchLabels": {"run": "r1"}}}})
    pods = [
        {"metadata": {"name": "a"}, "status": {"podIP": "10.0.0.1"}},
        {"metadata": {"name": "b"}, "status": {"podIP": "10.0.0.2"}},
        {"metadata": {"name": "c", "deletionTimestamp": "x"}, "status": {"podIP": "10.0.0.3"}},
        {"metadata": {"name": "d"}, "status": {}},
    ]
    server.answers["GET", PODS] = (200, {"items": pods})
    server.answers["PATCH", f"{PODS}/a"] = (200, {})
    assert workers.let_go_first({"10.0.0.1", "10.0.0.3"}) == 1
    assert ("GET", PODS, "labelSelector=run%3Dr1", None) in server.requests
    changed = [(path, body) for method, path, _, body in server.requests if method == "PATCH"]
    cost = {"controller.kubernetes.io/pod-deletion-cost": "-100"}
    assert changed == [(f"{PODS}/a", {"metadata": {"annotations": cost}})]


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([], ""),
        ([{"type": "ReplicaFailure", "status": "False", "message": "old"}], ""),
        ([{"type": "Available", "status": "True"}], ""),
        ([{"type": "ReplicaFailure", "status": "True", "message": "exceeded\nquota"}], "exceeded quota"),
        ([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}], "FailedCreate"),
    ],
)
def test_a_refusal_of_workers_has_kubernetes_own_message(workers, server, conditions, words):
    server.answers["GET", WORKERS] = (200, {"status": {"conditions": conditions}})
    assert workers.refusal() == words
