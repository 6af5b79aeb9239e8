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

CONNECTIONS = 64
"""The most connections at once; further ones are closed."""
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 120.0
"""A connection over which nothing comes for so long is closed; a search takes less."""
CHUNK = 64 * 1024


class Relay:
    """Connections to one address.

    Args:
        host: the host to connect to, looked up for each connection.
        port: its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._open = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on until either side ends it."""
        if self._open >= CONNECTIONS:
            say(f"refused a connection: {CONNECTIONS} are open")
            await close(writer)
            return
        self._open += 1
        try:
            await self._pass_on(reader, writer)
        finally:
            self._open -= 1
            await close(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:
            say(f"cannot connect to {self._host}:{self._port}: {error or 'it does not answer'}")
            return
        try:
            ways = [copy(reader, there_writer), copy(there_reader, writer)]
            tasks = [asyncio.create_task(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done() and not tasks[0].exception():
                # The person has sent all; what the domain still sends belongs to them.
                await asyncio.wait(tasks[1:])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await close(there_writer)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes until there are no more, and say so to the other side."""
    while True:
        async with asyncio.timeout(IDLE_SECONDS):
            data = await reader.read(CHUNK)
        if not data:
            break
        writer.write(data)
        async with asyncio.timeout(IDLE_SECONDS):
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


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
