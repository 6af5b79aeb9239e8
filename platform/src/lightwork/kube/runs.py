"""Runs in a cluster, by Argo's and Kubernetes' API: submitted, followed, read, stopped.

Which cluster is said by a context of the kubeconfig: the one given, else `lightwork-<env>`. It is never the
current one by accident, so that what is meant for dev does not run in prod.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, LightworkError, near
from lightwork.kube import status
from lightwork.kube.api import RefusedError, of_context
from lightwork.kube.contract import LABEL_PIPELINE, LABEL_ROLE, LABEL_RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightwork.kube.api import ByClient

ARGO = "argoproj.io/v1alpha1"
ENDED = ("Succeeded", "Failed", "Error")
ROLES = ("driver", "scheduler", "worker", "step")


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run is.

    Attributes:
        name: the run's, which is its Workflow's.
        phase: Argo's word: Pending, Running, Succeeded, Failed or Error; empty before it is looked at.
        message: what happened, or what it waits for; empty if there is nothing to say.
        progress: steps done and all steps, such as `3/4`.
    """

    name: str
    phase: str
    message: str
    progress: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase in ENDED


class Remote:
    """A tenant's namespace in a cluster.

    Args:
        environment: such as `dev`; names the kubeconfig's context, unless one is given.
        tenant: the tenant's name.
        context: a context of the kubeconfig.

    Raises:
        InputError: there is no such context, or no kubeconfig.
    """

    def __init__(self, environment: str, tenant: str, context: str | None = None) -> None:
        self._api = _connection(environment, context)
        self.namespace = f"tenant-{tenant}"
        self.tenant = tenant
        self._argo = f"/apis/{ARGO}/namespaces/{self.namespace}"
        self._core = f"/api/v1/namespaces/{self.namespace}"

    def submit(self, name: str, values: Mapping[str, str]) -> str:
        """Start a run of a pipeline, with some of its parameters.

        Args:
            name: the pipeline's, as the tenant's file names it.
            values: parameters as texts; the others are as the tenant's file says.

        Returns:
            The run's name.

        Raises:
            InputError: the tenant has no such pipeline, the pipeline no such parameter, or the run can never
                fit the namespace's quota.
        """
        template = self._template(name)
        known = {item["name"]: item for item in template["spec"].get("arguments", {}).get("parameters", [])}
        for wrong in values.keys() - known.keys():
            raise InputError(f"{name}: there is no parameter {wrong!r}{near(wrong, known)}")
        for missing in [key for key, item in known.items() if "value" not in item and key not in values]:
            raise InputError(f"{name}: parameter {missing} is missing; give {missing}=...")
        if short := status.shortfall(template, self._quotas()):
            raise InputError(
                f"{name}: {short}; ask for a larger quota, or for smaller pods in the tenant's file"
            )
        body = {
            "apiVersion": ARGO,
            "kind": "Workflow",
            "metadata": {"generateName": f"{name}-", "labels": {LABEL_PIPELINE: name}},
            "spec": {
                "workflowTemplateRef": {"name": name},
                "arguments": {"parameters": [{"name": key, "value": text} for key, text in values.items()]},
            },
        }
        made = self._asked(
            f"submit {name}",
            lambda: self._api.create(f"{self._argo}/workflows", body),
        )
        return str(made["metadata"]["name"])

    def _template(self, name: str) -> Any:
        found = self._asked(
            "read the tenant's pipelines",
            lambda: self._api.get(f"{self._argo}/workflowtemplates"),
        )["items"]
        by_name = {item["metadata"]["name"]: item for item in found}
        if name not in by_name:
            raise InputError(f"{self.tenant} has no pipeline {name!r}{near(name, by_name)}")
        return by_name[name]

    def _quotas(self) -> list[Any]:
        """The namespace's quotas; none where one may not look."""
        try:
            return list(self._api.get(f"{self._core}/resourcequotas")["items"])
        except RefusedError:
            return []

    def status(self, run: str) -> Status:
        """How far a run is.

        Raises:
            InputError: there is no such run, or no longer: ended runs go after two minutes.
        """
        found = self._asked(
            f"read {run}",
            lambda: self._api.get(f"{self._argo}/workflows/{run}"),
            missing=f"{self.tenant} has no run {run!r} in the cluster; ended ones are in `lightwork runs`",
        )
        state = found.get("status", {})
        return Status(run, state.get("phase", ""), status.message(state), state.get("progress", ""))

    def follow(self, run: str, every: float = 2.0) -> Iterator[Status]:
        """A run's status each time that it changes, to its end.

        Args:
            run: the run's name.
            every: seconds between two looks.
        """
        last = None
        while True:
            status = self.status(run)
            if status != last:
                yield status
            if status.ended:
                return
            last = status
            time.sleep(every)

    def stop(self, run: str, *, at_once: bool = False) -> None:
        """End a run.

        Args:
            run: the run's name.
            at_once: leave the exit handler out; what the run made goes with its Workflow then.

        Raises:
            InputError: there is no such run, or it has ended.
        """
        if (status := self.status(run)).ended:
            raise InputError(f"{run} has ended already: {status.phase}")
        body = {"spec": {"shutdown": "Terminate" if at_once else "Stop"}}
        self._asked(
            f"stop {run}",
            lambda: self._api.patch(f"{self._argo}/workflows/{run}", body),
        )

    def logs(self, run: str, role: str | None = None) -> Iterator[tuple[str, str]]:
        """What a run's pods have written so far.

        Args:
            run: the run's name.
            role: driver, scheduler or worker; all of them by default.

        Yields:
            The pod's name and a line.

        Raises:
            InputError: there is no pod of that run.
        """
        roles = f"={role}" if role else f" in ({','.join(ROLES)})"
        selector = f"{LABEL_RUN}={run},{LABEL_ROLE}{roles}"
        pods = self._pods(run, selector)
        if not pods:
            what = f"{role} of {run}" if role else f"pod of {run}"
            raise InputError(
                f"there is no {what} in the cluster; what ended pods wrote is in the tenant's lake"
            )
        for pod in pods:
            if pod["status"].get("phase") == "Pending":
                continue
            name = pod["metadata"]["name"]
            text = self._asked(f"read the log of {name}", functools.partial(self._log, pod))
            for line in text.splitlines():
                yield name, line

    def scheduler(self, run: str) -> str:
        """The name of a run's scheduler pod, as it is now.

        Raises:
            InputError: the run has none that runs.
        """
        selector = f"{LABEL_RUN}={run},{LABEL_ROLE}=scheduler"
        pods = self._pods(run, selector)
        for pod in pods:
            running = pod["status"].get("phase") == "Running"
            if running and "deletionTimestamp" not in pod["metadata"]:
                return str(pod["metadata"]["name"])
        raise InputError(f"{run} has no scheduler that runs; see how far it is: lightwork logs {run}")

    def open_port(self, pod: str, port: int) -> Any:
        """A connection to a port of a pod, through the API.

        Returns:
            Something with `recv`, `sendall`, `fileno` and `close`.
        """
        from kubernetes import client
        from kubernetes.stream import portforward

        # The call makes websockets of what its client asks meanwhile: it has a client of its own.
        core: Any = client.CoreV1Api(client.ApiClient(self._api.client.configuration))
        call = core.connect_get_namespaced_pod_portforward
        return portforward(call, pod, self.namespace, ports=str(port)).socket(port)

    def _pods(self, run: str, selector: str) -> list[dict[str, Any]]:
        found = self._asked(
            f"read the pods of {run}",
            lambda: self._api.get(f"{self._core}/pods", labelSelector=selector),
        )
        return list(found["items"])

    def _log(self, pod: dict[str, Any]) -> str:
        names = [item["name"] for item in pod["spec"]["containers"]]
        container = next((name for name in ("main", *ROLES) if name in names), names[0])
        return self._api.text(f"{self._core}/pods/{pod['metadata']['name']}/log", container=container)

    def _asked(self, what: str, ask: Callable[[], Any], *, missing: str = "") -> Any:
        """Ask the API; its refusals become one line."""
        try:
            return ask()
        except RefusedError as error:
            if error.status == 404 and missing:
                raise InputError(missing) from error
            if error.status in (401, 403):
                raise LightworkError(f"cannot {what} in {self.namespace}: {error}; not allowed") from error
            raise LightworkError(f"cannot {what} in {self.namespace}: {error}") from error
        except OSError as error:
            raise LightworkError(f"cannot {what}: the cluster does not answer: {error}") from error


def _connection(environment: str, context: str | None) -> ByClient:
    """The Kubernetes API of a context of the kubeconfig."""
    from kubernetes import config

    wanted = context or f"lightwork-{environment}"
    try:
        known = [item["name"] for item in config.list_kube_config_contexts()[0]]  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise InputError(f"there is no usable kubeconfig ({error}); name one in KUBECONFIG") from error
    if wanted not in known:
        option = "--context" if context else f"--env {environment}"
        raise InputError(f"{option}: the kubeconfig has no context {wanted!r}{near(wanted, known)}")
    return of_context(wanted)
