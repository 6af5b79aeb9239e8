"""Signed requests to an OpenSearch domain on AWS, directly or through a port of this machine."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError, one_line

if TYPE_CHECKING:
    from botocore.credentials import Credentials

TIMEOUT = 30
"""Timeout of a request, in seconds."""


class UnreachableError(LightworkError):
    """The domain cannot be reached."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its status and its text."""

    status: int
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """The response as JSON; empty if it is something else."""
        try:
            body = json.loads(self.text)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


class Domain:
    """A domain, and the AWS identity that its requests are signed with.

    Args:
        endpoint: the domain, `https://host`.
        region: the domain's AWS region, part of the signature.
        credentials: the identity's credentials.
        opener: sends the requests; `through` makes one for a forwarded port.
    """

    def __init__(
        self,
        endpoint: str,
        region: str,
        credentials: Credentials,
        opener: urllib.request.OpenerDirector | None = None,
    ) -> None:
        self._endpoint, self._region, self._credentials = endpoint, region, credentials
        self._opener = opener or urllib.request.build_opener()

    def where(self, method: str, path: str) -> str:
        """Return a request's first line, for messages."""
        return f"{method} {self._endpoint}/{path}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        """Send a request and return the response, whatever its status.

        Raises:
            UnreachableError: the domain cannot be reached.
        """
        request = self._signed(method, path, b"" if body is None else json.dumps(body).encode())
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                return Reply(response.status, response.read().decode(errors="replace"))
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(one_line(f"{self.where(method, path)}: {error}")) from error

    def _signed(self, method: str, path: str, data: bytes) -> urllib.request.Request:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        signed = AWSRequest(
            method=method,
            url=f"{self._endpoint}/{path}",
            data=data,
            headers={"Content-Type": "application/json"},
        )
        SigV4Auth(self._credentials.get_frozen_credentials(), "es", self._region).add_auth(signed)
        return urllib.request.Request(  # noqa: S310 - the callers accept only https
            signed.url, data=signed.data or None, headers=dict(signed.headers), method=signed.method
        )


def through(port: int) -> urllib.request.OpenerDirector:
    """Return an opener whose HTTPS connections go to a port of this machine.

    Only the way differs. The certificate must still be that of the host in the URL, so whoever is at the
    port sees nothing but encrypted bytes.
    """
    context = ssl.create_default_context()

    class Connection(http.client.HTTPSConnection):
        def connect(self) -> None:
            plain = socket.create_connection(("127.0.0.1", port), self.timeout)
            self.sock = context.wrap_socket(plain, server_hostname=self.host)

    class Handler(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Connection, request)

    return urllib.request.build_opener(urllib.request.ProxyHandler({}), Handler())
