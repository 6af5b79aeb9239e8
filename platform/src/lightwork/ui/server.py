"""The server of the page: on 127.0.0.1, for one user, and for reading alone."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from lightwork.errors import InputError, LightworkError, one_line
from lightwork.kube.forwarding import user_of
from lightwork.ui import pages
from lightwork.ui.door import Asked, Door
from lightwork.ui.pool import BusyError, Pool

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lightwork.ui.site import Answer, Site

CONNECTIONS = 64
"""Connections at once; a browser opens about six."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Type": "text/html; charset=UTF-8",
}
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_FOREIGN = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The policy of a tenant's own page: it belongs to no origin, loads nothing and reaches nothing."""
_ENTER = b'<!doctype html><title>lightwork</title><meta http-equiv="refresh" content="0;url=/">'
"""A page of this server that leads on: a browser sends no strict cookie where another page leads to."""


class _Handler(RequestHandler):
    """What all requests share: the checks, the headers, and errors that tell nothing of the request."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, site: Site, door: Door, pool: Pool) -> None:
        """Take what the server has."""
        self.site, self.door, self.pool = site, door, pool

    def set_default_headers(self) -> None:
        """Set the headers of every answer, also of errors."""
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Security-Policy", _NOTHING)

    def prepare(self) -> None:
        """Refuse whoever may not see the page."""
        headers = self.request.headers
        asked = Asked(
            host=headers.get("Host"),
            origin=headers.get("Origin"),
            site=headers.get("Sec-Fetch-Site"),
            token=self.get_query_argument("token", None) if self.request.path == "/" else None,
            cookies={name: item.value for name, item in self.cookies.items()},
        )
        if refusal := self.door.refusal(asked):
            self._end(403, refusal)
        elif asked.token is not None:
            self.set_header("Set-Cookie", self.door.set_cookie())
            self.finish(_ENTER)

    async def answer(self, call: Callable[[], Answer]) -> None:
        """Send what a call returns, which reads the lake in a thread."""
        try:
            answer = await self.pool.run(call)
        except BusyError:
            self._end(503, "too many requests wait")
            return
        except LightworkError as error:
            answer = self.site.problem(502, "The lake cannot be read", one_line(error))
        policy = _FOREIGN if answer.is_foreign else f"{pages.policy()}; frame-ancestors 'none'"
        self.set_header("Content-Security-Policy", policy)
        self.set_status(answer.status)
        self.finish(answer.body)

    async def head(self, *path: str) -> None:
        """Answer as to GET; the content is left out."""
        await self.get(*path)  # type: ignore[misc]

    def _end(self, status: int, text: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(f"lightwork ui: {text}\n")

    def write_error(self, status_code: int, **_: Any) -> None:
        """Say what is wrong in one line."""
        self._end(status_code, self._reason.lower())

    def log_exception(self, *_: Any) -> None:
        """Log nothing: Tornado's lines have the address, which may have the token."""

    def compute_etag(self) -> str | None:
        """Return that nothing is kept."""
        return None


class _Overview(_Handler):
    async def get(self) -> None:
        await self.answer(self.site.overview)


class _Run(_Handler):
    async def get(self, name: str) -> None:
        await self.answer(lambda: self.site.run(name))


class _Report(_Handler):
    async def get(self, name: str) -> None:
        step = self.get_query_argument("step", "")
        await self.answer(lambda: self.site.report(name, step))


class _Artifact(_Handler):
    async def get(self, name: str, version: str) -> None:
        await self.answer(lambda: self.site.artifact(name, version))


class _Missing(_Handler):
    def get(self, *_: str) -> None:
        raise HTTPError(404)


class _Server(HTTPServer):
    """A server that refuses the connections of other users of this machine, where the system tells whose."""

    def handle_stream(self, stream: Any, address: Any) -> None:
        """Take a connection, or close it."""
        user = user_of(address[1], stream.socket.getsockname()[1])
        if user not in (None, os.getuid()) or len(self._connections) >= CONNECTIONS:
            stream.close()
            return
        super().handle_stream(stream, address)


def listening(port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1.

    Raises:
        InputError: the port cannot be listened on.
    """
    try:
        (bound,) = bind_sockets(port, "127.0.0.1")
    except OSError as error:
        raise InputError(
            f"--port {port}: cannot listen there ({error.strerror}); choose another port"
        ) from error
    return bound


async def serve(site: Site, bound: socket.socket, door: Door, ready: Callable[[], None]) -> None:
    """Answer requests until the task is cancelled.

    Args:
        site: the pages.
        bound: a socket that listens.
        door: decides who may see them.
        ready: is called when the server answers.
    """
    shared = {"site": site, "door": door, "pool": Pool()}
    routes: list[Any] = [
        (r"/", _Overview, shared),
        (r"/run/([^/]+)", _Run, shared),
        (r"/run/([^/]+)/report", _Report, shared),
        (r"/artifact/([^/]+)/([^/]+)", _Artifact, shared),
        (r".*", _Missing, shared),
    ]
    application = Application(routes, log_function=lambda _: None)
    server = _Server(
        application,
        max_header_size=16 << 10,
        max_body_size=1,
        idle_connection_timeout=120,
        body_timeout=5,
    )
    server.add_sockets([bound])
    ready()
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()
