"""What AWS puts in front of OpenSearch: IAM, which knows a request's role, and Index State Management.

Index State Management is not among the Maven packages, so that half is made up, after its documentation and
its source: a policy is changed by naming its version, and an index keeps the policy that it got.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cluster.opensearch import Answer, Server

ISM = "_plugins/_ism"


@dataclass
class Policies:
    """The made-up Index State Management.

    Attributes:
        policies: each policy with its sequence number.
        calls: the requests other than GET, as `(method, path)`.
    """

    policies: dict[str, tuple[int, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> Answer:
        """Answer a request."""
        with self.lock:
            if method != "GET":
                self.calls.append((method, path))
            kind, _, name = path.removeprefix(f"{ISM}/").partition("/")
            if kind != "policies":
                return Answer(200, {"updated_indices": 0, "failures": False, "failed_indices": []})
            number, policy = self.policies.get(name, (None, None))
            if method == "GET":
                return self._there(number, policy)
            if number != (int(query["if_seq_no"][0]) if "if_seq_no" in query else None):
                return Answer(409, {"error": "version conflict"})
            self.policies[name] = ((number or 0) + 1, body["policy"])
            return Answer(200 if number else 201, {})

    def _there(self, number: int | None, policy: Any) -> Answer:
        if number is None:
            return Answer(404, {"error": "Policy not found"})
        # The real one adds fields at every level.
        said = {"policy_id": "x", "schema_version": 21, "error_notification": None, **policy}
        return Answer(200, {"_seq_no": number, "_primary_term": 1, "policy": said})


@dataclass(frozen=True)
class Front:
    """A running front.

    Attributes:
        endpoint: its URL.
        policies: its Index State Management.
    """

    endpoint: str
    policies: Policies


@contextmanager
def in_front_of(server: Server, roles: Mapping[str, str]) -> Iterator[Front]:
    """Start a front.

    Args:
        server: the server behind it.
        roles: the role that each AWS access key is of.
    """
    policies = Policies()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            parts = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            body = json.loads(text) if text else None
            signed = re.match(r"AWS4-HMAC-SHA256 Credential=(\w+)/", self.headers.get("Authorization", ""))
            role = roles.get(signed[1]) if signed else None
            path = parts.path.removeprefix("/")
            if role is None:
                answer = Answer(403, {"message": "no identity-based policy allows this"})
            elif path.startswith(ISM):
                answer = policies.answer(self.command, path, parse_qs(parts.query), body)
            elif path == "_cluster/settings" and "plugins.index_state_management" in text:
                answer = Answer(200, {"acknowledged": True})
            else:
                answer = server.ask(self.command, self.path.removeprefix("/"), body, user=role)
            sent = json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_PUT = do_POST = do_DELETE = _handle

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as front:
        threading.Thread(target=front.serve_forever, daemon=True).start()
        try:
            yield Front(f"http://127.0.0.1:{front.server_address[1]}", policies)
        finally:
            front.shutdown()
