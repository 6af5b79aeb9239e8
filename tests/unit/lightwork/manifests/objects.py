"""The objects under test: those of the tests' tenants, the scaler, Argo's configuration."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import yaml

from lightwork import manifests, tenants
from lightwork.functions import discovery
from lightwork.manifests import argo_config, base, dask
from tests.estate import files

REPOSITORY = Path(__file__).resolve().parents[4]
TARGET = base.Target(
    environment="dev",
    image="registry.example/lightwork:1.0.0",
    lake="s3://lakes/dev",
    variables={"AWS_REGION": "eu-central-1"},
)
ARGO = argo_config.Argo(database=argo_config.Database(host="archive.example"), cluster="dev")


def tenant(text: str) -> tenants.Tenant:
    return tenants.Tenant.model_validate({"name": "acme", "environments": ["dev"], **yaml.safe_load(text)})


@functools.cache
def of_tenant(name: str) -> list[dict[str, Any]]:
    with files.own_pipelines():
        return manifests.tenant_objects(files.load(name), TARGET, discovery.pipelines())


@functools.cache
def scaler() -> dict[str, Any]:
    return manifests.cluster_objects()[0]


def template(name: str) -> dict[str, Any]:
    (template,) = [item for item in scaler()["spec"]["templates"] if item["name"] == name]
    return template


def one(tenant_name: str, kind: str, name: str) -> dict[str, Any]:
    """Return the one object of a tenant with this kind and name."""
    (manifest,) = [
        item for item in of_tenant(tenant_name) if (item["kind"], item["metadata"]["name"]) == (kind, name)
    ]
    return manifest


def filled_in(text: str, devices: str = "") -> str:
    """Return a manifest as Argo fills it in, as far as it is YAML only then."""
    return text.replace(dask.placeholder("worker-devices"), devices)


def of_run() -> list[dict[str, Any]]:
    """Return the objects that the scaler's steps create."""
    return [dask.service(), dask.scheduler(), dask.workers()]


def every() -> list[dict[str, Any]]:
    return [
        *(item for name in files.NAMES for item in of_tenant(name)),
        scaler(),
        *of_run(),
        argo_config.config_map(ARGO),
    ]


def title(item: dict[str, Any]) -> str:
    return f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def as_python(expression: str) -> str:
    """Return one of Argo's conditions as Python, which lacks two of its operators."""
    expression = re.sub(r"(lastRetry\.message) contains ('[^']+')", r"(\2 in \1)", expression)
    return re.sub(r"(lastRetry\.message) startsWith ('[^']+')", r"\1.startswith(\2)", expression)
