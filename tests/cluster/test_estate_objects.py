"""Every Kubernetes object of the estate's stacks, asked of the real API server: would it take it?

The objects are those of the recorded program, so what is asked is what Pulumi would send. Asked with strict
field validation, where a field that a kind does not have is an error, and dry, so that nothing is made.

Left out are kinds that other charts define (`OTHERS`), where the cluster lacks their definitions: an API
server can say nothing of a kind that it does not know. Charts themselves are Helm's: what they are told is
held to what they know in `tests/infra/test_charts.py`.
"""

from __future__ import annotations

import json
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from infra.preview_offline import preview
from tests.cluster.kube import kubectl
from tests.cluster.progress import HarnessError
from tests.estate import files
from tests.infra.engine import ACCOUNT

if TYPE_CHECKING:
    from pathlib import Path

OTHERS = {
    "ServiceMonitor": "kube-prometheus-stack",
    "PodMonitor": "kube-prometheus-stack",
    "PrometheusRule": "kube-prometheus-stack",
    "ExternalSecret": "external-secrets",
    "SecretStore": "external-secrets",
}
"""Kinds that are left out, and the chart that defines each."""

RELEASE = "helm.sh/v3"
STACKS = ("dev", "prod", "dev.acme", "dev.globex", "prod.globex", "local", "local.acme")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program, in which each environment has chosen an account."""
    folder = tmp_path_factory.mktemp("program")
    with files.own_pipelines():
        yield files.repository(folder, ACCOUNT)
    shutil.rmtree(folder)


@cache
def left_out() -> frozenset[str]:
    """The kinds that this cluster cannot be asked about."""
    known = {line.split()[-1] for line in kubectl("api-resources", "--no-headers").splitlines()}
    return frozenset(OTHERS) - known


def objects(program: Path, stack: str) -> list[dict[str, Any]]:
    """The Kubernetes objects of a stack, but for those of kinds that are left out."""
    found = [r for r in preview(program, stack).resources if r.type.startswith("kubernetes:")]
    return [r.inputs for r in found if RELEASE not in r.type and r.type.rpartition(":")[2] not in left_out()]


def ask(manifests: list[dict[str, Any]]) -> str:
    """Send objects to the API server, as `pulumi up` does, without anything being made."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    return kubectl(
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--force-conflicts",
        "--field-manager=estate-test",
        "-f",
        "-",
        stdin=text,
        timeout=180,
    )


def in_a_namespace_that_is_there(manifest: dict[str, Any]) -> dict[str, Any]:
    """An object, in the namespace `default`: a dry run makes none, and asks for it to be there."""
    if "namespace" not in manifest["metadata"]:
        return manifest
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}}


@pytest.mark.core
@pytest.mark.parametrize("stack", STACKS)
def test_the_api_server_would_take_every_object_of_a_stack(program: Path, stack: str) -> None:
    found = objects(program, stack)
    assert found, f"{stack} has no objects"
    said = ask([in_a_namespace_that_is_there(manifest) for manifest in found])
    lines = [line for line in said.splitlines() if "serverside-applied (server dry run)" in line]
    assert len(lines) == len(found), f"{len(lines)} of {len(found)} were taken:\n{said}"


@pytest.mark.core
def test_a_field_that_a_kind_does_not_have_is_refused() -> None:
    wrong = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "wrong", "namespace": "default"},
        "dta": {},
    }
    with pytest.raises(HarnessError, match="dta"):
        ask([wrong])
