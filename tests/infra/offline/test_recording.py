"""The recording engine, whatever this process has done before."""

from __future__ import annotations

import asyncio

import pulumi

from infra.offline.recording import record


async def nothing() -> None:
    """Leave no event loop behind, as `asyncio.run` does for everybody."""


def test_it_records_after_an_event_loop_has_ended() -> None:
    asyncio.run(nothing())
    run = record(lambda: pulumi.export("answer", 42))
    assert run.outputs == {"answer": 42}
