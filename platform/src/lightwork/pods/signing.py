"""Requests to AWS with Python's standard library only, for programs that run on a plain Python image."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

SECONDS = 30
"""Timeout of a request."""
ENV_CREDENTIALS, ENV_TOKEN = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
"""The variables that EKS Pod Identity sets: an address, and the file with the token to send there."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials of AWS."""

    access: str
    secret: str = field(repr=False)
    session: str = field(repr=False)


class Scope(NamedTuple):
    """What a signature is for: a region and a service."""

    region: str
    service: str


def pod_identity() -> Keys:
    """Return the credentials of this pod's role (EKS Pod Identity).

    Raises:
        OSError: the pod has none.
    """
    url, file = os.environ.get(ENV_CREDENTIALS), os.environ.get(ENV_TOKEN)
    if not url or not file:
        raise OSError("no AWS credentials: this pod's service account has no role")
    token = Path(file).read_text(encoding="utf-8").strip()
    answer = json.loads(fetched(urllib.request.Request(url, headers={"Authorization": token})))  # noqa: S310
    return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer["Token"])


def signed(
    url: str, body: bytes, scope: Scope, keys: Keys, now: dt.datetime, headers: Mapping[str, str]
) -> dict[str, str]:
    """Return the headers of a POST request to the root of a service, with AWS's signature, version 4.

    Args:
        url: the service's address, without a path.
        body: the request's body.
        scope: the region and the service.
        keys: the credentials.
        now: the current time.
        headers: further headers, with names in lower case.
    """
    time, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    own = {"host": url.split("/")[2], "x-amz-date": time, "x-amz-security-token": keys.session}
    every = dict(sorted({**headers, **own}.items()))
    names = ";".join(every)
    lines = [f"{name}:{value}" for name, value in every.items()]
    request = "\n".join(["POST", "/", "", *lines, "", names, hashlib.sha256(body).hexdigest()])
    place = f"{day}/{scope.region}/{scope.service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", time, place, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in place.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={keys.access}/{place}"
    authorization = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
    return {**every, "authorization": authorization}


def fetched(request: urllib.request.Request) -> bytes:
    """Return the response to a request.

    Raises:
        ValueError: the service refuses it.
        OSError: the service cannot be reached.
    """
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            content: bytes = response.read()
            return content
    except urllib.error.HTTPError as error:
        text = error.read(500).decode(errors="replace")
        raise ValueError(f"{request.host}: {error.code}: {text}") from None
