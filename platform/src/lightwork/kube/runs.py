"""Submit, follow, read and stop runs in a cluster, through the APIs of Argo and Kubernetes.

A context of the kubeconfig selects the cluster: the given one, else `lightwork-<env>`. The current context is
never used by default, so that a run meant for dev does not start in prod.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, LightworkError, near, one_line
from lightwork.kube import status
from lightwork.kube import values as values_of_runs
from lightwork.kube.api import RefusedError, of_context
from lightwork.kube.contract import ARGO, LABEL_PIPELINE, LABEL_ROLE, LABEL_RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightwork.kube.api import ByClient
    from lightwork.kube.contract import Manifest

ENDED = ("Succeeded", "Failed", "Error", "Skipped")
ROLES = ("driver", "scheduler", "worker", "step")
PATIENCE = 3600.0
"""For how many seconds without an answer of the API a run is still followed."""


class AwayError(LightworkError):
    """The API does not answer, or answers that it cannot at the moment."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a run.

    Attributes:
        name: the name of the run and of its Workflow.
        phase: Pending (it waits for its turn), Running, Succeeded, Failed, Error or Skipped; empty until Argo
            has seen the run.
        message: why it failed or was skipped, or what it waits for; empty if none of that.
        progress: the finished steps out of all steps, such as `3/4`.
    """

    name: str
    phase: str
    message: str
    progress: str

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.phase in ENDED


class Remote:
    """A tenant's namespace in a cluster.

    Args:
        environment: such as `dev`; selects the context `lightwork-dev` unless one is given.
        tenant: the tenant's name.
        context: a context of the kubeconfig.

    Raises:
        InputError: the kubeconfig is missing, unusable, or without that context.
    """

    def __init__(self, environment: str, tenant: str, context: str | None = None) -> None:
        self._api = _connection(environment, context)
        self.namespace = f"tenant-{tenant}"
        self.tenant = tenant
        self._argo = f"/apis/{ARGO}/namespaces/{self.namespace}"
        self._core = f"/api/v1/namespaces/{self.namespace}"

    def submit(self, name: str, values: Mapping[str, str]) -> str:
        """Start a run of a pipeline.

        Args:
            name: the pipeline's name in the tenant's file.
            values: parameters as strings; the tenant's file has the values of the others.

        Returns:
            The run's name.

        Raises:
            InputError: an unknown pipeline or parameter, a missing parameter, a value that is too long, or a
                run that can never fit the namespace's quota.
        """
        template = self._template(name)
        placed = values_of_runs.place(name, template, values)
        if short := status.shortfall(template, self._quotas()):
            raise InputError(
                f"{name}: {short}; ask for a larger quota, or for smaller pods in the tenant's file"
            )
        if placed.files:
            self._keep(name, None, placed.files)
        body = {
            "apiVersion": ARGO,
            "kind": "Workflow",
            "metadata": {"generateName": f"{name}-", "labels": {LABEL_PIPELINE: name}},
            "spec": {
                "workflowTemplateRef": {"name": name},
                "arguments": {
                    "parameters": [{"name": key, "value": text} for key, text in placed.parameters.items()]
                },
            },
        }
        workflow = self._request(
            f"submit {name}",
            lambda: self._api.create(f"{self._argo}/workflows", body),
        )
        run = str(workflow["metadata"]["name"])
        if placed.files:
            try:
                self._keep(name, workflow["metadata"], placed.files)
            except BaseException:
                self.stop(run, at_once=True)  # it would wait for them in vain
                raise
        return run

    def _keep(self, name: str, run: Manifest | None, files: Mapping[str, str]) -> None:
        """Create the ConfigMap of a run's long values; without a run, only ask whether that is allowed."""
        query = {} if run else {"dryRun": "All"}
        body = values_of_runs.config_map(run, files)
        self._request(
            f"submit {name} with long values, which are kept in a ConfigMap",
            lambda: self._api.create(f"{self._core}/configmaps", body, **query),
        )

    def _template(self, name: str) -> Any:
        templates = self._request(
            "read the tenant's pipelines",
            lambda: self._api.get(f"{self._argo}/workflowtemplates"),
        )["items"]
        by_name = {item["metadata"]["name"]: item for item in templates}
        if name not in by_name:
            raise InputError(f"{self.tenant} has no pipeline {name!r}{near(name, by_name)}")
        return by_name[name]

    def _quotas(self) -> list[Any]:
        """Return the namespace's quotas; none if the user may not read them."""
        try:
            return list(self._api.get(f"{self._core}/resourcequotas")["items"])
        except RefusedError:
            return []

    def status(self, run: str) -> Status:
        """Return the state of a run.

        Raises:
            InputError: there is no such run (any more: Argo deletes a Workflow soon after it ends).
        """
        workflow = self._request(
            f"read {run}",
            lambda: self._api.get(f"{self._argo}/workflows/{run}"),
            missing=f"{self.tenant} has no run {run!r} in the cluster; `lightwork runs` shows ended ones",
        )
        state = workflow.get("status", {})
        progress = state.get("progress", "")
        return Status(run, status.phase(workflow), status.message(workflow), progress)

    def runs(self) -> list[str]:
        """Return the names of the runs that are in the cluster, the newest first."""
        workflows = self._request("list the runs", lambda: self._api.get(f"{self._argo}/workflows"))
        items = [item["metadata"] for item in workflows["items"]]
        newest_first = sorted(items, key=lambda item: str(item.get("creationTimestamp")), reverse=True)
        return [str(item["name"]) for item in newest_first]

    def follow(
        self, run: str, every: float = 2.0, away: Callable[[str], None] | None = None
    ) -> Iterator[Status]:
        """Yield a run's state each time it changes, until the run ends.

        The run goes on while the API is away, so following it does too, for up to PATIENCE.

        Args:
            run: the run's name.
            every: seconds between two requests.
            away: is called with the reason each time the API goes away.

        Raises:
            LightworkError: the API was away for too long, or refuses to answer.
        """
        last, answered = None, time.monotonic()
        known_away = False
        while True:
            try:
                status = self.status(run)
            except AwayError as error:
                if time.monotonic() - answered > PATIENCE:
                    raise
                if away and not known_away:
                    away(str(error))
                known_away = True
                time.sleep(every)
                continue
            answered, known_away = time.monotonic(), False
            if status != last:
                yield status
            if status.ended:
                return
            last = status
            time.sleep(every)

    def stop(self, run: str, *, at_once: bool = False) -> None:
        """End a run.

        One that waits for its turn ends without its exit handler, as it has no objects: with it, the run
        would stay in the queue until the handler ends, and a place that becomes free meanwhile would stay
        empty.

        Args:
            run: the run's name.
            at_once: skip the exit handler; the run's objects are then deleted with its Workflow.

        Raises:
            InputError: there is no such run, or it has ended already.
        """
        if (status := self.status(run)).ended:
            raise InputError(f"{run} has ended already: {status.phase}")
        waits = status.phase in ("", "Pending")
        body = {"spec": {"shutdown": "Terminate" if at_once or waits else "Stop"}}
        self._request(
            f"stop {run}",
            lambda: self._api.patch(f"{self._argo}/workflows/{run}", body),
        )

    def logs(self, run: str, role: str | None = None) -> Iterator[tuple[str, str]]:
        """Yield the log lines that a run's pods have written so far.

        Args:
            run: the run's name.
            role: one of ROLES; all by default.

        Yields:
            The pod's name and a line.

        Raises:
            InputError: the run has no such pod in the cluster.
        """
        roles = f"={role}" if role else f" in ({','.join(ROLES)})"
        selector = f"{LABEL_RUN}={run},{LABEL_ROLE}{roles}"
        pods = self._pods(run, selector)
        if not pods:
            pod_kind = f"{role} pod" if role else "pod"
            raise InputError(
                f"{run} has no {pod_kind} in the cluster; the logs of ended pods are in the tenant's lake"
            )
        for pod in pods:
            if pod["status"].get("phase") == "Pending":
                continue
            name = pod["metadata"]["name"]
            text = self._request(f"read the log of {name}", functools.partial(self._log, pod))
            for line in text.splitlines():
                yield name, line

    def scheduler(self, run: str) -> str:
        """Return the name of a run's current scheduler pod.

        Raises:
            InputError: the run has no running scheduler.
        """
        selector = f"{LABEL_RUN}={run},{LABEL_ROLE}=scheduler"
        pods = self._pods(run, selector)
        for pod in pods:
            running = pod["status"].get("phase") == "Running"
            if running and "deletionTimestamp" not in pod["metadata"]:
                return str(pod["metadata"]["name"])
        raise InputError(f"{run} has no running scheduler yet; see `lightwork logs {run}`")

    def open_port(self, pod: str, port: int) -> Any:
        """Open a connection to a port of a pod, through the API.

        Returns:
            An object with `recv`, `sendall`, `fileno` and `close`.
        """
        from kubernetes import client
        from kubernetes.stream import portforward

        # The call turns every request of its client into a websocket meanwhile, so it gets its own client.
        core: Any = client.CoreV1Api(client.ApiClient(self._api.client.configuration))
        call = core.connect_get_namespaced_pod_portforward
        return portforward(call, pod, self.namespace, ports=str(port)).socket(port)

    def _pods(self, run: str, selector: str) -> list[dict[str, Any]]:
        pods = self._request(
            f"read the pods of {run}",
            lambda: self._api.get(f"{self._core}/pods", labelSelector=selector),
        )
        return list(pods["items"])

    def _log(self, pod: dict[str, Any]) -> str:
        names = [item["name"] for item in pod["spec"]["containers"]]
        container = next((name for name in ("main", *ROLES) if name in names), names[0])
        return self._api.text(f"{self._core}/pods/{pod['metadata']['name']}/log", container=container)

    def _request(self, action: str, send: Callable[[], Any], *, missing: str = "") -> Any:
        """Send a request to the API; turn its refusal into one line.

        Args:
            action: the action that the message names, such as `submit windy-city`.
            send: sends the request.
            missing: the message if the object does not exist.
        """
        try:
            return send()
        except RefusedError as error:
            if error.status == 404 and missing:
                raise InputError(missing) from error
            if error.status in (401, 403):
                raise LightworkError(f"not allowed to {action} in {self.namespace}: {error}") from error
            kind = AwayError if error.status == 429 or error.status >= 500 else LightworkError
            raise kind(f"cannot {action} in {self.namespace}: {error}") from error
        except OSError as error:
            raise AwayError(f"cannot {action}: the cluster cannot be reached: {one_line(error)}") from error


def _connection(environment: str, context: str | None) -> ByClient:
    """Return the Kubernetes API that a context of the kubeconfig leads to."""
    from kubernetes import config

    wanted = context or f"lightwork-{environment}"
    try:
        contexts = [item["name"] for item in config.list_kube_config_contexts()[0]]  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise InputError(
            f"cannot use the kubeconfig ({one_line(error)}); set KUBECONFIG to the right file"
        ) from error
    if wanted not in contexts:
        option = "--context" if context else f"--env {environment}"
        raise InputError(f"{option}: the kubeconfig has no context {wanted!r}{near(wanted, contexts)}")
    return of_context(wanted)
