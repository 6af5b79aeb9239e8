"""What keeps pods from starting while a deployment waits for them, told as it is seen.

The engine waits for Deployments, Jobs and charts without a word about their pods, up to its timeout. Its
message then is that time is over.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.driver.engine import EngineError
from infra.driver.precious import UNCHANGED
from lightwork.kube import reasons
from lightwork.kube.api import ByClient, RefusedError
from lightwork.kube.stuck import run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from infra.driver.engine import Engine
    from infra.driver.precious import Step
    from lightwork.kube.api import KubeApi

EVERY = 5.0
"""Seconds between two looks. What both see is told: a node may be just about to come."""


@dataclass
class Look:
    """The pods in the namespaces that a deployment changes.

    Attributes:
        api: returns the cluster's API, when it is first asked.
        say: is told each kind of trouble once.
    """

    api: Callable[[], KubeApi]
    say: Callable[[str], None]
    _api: KubeApi | None = None
    _namespaces: set[str] = field(default_factory=set)
    _seen: frozenset[tuple[str, str]] = frozenset()
    _told: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)

    def step(self, step: Step) -> None:
        """Take note of the namespace that the engine begins to change."""
        if step.namespace and step.op not in UNCHANGED:
            self._namespaces.add(step.namespace)

    def look(self) -> None:
        """Look at the pods once, and tell what the previous look saw too."""
        seen: dict[tuple[str, str], str] = {}
        for namespace in sorted(self._namespaces):
            for pod in self._pods(namespace):
                if line := trouble(pod):
                    seen[namespace, line.partition(": ")[0]] = f"pod {pod['metadata']['name']}: {line}"
        for kind in sorted(seen.keys() & self._seen):
            if kind not in self._told:
                self.say(seen[kind])
            self._told[kind] = seen[kind], time.monotonic()
        self._seen = frozenset(seen)

    def _pods(self, namespace: str) -> list[Mapping[str, Any]]:
        """Return the pods of a namespace; none if the cluster cannot be asked.

        The engine needs the cluster more, and says what is wrong with it.
        """
        try:
            if self._api is None:
                self._api = self.api()
            pods: list[Mapping[str, Any]] = self._api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        except (RefusedError, OSError, EngineError):
            return []
        return pods

    def lines(self) -> tuple[str, ...]:
        """Return what was told and still held a short while ago, one line each.

        A Job or a chart that fails may have taken its pods along.
        """
        since = time.monotonic() - 3 * EVERY
        return tuple(line for line, when in self._told.values() if when >= since)


def of_estate(engine: Engine, environment: str) -> KubeApi:
    """Return the API of an estate's cluster, with this process's AWS credentials, as the program gets it.

    Raises:
        EngineError: the estate has no outputs yet, or they cannot be read.
        OSError: there is no token to be had.
    """
    from kubernetes import config

    from infra.config.kubeconfig import kubeconfig

    outputs = engine.outputs(environment)
    try:
        document = kubeconfig(
            cluster=outputs["cluster_name"],
            endpoint=outputs["cluster_endpoint"],
            ca=outputs["cluster_ca"],
            region=outputs["region"],
        )
        return ByClient(config.new_client_from_config_dict(document))  # type: ignore[no-untyped-call]
    except KeyError as error:
        raise EngineError(f"{environment} has no output {error}") from None
    except config.ConfigException as error:
        raise OSError(str(error)) from None


@contextmanager
def watched(api: Callable[[], KubeApi] | None, say: Callable[[str], None]) -> Iterator[Look]:
    """Look at the pods every few seconds during the block; with no API, at none."""
    look, over = Look(api or _nowhere, say), threading.Event()

    def repeat() -> None:
        while not over.wait(EVERY):
            look.look()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield look
    finally:
        over.set()
        thread.join()


def _nowhere() -> KubeApi:
    raise OSError("no cluster is known")


def trouble(pod: Mapping[str, Any]) -> str:
    """Return why a pod does not run, in one line; empty if it does, has ended well, or belongs to a run."""
    status = pod.get("status") or {}
    if run_of(pod) or "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Succeeded":
        return ""
    containers = status.get("containerStatuses") or []
    if containers and all(item.get("ready") for item in containers):
        return ""
    return reasons.not_started(pod) or reasons.ended(pod)
