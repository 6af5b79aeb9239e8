"""Dask's servers on this machine: they listen for those who have the credentials, and for nobody else.

Dask's own scheduler and workers also answer HTTP requests of anybody, with or without a dashboard. These do
so only if a dashboard is asked for: the scheduler alone, on a path that nobody can guess.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from distributed import Scheduler, SpecCluster, Worker
from distributed.comm import get_tcp_server_addresses
from distributed.core import Status
from distributed.http.routing import RoutingApplication
from distributed.system import MEMORY_LIMIT
from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.web import ErrorHandler

from lightwork.cluster import private
from lightwork.cluster.revival import EVERY, LocalNanny, Revival

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

HOST = "127.0.0.1"
ROUTES = [f"distributed.http.{name}" for name in ("scheduler.info", "scheduler.json", "health", "statics")]
"""What a dashboard serves beside its pages. Dask's proxy, which would reach other ports, is not among it."""
_NAMES = (HOST, "localhost")
_PATH_BYTES = 24


class LocalWorker(Worker):  # type: ignore[misc, unused-ignore]
    """A worker without an HTTP server."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Start none."""


class LocalScheduler(Scheduler):  # type: ignore[misc, unused-ignore]
    """A scheduler whose HTTP server is started for a dashboard only, and serves one path.

    Args:
        path: the first part of the path; empty for no HTTP server.
    """

    def __init__(self, *args: Any, path: str = "", **kwargs: Any) -> None:
        self._first = path
        super().__init__(*args, dashboard=bool(path), http_prefix=path or None, **kwargs)

    def start_http_server(self, routes: Any, *_: Any, **__: Any) -> None:
        """Listen on a free port of this machine, if there is a dashboard."""
        if not self._first:
            return
        self.http_application = _OnePath(routes, self._first)
        self.http_server = HTTPServer(self.http_application)
        self.http_server.listen(0, address=HOST)
        address, port = get_tcp_server_addresses(self.http_server)[0][:2]
        self.http_server.address, self.http_server.port = address, port  # type: ignore[attr-defined, unused-ignore]
        self.services["dashboard"] = self.http_server


class _OnePath(RoutingApplication):  # type: ignore[misc, unused-ignore]
    """Serves what is below one path, to pages of its own: everything else is not found, or refused."""

    def __init__(self, routes: Any, path: str) -> None:
        super().__init__(routes)
        self._first = path.encode()

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Return the handler of a request."""
        first = request.path.split("/")[1:2]
        if not first or not hmac.compare_digest(first[0].encode(), self._first):
            return self.get_handler_delegate(request, ErrorHandler, {"status_code": 404})
        if request.headers.get("Upgrade", "").lower() == "websocket" and not _is_own_page(request):
            return self.get_handler_delegate(request, ErrorHandler, {"status_code": 403})
        return super().find_handler(request, **kwargs)


def _is_own_page(request: HTTPServerRequest) -> bool:
    """Return whether a request comes from a page that this server has served."""
    origin = request.headers.get("Origin", "")
    return origin == f"http://{request.host}" and urlsplit(origin).hostname in _NAMES


class LocalCluster(SpecCluster):  # type: ignore[misc, unused-ignore]
    """Worker processes of one thread each on this machine, with a scheduler in this process.

    Args:
        workers: how many there are.
        dashboard: whether the scheduler serves Dask's dashboard.
        threads: the threads of numerical libraries in each worker; None as the environment says, else one.
        preload: the modules that each worker process runs first.
        silence_logs: the level up to which Dask logs nothing.

    Attributes:
        revival: starts workers again that Dask has given up.
    """

    # Its processes end with this one. Dask would wait up to 10 s at exit for one that is starting.
    shutdown_on_close = property(lambda _: False, lambda *_: None)

    def __init__(
        self, workers: int, *, dashboard: bool, threads: int | None, preload: list[str], silence_logs: int
    ) -> None:
        self._first = secrets.token_urlsafe(_PATH_BYTES) if dashboard else ""
        self.revival = Revival()
        self._looks: PeriodicCallback | None = None
        self._replaces = False
        security = private.credentials()
        common = {"host": HOST, "protocol": "tls://", "security": security}
        worker = {
            "cls": LocalNanny,
            "options": {
                **common,
                "revival": self.revival,
                "threads": threads,
                "worker_class": LocalWorker,
                "nthreads": 1,
                "memory_limit": int(MEMORY_LIMIT / max(1, workers)),
                "silence_logs": silence_logs,
                "preload": preload,
            },
        }
        super().__init__(
            scheduler={"cls": LocalScheduler, "options": {**common, "port": 0, "path": self._first}},
            workers=dict.fromkeys(range(workers), worker),
            worker=worker,
            security=security,
            silence_logs=silence_logs,
        )
        self.loop.add_callback(self._start_looking)

    def _start_looking(self) -> None:
        self._looks = PeriodicCallback(self._look, EVERY * 1000)
        self._looks.start()

    def _look(self) -> None:
        """Replace the workers that Dask has given up, unless some are being replaced."""
        if self.status != Status.running:
            return
        self.revival.look(self)
        if self._lock.locked() or self._replaces:
            return
        given_up = self.revival.given_up(self)
        if set(self.worker_spec) - set(self.workers):
            self._futures.add(asyncio.ensure_future(self._replace(given_up)))

    async def _replace(self, given_up: list[LocalNanny]) -> None:
        self._replaces = True
        try:
            for nanny in given_up:
                with contextlib.suppress(Exception):
                    await nanny.close()
            for name in set(self.worker_spec) - set(self.workers) - {nanny.name for nanny in given_up}:
                await self.revival.pause(name)  # not even its nanny could be made
            with contextlib.suppress(Exception):  # the next look notices it
                await self._correct_state()
        finally:
            self._replaces = False

    async def _close(self) -> None:
        self.revival.closing.set()
        if self._looks is not None:
            self._looks.stop()
        await super()._close()

    @property
    def dashboard_link(self) -> str:
        """The address of the dashboard, whose path is a secret; empty if there is none."""
        port = self.scheduler.service_ports.get("dashboard")
        return f"http://{HOST}:{port}/{self._first}/status" if port else ""
