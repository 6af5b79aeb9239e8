"""The master's login: from Secrets Manager, where RDS keeps and rotates it, or from the files of a Secret."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.pods.archive.postgres import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 30
"""Timeout of a request."""
ENV_CREDENTIALS, ENV_TOKEN = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
"""The variables that EKS Pod Identity sets: an address, and the file with the token to send there."""
_SERVICE = "secretsmanager"


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials of AWS."""

    access: str
    secret: str = field(repr=False)
    session: str = field(repr=False)


def of_files(folder: Path) -> Credentials:
    """Return the login in the files `username` and `password`, as a mounted Secret has them.

    Raises:
        OSError: a file is missing.
    """
    user, password = ((folder / name).read_text(encoding="utf-8") for name in ("username", "password"))
    return Credentials(user, password)


def of_secrets_manager(arn: str, region: str, *, endpoint: str | None = None) -> Credentials:
    """Return the login in a secret of AWS, read with the identity of this pod.

    Args:
        arn: the secret.
        region: its region.
        endpoint: the address of Secrets Manager; AWS's own by default.

    Raises:
        ValueError: AWS refuses, or the secret is not a login.
        OSError: AWS cannot be reached, or the pod has no identity.
    """
    body = json.dumps({"SecretId": arn}).encode()
    url = endpoint or f"https://{_SERVICE}.{region}.amazonaws.com/"
    headers = signed(url, body, region, pod_identity(), dt.datetime.now(dt.UTC))
    answer = _fetched(urllib.request.Request(url, data=body, headers=headers, method="POST"))  # noqa: S310
    try:
        login = json.loads(answer["SecretString"])
        return Credentials(login["username"], login["password"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{arn}: the secret is not a login with username and password") from None


def pod_identity() -> Keys:
    """Return the credentials of this pod's role (EKS Pod Identity).

    Raises:
        OSError: the pod has none.
    """
    url, file = os.environ.get(ENV_CREDENTIALS), os.environ.get(ENV_TOKEN)
    if not url or not file:
        raise OSError("no AWS credentials: this pod's service account has no role")
    token = Path(file).read_text(encoding="utf-8").strip()
    answer = _fetched(urllib.request.Request(url, headers={"Authorization": token}))  # noqa: S310
    return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer["Token"])


def signed(url: str, body: bytes, region: str, keys: Keys, now: dt.datetime) -> dict[str, str]:
    """Return the headers of a request for a secret's value, with AWS's signature, version 4."""
    time, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": url.split("/")[2],
        "x-amz-date": time,
        "x-amz-security-token": keys.session,
        "x-amz-target": f"{_SERVICE}.GetSecretValue",
    }
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    request = "\n".join(["POST", "/", "", *lines, "", names, hashlib.sha256(body).hexdigest()])
    scope = f"{day}/{region}/{_SERVICE}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={keys.access}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}


def _fetched(request: urllib.request.Request) -> Mapping[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            answer: Mapping[str, Any] = json.loads(response.read())
            return answer
    except urllib.error.HTTPError as error:
        text = error.read(500).decode(errors="replace")
        raise ValueError(f"{request.host}: {error.code}: {text}") from None
