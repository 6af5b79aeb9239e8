"""Submit, follow, read and stop runs in a cluster, through the APIs of Argo and Kubernetes."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from lightwork import run_names
from lightwork.errors import InputError, LightworkError, near, nearest
from lightwork.kube import api, archive, described, reasons, status
from lightwork.kube import values as values_of_runs
from lightwork.kube.access import Access, AwayError
from lightwork.kube.api import RefusedError
from lightwork.kube.contract import ANNOTATION_RETRY_OF, ARGO, LABEL_PIPELINE, LABEL_ROLE, LABEL_RUN, WORK
from lightwork.kube.states import ENDED, Status, patiently, status_of

__all__ = ["ENDED", "ROLES", "AwayError", "Remote", "Status", "UnknownError"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightwork.kube.contract import Manifest

T = TypeVar("T")

ROLES = ("driver", "scheduler", "worker", "step")


class UnknownError(InputError):
    """A run that is not in the cluster, and nothing that can be asked tells how it ended.

    Attributes:
        may_pass: whether something that may know could not be asked for the moment.
    """

    may_pass = False


class Remote(Access):
    """The runs of a tenant in a cluster."""

    def submit(self, name: str, values: Mapping[str, str], *, retry_of: str = "") -> str:
        """Start a run of a pipeline.

        Args:
            name: the pipeline's name in the tenant's file.
            values: parameters as strings; the tenant's file has the values of the others.
            retry_of: the run that it tries again; empty if it is not a retry.

        Returns:
            The run's name.

        Raises:
            InputError: an unknown pipeline or parameter, a missing parameter, a value that is too long, or a
                run that can never fit the namespace's quota.
        """
        template = self._template(name)
        placed = values_of_runs.place(name, template, values)
        described.check(name, template, values)
        if short := status.shortfall(template, self._quotas()):
            raise InputError(
                f"{name}: {short}; ask for a larger quota, or for smaller pods in the tenant's file"
            )
        if placed.files:
            self._keep(name, None, placed.files)
        body = {
            "apiVersion": ARGO,
            "kind": "Workflow",
            "metadata": {
                "name": run_names.new(name, _steps(template)),
                "labels": {LABEL_PIPELINE: name},
                "annotations": {ANNOTATION_RETRY_OF: retry_of} if retry_of else {},
            },
            "spec": {
                "workflowTemplateRef": {"name": name},
                "arguments": {
                    "parameters": [{"name": key, "value": text} for key, text in placed.parameters.items()]
                },
            },
        }
        try:
            workflow = self._request(
                f"submit {name}",
                lambda: self._api.create(f"{self._argo}/workflows", body),
            )
        except AwayError as error:
            raise AwayError(f"{error}; the run may have started all the same") from error
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

    def pipelines(self) -> list[str]:
        """Return the names of the tenant's pipelines, as its file gives them."""
        return sorted(self._templates())

    def _templates(self) -> dict[str, Any]:
        """Return the tenant's pipelines by name.

        Raises:
            InputError: there is no such tenant.
        """
        templates = self._request(
            "read the tenant's pipelines",
            lambda: self._api.get(f"{self._argo}/workflowtemplates"),
        )["items"]
        if not templates:
            self._find_tenant()
        return {item["metadata"]["name"]: item for item in templates}

    def _template(self, name: str) -> Any:
        by_name = self._templates()
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
        """Return the state of a run, also of one that has ended and is gone, if that can be known.

        Raises:
            UnknownError: there is no such run in the cluster, and nothing tells of it.
        """
        workflow = self.workflow(run)
        return self._end_of(run) if workflow is None else self.status_of(run, workflow)

    def workflow(self, run: str) -> dict[str, Any] | None:
        """Return a run's Workflow, with its nodes if Argo's server is needed for them; None if it is gone."""
        path = f"{self._argo}/workflows/{run}"
        try:
            workflow: dict[str, Any] = self._request(
                f"read {run}", lambda: self._api.get(path), missing="it is gone"
            )
        except InputError:
            return None
        if not status.are_elsewhere(workflow):
            return workflow
        return archive.archived(self._api, self.namespace, run).workflow or workflow

    def status_of(self, run: str, workflow: Mapping[str, Any]) -> Status:
        """Return the state of a run as its Workflow shows it, and its pods if the nodes are elsewhere."""
        state = status_of(run, workflow)
        if not status.are_elsewhere(workflow) or state.phase not in ("Failed", "Error"):
            return state
        told = "its steps are only in Argo's database, which cannot be read from here"
        ended = [text for pod in self.pods(run) if (text := reasons.ended(pod))]
        return replace(state, message="; ".join(filter(None, [state.message, *ended[-1:], told])))

    def _end_of(self, run: str) -> Status:
        """Return the state of a run whose Workflow is gone.

        Raises:
            UnknownError: nothing tells of it; the text says what was asked.
        """
        answer = archive.archived(self._api, self.namespace, run)
        if answer.workflow is not None and (state := status_of(run, answer.workflow, "archive")).ended:
            return state
        try:
            told = archive.from_events(self.events("Workflow", run), run)
            why = "no event tells of its end"
        except LightworkError as error:
            told, why = None, str(error)
        if told is not None:
            return status_of(run, told, "events")
        raise self._unknown(
            run, f"{answer.why or 'the archive has it as it went on'}; {why}", answer.may_pass
        )

    def _unknown(self, run: str, why: str, may_pass: bool) -> UnknownError:
        self._find_tenant()
        try:
            guess = nearest(run, self.runs())
        except LightworkError:
            guess = ""
        error = UnknownError(
            f"{self.tenant} has no run {run!r} in the cluster{guess}; how it ended is not known: {why}"
        )
        error.may_pass = may_pass
        return error

    def runs(self) -> list[str]:
        """Return the names of the runs that are in the cluster, the newest first."""
        items = [item["metadata"] for item in self.workflows()]
        newest_first = sorted(items, key=lambda item: str(item.get("creationTimestamp")), reverse=True)
        return [str(item["name"]) for item in newest_first]

    def workflows(self) -> list[dict[str, Any]]:
        """Return the Workflows of the runs that are in the cluster."""
        return list(self._request("list the runs", lambda: self._api.get(f"{self._argo}/workflows"))["items"])

    def follow(
        self, run: str, every: float = 2.0, away: Callable[[str], None] | None = None
    ) -> Iterator[Status]:
        """Yield a run's state each time it changes, until the run ends.

        Args:
            run: the run's name.
            every: seconds between two requests.
            away: is called with the reason each time the API is away.

        Raises:
            LightworkError: the API was away for too long, or refuses to answer.
        """
        last = None
        for state in patiently(lambda: self.status(run), every, away):
            if state != last:
                yield state
            if state.ended:
                return
            last = state

    def stop(self, run: str, *, at_once: bool = False) -> bool:
        """End a run.

        One that waits for its turn ends without its exit handler, as it has no objects: with it, the run
        would stay in the queue until the handler ends, and a place that becomes free meanwhile would stay
        empty.

        Args:
            run: the run's name.
            at_once: skip the exit handler; the run's objects are then deleted with its Workflow.

        Returns:
            Whether it was not being stopped already.

        Raises:
            InputError: there is no such run, or it has ended already.
        """
        workflow = self.workflow(run)
        state = self._end_of(run) if workflow is None else self.status_of(run, workflow)
        if workflow is None or state.ended:
            raise InputError(f"{run} cannot be stopped: {state.end()}")
        waits = state.phase in ("", "Pending")
        shutdown = "Terminate" if at_once or waits else "Stop"
        if workflow.get("spec", {}).get("shutdown") in (shutdown, "Terminate"):
            return False
        self._request(
            f"stop {run}",
            lambda: self._api.patch(f"{self._argo}/workflows/{run}", {"spec": {"shutdown": shutdown}}),
        )
        return True

    def scheduler(self, run: str) -> str:
        """Return the name of a run's current scheduler pod.

        Raises:
            InputError: the run has no running scheduler.
        """
        pods = self.pods(run, "scheduler")
        for pod in pods:
            running = pod["status"].get("phase") == "Running"
            if running and "deletionTimestamp" not in pod["metadata"]:
                return str(pod["metadata"]["name"])
        raise InputError(f"{run} has no running scheduler yet; see `lightwork logs {run}`")

    def open_port(self, pod: str, port: int, namespace: str | None = None) -> Any:
        """Open a connection to a port of a pod, through the API.

        Args:
            pod: the pod.
            port: the port in it.
            namespace: its namespace; the tenant's by default.

        Returns:
            An object with `recv`, `sendall`, `fileno` and `close`.

        Raises:
            kubernetes.client.ApiException: the API refuses it.
            TimeoutError: the API does not answer.
        """
        from kubernetes import client
        from kubernetes.stream import portforward

        # The call turns every request of its client into a websocket meanwhile, so it gets its own client.
        core: Any = client.CoreV1Api(client.ApiClient(self._api.client.configuration))
        call = core.connect_get_namespaced_pod_portforward
        where = namespace or self.namespace
        return _in_time(lambda: portforward(call, pod, where, ports=str(port)).socket(port))

    def events(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Return the events of an object, which Kubernetes keeps for an hour."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        found = self._request(
            f"read the events of {name}",
            lambda: self._api.get(f"{self._core}/events", fieldSelector=selector),
        )
        return list(found["items"])

    def pods(self, run: str, role: str | None = None) -> list[dict[str, Any]]:
        """Return the pods of a run, or those of one role.

        Args:
            run: the run's name.
            role: one of ROLES; all of them by default.
        """
        selector = f"{LABEL_RUN}={run},{LABEL_ROLE}" + (f"={role}" if role else f" in ({','.join(ROLES)})")
        pods = self._request(
            f"read the pods of {run}",
            lambda: self._api.get(f"{self._core}/pods", labelSelector=selector),
        )
        return list(pods["items"])

    @staticmethod
    def container(pod: Mapping[str, Any]) -> str:
        """Return the name of a pod's own container, beside which Argo may have put others."""
        names = [str(item["name"]) for item in pod["spec"]["containers"]]
        return next((name for name in ("main", *ROLES) if name in names), names[0])

    def log(self, pod: Mapping[str, Any], **options: str) -> str:
        """Return the log of a pod's own container.

        Args:
            pod: the pod.
            options: the API's own, such as `tailLines`.
        """
        container = self.container(pod)
        path = f"{self._core}/pods/{pod['metadata']['name']}/log"
        text: str = self._request(
            f"read the log of {pod['metadata']['name']}",
            lambda: self._api.text(path, container=container, **options),
        )
        return text


def _steps(template: Mapping[str, Any]) -> list[str]:
    """Return the names of a pipeline's steps; none if it has only one."""
    work = (item for item in template["spec"].get("templates") or [] if item.get("name") == WORK)
    return [str(task["name"]) for item in work for task in (item.get("dag") or {}).get("tasks") or []]


def _in_time(open_it: Callable[[], T]) -> T:
    """Return what a function returns that has no timeout of its own.

    Raises:
        TimeoutError: it takes too long; its thread is left behind.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(open_it())
        except Exception as error:  # noqa: BLE001 - it is the caller's
            future.set_exception(error)

    threading.Thread(target=work, name="lightwork-port", daemon=True).start()
    return future.result(api.TIMEOUT)
