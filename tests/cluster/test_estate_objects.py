"""The real API server accepts every Kubernetes object of the estate's stacks.

The objects are those of the recorded program, so they are what Pulumi would send. They are sent with strict
field validation, which rejects unknown fields, and as a dry run, which creates nothing.

Kinds that other charts define (`OTHERS`) are skipped if the cluster lacks their definitions: an API server
cannot validate an unknown kind. Helm charts are skipped too; `tests/infra` checks their values.
"""

from __future__ import annotations

import json
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from infra.offline.preview import preview
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
"""Kinds that may be skipped, and the chart that defines each."""

RELEASE = "helm.sh/v3"
STACKS = ("dev", "prod", "dev.acme", "dev.globex", "prod.globex", "local", "local.acme")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program in which each environment has an account."""
    folder = tmp_path_factory.mktemp("program")
    with files.own_pipelines():
        yield files.repository(folder, ACCOUNT)
    shutil.rmtree(folder)


@cache
def skipped_kinds() -> frozenset[str]:
    """Return the kinds that this cluster cannot validate."""
    defined = {line.split()[-1] for line in kubectl("api-resources", "--no-headers").splitlines()}
    return frozenset(OTHERS) - defined


def objects(program: Path, stack: str) -> list[dict[str, Any]]:
    """Return the Kubernetes objects of a stack, without those of skipped kinds."""
    resources = [r for r in preview(program, stack).resources if r.type.startswith("kubernetes:")]
    skipped = skipped_kinds()
    return [r.inputs for r in resources if RELEASE not in r.type and r.type.rpartition(":")[2] not in skipped]


def dry_run(manifests: list[dict[str, Any]]) -> str:
    """Send objects to the API server as `pulumi up` does, but as a dry run; return its output."""
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


def in_default_namespace(manifest: dict[str, Any]) -> dict[str, Any]:
    """Move an object to the namespace `default`: a dry run needs an existing one."""
    if "namespace" not in manifest["metadata"]:
        return manifest
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}}


@pytest.mark.core
@pytest.mark.parametrize("stack", STACKS)
def test_the_api_server_accepts_every_object_of_a_stack(program: Path, stack: str) -> None:
    manifests = objects(program, stack)
    assert manifests, f"{stack} has no objects"
    output = dry_run([in_default_namespace(manifest) for manifest in manifests])
    lines = [line for line in output.splitlines() if "serverside-applied (server dry run)" in line]
    assert len(lines) == len(manifests), f"{len(lines)} of {len(manifests)} were accepted:\n{output}"


@pytest.mark.core
def test_an_unknown_field_is_refused() -> None:
    wrong = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "wrong", "namespace": "default"},
        "dta": {},
    }
    with pytest.raises(HarnessError, match="dta"):
        dry_run([wrong])
