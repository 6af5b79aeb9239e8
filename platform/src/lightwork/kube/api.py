"""Requests to the Kubernetes API as plain JSON.

The official client has a class for each kind of object, and takes seconds to import them: longer than all
that is asked by it in a run. So only its reading of kubeconfigs and its way of logging in are used; and in a
pod, where an address and a token are all there is to know, not even those.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

__all__ = ["InCluster", "KubeApi", "RefusedError", "of_context"]

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its account's token, the API's authority and its own namespace."""
TIMEOUT = 30.0
"""Seconds for one request."""
_PATCH = "application/merge-patch+json"


class RefusedError(Exception):
    """The API does not do what it was asked.

    Attributes:
        status: HTTP's, such as 404.
    """

    def __init__(self, status: int, reason: str, body: str) -> None:
        self.status = status
        try:
            said = " ".join(str(json.loads(body)["message"]).split())
        except (TypeError, ValueError, KeyError):
            said = f"{status} {reason}"
        super().__init__(said)


class KubeApi(ABC):
    """The API of one cluster.

    All of it raises RefusedError for what the API refuses, and OSError where nobody answers.
    """

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """An object, or a list of them.

        Args:
            path: such as `/api/v1/namespaces/acme/pods`.
            query: what follows the question mark, such as `labelSelector`.
        """
        return self._object("GET", path, query)

    def text(self, path: str, **query: str) -> str:
        """What is no object, such as a pod's log; as `get`."""
        return self._ask("GET", path, query)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make an object in the list at `path`; what became of it."""
        return self._object("POST", path, {}, body)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change the fields that are in `body`, and no others; what became of it."""
        return self._object("PATCH", path, {}, body)

    def _object(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._ask(method, path, query, body))
        return found

    def _headers(self, method: str) -> dict[str, str]:
        kind = _PATCH if method == "PATCH" else "application/json"
        return {"Accept": "application/json, */*", "Content-Type": kind}

    @abstractmethod
    def _ask(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> str: ...


class InCluster(KubeApi):
    """The API of the cluster that this process is in, by its pod's own account.

    Attributes:
        namespace: the pod's own.

    Raises:
        OSError: it is in no pod, or the pod has no token.
    """

    def __init__(self, account: Path = ACCOUNT, url: str = "https://kubernetes.default.svc") -> None:
        self.namespace = (account / "namespace").read_text(encoding="utf-8").strip()
        self._url = url
        self._account = account

    def _ask(self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None) -> str:
        # Read each time: Kubernetes writes a new one before the old one's end.
        token = (self._account / "token").read_text(encoding="utf-8").strip()
        request = urllib.request.Request(  # noqa: S310  (the API's own address)
            self._url + path + (f"?{urllib.parse.urlencode(query)}" if query else ""),
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", **self._headers(method)},
        )
        context = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=context) as answer:  # noqa: S310
                return str(answer.read().decode("utf-8", errors="replace"))
        except urllib.error.HTTPError as error:
            said = error.read().decode("utf-8", errors="replace")
            raise RefusedError(error.code, error.reason, said) from None


class ByClient(KubeApi):
    """The API as the official client reaches it.

    Args:
        client: its `ApiClient`, which knows the address and how to log in.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def _ask(self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None) -> str:
        from urllib3.exceptions import HTTPError

        request = self.client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=self._headers(method),
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self.client.call_api(*request)
            said = answer.read().decode("utf-8", errors="replace")
        except HTTPError as error:
            raise OSError(str(error)) from error
        if not 200 <= answer.status < 300:
            raise RefusedError(answer.status, answer.reason, said)
        return str(said)


def of_context(name: str) -> ByClient:
    """The API of the cluster that a context of the kubeconfig names.

    Raises:
        kubernetes.config.ConfigException: there is no such context.
    """
    from kubernetes import config

    return ByClient(config.new_client_from_config(context=name))  # type: ignore[no-untyped-call]
