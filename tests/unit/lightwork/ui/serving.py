"""The page's real server in a thread, and requests to it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from lightwork.lake import Lake
from lightwork.ui.door import Door
from lightwork.ui.pages import Place
from lightwork.ui.schedules import Firings
from lightwork.ui.server import listening, serve
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
    place = Place(tenant=lake.tenant, lake=lake.root)
    site = Site(lake, place, firings or Firings(dict))
    bound = listening(0)
    door = Door(bound.getsockname()[1])
    ready, ended = threading.Event(), threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def main() -> None:
        task = asyncio.create_task(serve(site, bound, door, ready.set))
        loops.append((asyncio.get_running_loop(), task))
        with contextlib.suppress(asyncio.CancelledError):
            await task
        ended.set()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(patience(20))
    try:
        yield Served(bound.getsockname()[1], door)
    finally:
        loop, task = loops[0]
        loop.call_soon_threadsafe(task.cancel)
        assert ended.wait(patience(20))
        thread.join(patience(20))
