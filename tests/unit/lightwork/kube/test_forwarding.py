"""A port of this machine that leads elsewhere: both ways, several at once, and another way each time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from lightwork import InputError
from lightwork.kube.forwarding import forwarded
from tests.waiting import patience


@pytest.fixture
def shouting() -> Iterator[int]:
    """A server on loopback that answers each line in capitals, until the line `end`; its port."""
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


def test_bytes_go_both_ways_and_the_other_sides_end_is_ours(shouting: int) -> None:
    with forwarded(lambda: client(shouting)) as port, client(port) as one, one.makefile("rwb") as file:
        for word in (b"first\n", b"x" * 1_000_000 + b"\n", b"end\n"):
            file.write(word)
            file.flush()
            assert file.readline() == word.upper()
        assert file.read() == b"", "the other side has ended"


def test_several_connections_go_at_once(shouting: int) -> None:
    with forwarded(lambda: client(shouting)) as port:
        open_ones = [client(port) for _ in range(8)]
        for number, one in reversed(list(enumerate(open_ones))):
            one.sendall(b"number %d\n" % number)
            assert one.makefile("rb").readline() == b"NUMBER %d\n" % number
            one.close()


def test_a_way_that_is_lost_is_found_anew_for_the_next_connection(shouting: int) -> None:
    ways = iter([OSError("the pod is gone"), shouting])

    def connect() -> socket.socket:
        way = next(ways)
        if isinstance(way, OSError):
            raise way
        return client(way)

    with forwarded(connect) as port:
        with client(port) as one:
            assert one.recv(10) == b"", "refused, and nothing else ends"
        with client(port) as one, one.makefile("rwb") as file:
            file.write(b"again\n")
            file.flush()
            assert file.readline() == b"AGAIN\n"


def test_a_taken_port_is_one_line(shouting: int) -> None:
    with (
        pytest.raises(InputError, match=rf"--port {shouting}: cannot listen there"),
        forwarded(lambda: client(shouting), shouting),
    ):
        pass


def test_afterwards_nobody_listens(shouting: int) -> None:
    with forwarded(lambda: client(shouting)) as port:
        client(port).close()
    with pytest.raises(ConnectionRefusedError):
        client(port)
