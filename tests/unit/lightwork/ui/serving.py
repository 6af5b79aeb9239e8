"""The page's real server in a thread, and requests to it."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from lightwork.lake import Lake
from lightwork.ui.door import Door
from lightwork.ui.pages import Place
from lightwork.ui.schedules import Firings
from lightwork.ui.server import Server
from lightwork.ui.site import Site
from tests.waiting import patience


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Served:
    """A server: its port, and the door, which knows the token."""

    port: int
    door: Door

    @property
    def token(self) -> str:
        return self.door.address().partition("token=")[2]

    @property
    def cookie(self) -> str:
        return self.door.set_cookie().partition(";")[0]

    def ask(self, path: str = "/", method: str = "GET", *, cookie: bool = True, **headers: str) -> Reply:
        """Make a request as a browser would; names of headers have `_` in place of `-`."""
        sent = {"Cookie": self.cookie} if cookie else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience(20))
        with contextlib.closing(connection):
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, named, answer.read().decode())


@contextlib.contextmanager
def serving(lake: Lake, firings: Firings | None = None) -> Iterator[Served]:
    """Serve a lake's history until the `with` block ends."""
    site = Site(lake, Place(tenant=lake.tenant, lake=lake.root), firings or Firings(dict))
    with Server(0, site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield Served(int(server.server_address[1]), server.door)
        finally:
            server.shutdown()
            thread.join(patience(20))
