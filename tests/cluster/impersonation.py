"""Requests of somebody else at the API server, by an administrator who may impersonate everybody."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.kube import authority, cluster
from tests.cluster.settings import kubeconfig

MERGE = "application/merge-patch+json"


def administrator() -> ssl.SSLContext:
    """Return TLS to the API server as an administrator."""
    user = yaml.safe_load(kubeconfig().read_text())["users"][0]["user"]
    if "client-certificate-data" not in user:
        pytest.skip("needs an administrator's certificate in the kubeconfig")
    context = ssl.create_default_context(cafile=str(authority()))
    parts = [base64.b64decode(user[f"client-{kind}-data"]) for kind in ("certificate", "key")]
    file = Path(os.environ.get("TMPDIR", "/tmp")) / f"people-{os.getpid()}.pem"
    file.touch(mode=0o600)
    try:
        file.write_bytes(b"\n".join(parts))
        context.load_cert_chain(file)
    finally:
        file.unlink()
    return context


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server says: the status, and the object or the refusal."""

    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


class Caller:
    """Somebody who is known by a name and groups; the administrator without one.

    Args:
        user: the name.
        groups: the groups.
    """

    def __init__(self, user: str = "", groups: Iterable[str] = ()) -> None:
        url = urllib.parse.urlsplit(cluster()["server"])
        self._connection = http.client.HTTPSConnection(
            str(url.hostname), url.port, context=administrator(), timeout=60
        )
        self._who = [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups)]

    def send(self, verb: str, path: str, body: Any = None, kind: str = "", *, really: bool = False) -> Answer:
        """Send a request; nothing is changed by it unless it is really sent.

        Args:
            verb: such as `POST`.
            path: the path, with its query.
            body: the object, the patch.
            kind: the content type; by default, that of an object or of a merge patch.
            really: whether it is not only tried.
        """
        if verb != "GET" and not really:
            path += f"{'&' if '?' in path else '?'}dryRun=All"
        self._connection.putrequest(verb, path)
        for name, value in self._who if self._who[0][1] else ():
            self._connection.putheader(name, value)
        data = b"" if body is None else json.dumps(body).encode()
        self._connection.putheader("Content-Type", kind or (MERGE if verb == "PATCH" else "application/json"))
        self._connection.putheader("Content-Length", str(len(data)))
        self._connection.endheaders(data)
        response = self._connection.getresponse()
        return Answer(response.status, json.loads(response.read()))
