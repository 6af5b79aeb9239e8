"""Squares of numbers, each after a pause, and each recorded in the tenant's bucket.

From these records the tests count elements that were computed twice, without relying on the engine. The
bucket's folder `probe/<label>/` has one object for each time that an element was computed.
"""

from __future__ import annotations

import os
import time
import uuid
from functools import cache
from typing import Any

from lightwork import current_session, get_logger, pipeline, task

PATIENCE = 120.0
"""Seconds for which the S3 server may be unavailable."""


@cache
def bucket() -> Any:
    """Return the tenant's bucket, with the pod's credentials."""
    import boto3

    name = os.environ["LIGHTWORK_LAKE"].removeprefix("s3://").partition("/")[0]
    return boto3.resource("s3").Bucket(name)


def record(name: str) -> None:
    """Put an empty object into the bucket; retry while the server is unavailable."""
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
    """Return the square of a number after a pause; log it before, and record it after that."""
    get_logger("probe").info("squaring", number=number)
    time.sleep(seconds)
    record(f"probe/{label}/{number}/{uuid.uuid4().hex}")
    return number * number


@pipeline
def probe(
    elements: int = 2000, seconds: float = 0.02, label: str = "none", fail: str = "", megabytes: int = 0
) -> dict[str, int]:
    """Add up the squares of the first numbers.

    Args:
        elements: how many numbers.
        seconds: how long each takes.
        label: the folder for the records; also part of the input.
        fail: if not empty, raise an error with this text after all elements are computed.
        megabytes: memory that the driver allocates after all elements are computed.
    """
    total = sum(square.map(range(elements), shared={"label": label, "seconds": seconds}))
    if megabytes:
        held = bytearray(megabytes << 20)
        held[::4096] = b"x" * len(held[::4096])
    if fail:
        raise ValueError(fail)
    return {"sum": total, "computed": current_session().elements["computed"]}
