"""The server of the page: on 127.0.0.1, for one user, and for reading alone.

Each connection has a thread and one request. A request's head is read here, so that its length and time are
bounded; Python's `http.server` parses it.
"""

from __future__ import annotations

import io
import os
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from lightwork.errors import InputError, LightworkError, one_line
from lightwork.kube.forwarding import user_of
from lightwork.ui import pages
from lightwork.ui.door import Asked, Door

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.ui.site import Answer, Site

CONNECTIONS = 64
"""Connections at once; a browser opens about six."""
HEAD_BYTES = 16 << 10
"""Bytes of a request without its content."""
_HEAD_SECONDS = 60.0
"""Seconds in which these arrive; browsers open connections ahead of requests."""
_SEND_SECONDS = 60.0
"""Seconds in which a client takes an answer."""
_READING = 4
"""Requests at once that read the lake; the others wait."""
_METHODS = ("GET", "HEAD")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Connection": "close",
}
_HTML = "text/html; charset=UTF-8"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_FOREIGN = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The policy of a tenant's own page: it belongs to no origin, loads nothing and reaches nothing."""
_ENTER = b'<!doctype html><title>lightwork</title><meta http-equiv="refresh" content="0;url=/">'
"""A page of this server that leads on: a browser sends no strict cookie where another page leads to."""


class _Handler(BaseHTTPRequestHandler):
    """One request: the checks, the answer, and errors that tell nothing of the request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        """Answer one request; the connection is closed after it."""
        self.command = ""
        head = self._head()
        self.connection.settimeout(_SEND_SECONDS)
        if len(head) > HEAD_BYTES:
            self.send_error(431)
            return
        self.rfile = io.BytesIO(head)
        self.raw_requestline = self.rfile.readline()
        if not self.raw_requestline or not self.parse_request():  # which has sent what is wrong
            return
        try:
            answer = self._answered()
        except Exception:  # noqa: BLE001 - it is not logged: its text may have the token
            self.send_error(500)
            return
        answer()

    def _head(self) -> bytes:
        """Return a request's lines and what came with them; nothing if they take too long."""
        head, until = b"", time.monotonic() + _HEAD_SECONDS
        while b"\r\n\r\n" not in head and len(head) <= HEAD_BYTES:
            self.connection.settimeout(max(0.001, until - time.monotonic()))
            try:
                more = self.connection.recv(HEAD_BYTES)
            except TimeoutError:
                return b""
            if not more:
                return b""
            head += more
        return head

    def _answered(self) -> Callable[[], None]:
        """Return what sends the answer to a request."""
        path, _, query = self.path.partition("?")
        values = parse_qs(query, keep_blank_values=True)
        token = values.get("token", [None])[-1] if path == "/" else None
        if self.command not in _METHODS:
            return lambda: self.send_error(405)
        if refusal := self.server.door.refusal(self._asked(token)):
            return lambda: self._say(403, refusal)
        if token is not None:
            cookie = self.server.door.set_cookie()
            return lambda: self._send(200, _ENTER, Set_Cookie=cookie)
        call = _call(self.server.site, path, values.get("step", [""])[-1])
        if call is None:
            return lambda: self.send_error(404)
        answer = self._read(call)
        return lambda: self._show(answer)

    def _asked(self, token: str | None) -> Asked:
        pairs = (item.partition("=") for item in (self._header("Cookie") or "").split(";"))
        return Asked(
            host=self._header("Host"),
            origin=self._header("Origin"),
            site=self._header("Sec-Fetch-Site"),
            token=token,
            cookies={name.strip(): value.strip() for name, _, value in pairs},
        )

    def _header(self, name: str) -> str | None:
        """Return a header; all its values if it is repeated, which no check takes for one of them."""
        values = self.headers.get_all(name)
        return None if values is None else ",".join(map(str, values))

    def _read(self, call: Callable[[], Answer]) -> Answer:
        """Return what a call returns, which reads the lake."""
        try:
            with self.server.reading:
                return call()
        except LightworkError as error:
            return self.server.site.problem(502, "The lake cannot be read", one_line(error))

    def _show(self, answer: Answer) -> None:
        policy = _FOREIGN if answer.is_foreign else f"{pages.policy()}; frame-ancestors 'none'"
        self._send(answer.status, answer.body, policy)
        self.server.site.refresh()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Say what is wrong in one line, without the request's own words."""
        self._say(code, self.responses.get(code, ("error", ""))[0].lower())

    def _say(self, status: int, text: str) -> None:
        kind = "text/plain; charset=UTF-8"
        self._send(status, f"lightwork ui: {text}\n".encode(), Content_Type=kind)

    def _send(self, status: int, body: bytes, policy: str = _NOTHING, **more: str) -> None:
        headers = {**_HEADERS, "Content-Security-Policy": policy, "Content-Length": str(len(body))}
        headers |= {name.replace("_", "-"): value for name, value in {"Content_Type": _HTML, **more}.items()}
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _call(site: Site, path: str, step: str) -> Callable[[], Answer] | None:
    """Return what makes the page of a path; None if there is none."""
    try:
        parts = [unquote(part, errors="strict") for part in path.split("/")]
    except UnicodeDecodeError:
        return None
    match parts:
        case ["", ""]:
            return site.overview
        case ["", "run", name] if name:
            return lambda: site.run(name)
        case ["", "run", name, "report"] if name:
            return lambda: site.report(name, step)
        case ["", "artifact", name, version] if name and version:
            return lambda: site.artifact(name, version)
    return None


class Server(socketserver.ThreadingTCPServer):
    """A server that refuses the connections of other users of this machine, where the system tells whose.

    Args:
        port: the port; 0 for a free one.
        site: the pages.

    Attributes:
        site: the pages.
        door: decides who may see them.
        reading: limits the requests that read the lake.

    Raises:
        InputError: the port cannot be listened on.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = CONNECTIONS

    def __init__(self, port: int, site: Site) -> None:
        self.site = site
        self.reading = threading.BoundedSemaphore(_READING)
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise InputError(
                f"--port {port}: cannot listen there ({error.strerror}); choose another port"
            ) from error
        self.door = Door(int(self.server_address[1]))

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Return whether a connection is taken; it has a slot then."""
        user = user_of(client_address[1], int(self.server_address[1]))
        return user in (None, os.getuid()) and self._slots.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and give the slot back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a broken connection: the browser opens a new one."""
