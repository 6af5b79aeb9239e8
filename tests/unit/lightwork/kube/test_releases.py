"""Which versions of Kubernetes and Argo the doctor takes, and where it reads Argo's."""

from __future__ import annotations

from typing import Any

import pytest

from lightwork.kube import checks, releases
from lightwork.kube.checks import Namespace
from lightwork.version import __version__
from tests.unit.lightwork.kube.objects import ARGO, CORE

DEPLOYMENTS = "/apis/apps/v1/namespaces/argo/deployments"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.35.4", (1, 35, 4)),
        ("v1.35.7-eks-3025e55", (1, 35, 7)),
        ("v1.34.0+k3s1", (1, 34, 0)),
        ("1.35", (1, 35)),
        ("latest", None),
        ("", None),
        (None, None),
    ],
)
def test_versions_are_read_as_clusters_write_them(text: object, version: Any) -> None:
    assert releases.parse(text) == version


@pytest.mark.parametrize(
    ("supported", "version", "expected"),
    [
        (releases.KUBERNETES, (1, 35, 99), None),
        (releases.KUBERNETES, (1, 30), None),
        (releases.KUBERNETES, (1, 29, 14), False),
        (releases.KUBERNETES, (1, 36, 0), True),
        (releases.KUBERNETES, (2, 0), True),
        (releases.ARGO, (3, 7, 14), None),
        (releases.ARGO, (3, 7, 20), None),
        (releases.ARGO, (3, 7, 13), False),
        (releases.ARGO, (3, 8, 0), True),
        (releases.ARGO, (4, 0, 1), True),
    ],
)
def test_a_version_is_too_old_too_new_or_right(
    supported: releases.Range, version: tuple[int, ...], expected: bool | None
) -> None:
    problem = releases.problem(supported, version)
    assert (problem and problem[1]) == expected


def test_what_is_wrong_is_one_line_with_the_command_that_mends_it() -> None:
    problem = releases.problem(releases.KUBERNETES, (1, 29, 3))
    assert problem is not None
    finding = checks.release("prod", *problem)
    assert finding.what == (
        f"Kubernetes is 1.29.3 in the cluster; lightwork {__version__} works with 1.30 to 1.35"
    )
    assert finding.mend == "lightwork-estate up --env prod --estate"
    assert checks.release("prod", "x", is_new=True).mend == "git pull && make setup"


def controller(image: str) -> dict[str, Any]:
    spec = {"containers": [{"name": "controller", "image": image}]}
    return {"metadata": {"name": "argo-workflow-controller"}, "spec": {"template": {"spec": spec}}}


def pod(created: str, *images: tuple[str, str]) -> dict[str, Any]:
    containers = [{"name": name, "image": image} for name, image in images]
    metadata = {"name": "p", "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"containers": containers}, "status": {"phase": "Running"}}


PODS = [
    pod("2026-11-01T00:00:00Z", ("main", "x:9.9.9"), ("wait", "quay.example/argoexec:v3.6.2")),
    pod("2026-11-02T00:00:00Z", ("main", "x:9.9.9"), ("wait", "quay.example:5000/argoexec:v3.7.14")),
    pod("2026-11-03T00:00:00Z", ("scheduler", "x:9.9.9")),
    pod("2026-11-03T00:00:00Z", ("wait", f"quay.example/argoexec@sha256:{'0' * 64}")),
]


@pytest.fixture
def namespace(api) -> Namespace:
    for kind in ("workflows", "cronworkflows"):
        api.answers["GET", f"{ARGO}/{kind}"] = 200, {"items": []}
    for path in (f"{CORE}/events", f"{CORE}/services", f"{CORE}/pods"):
        api.answers["GET", path] = 200, {"items": []}
    api.answers["GET", f"/apis/apps/v1{CORE.removeprefix('/api/v1')}/deployments"] = 200, {"items": []}
    api.answers["GET", CORE] = 200, {}
    api.answers["GET", "/version"] = 200, {"gitVersion": "v1.35.4"}
    api.answers["GET", DEPLOYMENTS] = 403, {"message": "no"}
    return Namespace("dev", "acme")


def versions(namespace: Namespace) -> list[str]:
    return [item.what for item in namespace.findings("") if item.kind == "version"]


def test_people_learn_argos_version_from_the_newest_pod_of_a_run(api, namespace: Namespace) -> None:
    api.answers["GET", f"{CORE}/pods"] = 200, {"items": PODS}
    assert versions(namespace) == []
    api.answers["GET", f"{CORE}/pods"] = 200, {"items": PODS[:1]}
    (line,) = versions(namespace)
    assert line.startswith("Argo Workflows is 3.6.2 in the cluster; ")
    assert namespace.unseen == []


def test_operators_learn_it_from_its_controller(api, namespace: Namespace) -> None:
    api.answers["GET", f"{CORE}/pods"] = 200, {"items": PODS[:2]}
    api.answers["GET", DEPLOYMENTS] = 200, {"items": [controller("quay.example/controller:v4.0.0")]}
    (line,) = versions(namespace)
    assert line.startswith("Argo Workflows is 4.0.0 in the cluster; ")


def test_what_nothing_tells_is_named(api, namespace: Namespace) -> None:
    api.answers["GET", "/version"] = 200, {"gitVersion": "v1.29.1"}
    (line,) = versions(namespace)
    assert line.startswith("Kubernetes is 1.29.1")
    assert namespace.unseen == ["the version of Argo Workflows: nothing that you may see tells it"]
