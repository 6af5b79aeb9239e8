"""A port of this machine that leads to a port of a pod, through the Kubernetes API."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECTIONS = 32
"""Connections at once; a browser keeps about six, and more wait."""
_CHUNK = 64 * 1024
_IDLE = 1.0


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 2 * CONNECTIONS

    def __init__(self, port: int, connect: Callable[[], Any]) -> None:
        self.connect = connect
        self.places = threading.BoundedSemaphore(CONNECTIONS)
        self.ending = threading.Event()
        super().__init__(("127.0.0.1", port), _Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is the browser's to open again."""


class _Connection(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        with self.server.places, contextlib.closing(self.server.connect()) as there:
            _pump(self.request, there, self.server.ending)


@contextlib.contextmanager
def forwarded(connect: Callable[[], Any], port: int = 0) -> Iterator[int]:
    """Listen on 127.0.0.1 and hand each connection on, for as long as the `with` block runs.

    Args:
        connect: opens the other side: something with `recv`, `sendall`, `fileno` and `close`. Called for each
            connection, so that it may lead elsewhere each time.
        port: where to listen; a free port if 0.

    Yields:
        The port.

    Raises:
        InputError: the port is taken.
    """
    try:
        server = _Server(port, connect)
    except OSError as error:
        raise InputError(f"--port {port}: cannot listen there: {error.strerror}; give another one") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _pump(here: socket.socket, there: Any, ending: threading.Event) -> None:
    """Carry bytes both ways until both sides have ended, or one breaks."""
    other = {here.fileno(): (here, there), there.fileno(): (there, here)}
    open_sides = set(other)
    while open_sides and not ending.is_set():
        for side in select.select(list(open_sides), [], [], _IDLE)[0]:
            source, target = other[side]
            data = source.recv(_CHUNK)
            if data:
                target.sendall(data)
                continue
            open_sides.discard(side)
            if source is there:
                return  # the pod's side is done: nothing more will come
