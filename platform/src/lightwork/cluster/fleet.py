"""The workers of a run in Kubernetes: none at first, then as many as there is work for, no idle ones.

The scaler's template makes a Deployment of workers and tells the driver its name by the environment. From
then on their number is the driver's business, because only the driver knows what is left to do.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from lightwork.errors import InputError, RunFailed
from lightwork.kube import contract
from lightwork.kube.api import InCluster, RefusedError
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from lightwork.kube.api import KubeApi

IDLE_SECONDS = 10.0
"""How long a worker has nothing to do before it is given back: the next map may begin at once."""
REFUSED_SECONDS = 25.0
"""How long Kubernetes may refuse every worker's pod: what is full may be what an earlier run gives back.

A ReplicaSet waits twice as long before each new attempt: the twelfth comes after 20.5 s, the next
after 41 s. A run that is refused says so within a minute, with its start and its exit handler.
"""
_EVERY = 1.0
_SERVICE_EVERY = 0.2
_COST = "controller.kubernetes.io/pod-deletion-cost"


class Pods(Protocol):
    """What a fleet asks of Kubernetes."""

    def replicas(self) -> int | None:
        """How many workers the Deployment is to have; None as long as there is none."""

    def scale(self, count: int) -> None:
        """Give the Deployment another number of workers."""

    def let_go_first(self, hosts: Collection[str]) -> int:
        """Mark the workers' pods at these addresses as the first to go; how many there were."""

    def refusal(self) -> str:
        """Why Kubernetes makes no more of the workers' pods, in its own words; empty if it makes them."""

    def service_ip(self, name: str) -> str | None:
        """The address of a Service; None as long as there is none."""


class Fleet:
    """The number of a run's workers.

    Attributes:
        most: workers at most, as the tenant's file says.
        threads: batches that one worker runs at once.
        count: workers that Kubernetes was asked for; None as long as there is no Deployment.
    """

    def __init__(self, pods: Pods, *, most: int, threads: int) -> None:
        self._pods = pods
        self.most = most
        self.threads = threads
        self.count: int | None = None
        self._looked = -math.inf
        self._idle_since: dict[str, float] = {}
        self._refused_since: float | None = None
        self._warned = False

    def need(
        self,
        batches: int,
        idle: Iterable[str],
        now: float | None = None,
        *,
        workers: int = 0,
        there: int | None = None,
    ) -> None:
        """Have as many workers as there are batches to do; give those back that have been idle for a while.

        Looks at most once a second.

        Args:
            batches: batches that run or wait, and those that what is left would make.
            idle: hosts of the workers that have nothing to do.
            now: the time in seconds, for tests.
            workers: how many workers are of use for what is in no batch, and for what they hold.
            there: how many workers there are; None if that is not known.

        Raises:
            RunFailed: Kubernetes has refused to make any worker for a while, as where the quota is full.
        """
        now = time.monotonic() if now is None else now
        if now - self._looked < _EVERY:
            return
        self._looked = now
        wanted = min(self.most, max(workers, math.ceil(batches / self.threads)))
        try:
            # Asked each time: whoever makes the Deployment anew makes it with no workers.
            count = self._pods.replicas()
            if count is None:
                return  # all parts of a run are made at once: the Deployment is on its way
            self.count = count
            if wanted > count:
                self._scale(count, wanted)
            else:
                self._give_back(count, set(idle), wanted, now)
            if there is not None and there < min(self.count, wanted):
                self._see_refusal(there, now)
            else:
                self._refused_since = None
        except RunFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the work goes on with the workers there are
            get_logger("lightwork").warning(f"the number of workers was not changed: {error}")

    def _give_back(self, count: int, idle: set[str], wanted: int, now: float) -> None:
        self._idle_since = {host: self._idle_since.get(host, now) for host in idle}
        long_idle = [host for host, since in self._idle_since.items() if now - since >= IDLE_SECONDS]
        spare = long_idle[: max(0, count - wanted)]
        if spare and (gone := self._pods.let_go_first(spare)):
            self._scale(count, count - gone)
            for host in spare:
                del self._idle_since[host]

    def reach(self, address: str, patience: float) -> str:
        """The scheduler's address, once its Service is there, by number where it is a Service's name.

        A name that is asked for a moment before it is known stays unknown for seconds: resolvers keep that.

        Args:
            address: such as `tls://run-scheduler.tenant-acme.svc:8786`.
            patience: seconds to wait for the Service.

        Returns:
            The same with the number in the place of the name; as it was, if that is not to be had.
        """
        scheme, _, place = address.partition("://")
        host, _, port = place.rpartition(":")
        name, dot, rest = host.partition(".")
        if not dot or not rest.endswith(".svc"):
            return address
        deadline = time.monotonic() + patience
        try:
            while (number := self._pods.service_ip(name)) is None:
                if time.monotonic() > deadline:
                    return address
                time.sleep(_SERVICE_EVERY)
        except Exception as error:  # noqa: BLE001 - the name will do as well
            get_logger("lightwork").warning(f"the scheduler's Service was not found: {error}")
            return address
        return f"{scheme}://{f'[{number}]' if ':' in number else number}:{port}"

    def release(self) -> None:
        """Give all workers back, at the end of a run: what clears up after it needs no room beside them."""
        try:
            if self._pods.replicas():
                self._scale(self.count or 0, 0)
        except Exception as error:  # noqa: BLE001 - whoever ends the run deletes them all the same
            get_logger("lightwork").warning(f"the workers were not given back: {error}")

    def _see_refusal(self, there: int, now: float) -> None:
        """Find out whether Kubernetes refuses the workers that are missing; end a run that gets none."""
        reason = self._pods.refusal()
        if not reason:
            self._refused_since = None
            return
        if self._refused_since is None:
            self._refused_since = now
        if there:
            if not self._warned:
                self._warned = True
                get_logger("lightwork").warning(f"Kubernetes refuses more workers: {reason}", workers=there)
        elif now - self._refused_since >= REFUSED_SECONDS:
            raise RunFailed(
                f"Kubernetes refuses the run's workers: {reason}; give the tenant more quota, or the run"
                " smaller workers"
            )

    def _scale(self, before: int, count: int) -> None:
        count = max(0, count)
        self._pods.scale(count)
        get_logger("lightwork").info("workers", before=before, now=count)
        self.count = count


def fleet_from(environment: Mapping[str, str]) -> Fleet | None:
    """The fleet that the environment names; None where the number of workers is not the driver's business.

    Raises:
        InputError: the environment names one, and says of it what cannot be.
    """
    name = environment.get(contract.ENV_WORKERS_DEPLOYMENT)
    if not name:
        return None
    numbers = {}
    for variable in (contract.ENV_WORKERS, contract.ENV_WORKER_THREADS):
        text = environment.get(variable, "")
        if not text.isdigit() or int(text) < 1:
            raise InputError(f"{variable}: {text!r} is not a whole number; expected 1 or more")
        numbers[variable] = int(text)
    namespace = environment.get(contract.ENV_NAMESPACE, "")
    if not namespace:
        raise InputError(f"{contract.ENV_NAMESPACE} is not set; expected the namespace of the run")
    pods = KubernetesPods(InCluster(), name, namespace)
    return Fleet(pods, most=numbers[contract.ENV_WORKERS], threads=numbers[contract.ENV_WORKER_THREADS])


class KubernetesPods:
    """A Deployment's pods, by the API of the cluster that this process is in."""

    def __init__(self, api: KubeApi, deployment: str, namespace: str) -> None:
        self._api = api
        self._deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._services = f"/api/v1/namespaces/{namespace}/services"

    def replicas(self) -> int | None:
        """How many workers the Deployment is to have; None as long as there is none."""
        scale = self._found(f"{self._deployment}/scale")
        return None if scale is None else int(scale["spec"].get("replicas", 0))  # it leaves a zero out

    def service_ip(self, name: str) -> str | None:
        """The address of a Service; None as long as there is none."""
        found = self._found(f"{self._services}/{name}")
        return None if found is None else found["spec"].get("clusterIP")

    def _found(self, path: str) -> dict[str, Any] | None:
        try:
            return self._api.get(path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def scale(self, count: int) -> None:
        """Give the Deployment another number of workers."""
        self._api.patch(f"{self._deployment}/scale", {"spec": {"replicas": count}})

    def let_go_first(self, hosts: Collection[str]) -> int:
        """Mark the workers' pods at these addresses as the first to go; how many there were."""
        labels = self._api.get(self._deployment)["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        found = 0
        for pod in self._api.get(self._pods, labelSelector=selector)["items"]:
            if pod["status"].get("podIP") in hosts and "deletionTimestamp" not in pod["metadata"]:
                body = {"metadata": {"annotations": {_COST: "-100"}}}
                self._api.patch(f"{self._pods}/{pod['metadata']['name']}", body)
                found += 1
        return found

    def refusal(self) -> str:
        """Why Kubernetes makes no more of the workers' pods, in its own words; empty if it makes them."""
        found = self._api.get(self._deployment).get("status", {}).get("conditions", [])
        for condition in found:
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                return " ".join(str(condition.get("message") or condition.get("reason")).split())
        return ""
