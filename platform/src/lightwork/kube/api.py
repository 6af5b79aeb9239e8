"""Requests to the Kubernetes API as plain JSON.

The official client has a class for each kind of object and takes seconds to import them, longer than all
requests of a run together. So it is used only to read kubeconfigs and to log in. In a pod, where an address
and a token suffice, it is not used at all.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["InCluster", "KubeApi", "NoTokenError", "RefusedError", "of_context"]

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The folder in a pod with its service account's token, the API's certificate authority and the namespace."""
TIMEOUT = 30.0
"""Timeout of a request, in seconds."""
_PATCH = "application/merge-patch+json"


class RefusedError(Exception):
    """A request that the API refused; the text is the API's own message, in one line.

    Attributes:
        status: the HTTP status, such as 404.
    """

    def __init__(self, status: int, reason: str, body: str) -> None:
        self.status = status
        try:
            message = one_line(json.loads(body)["message"])
        except (TypeError, ValueError, KeyError):
            message = f"{status} {reason}"
        super().__init__(message)


class NoTokenError(Exception):
    """A context whose user logs in by a certificate, and has no token to hand on."""


class KubeApi(ABC):
    """The API of one cluster.

    Every method raises RefusedError for a request that the API refuses, and OSError if it cannot be reached.
    """

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return an object, or a list of objects.

        Args:
            path: such as `/api/v1/namespaces/acme/pods`.
            query: the parameters of the query string, such as `labelSelector`.
        """
        return self._object("GET", path, query)

    def text(self, path: str, **query: str) -> str:
        """Return a response that is not JSON, such as a pod's log; arguments as for `get`."""
        return self._request("GET", path, query)

    def create(self, path: str, body: dict[str, Any], **query: str) -> dict[str, Any]:
        """Create an object in the list at `path`; return it as the API stored it.

        Args:
            path: the list.
            body: the object.
            query: such as `dryRun="All"`, to check the object without creating it.
        """
        return self._object("POST", path, query, body)

    def patch(self, path: str, body: dict[str, Any], **query: str) -> dict[str, Any]:
        """Change the fields that are in `body`, and no others; return the object as the API stored it.

        Args:
            path: the object.
            body: the fields.
            query: such as `fieldManager`, who is named as having set them.
        """
        return self._object("PATCH", path, query, body)

    def _object(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        response: dict[str, Any] = json.loads(self._request(method, path, query, body))
        return response

    def _headers(self, method: str) -> dict[str, str]:
        kind = _PATCH if method == "PATCH" else "application/json"
        return {"Accept": "application/json, */*", "Content-Type": kind}

    @abstractmethod
    def _request(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> str: ...


class InCluster(KubeApi):
    """The API of the cluster that this pod runs in, accessed with the pod's service account.

    Attributes:
        namespace: the pod's namespace.

    Raises:
        OSError: this process does not run in a pod, or the pod has no token.
    """

    def __init__(self, account: Path = ACCOUNT, url: str = "https://kubernetes.default.svc") -> None:
        self.namespace = (account / "namespace").read_text(encoding="utf-8").strip()
        self._url = url
        self._account = account

    def _request(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> str:
        # Read for each request: Kubernetes replaces the token before it expires.
        token = (self._account / "token").read_text(encoding="utf-8").strip()
        request = urllib.request.Request(  # noqa: S310  (the API's own address)
            self._url + path + (f"?{urllib.parse.urlencode(query)}" if query else ""),
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", **self._headers(method)},
        )
        context = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=context) as response:  # noqa: S310
                return str(response.read().decode("utf-8", errors="replace"))
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", errors="replace")
            raise RefusedError(error.code, error.reason, text) from None


class ByClient(KubeApi):
    """The API of a cluster, accessed with the official client.

    Args:
        client: an `ApiClient`, which holds the address and the credentials.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def get_by_cookie(self, path: str) -> dict[str, Any]:
        """Return an object of a server behind the API's proxy, which is told who asks by a cookie.

        The API takes the token itself out of what it passes on. Argo's server, which acts with the rights of
        the user who asks, takes it from a cookie as well.

        Raises:
            NoTokenError: the user has none.
        """
        token = self.client.configuration.get_api_key_with_prefix("BearerToken", "authorization")
        if not token:
            raise NoTokenError
        text = self._request("GET", path, {}, headers={"Cookie": f"authorization={token}"})
        response: dict[str, Any] = json.loads(text)
        return response

    def stream(self, path: str, **query: str) -> Iterator[str]:
        """Yield the lines of a response as they come, such as those of a log that is followed.

        It ends with OSError if none comes for a while; whoever wants more asks again.
        """
        from urllib3.exceptions import HTTPError

        try:
            with _credentials_or_error():
                response = self._send_unread("GET", path, query, None, {})
            with contextlib.closing(response.response):
                for line in response.response:
                    yield line.decode("utf-8", errors="replace").removesuffix("\n")
        except (HTTPError, LightworkError) as error:
            raise OSError(str(error)) from error

    def reach(self, seconds: float) -> None:
        """Check that something answers at the API's address, with a certificate of the API's own authority.

        Raises:
            OSError: nothing does within the time.
        """
        from urllib3.exceptions import HTTPError

        address = f"{self.client.configuration.host}/version"
        try:
            self.client.rest_client.pool_manager.request("GET", address, timeout=seconds, retries=False)
        except HTTPError as error:
            raise OSError(str(error)) from error

    def clock(self) -> float | None:
        """Return the time by the API's clock, in Unix seconds; None if its answer does not have it.

        Raises:
            OSError: nothing answers.
        """
        from email.utils import parsedate_to_datetime

        from urllib3.exceptions import HTTPError

        address = f"{self.client.configuration.host}/version"
        try:
            pool = self.client.rest_client.pool_manager
            answer = pool.request("GET", address, timeout=TIMEOUT, retries=False)
            return parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except HTTPError as error:
            raise OSError(str(error)) from error
        except (KeyError, ValueError):
            return None

    def _request(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        from urllib3.exceptions import HTTPError

        try:
            with _credentials_or_error():
                return self._send(method, path, query, body, headers)
        except (HTTPError, LightworkError) as error:  # new credentials are got when the old ones expire
            raise OSError(str(error)) from error

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: dict[str, Any] | None,
        headers: Mapping[str, str],
    ) -> str:
        response = self._send_unread(method, path, query, body, headers)
        return str(response.read().decode("utf-8", errors="replace"))

    def _send_unread(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: dict[str, Any] | None,
        headers: Mapping[str, str],
    ) -> Any:
        """Return a response whose body is still to be read."""
        arguments = self.client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={**self._headers(method), **headers},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self.client.call_api(*arguments, _request_timeout=TIMEOUT)
        if not 200 <= response.status < 300:
            text = response.read().decode("utf-8", errors="replace")
            raise RefusedError(response.status, response.reason, text)
        return response


def of_context(name: str) -> ByClient:
    """Return the API of the cluster that a context of the kubeconfig names.

    Raises:
        kubernetes.config.ConfigException: the kubeconfig has no such context.
        LightworkError: its command prints no credentials.
    """
    from kubernetes import config

    with _credentials_or_error():
        return ByClient(config.new_client_from_config(context=name))  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _credentials_or_error() -> Iterator[None]:
    """Raise what the official client only logs: that a command has printed no credentials.

    It would go on without any, and be told that nobody may do what is asked.

    Raises:
        LightworkError: the command's own last words.
    """
    complaints = _Complaints()
    root = logging.getLogger()
    root.addFilter(complaints)
    try:
        yield
    finally:
        root.removeFilter(complaints)
    if complaints.texts:
        last = complaints.texts[-1]
        hint = "; log in again" if "[Errno 2]" in last else ""
        raise LightworkError(f"no credentials for the cluster: {last}{hint}")


class _Complaints(logging.Filter):
    """Takes out of the log what the official client says of a command for credentials."""

    _PREFIX = re.compile(r"exec: process returned \d+\. (lightwork: )?")

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line of the log is about something else."""
        if record.module != "kube_config":
            return True
        self.texts.append(self._PREFIX.sub("", one_line(record.getMessage())))
        return False
