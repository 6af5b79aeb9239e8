"""Kubernetes objects and Helm charts as Pulumi resources: one resource per object, one per chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra.config import versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


PRECIOUS = frozenset({"Namespace", "CustomResourceDefinition"})
"""Kinds whose deletion takes other objects along."""

GUARDS = frozenset({"NetworkPolicy", "ResourceQuota", "LimitRange"})
"""Kinds that limit a namespace. A namespace that is retained must keep them.

They are deleted with their namespace, so not while it stays: when a stack is destroyed, a retained namespace
keeps them. One that leaves the program is deleted, as the namespace does not leave with it.
"""

GATES = frozenset({"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"})
"""Kinds that limit rights. They are created before those, and deleted after them."""

NAMESPACE = "namespace"
"""The logical name of a tenant's namespace."""

STARTING = frozenset({"Job", "CronJob", "CronWorkflow"})
"""Kinds that start pods; everything else is created first."""

MADE_BY_KUBERNETES = frozenset({("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")})
"""Kinds and names of the objects that Kubernetes makes in every namespace. Creating one of them fails."""

WAIT = "20m"
"""How long Pulumi waits for a Job: a node may have to start and pull its images first."""


class KubernetesObject(pulumi.CustomResource):
    """One object, as written in YAML.

    Its type is the one that the Kubernetes provider gives to its kind, as with the classes of
    `pulumi_kubernetes`. A preview therefore shows each object under its own kind, Argo's objects and
    ConfigMaps alike. (A `ConfigGroup` would show them too, but creates them within an `apply`.)

    An object that Kubernetes makes itself is patched: only the given fields are set, and deleting the
    resource gives them up.
    """

    def __init__(self, name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(token(manifest), name, dict(manifest), opts)


def token(manifest: Mapping[str, Any]) -> str:
    """Return the provider's type token of an object's kind, or of its patch."""
    group = manifest["apiVersion"]
    patch = "Patch" if (manifest["kind"], manifest["metadata"]["name"]) in MADE_BY_KUBERNETES else ""
    return f"kubernetes:{'core/v1' if group == 'v1' else group}:{manifest['kind']}{patch}"


def logical_name(manifest: Mapping[str, Any]) -> str:
    """Return an object's name in the stack: its kind and its own name, whatever the order of the objects."""
    return f"{manifest['kind'].lower()}-{manifest['metadata']['name']}"


def make(
    manifests: Iterable[Mapping[str, Any]],
    opts: pulumi.ResourceOptions,
    *,
    names: Mapping[str, str] | None = None,
    protect: bool = True,
) -> dict[str, KubernetesObject]:
    """Make a resource of each object.

    Namespaces come first, then what limits rights. Kinds that start pods come last: a Job whose service
    account is missing never gets a pod.

    Args:
        manifests: the objects.
        opts: the options of all resources, above all their parent.
        names: logical names to use instead of those that `logical_name` returns.
        protect: whether precious objects are protected; they are retained in any case.

    Returns:
        The resources by their logical names.

    Raises:
        ValueError: two objects have the same logical name.
    """
    resources: dict[str, KubernetesObject] = {}
    namespaces: dict[str, pulumi.Resource] = {}
    gates: list[pulumi.Resource] = []
    for manifest in sorted(manifests, key=_rank):
        kind, default = manifest["kind"], logical_name(manifest)
        name = (names or {}).get(default, default)
        if name in resources:
            raise ValueError(f"duplicate logical name {name!r}")
        before = list(resources.values()) if kind in STARTING else [*namespaces.values(), *gates]
        home = namespaces.get(manifest["metadata"].get("namespace", ""))
        extra = pulumi.ResourceOptions(
            protect=True if kind in PRECIOUS and protect else None,
            retain_on_delete=True if kind in PRECIOUS else None,
            deleted_with=home if kind in GUARDS else None,
            depends_on=before,
            custom_timeouts=pulumi.CustomTimeouts(create=WAIT, update=WAIT) if kind == "Job" else None,
        )
        resources[name] = KubernetesObject(
            name, _without_ttl(manifest), pulumi.ResourceOptions.merge(opts, extra)
        )
        if kind == "Namespace":
            namespaces[manifest["metadata"]["name"]] = resources[name]
        elif kind in GATES:
            gates.append(resources[name])
    return resources


def filled(
    manifests: Iterable[Mapping[str, Any]], values: Mapping[str, pulumi.Output[str]]
) -> list[dict[str, Any]]:
    """Replace `<<name>>` in the texts of objects by outputs of other resources.

    Kind and name of each object stay plain text, so that a preview shows them.

    Args:
        manifests: the objects.
        values: the outputs, by the names that they replace.
    """

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        named = {key: output for key, output in values.items() if f"<<{key}>>" in str(value)}
        if not isinstance(value, str) or not named:
            return value
        return pulumi.Output.all(**named).apply(lambda resolved: _replaced(value, resolved))

    return [fill(dict(manifest)) for manifest in manifests]


def _replaced(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"<<{key}>>", value)
    return text


def _rank(manifest: Mapping[str, Any]) -> int:
    kind = manifest["kind"]
    if kind == "Namespace":
        return 0
    return 1 if kind in GATES else 3 if kind in STARTING else 2


def _without_ttl(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Drop the TTL of a Job; return other objects unchanged.

    A Job that Kubernetes deletes would show up as missing in every later preview. The TTL is not needed:
    Pulumi replaces a Job that changes.
    """
    if manifest["kind"] != "Job":
        return manifest
    spec = {key: value for key, value in manifest["spec"].items() if key != "ttlSecondsAfterFinished"}
    return {**manifest, "spec": spec}


CHARTS = ".cache/charts"
"""The folder with the charts' archives, relative to the repository's root. The driver brings them there."""
TIMEOUT = 900
"""Seconds for a chart to become ready: a node may have to start and pull its images first."""


def release(
    name: str,
    *,
    chart: str,
    namespace: str,
    values: pulumi.Input[dict[str, Any]],
    opts: pulumi.ResourceOptions,
    after: Sequence[pulumi.Resource] = (),
    wait: bool = True,
) -> kubernetes.helm.v3.Release:
    """Install a chart as Helm does.

    This uses `helm.v3.Release` and not `helm.v4.Chart`, which makes a Pulumi resource of every object:

    - Charts make Secrets (a webhook's key, Alertmanager's settings), and Kubernetes writes tokens into those
      of Argo's users. With `Chart` all of that would be in the state; with `Release` only the values are.
    - Hooks run: Prometheus' operator gets its certificate from two Jobs that are hooks.
    - `helm list`, `helm history` and `helm rollback` work when Pulumi does not.

    The chart is a file, because the provider reads it for every preview, even of a release that stays as it
    is: a preview must not depend on a repository that is away. Its path is relative to this folder, in which
    the provider runs, so that it is the same on every machine.

    The drawback: a preview shows which values change, not which objects; `helm template` with those values
    shows the objects. CRDs are never deleted: Helm leaves those in a chart's `crds` folder alone, and the
    others are annotated to be kept.

    Args:
        name: the logical name.
        chart: the chart's name in `versions.CHARTS`.
        namespace: the namespace to install into; it must exist.
        values: the chart's values.
        opts: the resource's options.
        after: the resources to create first.
        wait: whether to wait until the chart's pods are ready.
    """
    pinned = versions.CHARTS[chart]
    return kubernetes.helm.v3.Release(
        name,
        name=chart,
        chart=f"../{CHARTS}/{pinned.file}",
        version=pinned.version,
        namespace=namespace,
        create_namespace=False,
        values=values,
        skip_await=not wait,
        timeout=TIMEOUT,
        cleanup_on_fail=True,
        max_history=5,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(after))),
    )
