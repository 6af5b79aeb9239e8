"""The check of the local stacks' cluster, with its API replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from infra.driver import at_hand
from lightwork.errors import InputError, LightworkError
from lightwork.kube.api import RefusedError
from lightwork.manifests import argo_config
from tests.estate import files

if TYPE_CHECKING:
    from pathlib import Path

OURS = argo_config.config_map(argo_config.Argo(database=None, cluster="local"))["data"]


def controller(
    image: str, version: str | None = None, name: str = "argo-workflow-controller"
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/version": version} if version else {}
    pod = {"spec": {"containers": [{"image": image}]}}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"template": pod}}


class Api:
    """A cluster's API with these Deployments and settings in Argo's namespace, or with an error."""

    def __init__(
        self, *deployments: dict[str, Any], data: dict[str, str] = OURS, error: Exception | None = None
    ) -> None:
        self.deployments, self.data, self.error = deployments, data, error

    def get(self, path: str) -> dict[str, Any]:
        if self.error:
            raise self.error
        if path == "/version":
            return {"gitVersion": "v1.35.4"}
        return {"items": list(self.deployments)} if "deployments" in path else {"data": self.data}


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    root = files.repository(tmp_path / "copy")
    path = root / "Pulumi.local.yaml"
    text = path.read_text()

    def checked(api: Api, argo: str = "exists") -> str:
        path.write_text(text.replace("config:\n", f"config:\n  lightwork:argo: {argo}\n"))
        monkeypatch.setattr(at_hand, "_api", lambda context: api)
        return at_hand.check(root)[1]

    return checked


@pytest.mark.parametrize(
    "deployment",
    [
        controller("quay.io/argoproj/workflow-controller:v3.7.14"),
        controller("quay.io:443/argoproj/workflow-controller:v3.7.15@sha256:00"),
        controller("registry:5000/argo/controller", "v3.7.14"),
        controller("localhost/argo:built-here", "3.7.20", "workflow-controller"),
    ],
)
def test_an_argo_of_the_tested_version_is_taken(check: Any, deployment: dict[str, Any]) -> None:
    line = check(Api(controller("other", name="argo-server"), deployment))
    assert line.startswith("the context kind-lightwork, Kubernetes v1.35.4, Argo")


@pytest.mark.parametrize(
    "deployment",
    [
        controller("quay.io/argoproj/workflow-controller:v3.7.13"),
        controller("quay.io/argoproj/workflow-controller:v3.6.19"),
        controller("quay.io/argoproj/workflow-controller:v4.0.1"),
        controller("quay.io/argoproj/workflow-controller:latest"),
        controller("registry:5000/argo/controller"),
    ],
)
def test_another_argo_is_refused(check: Any, deployment: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"Pulumi\.local\.yaml: lightwork:argo: .* expected v3\.7\.14"):
        check(Api(deployment))
    assert check(Api(deployment), argo="make"), "the chart replaces it"


def test_a_cluster_without_argo_is_refused_where_it_should_have_one(check: Any) -> None:
    with pytest.raises(InputError, match="no Deployment workflow-controller; `make` installs"):
        check(Api())


@pytest.mark.parametrize("form", ["one key", "many keys"])
def test_an_argo_whose_pods_no_namespace_would_admit_is_refused(check: Any, form: str) -> None:
    ours = yaml.safe_load(OURS["config"])
    fits = controller("argo:v3.7.14")

    def data(settings: dict[str, Any]) -> dict[str, str]:
        if form == "one key":
            return {"config": yaml.safe_dump(settings)}
        return {key: yaml.safe_dump(value) for key, value in settings.items()}

    assert check(Api(fits, data=data(ours)))
    del ours["executor"]["securityContext"]
    with pytest.raises(InputError, match=r"lacks executor\.securityContext in its ConfigMap"):
        check(Api(fits, data=data(ours)))
    with pytest.raises(InputError, match=r"executor.*mainContainer.*workflowDefaults"):
        check(Api(fits, data={}))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError("connection refused"), "cannot be reached: connection refused"),
        (RefusedError(401, "Unauthorized", ""), "refuses: 401 Unauthorized; log in again"),
        (RefusedError(403, "Forbidden", ""), "refuses: 403 Forbidden$"),
    ],
)
def test_a_cluster_that_does_not_answer_is_named(check: Any, error: Exception, message: str) -> None:
    with pytest.raises(LightworkError, match=f"context 'kind-lightwork' {message}"):
        check(Api(error=error), argo="make")


def test_a_context_that_the_kubeconfig_lacks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = files.repository(tmp_path / "copy")
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}
    contexts = [
        {"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("prod", "kind-lightwerk")
    ]
    users = [{"name": "u", "user": {"token": "t"}}]
    content = {"clusters": [cluster], "contexts": contexts, "users": users, "current-context": "prod"}
    kubeconfig.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig), raising=True
    )
    with pytest.raises(InputError, match="no context 'kind-lightwork'; did you mean 'kind-lightwerk'"):
        at_hand.check(root)
