"""A Helm chart of the tests' own, through the command line, Pulumi's engine and its own provider.

The chart comes from a mirror on loopback. It is released as the charts of an estate are: `manifests.release`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes
import pytest

from infra import manifests
from infra.config import versions
from infra.driver import cli
from infra.manifests import CHARTS
from tests import chart as charts
from tests.cluster import images, tenants
from tests.cluster.kube import get, items, kubectl
from tests.cluster.local_stacks import Local, changes, clone

NAME = "argo-workflows"
"""The chart that the stack `local` needs; ours stands in its place."""
SPACE = "lightwork-chart"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleeper, namespace: {{ .Release.Namespace }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: sleeper}}
  template:
    metadata: {labels: {app: sleeper}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: {{ .Values.image }}
          imagePullPolicy: IfNotPresent
          command: [python, -c, "import time; time.sleep(1e6)"]
"""
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: greeting, namespace: {{ .Release.Namespace }}}
data: {text: {{ .Values.text | quote }}}
"""
ARCHIVE = charts.packed(
    NAME, "1.2.3", {"deployment.yaml": DEPLOYMENT, "config.yaml": CONFIG}, "replicas: 1\ntext: hello\n"
)


class Charted(Local):
    """The stack `local`, whose program releases the chart with these values.

    Attributes:
        values: the chart's values.
        mirror: the folder that is served.
        asked: the paths that the mirror was asked for.
    """

    values: dict[str, Any]
    mirror: Path
    asked: list[str]

    def build(self) -> None:
        """Register a namespace and the release."""
        provider = pulumi_kubernetes.Provider(
            "kubernetes", context=f"lightwork-{tenants.ENVIRONMENT}", enable_server_side_apply=True
        )
        opts = pulumi.ResourceOptions(provider=provider)
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
        names = {f"namespace-{SPACE}": manifests.NAMESPACE}
        made = manifests.make([space], opts, names=names, protect=False)
        manifests.release(
            "chart", chart=NAME, namespace=SPACE, values=self.values, opts=opts, after=list(made.values())
        )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Charted]:
    """The stack `local`, not deployed yet, and a mirror with the chart."""
    folder = tmp_path_factory.mktemp("chart")
    plain = clone(folder)
    local = Charted(plain.root, plain.backend, plain.pulumi, more=plain.more, brings_charts=True)
    local.program = lambda stack, variables: local.build()
    local.values = {"image": images.platform_image()}
    local.mirror = folder / "mirror"
    local.mirror.mkdir()
    digest = hashlib.sha256(ARCHIVE).hexdigest()
    chart = dataclasses.replace(versions.CHARTS[NAME], version="1.2.3", digest=digest)
    charts.write_index(local.mirror, chart, ARCHIVE)
    where = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    with (
        charts.served(local.mirror) as (url, asked),
        pytest.MonkeyPatch.context() as patch,
        local.in_use(),
    ):
        patch.setattr(where, local.more["KUBECONFIG"])
        patch.setitem(versions.CHARTS, NAME, chart)
        local.settings(argo="make", charts=url)
        local.asked = asked
        try:
            yield local
        finally:
            kubectl("delete", "namespace", SPACE, "--ignore-not-found", timeout=120)


def text() -> str:
    """Return the text that the chart's ConfigMap has in the cluster."""
    return str(get("-n", SPACE, "configmap", "greeting")["data"]["text"])


def test_a_chart_comes_from_the_mirror_once_and_its_pods_are_waited_for(local: Charted) -> None:
    assert changes(local.up("local")) >= {("create", "chart"), ("create", manifests.NAMESPACE)}
    (pod,) = items("-n", SPACE, "pods")
    assert pod["status"]["containerStatuses"][0]["ready"], "`up` was over before the pod was ready"
    assert (text(), local.asked) == ("hello", ["/index.yaml", f"/{NAME}-1.2.3.tgz"])


def test_a_preview_needs_no_repository_and_an_update_changes_in_place(local: Charted) -> None:
    shutil.move(local.mirror / "index.yaml", local.mirror / "away.yaml")
    local.settings(argo="make", charts="http://127.0.0.1:1")
    code, summary = local.typed("preview --stack local")
    assert (code, changes(summary["local"])) == (0, set()), "from where the chart comes is no change"
    local.values = {**local.values, "text": "good bye"}
    assert changes(local.up("local")) == {("update", "chart")}
    assert text() == "good bye"
    assert len(local.asked) == 2


def test_an_archive_that_is_not_the_pinned_one_stops_before_anything_starts(
    local: Charted, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(local.root / CHARTS)
    other = charts.packed(NAME, "1.2.3", {"config.yaml": CONFIG}, "text: not ours\n")
    charts.write_index(local.mirror, versions.CHARTS[NAME], other)
    with charts.served(local.mirror) as (url, _):
        local.settings(argo="make", charts=url)
        assert cli.execute(["up", "--stack", "local"]) == 1
    assert "it is another chart, or was changed on its way" in capsys.readouterr().err
    assert text() == "good bye"
    (local.mirror / f"{NAME}-1.2.3.tgz").write_bytes(ARCHIVE)
    local.settings(argo="make", charts=str(local.mirror))  # a folder


def test_an_image_that_cannot_be_pulled_is_named_while_up_waits_and_when_it_fails(
    local: Charted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "TIMEOUT", 40)
    image, local.values = local.values["image"], {**local.values, "image": tenants.NO_IMAGE}
    code, summary = local.typed("up --stack local")
    told = f"the image {tenants.NO_IMAGE} cannot be pulled: "
    assert code == 1, summary
    error = str(summary["local"]["error"])
    assert error.startswith("pod sleeper-"), error
    assert told in error
    said = capsys.readouterr().err
    assert "lightwork-estate: local: pod sleeper-" in said
    assert said.index(told) < said.index("local: failed after"), "it is told as it is seen"
    local.values = {**local.values, "image": image}
    assert changes(local.up("local")) == {("update", "chart")}, "the same command mends it"


def test_destroy_removes_the_release_and_keeps_the_namespace(local: Charted) -> None:
    code, summary = local.typed("destroy --stack local")
    assert code == 0, summary
    kubectl("get", "namespace", SPACE)
    left = items("-n", SPACE, "deployments,configmaps,secrets")
    assert [item["metadata"]["name"] for item in left] == ["kube-root-ca.crt"], "Helm's own Secrets too"
