"""Pass connections on to OpenSearch, whose domain is private, without reading them.

Run as `python3 relay.py --to HOST:PORT --port PORT`. It needs nothing but Python: the pod has a public image.

It listens on 127.0.0.1 only, so that nothing reaches it but a port forwarded by the Kubernetes API, and it
connects to one address only. It has no credentials and holds no certificate: TLS and the signature are
between the person and the domain, which decides what each may read.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time

CONNECTIONS = 64
"""The most connections at once."""
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 120.0
"""A connection on which the domain says nothing for so long is closed; a search takes less."""
SPARE_SECONDS = 5.0
"""A connection that is idle for so long makes room for a new one, if all are taken."""
ANSWER_SECONDS = 30.0
"""How long a connection may wait for an answer before it counts as idle."""
LONGEST_SECONDS = 3600.0
"""The longest that a connection lives, whatever happens on it."""
CHUNK = 64 * 1024


class Relay:
    """Connections to one address.

    All come from the Kubernetes API, so that it cannot tell people apart. Who only holds connections must not
    keep the others out: if all are taken, a new one takes the place of that which is idle for the longest.

    Args:
        host: the host to connect to, looked up for each connection.
        port: its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._open: set[Connection] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on until either side ends it."""
        if len(self._open) >= CONNECTIONS and not self._make_room():
            say(f"refused a connection: {CONNECTIONS} are open, and none is idle")
            await close(writer)
            return
        connection = Connection(reader, writer)
        self._open.add(connection)
        try:
            await connection.pass_on(self._host, self._port)
        finally:
            self._open.discard(connection)
            await close(writer)

    def _make_room(self) -> bool:
        """Close the connection that is idle for the longest; return whether there is one."""
        idlest = max(self._open, key=Connection.idle)
        if idlest.idle() < SPARE_SECONDS:
            return False
        say("closed an idle connection: others need it")
        self._open.discard(idlest)
        idlest.end()
        return True


class Connection:
    """A person's connection, and what has happened on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._asks, self._since = False, time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    def idle(self) -> float:
        """Return for how many seconds nothing has been asked on it, or an answer is overdue."""
        if not self._tasks:
            return 0.0  # it is being connected
        return time.monotonic() - self._since - (ANSWER_SECONDS if self._asks else 0.0)

    def end(self) -> None:
        """End it as if either side had."""
        for task in self._tasks:
            task.cancel()

    async def pass_on(self, host: str, port: int) -> None:
        """Connect to the address and copy both ways."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                there_reader, there_writer = await asyncio.open_connection(host, port)
        except OSError as error:
            say(f"cannot connect to {host}:{port}: {error or 'it does not answer'}")
            return
        ways = [self._ask(there_writer), self._answer(there_reader)]
        self._tasks = [asyncio.create_task(way) for way in ways]
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                asked, answered = self._tasks
                if asked.done() and not asked.cancelled() and not asked.exception():
                    # The person has sent all; what the domain still sends belongs to them.
                    await asyncio.wait([answered])
        except TimeoutError:
            say(f"closed a connection that was open for {LONGEST_SECONDS:.0f} seconds")
        finally:
            self.end()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await close(there_writer)

    async def _ask(self, domain: asyncio.StreamWriter) -> None:
        """Copy what the person sends, which may be nothing for as long as the domain sends something."""
        while data := await self._reader.read(CHUNK):
            if not self._asks:
                self._asks, self._since = True, time.monotonic()
            await send(domain, data)
        with contextlib.suppress(OSError):
            domain.write_eof()

    async def _answer(self, domain: asyncio.StreamReader) -> None:
        """Copy what the domain sends."""
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await domain.read(CHUNK)
            if not data:
                break
            self._asks, self._since = False, time.monotonic()
            await send(self._writer, data)
        with contextlib.suppress(OSError):
            self._writer.write_eof()


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send bytes on; fail if the other side does not take them in time."""
    writer.write(data)
    async with asyncio.timeout(IDLE_SECONDS):
        await writer.drain()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever state it is in."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()


def say(text: str) -> None:
    """Write a line to the pod's log."""
    print(f"relay: {text}", flush=True)


async def serve(host: str, port: int, listening: int) -> None:
    """Pass connections on until SIGTERM, which the first process of a container must handle itself."""
    server = await asyncio.start_server(Relay(host, port).accept, "127.0.0.1", listening)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    say(f"127.0.0.1:{server.sockets[0].getsockname()[1]} leads to {host}:{port}")
    await ended.wait()
    server.close()


def main() -> None:
    """Read the options and serve."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--to", required=True, help="HOST:PORT")
    options.add_argument("--port", type=int, required=True, help="the port of 127.0.0.1; 0 for a free one")
    given = options.parse_args()
    host, _, port = given.to.rpartition(":")
    if not host or not port.isdigit():
        sys.exit(f"relay: --to: expected HOST:PORT, got {given.to}")
    asyncio.run(serve(host, int(port), given.port))


if __name__ == "__main__":
    main()
