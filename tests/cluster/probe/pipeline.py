"""Squares of numbers, each after a pause, each written down in the tenant's bucket once it is computed.

What is written down is how the tests count the elements that were computed twice: nothing in the engine
is asked. The bucket's folder `probe/<label>/` holds an object for each time that an element was computed.
"""

from __future__ import annotations

import os
import time
import uuid
from functools import cache
from typing import Any

from lightwork import current_session, pipeline, task

PATIENCE = 120.0
"""Seconds for which the S3 server may be away."""


@cache
def bucket() -> Any:
    """The tenant's bucket, with the credentials that the pod finds."""
    import boto3

    name = os.environ["LIGHTWORK_LAKE"].removeprefix("s3://").partition("/")[0]
    return boto3.resource("s3").Bucket(name)


def write_down(name: str) -> None:
    """Put an empty object there; tries again while the server is away."""
    from botocore.exceptions import BotoCoreError, ClientError

    until = time.monotonic() + PATIENCE
    while True:
        try:
            bucket().put_object(Key=name, Body=b"")
        except (BotoCoreError, ClientError):
            if time.monotonic() > until:
                raise
            time.sleep(1.0)
        else:
            return


@task
def square(number: int, label: str, seconds: float) -> int:
    """The square of a number, after some seconds."""
    time.sleep(seconds)
    write_down(f"probe/{label}/{number}/{uuid.uuid4().hex}")
    return number * number


@pipeline
def probe(
    elements: int = 2000, seconds: float = 0.02, label: str = "none", fail: str = "", megabytes: int = 0
) -> dict[str, int]:
    """Add up the squares of the first numbers.

    Args:
        elements: how many numbers.
        seconds: how long each takes.
        label: the folder in which they are written down; another one is another input.
        fail: if not empty, raise an error with this text when all is computed.
        megabytes: memory that the driver takes when all is computed.
    """
    total = sum(square.map(range(elements), shared={"label": label, "seconds": seconds}))
    if megabytes:
        held = bytearray(megabytes << 20)
        held[::4096] = b"x" * len(held[::4096])
    if fail:
        raise ValueError(fail)
    return {"sum": total, "computed": current_session().elements["computed"]}
