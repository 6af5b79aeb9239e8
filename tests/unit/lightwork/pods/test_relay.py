"""The relay to OpenSearch, with real connections."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from lightwork.pods import relay
from tests.waiting import patience

if TYPE_CHECKING:
    from pathlib import Path

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with all that came, once there is no more."""
    writer.write(b"got " + await reader.read())
    writer.close()


async def through(
    talk: Callable[[Callable[[], Awaitable[Streams]]], Awaitable[None]],
    server: Callable[..., Awaitable[None]] = echo,
    port: int | None = None,
) -> None:
    """Run a talk with a function that connects through a relay to a server."""
    there = await asyncio.start_server(server, "127.0.0.1", 0)
    target = port or there.sockets[0].getsockname()[1]
    way = await asyncio.start_server(relay.Relay("127.0.0.1", target).accept, "127.0.0.1", 0)
    near = way.sockets[0].getsockname()[1]
    async with there, way:
        async with asyncio.timeout(patience(10)):
            await talk(lambda: asyncio.open_connection("127.0.0.1", near))


def test_it_passes_everything_on_both_ways() -> None:
    async def talk(connect: Callable[[], Awaitable[Streams]]) -> None:
        reader, writer = await connect()
        writer.write(b"x" * 3_000_000)
        writer.write_eof()
        assert await reader.read() == b"got " + b"x" * 3_000_000
        writer.close()

    asyncio.run(through(talk))


def test_a_connection_ends_when_the_domain_ends_it() -> None:
    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def talk(connect: Callable[[], Awaitable[Streams]]) -> None:
        reader, writer = await connect()
        assert await reader.read() == b""
        writer.close()

    asyncio.run(through(talk, leave))


def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "IDLE_SECONDS", 0.05)
    gone = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        gone.set()
        writer.close()

    async def talk(connect: Callable[[], Awaitable[Streams]]) -> None:
        reader, writer = await connect()
        assert await reader.read() == b""
        await gone.wait()
        writer.close()

    asyncio.run(through(talk, wait))


async def ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line with itself, except those that begin with a dot."""
    while line := await reader.readline():
        if not line.startswith(b"."):
            writer.write(line)
    writer.close()


async def asked(streams: Streams, line: bytes = b"hello\n") -> bytes:
    """Send a line and return the answer; empty if the connection was closed."""
    reader, writer = streams
    try:
        writer.write(line)
        await writer.drain()
        return await reader.readline()
    except ConnectionError:
        return b""


def test_there_are_not_more_connections_than_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(relay, "CONNECTIONS", 2)

    async def talk(connect: Callable[[], Awaitable[Streams]]) -> None:
        held = [await connect() for _ in range(2)]
        for streams in held:
            assert await asked(streams) == b"hello\n"
        reader, third = await connect()
        assert await reader.read() == b"", "one too many"
        third.close()
        for streams in held:
            assert await asked(streams) == b"hello\n", "whoever is at work is left alone"
            streams[1].close()
            await streams[1].wait_closed()
        await asyncio.sleep(0.05)
        assert await asked(await connect()) == b"hello\n", "there is room again"

    asyncio.run(through(talk, ping))
    assert "refused a connection: 2 are open, and none is idle" in capsys.readouterr().out


@pytest.mark.parametrize("line", [b"", b".", b"hello\n"], ids=["silent", "half a request", "used before"])
def test_who_only_holds_all_connections_keeps_nobody_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: bytes
) -> None:
    """Silent ones, ones whose request never ends, and ones that were used once."""
    monkeypatch.setattr(relay, "CONNECTIONS", 3)
    monkeypatch.setattr(relay, "SPARE_SECONDS", 0.05)
    monkeypatch.setattr(relay, "ANSWER_SECONDS", 0.05)

    async def talk(connect: Callable[[], Awaitable[Streams]]) -> None:
        held = [await connect() for _ in range(3)]
        for reader, writer in held:
            writer.write(line)
            assert line != b"hello\n" or await reader.readline() == line
        others = []
        for _ in range(3):
            await asyncio.sleep(0.15)
            others.append(await connect())
            assert await asked(others[-1]) == b"hello\n"
        assert [await reader.read() for reader, _ in held] == [b""] * 3, "theirs were closed for it"

    asyncio.run(through(talk, ping))
    assert capsys.readouterr().out.count("closed an idle connection: others need it") == 3


def test_a_search_that_waits_for_its_answer_is_not_taken_for_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "CONNECTIONS", 2)
    monkeypatch.setattr(relay, "SPARE_SECONDS", 0.05)
    held = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line == b"search\n":
            await held.wait()
        writer.write(line)
        await reader.read()
        writer.close()

    async def talk(connect: Callable[[], Awaitable[Streams]]) -> None:
        search, idle = await connect(), await connect()
        search[1].write(b"search\n")
        assert await asked(idle) == b"hello\n"
        await asyncio.sleep(0.15)
        third = await connect()
        assert await asked(third) == b"hello\n"
        assert await idle[0].read() == b""
        held.set()
        assert await search[0].readline() == b"search\n"

    asyncio.run(through(talk, slow))


def test_no_connection_lives_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "LONGEST_SECONDS", 0.1)

    async def talk(connect: Callable[[], Awaitable[Streams]]) -> None:
        streams = await connect()
        while await asked(streams):
            await asyncio.sleep(0.02)

    asyncio.run(through(talk, ping))


def test_a_domain_that_is_away_is_in_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    async def talk(connect: Callable[[], Awaitable[Streams]]) -> None:
        reader, writer = await connect()
        assert await reader.read() == b""
        writer.close()

    asyncio.run(through(talk, port=port))
    assert f"cannot connect to 127.0.0.1:{port}" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["host", "host:", ":443", "host:https"])
def test_a_wrong_target_is_one_line(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setattr(sys, "argv", ["relay", "--to", target, "--port", "0"])
    with pytest.raises(SystemExit, match=f"--to: expected HOST:PORT, got {target}"):
        relay.main()


def test_it_needs_nothing_but_python_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """As the pod runs it: one file, a Python without packages, the first process of a container."""
    words = [sys.executable, "-I", "-S", str(relay.__file__), "--to", "127.0.0.1:9", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split("127.0.0.1:")[1].split()[0])
            socket.create_connection(("127.0.0.1", port)).close()
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.2", port))
            process.terminate()
            assert process.wait(patience(10)) == 0
        finally:
            process.kill()
