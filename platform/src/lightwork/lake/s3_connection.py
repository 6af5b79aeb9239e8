"""This process's connection to S3, and the meaning of its errors."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lightwork.errors import LightworkError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_NO_CREDENTIALS = (
    "there are no AWS credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_MEANING = {
    "NoSuchBucket": "there is no such bucket; create it, or use another lake",
    "AccessDenied": "access denied; give this identity access, or use other credentials",
    "403": "access denied; give this identity access, or use other credentials",
    "InvalidAccessKeyId": "unknown access key; check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
    "SignatureDoesNotMatch": "wrong secret key; check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials have expired; get new ones",
    "InvalidToken": "wrong session token; check AWS_SESSION_TOKEN",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_REGION",
    "NoCredentialsError": _NO_CREDENTIALS,
    "EndpointConnectionError": "the endpoint is unreachable; check the network and AWS_ENDPOINT_URL",
    "ConnectTimeoutError": "connecting to the endpoint timed out; check the network and AWS_ENDPOINT_URL",
    "ReadTimeoutError": "the endpoint stopped responding; try again",
}


class _Connection(NamedTuple):
    environment: tuple[tuple[str, str], ...]
    session: Any
    client: Any


_cached: _Connection | None = None
_lock = threading.Lock()


def _forget() -> None:
    """Drop connection and lock in a forked process, which must not share them with its parent."""
    global _cached, _lock
    _cached, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def connection() -> _Connection:
    """Return this process's boto3 session and client for S3, for its current AWS environment variables."""
    global _cached
    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    cached = _cached
    if cached is not None and cached.environment == environment:
        return cached
    with _lock:
        if _cached is None or _cached.environment != environment:
            _cached = _connect(environment)
        return _cached


def _connect(environment: tuple[tuple[str, str], ...]) -> _Connection:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    # Not every S3-compatible server supports the optional checksums.
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
        raise LightworkError(f"cannot use S3: {one_line(error)}; check the AWS settings") from error


def client() -> Any:
    """Return this process's boto3 client for S3."""
    return connection().client


def credentials() -> Any:
    """Return botocore's current credentials, renewed if they are about to expire."""
    from botocore.exceptions import BotoCoreError

    try:
        renewable = connection().session.get_credentials()
        frozen = renewable and renewable.get_frozen_credentials()
    except (BotoCoreError, ValueError, OSError) as error:
        raise LightworkError(f"cannot use S3: {one_line(error)}; check the AWS settings") from error
    if frozen is None:
        raise LightworkError(_NO_CREDENTIALS)
    return frozen


def http_status(error: Any) -> int:
    """Return the HTTP status of a botocore ClientError."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


class CutShortError(Exception):
    """A response that is complete as far as HTTP goes, but lacks what it must hold."""


def retried(attempt: Callable[[], T], attempts: int = 4) -> T:
    """Call a function again if the response breaks off, which botocore does not always retry by itself."""
    from botocore.exceptions import ClientError

    transient = _cut_short()
    for number in range(1, attempts):
        try:
            return attempt()
        except transient:
            pass
        except ClientError as error:
            # Without a code the body was cut: it says what is missing or wrong. Only a HEAD has no body.
            code = str(error.response.get("Error", {}).get("Code", ""))
            is_cut = code.isdigit() and (code == "404" or code >= "500")
            if not is_cut or error.operation_name.startswith("Head"):
                raise
        time.sleep(0.1 * 2**number)
    return attempt()


def _cut_short() -> tuple[type[Exception], ...]:
    """Return the errors of responses that break off, in their body or in that of an error."""
    from http.client import HTTPException

    from botocore.exceptions import (
        ConnectionClosedError,
        IncompleteReadError,
        ReadTimeoutError,
        ResponseStreamingError,
    )
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    return (
        ConnectionClosedError,
        CutShortError,
        HTTPException,
        HTTPError,
        IncompleteReadError,
        ReadTimeoutError,
        ResponseParserError,
        ResponseStreamingError,
    )


@contextmanager
def clear_errors(action: str, address: str) -> Iterator[None]:
    """Turn an error of S3 or the network into a LightworkError of one line."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        message = error.response.get("Error", {}).get("Message", "")
        meaning = _MEANING.get(code) or one_line(f"{code} {message}")
        raise LightworkError(f"cannot {action} {address}: {meaning}") from error
    except (BotoCoreError, Boto3Error, *_cut_short()) as error:
        cut = "the endpoint's response broke off; try again" if isinstance(error, _cut_short()) else ""
        meaning = _MEANING.get(type(error).__name__) or cut or one_line(error)
        raise LightworkError(f"cannot {action} {address}: {meaning}") from error
