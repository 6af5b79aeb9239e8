"""This process's connection to S3, and the meaning of its errors."""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.errors import LakeAway, LightworkError, one_line
from lightwork.lake.patience import LOOK_SECONDS, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.lake.role import Role

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
    "ReadTimeoutError": "the endpoint does not respond; check the network and AWS_ENDPOINT_URL",
}
_AWAY_STATUS = {408, 429, 500, 502, 503, 504, 507, 509, 529}
"""HTTP's statuses of a server that is overloaded or not there."""
_AWAY_CODES = {
    *("InternalError", "ServiceUnavailable", "SlowDown", "ServerBusy", "BandwidthLimitExceeded"),
    *("RequestTimeout", "RequestTimeoutException", "RequestLimitExceeded", "TooManyRequests"),
    *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "OperationAborted"),
    *("RequestThrottledException", "PriorRequestNotComplete", "ClientDisconnected", "EC2ThrottledException"),
}
"""S3's codes for the same; they may come with any status."""


_REFUSED_IDENTITY = re.compile(r"response 4(?!08|29)\d\d")
"""What botocore says of a service for credentials that refuses, in contrast to one that is away."""


class _Connection(NamedTuple):
    """A boto3 session, and its clients for S3 by the seconds after which they give up a silent server."""

    environment: tuple[object, ...]
    session: Any
    clients: dict[float, Any]


_cached: _Connection | None = None
_role: Role | None = None
_lock = threading.Lock()


def _forget() -> None:
    """Drop connection and lock in a forked process, which must not share them with its parent."""
    global _cached, _lock
    _cached, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def act_as(role: Role | None) -> None:
    """Open lakes with a role from now on; None for the credentials that AWS's variables name."""
    global _role
    _role = role


def connection() -> _Connection:
    """Return this process's boto3 session for its role and its AWS environment variables, and its clients."""
    global _cached
    variables = sorted(item for item in os.environ.items() if item[0].startswith("AWS_"))
    environment = (_role, *variables)
    cached = _cached
    if cached is not None and cached.environment == environment:
        return cached
    with _lock:
        if _cached is None or _cached.environment != environment:
            import boto3

            with _settings():
                session = _role.assumed() if _role else boto3.session.Session()
                _cached = _Connection(environment, session, {})
        return _cached


def client(patience: float = LOOK_SECONDS) -> Any:
    """Return this process's boto3 client for S3, with timeouts that suit the patience of its user."""
    current, seconds = connection(), silence(patience)
    found = current.clients.get(seconds)
    if found is None:
        with _lock:
            found = current.clients.get(seconds)
            if found is None:
                found = current.clients[seconds] = _connect(current.session, seconds)
    return found


def _connect(session: Any, seconds: float) -> Any:
    from botocore.config import Config

    # Not every S3-compatible server supports the optional checksums.
    settings = Config(
        # `patiently` repeats what failed: botocore's own attempts would multiply its time.
        retries={"mode": "standard", "total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=min(10.0, seconds),
        read_timeout=seconds,
        max_pool_connections=32,
    )
    _credentials_if_any(session)  # botocore would ask for them below, and raise what says less
    with _settings():
        return session.client("s3", config=settings)


@contextmanager
def _settings() -> Iterator[None]:
    """Turn an error of the AWS settings into a LightworkError of one line."""
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (BotoCoreError, ValueError, OSError) as error:
        raise LightworkError(f"cannot use S3: {one_line(error)}; check the AWS settings") from error


def credentials() -> Any:
    """Return botocore's current credentials, renewed if they are about to expire.

    Raises:
        LakeAway: the service that gives them is unreachable or overloaded, or its response is malformed.
        LightworkError: it refuses this identity, or there are none.
    """
    found = _credentials_if_any(connection().session)
    if found is None:
        raise LightworkError(_NO_CREDENTIALS)
    return found


def _credentials_if_any(session: Any) -> Any:
    """Return what `credentials` does; None if there are none."""
    from botocore.exceptions import BotoCoreError, ClientError
    from dateutil.parser import ParserError  # type: ignore[import-untyped, unused-ignore]

    # What botocore raises for a document without its fields or with others, or that has expired already.
    malformed = (KeyError, TypeError, AttributeError, OverflowError, RuntimeError, ParserError)
    try:
        renewable = session.get_credentials()
        return renewable and renewable.get_frozen_credentials()
    except malformed as error:
        reason = f"the response lacks {error}" if isinstance(error, KeyError) else one_line(error)
        raise LakeAway(f"cannot get AWS credentials: {reason}") from error
    except (BotoCoreError, ClientError, ValueError, OSError) as error:
        is_throttled = isinstance(error, ClientError) and _is_away(error, error_code(error))
        kind = LakeAway if is_throttled or _is_network(error) else LightworkError
        raise kind(f"cannot get AWS credentials: {one_line(error)}") from error


def http_status(error: Any) -> int:
    """Return the HTTP status of a botocore ClientError."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def error_code(error: Any) -> str:
    """Return the service's own code in a botocore ClientError; empty if there is none."""
    return str(error.response.get("Error", {}).get("Code", ""))


class CutShortError(Exception):
    """A response that is complete as far as HTTP goes, but lacks what it must hold."""


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
    """Turn an error of S3 or the network into a LightworkError of one line.

    Raises:
        LakeAway: the endpoint is unreachable or overloaded, or its response breaks off.
        LightworkError: it refuses the request.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    cut_short = _cut_short()
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        message = error.response.get("Error", {}).get("Message", "")
        meaning = _MEANING.get(code) or one_line(f"{code} {message}")
        kind = LakeAway if _is_away(error, code) else LightworkError
        raise kind(f"cannot {action} {address}: {meaning}") from error
    except (BotoCoreError, Boto3Error, *cut_short) as error:
        is_cut = isinstance(error, cut_short)
        cut = "the endpoint's response broke off; try again" if is_cut else ""
        meaning = _MEANING.get(type(error).__name__) or cut or one_line(error)
        kind = LakeAway if is_cut or _is_network(error) else LightworkError
        raise kind(f"cannot {action} {address}: {meaning}") from error


def _is_away(error: Any, code: str) -> bool:
    """Return whether a ClientError says that the server is overloaded or not there, or was cut."""
    if code in _AWAY_CODES or http_status(error) in _AWAY_STATUS:
        return True
    # Without a code the body was cut: it says what is missing or wrong. Only a HEAD has no body.
    return code == "404" and not error.operation_name.startswith("Head")


def _is_network(error: Exception) -> bool:
    """Return whether the endpoint, or the service that gives credentials, could not be reached."""
    from botocore.exceptions import (
        ConnectionError as ConnectionFailed,
    )
    from botocore.exceptions import (
        CredentialRetrievalError,
        HTTPClientError,
        InvalidProxiesConfigError,
        MetadataRetrievalError,
        SSLError,
    )

    if isinstance(error, SSLError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)  # a certificate does not get better
    if isinstance(error, CredentialRetrievalError | MetadataRetrievalError):
        return _REFUSED_IDENTITY.search(str(error)) is None
    is_http = isinstance(error, ConnectionFailed | HTTPClientError)
    return is_http and not isinstance(error, InvalidProxiesConfigError)
