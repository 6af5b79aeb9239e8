"""This process's connection to S3, and what its refusals mean."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lightwork.errors import LightworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_MEANING = {
    "NoSuchBucket": "there is no such bucket; make it, or name another lake",
    "AccessDenied": "access denied; give this identity the right to it, or use other credentials",
    "403": "access denied; give this identity the right to it, or use other credentials",
    "InvalidAccessKeyId": "the access key is not known there; see AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
    "SignatureDoesNotMatch": "the secret key is wrong; see AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials have expired; get new ones",
    "InvalidToken": "the session token is wrong; see AWS_SESSION_TOKEN",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_REGION",
    "NoCredentialsError": "there are no AWS credentials; set AWS_PROFILE or AWS_ACCESS_KEY_ID and its secret",
    "EndpointConnectionError": "the endpoint cannot be reached; see the network and AWS_ENDPOINT_URL",
    "ConnectTimeoutError": "the endpoint does not answer; see the network and AWS_ENDPOINT_URL",
    "ReadTimeoutError": "the endpoint stopped answering; try again",
}


class _Connection(NamedTuple):
    environment: tuple[tuple[str, str], ...]
    session: Any
    client: Any


_held: _Connection | None = None
_lock = threading.Lock()


def _forget() -> None:
    """A forked process shares no connection (and no lock) with its parent."""
    global _held, _lock
    _held, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def connection() -> _Connection:
    """This process's boto3 session and client for S3, as its AWS environment variables say now."""
    global _held
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    held = _held
    if held is not None and held.environment == environment:
        return held
    with _lock:
        if _held is None or _held.environment != environment:
            _held = _connect(environment)
        return _held


def _connect(environment: tuple[tuple[str, str], ...]) -> _Connection:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    # Checksums beyond those the protocol asks for are not known to every server.
    settings = Config(
        retries={} if "AWS_RETRY_MODE" in os.environ else {"mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=10,
        max_pool_connections=32,
    )
    try:
        session = boto3.session.Session()
        return _Connection(environment, session, session.client("s3", config=settings))
    except (BotoCoreError, ValueError, OSError) as error:
        raise LightworkError(f"cannot use S3: {_line(error)}; see the AWS settings") from error


def client() -> Any:
    """This process's boto3 client for S3."""
    return connection().client


def credentials() -> Any:
    """The credentials of this moment, as botocore has them, renewed where they are near their end."""
    from botocore.exceptions import BotoCoreError

    try:
        held = connection().session.get_credentials()
        frozen = held and held.get_frozen_credentials()
    except (BotoCoreError, ValueError, OSError) as error:
        raise LightworkError(f"cannot use S3: {_line(error)}; see the AWS settings") from error
    if frozen is None:
        raise LightworkError(
            "there are no AWS credentials; set AWS_PROFILE or AWS_ACCESS_KEY_ID and its secret"
        )
    return frozen


def code_of(error: Any) -> int:
    """The HTTP status of a botocore ClientError."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def retried(attempt: Callable[[], T], attempts: int = 4) -> T:
    """Try again when the answer's body breaks off, which botocore does not do by itself."""
    from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

    for number in range(1, attempts):
        try:
            return attempt()
        except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
            time.sleep(0.1 * 2**number)
    return attempt()


@contextmanager
def refusals(what: str, where: str) -> Iterator[None]:
    """Turn what S3 or the network refuses into one line."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        said = error.response.get("Error", {}).get("Message", "")
        meaning = _MEANING.get(code) or f"{code} {said}".strip()
        raise LightworkError(f"cannot {what} {where}: {meaning}") from error
    except (BotoCoreError, Boto3Error) as error:
        meaning = _MEANING.get(type(error).__name__) or _line(error)
        raise LightworkError(f"cannot {what} {where}: {meaning}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
