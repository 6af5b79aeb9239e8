"""The stack `local`: the same objects on a local cluster, and nothing from AWS."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from infra.config import versions
from infra.driver.plan import KEPT
from lightwork import manifests, tenants
from lightwork.functions import discovery
from lightwork.kube import contract
from lightwork.manifests.base import Target
from lightwork.manifests.reach import Address, Pod, allowed
from tests.infra.engine import run_program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infra.engine import Run

PROVIDER = "pulumi:providers:kubernetes"


def kinds(run: Run) -> set[str]:
    return {r.type for r in run.resources if r.type.startswith(("aws:", "kubernetes:", "pulumi:providers:"))}


SHARED = {
    "kubernetes:argoproj.io/v1alpha1:ClusterWorkflowTemplate",
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy",
}
"""What all tenants share: the scaler's template, and what their people may write."""


def test_the_local_platform_is_argo_and_what_tenants_share(root: Path) -> None:
    run = run_program(root, "local")
    assert run.error is None, f"{run.error}"
    assert kinds(run) == {
        PROVIDER,
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:ConfigMap",
        "kubernetes:helm.sh/v3:Release",
        *SHARED,
    }, "a laptop has no AWS"
    assert not run.invokes, "there is no AWS account to look up"
    release = run.one("kubernetes:helm.sh/v3:Release").inputs
    pinned = versions.CHARTS["argo-workflows"]
    assert release["version"] == pinned.version, "the same Argo as in production"
    assert release["values"]["images"]["tag"] == pinned.image_tag, "the same Argo as in production"
    assert release["values"]["server"]["authModes"] == ["client"], "there is no identity provider"


def test_a_local_tenant_consists_of_the_builders_objects(root: Path) -> None:
    run = run_program(root, "local.acme")
    assert run.error is None, f"{run.error}"
    target = Target(
        environment="dev",
        image="lightwork/platform:local",
        lake="s3://lightwork-acme",
        lake_keys="lightwork-secrets",
        variables={"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"},
    )
    tenant = tenants.load(root / "tenants" / "acme.yaml")
    deployed = {r.name: r.inputs for r in run.resources if r.type.startswith("kubernetes:")}
    built = manifests.tenant_objects(tenant, target, discovery.pipelines())
    assert len(deployed) == len(built), "no more and no fewer"
    for manifest in built:
        if manifest["kind"] in {"Namespace", "Job"}:
            continue
        name = f"{manifest['kind'].lower()}-{manifest['metadata']['name']}"
        assert deployed[name] == json.loads(json.dumps(manifest)), f"{name} differs"
    assert run.outputs == {"namespace": "tenant-acme"}, "the stack's interface"
    assert not any(kind.startswith("aws:") for kind in kinds(run)), "a laptop has no AWS"


def settings(root: Path, old: str, new: str) -> None:
    path = root / "Pulumi.local.yaml"
    assert old in path.read_text(), "the sample does not change the file"
    path.write_text(path.read_text().replace(old, new))


def test_the_cluster_is_the_one_that_is_named_whichever_is_current(root: Path) -> None:
    assert run_program(root, "local").one(PROVIDER).inputs["context"] == "kind-lightwork"
    settings(root, "  lightwork:kube_context: kind-lightwork\n", "")
    run = run_program(root, "local")
    assert "kube_context" in str(run.error), "the current one may be anything, even production"
    assert not kinds(run)


def test_an_argo_that_the_cluster_has_is_left_alone(root: Path) -> None:
    settings(root, "config:\n", "config:\n  lightwork:argo: exists\n")
    run = run_program(root, "local")
    assert kinds(run) == {PROVIDER, *SHARED}


def test_nothing_is_protected_and_namespaces_are_kept_with_their_limits(root: Path) -> None:
    for stack, name in (("local", "namespace-argo"), ("local.acme", "namespace")):
        run = run_program(root, stack)
        assert not [r.name for r in run.resources if r.protect], "nobody could destroy it"
        space = run.named("kubernetes:core/v1:Namespace", name)
        assert space.retain_on_delete, "its Secrets and records would go with it"
        assert name in KEPT, "the driver would refuse to give it up"
        for resource in run.resources:
            if resource.type.endswith((":NetworkPolicy", ":ResourceQuota", ":LimitRange")):
                assert resource.deleted_with.endswith("::namespace"), "kept only if the namespace leaves"
                assert not resource.retain_on_delete, "one that the program drops must go"


def test_the_s3_server_reaches_the_pods(root: Path) -> None:
    settings(root, "# lightwork:s3_endpoint", "lightwork:s3_endpoint")
    run = run_program(root, "local.acme")
    variables = run.named("kubernetes:core/v1:ConfigMap", "configmap-lightwork").inputs["data"]
    assert variables["AWS_ENDPOINT_URL"] == "http://s3.example:7070", "without it, pods would use AWS"
    assert variables["LIGHTWORK_LAKE"] == "s3://lightwork-acme", "the tenant's own"
    policy = run.named("kubernetes:networking.k8s.io/v1:NetworkPolicy", "networkpolicy-s3").inputs
    assert policy["spec"]["egress"][0]["ports"] == [{"protocol": "TCP", "port": 7070}]
    lake = run.named("kubernetes:core/v1:ConfigMap", "configmap-artifact-repositories").inputs["data"]["lake"]
    assert "useSDKCreds" not in lake, "no pod has an identity: every run would end as Failed"


@pytest.mark.parametrize(
    ("endpoint", "open_", "closed"),
    [
        (None, (443,), (80, 7070)),
        ("http://s3.example:7070", (443, 7070), (80, 7071)),
        ("http://s3.example", (80, 443), (7070,)),
        ("https://s3.example", (443,), (80, 7070)),
    ],
)
def test_pods_reach_the_s3_server_by_its_port_and_no_other(
    root: Path, endpoint: str | None, open_: tuple[int, ...], closed: tuple[int, ...]
) -> None:
    path = root / "Pulumi.local.yaml"
    line = "# lightwork:s3_endpoint: http://s3.example:7070"
    assert line in path.read_text()
    path.write_text(path.read_text().replace(line, f"lightwork:s3_endpoint: {endpoint}" if endpoint else ""))
    run = run_program(root, "local.acme")
    policies = [r.inputs for r in run.all("kubernetes:networking.k8s.io/v1:NetworkPolicy")]
    server = Address("192.0.2.9")
    for role in ("driver", "worker", "step"):
        pod = Pod("tenant-acme", {contract.LABEL_ROLE: role})
        assert [port for port in (*open_, *closed) if allowed(policies, pod, server, port)] == list(open_), (
            role
        )
    for role in ("scheduler", "scaler", "certificates"):
        pod = Pod("tenant-acme", {contract.LABEL_ROLE: role})
        assert not allowed(policies, pod, server, 7070), role


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("lightwork:image:", "lightwork:imgae:", "imgae.*'image'"),
        ("s3://lightwork-{tenant}", "s3://everybody", "lake"),
        ("s3://lightwork-{tenant}", "/data/{tenant}", "lake"),
        (
            "# lightwork:s3_endpoint: http://s3.example:7070",
            "lightwork:s3_endpoint: http://s3:x",
            "s3_endpoint",
        ),
        (
            "# lightwork:s3_endpoint: http://s3.example:7070",
            "lightwork:s3_endpoint: http://s3:70700",
            "s3_endp",
        ),
        ("config:", "confg:", "config: .*missing.*lightwork:image"),
        ("config:", "config:\n  lightwork:argo: maybe", "argo.*maybe.*exists"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_file(root: Path, old: str, new: str, expected: str) -> None:
    path = root / "Pulumi.local.yaml"
    assert old in path.read_text(), "the sample does not change the file"
    path.write_text(path.read_text().replace(old, new))
    run = run_program(root, "local")
    assert re.search(expected, str(run.error)), f"{run.error}"
    assert "Pulumi.local.yaml" in str(run.error), "the message must name the file"
    assert not kinds(run), "refused only after something was planned"


@pytest.mark.parametrize("stack", ["local.", "local.acme.two", "local.nobody"])
def test_a_local_stack_without_a_tenants_file_is_refused(root: Path, stack: str) -> None:
    run = run_program(root, stack)
    assert run.error is not None, "the program succeeded"
    assert not kinds(run), "refused only after something was planned"


def test_a_name_with_the_same_prefix_is_not_local(root: Path) -> None:
    assert "'locals'" in str(run_program(root, "locals").error)
