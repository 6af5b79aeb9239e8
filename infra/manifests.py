"""Kubernetes objects as Pulumi's resources: whatever a builder makes, one resource each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra.config import versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


PRECIOUS = frozenset({"Namespace", "CustomResourceDefinition"})
"""Kinds whose end takes others' objects along."""

GUARDS = frozenset({"NetworkPolicy", "ResourceQuota", "LimitRange"})
"""Kinds that bound a namespace. One that is kept must not lose them."""

STARTING = frozenset({"Job", "CronJob", "CronWorkflow"})
"""Kinds by which something begins to run; all the rest is to be there before."""

WAIT = "20m"
"""For how long Pulumi waits until an object is ready: a node may have to come first, with its images."""


class KubernetesObject(pulumi.CustomResource):
    """One object, as it is written in YAML.

    It has the type that the Kubernetes provider gives to its kind, as the classes of `pulumi_kubernetes`
    have, so a preview shows each object under its own kind, and an object of Argo's is no different from a
    ConfigMap. (A `ConfigGroup` would show them too, but makes them within an `apply`.)
    """

    def __init__(self, name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(token(manifest), name, dict(manifest), opts)


def token(manifest: Mapping[str, Any]) -> str:
    """The type that the provider knows an object's kind by."""
    group = manifest["apiVersion"]
    return f"kubernetes:{'core/v1' if group == 'v1' else group}:{manifest['kind']}"


def logical_name(manifest: Mapping[str, Any]) -> str:
    """An object's name in the stack: its kind and its own name, so that it stays what it is in any order."""
    return f"{manifest['kind'].lower()}-{manifest['metadata']['name']}"


def make(
    manifests: Iterable[Mapping[str, Any]],
    opts: pulumi.ResourceOptions,
    *,
    names: Mapping[str, str] | None = None,
) -> dict[str, KubernetesObject]:
    """Make a resource of each object.

    Namespaces come first. What starts something comes last: a Job without its account never gets a pod.

    Args:
        manifests: the objects.
        opts: the options of all of them, their parent above all.
        names: logical names that are others than `logical_name` would give.

    Returns:
        The resources by their logical names.

    Raises:
        ValueError: two objects have one name.
    """
    made: dict[str, KubernetesObject] = {}
    spaces: list[pulumi.Resource] = []
    for manifest in sorted(manifests, key=_rank):
        kind, own = manifest["kind"], logical_name(manifest)
        name = (names or {}).get(own, own)
        if name in made:
            raise ValueError(f"two objects {name}: the stack can tell them apart by nothing")
        before = list(made.values()) if kind in STARTING else list(spaces)
        more = pulumi.ResourceOptions(
            protect=True if kind in PRECIOUS else None,
            retain_on_delete=True if kind in PRECIOUS | GUARDS else None,
            depends_on=before,
            custom_timeouts=pulumi.CustomTimeouts(create=WAIT, update=WAIT) if kind == "Job" else None,
        )
        made[name] = KubernetesObject(name, _fitted(manifest), pulumi.ResourceOptions.merge(opts, more))
        if kind == "Namespace":
            spaces.append(made[name])
    return made


def filled(
    manifests: Iterable[Mapping[str, Any]], values: Mapping[str, pulumi.Output[str]]
) -> list[dict[str, Any]]:
    """Objects in whose texts `<<name>>` is replaced by what is known only once something else is there.

    Kind and name of each stay plain text, so that they are known in a preview.

    Args:
        manifests: the objects.
        values: what replaces each name.
    """

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        named = {key: output for key, output in values.items() if f"<<{key}>>" in str(value)}
        if not isinstance(value, str) or not named:
            return value
        return pulumi.Output.all(**named).apply(lambda known: _replaced(value, known))

    return [fill(dict(manifest)) for manifest in manifests]


def _replaced(text: str, known: Mapping[str, str]) -> str:
    for key, value in known.items():
        text = text.replace(f"<<{key}>>", value)
    return text


def _rank(manifest: Mapping[str, Any]) -> int:
    kind = manifest["kind"]
    return 0 if kind == "Namespace" else 2 if kind in STARTING else 1


def _fitted(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object as Pulumi is to have it.

    A Job that goes by itself when it is done would be missing in every preview from then on. Pulumi replaces
    a Job that has changed, which is what the time was for.
    """
    if manifest["kind"] != "Job":
        return manifest
    spec = {key: value for key, value in manifest["spec"].items() if key != "ttlSecondsAfterFinished"}
    return {**manifest, "spec": spec}


TIMEOUT = 900
"""Seconds for a chart to be up: a node may have to come first, with its images."""


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
    """Install a chart, as Helm installs it.

    `helm.v3.Release` and not `helm.v4.Chart`, which makes a Pulumi resource of each of a chart's objects:

    - Charts make Secrets (a webhook's key, Alertmanager's settings) and Kubernetes writes tokens into those
      of Argo's people. As Pulumi's resources all of that would be in the state; of a release, the values are.
    - Hooks run: Prometheus' operator gets its certificate from two Jobs that are nothing but hooks.
    - `helm list`, `helm history` and `helm rollback` work when Pulumi does not.

    What it costs: a preview shows which values change and not which objects; `helm template` with those
    values shows them. Definitions (CRDs) are never deleted: those in a chart's `crds` folder Helm leaves
    alone, and the others say so themselves.

    Args:
        name: the logical name.
        chart: the chart, by its name in `versions.CHARTS`.
        namespace: where it goes; it is there already.
        values: what the chart is told.
        opts: the resource's options.
        after: what is to be there before.
        wait: whether it counts as installed only when its pods are ready.
    """
    pinned = versions.CHARTS[chart]
    return kubernetes.helm.v3.Release(
        name,
        name=chart,
        chart=pinned.name,
        version=pinned.version,
        repository_opts={"repo": pinned.repository},
        namespace=namespace,
        create_namespace=False,
        values=values,
        skip_await=not wait,
        timeout=TIMEOUT,
        cleanup_on_fail=True,
        max_history=5,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(after))),
    )
