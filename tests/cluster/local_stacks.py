"""The stacks `local` and `local.<tenant>`, deployed by the command line to the cluster of the tests."""

from __future__ import annotations

import contextlib
import importlib.metadata
import runpy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.driver import cli
from lightwork.kube import contract
from lightwork.manifests import cluster_objects
from tests.cluster import binaries, images, stores, tenants
from tests.cluster.deployments import Deployments
from tests.cluster.kube import apply, kubectl
from tests.cluster.settings import ROOT, kubeconfig
from tests.estate import files

QUOTA = {"cpu": 8, "memory": "16Gi", "pods": 20, "storage": "50Gi"}
SHIM = """\
#!{python}
import sys

sys.path.insert(0, {here!r})
from tests.cluster.local_stacks import main

sys.exit(main({root!r}, sys.argv[1:]))
"""
"""`lightwork-estate` with the engine of the tests, as a program of its own."""


class Local(Deployments):
    """The local stacks of a repository."""

    def up(self, stack: str, options: str = "") -> dict[str, Any]:
        """Deploy a stack; return its entry in the summary."""
        code, summary = self.typed(f"up --stack {stack} {options}")
        assert code == 0, summary
        return summary[stack]

    def tenant(self, name: str, **fields: Any) -> None:
        """Write a tenant's file."""
        document = {"name": name, "environments": ["dev"], "quota": QUOTA, **fields}
        (self.root / "tenants" / f"{name}.yaml").write_text(yaml.safe_dump(document))

    def settings(self, **changes: Any) -> None:
        """Write the settings, for the cluster of the tests, with these changes."""
        config = {
            "kube_context": f"lightwork-{tenants.ENVIRONMENT}",
            "argo": "exists",
            "image": images.platform_image(),
            "lake": f"s3://lightwork-{tenants.ENVIRONMENT}-{{tenant}}",
            "s3_endpoint": stores.s3_url(),
            "region": stores.REGION,
            **changes,
        }
        entries = {f"lightwork:{key}": value for key, value in config.items() if value is not None}
        entries["pulumi:disable-default-providers"] = ["aws", "kubernetes"]
        (self.root / "Pulumi.local.yaml").write_text(yaml.safe_dump({"config": entries}))


def changes(entry: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the changes of a summary's entry, as `(operation, logical name)`."""
    return {(change["op"], change["name"]) for change in entry["changes"]}


def empty_lake(tenant: str) -> None:
    """Delete what earlier tests left in a tenant's lake, so that workers have to compute."""
    s3, bucket = stores.client("root"), tenants.bucket(tenant)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", ()):
            s3.delete_object(Bucket=bucket, Key=item["Key"])


def give_keys(tenant: str) -> None:
    """Create the Secret with the keys of a tenant's lake, in its namespace."""
    key = stores.credentials(tenant)
    names = {"AWS_ACCESS_KEY_ID": key["access"], "AWS_SECRET_ACCESS_KEY": key["secret"]}
    words = (f"--from-literal={name}={value}" for name, value in names.items())
    kubectl("-n", tenants.namespace(tenant), "create", "secret", "generic", contract.SECRETS, *words)


def clone(folder: Path) -> Local:
    """Write a repository without tenants, with an empty backend; return its stacks."""
    if not kubeconfig().exists():
        pytest.fail("no cluster is up: make cluster-up")
    root = files.repository(folder / "clone")
    for path in (root / "tenants").glob("*.yaml"):
        path.unlink()
    (folder / "backend").mkdir()
    for program in (binaries.ENGINE, binaries.PROVIDER):
        binaries.build(program)
    local = _stacks(root, folder / "backend")
    local.plug_in(importlib.metadata.version("pulumi_kubernetes"))
    local.settings()
    return local


def _stacks(root: Path, backend: Path) -> Local:
    local = Local(root, backend, binaries.folder_of(binaries.ENGINE))
    local.program = lambda stack, variables: runpy.run_path(str(root / "infra"), run_name="__main__")
    local.more = {"KUBECONFIG": str(kubeconfig())}
    return local


@contextlib.contextmanager
def without_the_tests_own_objects(*names: str) -> Iterator[None]:
    """Leave to Pulumi what the cluster tests install themselves; afterwards it is as before.

    Args:
        names: the tenants whose namespaces are deleted afterwards.
    """
    _delete_shared()
    try:
        yield
    finally:
        spaces = [tenants.namespace(name) for name in names]
        kubectl("delete", "namespace", *spaces, "--ignore-not-found", timeout=300)
        _delete_shared()
        apply(cluster_objects())


def _delete_shared() -> None:
    for item in cluster_objects():
        kubectl("delete", item["kind"], item["metadata"]["name"], "--ignore-not-found")


@contextlib.contextmanager
def deployed(local: Local) -> Iterator[None]:
    """Deploy the stack `local` for the block, in which the command line uses the clone."""
    where = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    with local.in_use(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, str(kubeconfig()))
        code, summary = local.typed("up --env local --estate")
        assert code == 0, summary
        yield
        code, summary = local.typed("destroy --env local --estate")
        assert code == 0, summary


def commands(local: Local) -> None:
    """Write `lightwork-estate` and `lightwork` to a clone's `.venv`, as `make setup` does."""
    folder = local.root / ".venv" / "bin"
    folder.mkdir(parents=True)
    estate = folder / "lightwork-estate"
    estate.write_text(SHIM.format(python=sys.executable, here=str(ROOT), root=str(local.root)))
    estate.chmod(0o755)
    (folder / "lightwork").symlink_to(Path(sys.executable).with_name("lightwork"))


def main(root: str, argv: Sequence[str]) -> int:
    """Run `lightwork-estate` for a clone, with the states of `pulumi login`; return its exit code."""
    local = _stacks(Path(root), Path(root).parent / "backend")
    local.logged_in = True
    with local.in_use():
        return cli.execute(argv)
