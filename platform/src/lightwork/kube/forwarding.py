"""Forward a port of this machine to a port of a pod, through the Kubernetes API."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import socketserver
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECTIONS = 32
"""The most connections at once; a browser opens about six. Further ones wait."""
_CHUNK = 64 * 1024
_IDLE = 1.0
_TABLE = Path("/proc/net/tcp")
"""Linux's table of this machine's TCP connections, each with the user whose it is."""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 2 * CONNECTIONS

    def __init__(self, port: int, connect: Callable[[], Any]) -> None:
        self.connect = connect
        self.slots = threading.BoundedSemaphore(CONNECTIONS)
        self.ending = threading.Event()
        self.refused: set[int] = set()
        super().__init__(("127.0.0.1", port), _Connection)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Return whether the one who connects is the user whose credentials open the other side."""
        user = user_of(client_address[1], int(self.server_address[1]))
        if user is None or user == os.getuid():
            return True
        if user >= 0 and user not in self.refused:
            self.refused.add(user)
            get_logger("lightwork").warning(f"refused a connection of another user of this machine: {user}")
        return False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a broken connection: the browser opens a new one."""


class _Connection(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        with self.server.slots, contextlib.closing(self.server.connect()) as remote:
            _pump(self.request, remote, self.server.ending)


@contextlib.contextmanager
def forwarded(connect: Callable[[], Any], port: int = 0) -> Iterator[int]:
    """Listen on 127.0.0.1 and forward each connection while the `with` block runs.

    Connections of other users of this machine are refused on Linux, which tells whose they are.

    Args:
        connect: opens the remote side, an object with `recv`, `sendall`, `fileno` and `close`. It is called
            for each connection, so the target may change.
        port: the port to listen on; 0 picks a free one.

    Yields:
        The port.

    Raises:
        InputError: the port cannot be listened on, for example because it is in use.
    """
    try:
        server = _Server(port, connect)
    except OSError as error:
        raise InputError(
            f"--port {port}: cannot listen there ({error.strerror}); choose another port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()


def user_of(port: int, server_port: int) -> int | None:
    """Return the user who has connected from a port of 127.0.0.1; None if the system does not tell.

    A connection that has ended meanwhile is nobody's: -1.
    """
    if not _TABLE.exists():
        return None
    addresses = [f"0100007F:{port:04X}", f"0100007F:{server_port:04X}"]
    rows = (line.split() for line in _TABLE.read_text().splitlines()[1:])
    return next((int(row[7]) for row in rows if row[1:3] == addresses), -1)


def _pump(local: socket.socket, remote: Any, ending: threading.Event) -> None:
    """Copy bytes both ways until the remote side ends or a side breaks."""
    directions = {local.fileno(): (local, remote), remote.fileno(): (remote, local)}
    open_sides = set(directions)
    while open_sides and not ending.is_set():
        for side in select.select(list(open_sides), [], [], _IDLE)[0]:
            source, target = directions[side]
            data = source.recv(_CHUNK)
            if data:
                target.sendall(data)
                continue
            open_sides.discard(side)
            if source is remote:
                return  # the pod sends nothing more
