"""The master's login: from Secrets Manager, where RDS keeps and rotates it, or from the files of a Secret."""

from __future__ import annotations

import datetime as dt
import json
import urllib.request
from typing import TYPE_CHECKING, Any

from lightwork.pods import signing
from lightwork.pods.archive.postgres import Credentials
from lightwork.pods.signing import pod_identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lightwork.pods.signing import Keys

_SERVICE = "secretsmanager"


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


def signed(url: str, body: bytes, region: str, keys: Keys, now: dt.datetime) -> dict[str, str]:
    """Return the headers of a request for a secret's value, with AWS's signature, version 4."""
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": f"{_SERVICE}.GetSecretValue",
    }
    return signing.signed(url, body, signing.Scope(region, _SERVICE), keys, now, headers)


def _fetched(request: urllib.request.Request) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = json.loads(signing.fetched(request))
    return answer
