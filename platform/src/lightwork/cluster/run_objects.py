"""The Kubernetes objects of a run that its driver reads and scales."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.cluster.losses import Loss
from lightwork.errors import one_line
from lightwork.kube.api import RefusedError
from lightwork.kube.reasons import ended, is_own_doing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lightwork.kube.api import KubeApi

_COST = "controller.kubernetes.io/pod-deletion-cost"
_RELEASE_SECONDS = 120.0
"""Seconds after a release of workers for which a pod that is gone was released."""
_STOP_SECONDS = 60.0
"""Seconds for which a scheduler may take to stop."""
_LOOK_EVERY = 0.5


class _Pod(NamedTuple):
    """What counts of a worker's pod.

    Attributes:
        uid: the pod's unique id.
        restarts: how often its container was started again.
        is_over: whether it has ended, or is ended by its node or for it.
        is_current: whether it runs, and nobody has asked it to end.
        loss: the loss of the worker, if it was lost.
    """

    uid: str
    restarts: int
    is_over: bool
    is_current: bool
    loss: Loss

    def is_lost_since(self, before: _Pod | None) -> bool:
        """Return whether its worker was lost since an earlier look; None if the pod is new."""
        if self.is_over:
            return before is None or not before.is_over
        return self.restarts > (before.restarts if before else 0)


def _read(pod: Mapping[str, Any]) -> _Pod:
    metadata, status = pod["metadata"], pod.get("status") or {}
    restarts = sum(item.get("restartCount", 0) for item in status.get("containerStatuses") or [])
    conditions = status.get("conditions") or []
    disrupted = any(item["type"] == "DisruptionTarget" and item["status"] == "True" for item in conditions)
    is_over = status.get("phase") in ("Failed", "Succeeded") or disrupted
    loss = Loss(
        host=str(status.get("podIP", "")),
        reason=ended(pod) or "its container ended with exit code 0",
        own=is_own_doing(pod),
    )
    is_current = status.get("phase") == "Running" and not is_over and "deletionTimestamp" not in metadata
    return _Pod(str(metadata["uid"]), restarts, is_over, is_current, loss)


class KubernetesPods:
    """A run's Deployments and pods, through the API of the cluster that this process runs in."""

    def __init__(self, api: KubeApi, deployment: str, namespace: str) -> None:
        self._api = api
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._deployment = f"{self._deployments}/{deployment}"
        self._labels: dict[str, str] = {}
        self._seen: dict[str, _Pod] | None = None
        self._released_at = -math.inf
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._services = f"/api/v1/namespaces/{namespace}/services"

    def replicas(self) -> int | None:
        """Return the Deployment's number of replicas; None until it exists."""
        scale = self._get(f"{self._deployment}/scale")
        return None if scale is None else int(scale["spec"].get("replicas", 0))  # the API omits a zero

    def service_ip(self, name: str) -> str | None:
        """Return the address of a Service; None until it exists."""
        service = self._get(f"{self._services}/{name}")
        return None if service is None else service["spec"].get("clusterIP")

    def _get(self, path: str) -> dict[str, Any] | None:
        """Return an object; None if it does not exist."""
        try:
            return self._api.get(path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def scale(self, count: int) -> None:
        """Set the Deployment's number of replicas."""
        if not count or any(self._seen or {}):
            self._released_at = time.monotonic()
        self._api.patch(f"{self._deployment}/scale", {"spec": {"replicas": count}})

    def let_go_first(self, hosts: Collection[str]) -> int:
        """Mark the workers' pods at these addresses as the first to delete; return how many there are."""
        marked = 0
        for pod in self._workers():
            if pod["status"].get("podIP") in hosts and "deletionTimestamp" not in pod["metadata"]:
                body = {"metadata": {"annotations": {_COST: "-100"}}}
                self._api.patch(f"{self._pods}/{pod['metadata']['name']}", body)
                marked += 1
        return marked

    def _workers(self) -> list[dict[str, Any]]:
        if not self._labels:
            self._labels = self._api.get(self._deployment)["spec"]["selector"]["matchLabels"]
        return self._list(self._labels)

    def _list(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        return list(self._api.get(self._pods, labelSelector=selector)["items"])

    def losses(self) -> list[Loss]:
        """Return the workers that were lost since the last call; the first one returns none."""
        before, self._seen = self._seen, {pod.uid: pod for pod in map(_read, self._workers())}
        if before is None:
            return []
        lost = [pod.loss for uid, pod in self._seen.items() if pod.is_lost_since(before.get(uid))]
        if time.monotonic() - self._released_at > _RELEASE_SECONDS:
            gone = [pod for uid, pod in before.items() if uid not in self._seen]
            lost += [Loss(pod.loss.host, "its pod is gone", own=False) for pod in gone if pod.is_current]
        return lost

    def scheduler(self, name: str) -> int | None:
        """Return the replicas of the scheduler's Deployment; None if it or its Service does not exist."""
        scale = self._get(f"{self._deployments}/{name}/scale")
        if scale is None or self.service_ip(name) is None:
            return None
        return int(scale["spec"].get("replicas", 0))

    def scale_scheduler(self, name: str, count: int) -> None:
        """Set the replicas of the scheduler's Deployment, and wait until no pod is left if it is 0."""
        path = f"{self._deployments}/{name}"
        self._api.patch(f"{path}/scale", {"spec": {"replicas": count}})
        labels = self._api.get(path)["spec"]["selector"]["matchLabels"]
        deadline = time.monotonic() + _STOP_SECONDS
        while not count and self._list(labels):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} did not stop within {_STOP_SECONDS:.0f} s")
            time.sleep(_LOOK_EVERY)

    def refusal(self) -> str:
        """Return why Kubernetes does not create the workers' pods; empty if it does."""
        for condition in self._api.get(self._deployment).get("status", {}).get("conditions", []):
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                return one_line(condition.get("message") or condition.get("reason"))
        return ""
