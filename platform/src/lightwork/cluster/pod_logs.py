"""The logs of a run's scheduler and workers, kept in the lake while the run goes on.

Their pods are gone with the run, and their logs with them. So the driver reads them every 15 seconds, and
once more before it releases the workers, and keeps the new lines. What can be missing in the lake:

- of a worker that is gone at once, with its node or by a forced deletion: what it wrote since the last look;
- of a worker that is told to end, and of all at the run's end: what they wrote after the last look at them;
- of a container that was restarted twice between two looks: what it wrote between the two;
- of a pod that writes more than 10 MiB between two looks: kubelet starts a new file then;
- if the driver is killed and not started again: what was written since its last look.

A look takes a request for each pod, so there are fewer looks if there are more than 75 pods.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lightwork import settings
from lightwork.errors import one_line
from lightwork.kube import contract
from lightwork.kube.api import RefusedError
from lightwork.kube.pod_logs import Entry, Seen, entries_of, restarts
from lightwork.lake import open_lake
from lightwork.logs import get_logger
from lightwork.store import run_logs
from lightwork.store.run_logs import Kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.kube.api import KubeApi
    from lightwork.lake import Lake

EVERY = 15.0
"""Seconds between two looks."""
A_POD = 0.2
"""Seconds between two looks for each pod, if that is longer: a request takes the driver some 10 ms."""
END_SECONDS = 15.0
"""Seconds that the last look may take; the run does not wait for longer."""
MOST = 64 << 20
"""The most bytes of lines that wait for a lake that is away."""
_FORBIDDEN = 403
_THREADS = 8
_ROLES = "scheduler,worker"


class Collector:
    """Keeps the logs of a run's Dask pods.

    Args:
        api: the Kubernetes API, with the driver's rights.
        namespace: the run's namespace.
        labels: the labels of the run's pods.
        lake: the tenant's lake.
        run: the run's name.
        writer: this driver's pod.
    """

    def __init__(
        self, api: KubeApi, namespace: str, labels: Mapping[str, str], lake: Lake, run: str, writer: str
    ) -> None:
        self._api, self._pods = api, f"/api/v1/namespaces/{namespace}/pods"
        self._selector = ",".join([*(f"{k}={v}" for k, v in labels.items()), _selected()])
        self._lake, self._run, self._writer = lake, run, writer
        self._seen: dict[str, Seen] = {}
        self._restarts: dict[str, int] = {}
        self._over: set[str] = set()
        self._forbidden = False
        self._waiting: list[Kept] = []
        self._bytes = self._number = self._lost = 0
        self._looking, self._soon, self._ended = threading.Lock(), threading.Event(), False

    def start(self) -> None:
        """Look again and again, in a thread of its own."""
        threading.Thread(target=self._work, name="lightwork-pod-logs", daemon=True).start()

    def soon(self) -> None:
        """Look at once: workers are about to end."""
        self._soon.set()

    def end(self) -> None:
        """Look for the last time, while the pods are still there."""
        self._ended = True
        last = threading.Thread(target=self._look_quietly, name="lightwork-pod-logs-end", daemon=True)
        last.start()
        last.join(END_SECONDS)
        self._soon.set()

    def _work(self) -> None:
        count = 0
        while not self._ended:
            self._soon.wait(max(EVERY, A_POD * count))
            self._soon.clear()
            if not self._ended:
                count = self._look_quietly()

    def _look_quietly(self) -> int:
        try:
            return self.look()
        except Exception as error:  # noqa: BLE001 - it is looked at again, and the run goes on without
            get_logger("lightwork").debug("the pods' logs could not be kept: %s", one_line(error))
            return 0

    def look(self) -> int:
        """Keep what the pods have written since the last look; return how many pods there are."""
        with self._looking:
            pods = list(self._api.get(self._pods, labelSelector=self._selector)["items"])
            read = [pod for pod in pods if self._has_more(pod)]
            with ThreadPoolExecutor(_THREADS) as pool:
                for entries in pool.map(self._new, read):
                    self._take(entries)
            self._keep()
            return len(pods)

    def _has_more(self, pod: Mapping[str, Any]) -> bool:
        """Return whether a pod has started, and was not over at the last look."""
        phase, uid = pod["status"].get("phase"), str(pod["metadata"]["uid"])
        if phase == "Pending" or uid in self._over:
            return False
        self._seen.setdefault(uid, Seen())
        return True

    def _new(self, pod: Mapping[str, Any]) -> list[Entry]:
        """Return the new lines of a pod, also those from before a restart of its container."""
        uid, count = str(pod["metadata"]["uid"]), restarts(pod)
        lines: list[Entry] = []
        if count > self._restarts.get(uid, 0):
            lines += self._read(pod, previous="true")
            self._restarts[uid] = count
        lines += self._read(pod)
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            self._over.add(uid)
        return lines

    def _read(self, pod: Mapping[str, Any], **options: str) -> list[Entry]:
        name, seen = str(pod["metadata"]["name"]), self._seen[str(pod["metadata"]["uid"])]
        (container,) = pod["spec"]["containers"]
        path = f"{self._pods}/{name}/log"
        try:
            text = self._api.text(
                path, container=container["name"], timestamps="true", **seen.since(), **options
            )
        except (RefusedError, OSError) as error:  # gone, not started, or its node is away
            if getattr(error, "status", 0) == _FORBIDDEN and not self._forbidden:
                self._forbidden = True
                get_logger("lightwork").warning(
                    f"the logs of scheduler and workers are not kept: {one_line(error)};"
                    " deploy the tenant again"
                )
            return []
        return entries_of(name, text, seen)

    def _take(self, entries: list[Entry]) -> None:
        for entry in entries:
            if self._bytes > MOST:
                self._lost += 1
                continue
            self._bytes += len(entry.text)
            self._waiting.append(Kept(*entry))

    def _keep(self) -> None:
        """Write what waits to the lake; it goes on waiting if the lake is away."""
        if not self._waiting:
            return
        if self._lost:
            self._waiting.append(self._of_lost())
        run_logs.keep(self._lake, self._run, self._writer, self._number, self._waiting)
        self._number += 1
        self._waiting, self._bytes, self._lost = [], 0, 0

    def _of_lost(self) -> Kept:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return Kept(now, self._writer, f"{self._lost} lines of pods are not kept: the lake was away too long")


def _selected() -> str:
    return f"{contract.LABEL_ROLE} in ({_ROLES})"


def collector_from(environment: Mapping[str, str], api: KubeApi, namespace: str) -> Collector | None:
    """Return the collector of the run that the environment describes; None if there is no lake for it."""
    run, writer = environment.get(contract.ENV_RUN), environment.get("POD_NAME")
    if not run or not writer:
        return None
    try:
        lake = open_lake(
            settings.resolve_lake(None), tenant=settings.resolve_tenant(None), patience=END_SECONDS
        )
    except Exception as error:  # noqa: BLE001 - the run itself says what is wrong with the lake
        get_logger("lightwork").debug("the pods' logs will not be kept: %s", one_line(error))
        return None
    labels = {contract.LABEL_RUN: run, contract.LABEL_STEP: environment.get(contract.ENV_STEP, "")}
    return Collector(api, namespace, labels, lake, run, writer)
