"""From an address to a lake."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lightwork.errors import InputError

if TYPE_CHECKING:
    from lightwork.lake.base import Lake

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SLASHES_MISSING = re.compile(r"(file|s3):(?!//)", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ALLOWED = "a folder, file:///folder or s3://bucket/prefix"


def open_lake(url: str | os.PathLike[str], *, tenant: str) -> Lake:
    """One tenant's part of the lake at an address.

    Args:
        url: a folder (a relative one is taken from the current folder, now), `file:///folder`, or
            `s3://bucket` with or without a prefix. For S3, credentials, region and endpoint
            (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`) are those of the AWS environment.
        tenant: whose part: lower-case letters, digits and "-", at most 63 of them.

    Nothing is made or contacted yet.

    Raises:
        InputError: another scheme, no bucket, no valid tenant.
    """
    check_tenant(tenant)
    text = os.fspath(url)
    match = _SCHEME.fullmatch(text)
    if not text.strip() or _SLASHES_MISSING.match(text):
        raise InputError(f"lake {text!r}: expected {_ALLOWED}")
    if match is None:
        return _local(text, text, tenant)
    scheme, rest = match[1].lower(), match[2]
    if scheme == "file":
        host, slash, path = rest.partition("/")
        if not slash or host not in {"", "localhost"}:
            raise InputError(f"lake {text!r}: a file address has three slashes, such as file:///folder")
        return _local(text, "/" + unquote(path), tenant)
    if scheme == "s3":
        return _s3(text, rest, tenant)
    raise InputError(f"lake {text!r}: scheme {match[1]!r} is not known; expected {_ALLOWED}")


def check_tenant(tenant: str) -> str:
    """The tenant's name, if it is one; else InputError."""
    if _LABEL.fullmatch(tenant):
        return tenant
    near = re.sub(r"[^a-z0-9]+", "-", tenant.lower()).strip("-")[:63].strip("-")
    hint = f"; perhaps {near!r}" if near else ""
    raise InputError(
        f'tenant {tenant!r}: a name is 1 to 63 of a-z, 0-9 and "-", with no "-" at either end{hint}'
    )


def _local(text: str, folder: str, tenant: str) -> Lake:
    from lightwork.lake.local import LocalLake

    if "\0" in folder:
        raise InputError(f"lake {text!r}: expected {_ALLOWED}")
    folder = os.path.abspath(os.path.expanduser(folder))  # noqa: PTH100, PTH111 - links stay as they are
    return LocalLake(Path(folder), tenant)


def _s3(text: str, rest: str, tenant: str) -> Lake:
    from lightwork.lake.s3 import S3Lake

    bucket, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    if not bucket:
        raise InputError(f"lake {text!r}: the bucket is missing; expected s3://bucket/prefix")
    if not _BUCKET.fullmatch(bucket):
        raise InputError(f'lake {text!r}: {bucket!r} is no bucket: 3 to 63 of a-z, 0-9, "-" and "."')
    if prefix and any(part in {"", ".", ".."} for part in prefix.split("/")):
        raise InputError(f'lake {text!r}: the prefix has an empty part, "." or ".."')
    return S3Lake(bucket, prefix, tenant)
