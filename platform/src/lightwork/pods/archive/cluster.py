"""The Secret with Argo's login, and the pods that read it when they start."""

from __future__ import annotations

import base64
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.kube.api import RefusedError
from lightwork.pods.archive.postgres import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.kube.api import KubeApi

ROTATED, PENDING = "lightwork/rotated", "lightwork/pods-pending"
"""Annotations of the Secret: when its login was made, and whether pods may still use the one before."""
POD_SECONDS = 600.0
"""How long a pod may take to end and to be replaced by one that is ready: it may need a new node."""
NOT_FOUND, TOO_MANY = 404, 429
"""The status of an object that is gone, and of an eviction that a disruption budget does not allow yet."""


class ClusterError(Exception):
    """Pods that do not come back, or a Secret that is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The login in the Secret.

    Attributes:
        credentials: the login.
        rotated: when it was made; None if nobody knows.
        pending: whether pods may still use the login before it.
        version: the Secret's version.
    """

    credentials: Credentials
    rotated: dt.datetime | None
    pending: bool
    version: str


class Cluster:
    """The Secret and the pods of one namespace.

    Args:
        api: the API, with the rights of the rotation's account.
        namespace: the namespace.
        secret: the Secret's name.
        selector: the label selector of the pods.
    """

    def __init__(self, api: KubeApi, *, namespace: str, secret: str, selector: str) -> None:
        self._api, self._name, self._selector = api, secret, selector
        self._secrets = f"/api/v1/namespaces/{namespace}/secrets"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    def read(self) -> Stored | None:
        """Return the login in the Secret; None if there is no Secret.

        Raises:
            ClusterError: the Secret has no login.
        """
        try:
            secret = self._api.get(f"{self._secrets}/{self._name}")
        except RefusedError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        metadata, data = secret["metadata"], secret.get("data") or {}
        try:
            user, password = (base64.b64decode(data[key]).decode() for key in ("username", "password"))
        except (KeyError, ValueError):
            raise ClusterError(
                f"the Secret {self._name} has no username and password: delete it, and a login is made"
            ) from None
        notes = metadata.get("annotations") or {}
        return Stored(
            credentials=Credentials(user, password),
            rotated=_time(notes.get(ROTATED)),
            pending=PENDING in notes,
            version=str(metadata["resourceVersion"]),
        )

    def write(self, credentials: Credentials, now: dt.datetime, before: Stored | None) -> str:
        """Store a new login, unless somebody else has changed the Secret; return its version.

        Args:
            credentials: the login.
            now: the current time.
            before: what `read` has returned.
        """
        texts = {"username": credentials.user, "password": credentials.password}
        body = {"data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}}
        notes = {ROTATED: now.isoformat(timespec="seconds"), PENDING: "true"}
        metadata: dict[str, Any] = {
            "name": self._name,
            "labels": {"app.kubernetes.io/part-of": "lightwork"},
            "annotations": notes,
        }
        if before is None:
            kind = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"}
            secret = self._api.create(self._secrets, {**kind, "metadata": metadata, **body})
        else:
            metadata["resourceVersion"] = before.version
            secret = self._api.patch(f"{self._secrets}/{self._name}", {"metadata": metadata, **body})
        return str(secret["metadata"]["resourceVersion"])

    def finish(self, version: str) -> None:
        """Note that no pod uses the login before, unless somebody else has changed the Secret."""
        metadata = {"resourceVersion": version, "annotations": {PENDING: None}}
        self._api.patch(f"{self._secrets}/{self._name}", {"metadata": metadata})

    def replace_pods(self, *, seconds: float = POD_SECONDS) -> int:
        """Replace every pod by a new one, one after the other, so that others go on; return how many.

        They are evicted: disruption budgets are kept, and the rights to do so change nobody's program.

        Raises:
            ClusterError: a pod does not end, or as many pods as before are not ready again in time.
        """
        pods = self._list()
        ready = sum(map(_ready, pods))
        for pod in pods:
            self._evict(pod, seconds)
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]

            def replaced(uid: str = uid) -> bool:
                others = self._list()
                is_gone = all(other["metadata"]["uid"] != uid for other in others)
                return is_gone and sum(map(_ready, others)) >= ready

            _wait(replaced, f"{name} was evicted, and no pod is ready in its place", seconds)
        return len(pods)

    def _list(self) -> list[dict[str, Any]]:
        pods: list[dict[str, Any]] = self._api.get(self._pods, labelSelector=self._selector)["items"]
        return pods

    def _evict(self, pod: dict[str, Any], seconds: float) -> None:
        name = pod["metadata"]["name"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name},
            "deleteOptions": {"preconditions": {"uid": pod["metadata"]["uid"]}},
        }

        def evicted() -> bool:
            try:
                self._api.create(f"{self._pods}/{name}/eviction", body)
            except RefusedError as error:
                if error.status == TOO_MANY:
                    return False
                if error.status != NOT_FOUND:
                    raise
            return True

        _wait(evicted, f"{name}: its disruption budget allows no eviction", seconds)


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    is_ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return is_ready and "deletionTimestamp" not in pod["metadata"]


def _time(text: str | None) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _wait(condition: Callable[[], bool], complaint: str, seconds: float) -> None:
    """Wait until a condition holds; raise ClusterError with the complaint after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise ClusterError(f"{complaint} after {seconds:.0f} s")
        time.sleep(1)
