"""Forwarding a port: both directions, several connections at once, and a new target for each."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from lightwork import InputError
from lightwork.kube.forwarding import forwarded
from tests.waiting import patience


@pytest.fixture
def uppercase() -> Iterator[int]:
    """The port of a server on loopback that returns each line in capitals until the line `end`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file:
            for line in file:
                file.write(line.upper())
                file.flush()
                if line == b"end\n":
                    return

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def client(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=patience(10))


def test_bytes_go_both_ways_until_the_remote_side_ends(uppercase: int) -> None:
    with (
        forwarded(lambda: client(uppercase)) as port,
        client(port) as connection,
        connection.makefile("rwb") as file,
    ):
        for word in (b"first\n", b"x" * 1_000_000 + b"\n", b"end\n"):
            file.write(word)
            file.flush()
            assert file.readline() == word.upper()
        assert file.read() == b"", "the remote side has ended"


def test_several_connections_are_open_at_once(uppercase: int) -> None:
    with forwarded(lambda: client(uppercase)) as port:
        connections = [client(port) for _ in range(8)]
        for number, connection in reversed(list(enumerate(connections))):
            connection.sendall(b"number %d\n" % number)
            assert connection.makefile("rb").readline() == b"NUMBER %d\n" % number
            connection.close()


def test_a_lost_target_is_looked_up_again_for_the_next_connection(uppercase: int) -> None:
    targets = iter([OSError("the pod is gone"), uppercase])

    def connect() -> socket.socket:
        target = next(targets)
        if isinstance(target, OSError):
            raise target
        return client(target)

    with forwarded(connect) as port:
        with client(port) as connection:
            assert connection.recv(10) == b"", "only this connection ends"
        with client(port) as connection, connection.makefile("rwb") as file:
            file.write(b"again\n")
            file.flush()
            assert file.readline() == b"AGAIN\n"


def test_a_port_in_use_is_refused(uppercase: int) -> None:
    with (
        pytest.raises(InputError, match=rf"--port {uppercase}: .*in use.*another port"),
        forwarded(lambda: client(uppercase), uppercase),
    ):
        pass


def test_the_port_is_closed_afterwards(uppercase: int) -> None:
    with forwarded(lambda: client(uppercase)) as port:
        client(port).close()
    with pytest.raises(ConnectionRefusedError):
        client(port)


STRANGER = """
import os, socket, sys
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
connection = socket.create_connection((b"127.0.0.1".decode("ascii"), int(sys.argv[1])), 20)
try:
    connection.sendall(b"word\\n")
    sys.stdout.buffer.write(connection.recv(100))
except OSError:
    pass
"""


@pytest.mark.parametrize("is_other", [pytest.param(True, marks=pytest.mark.root), False])
def test_another_user_of_the_machine_reaches_nothing(uppercase: int, is_other: bool) -> None:
    program = STRANGER if is_other else STRANGER.replace("os.getuid() == 0", "False")
    with forwarded(lambda: client(uppercase)) as port:
        command = [sys.executable, "-c", "import encodings.idna" + program, str(port)]
        heard = subprocess.run(command, capture_output=True, timeout=patience(30), check=False).stdout
    assert heard == (b"" if is_other else b"WORD\n")
