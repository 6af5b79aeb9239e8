"""Opening the lake at an address."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lightwork.errors import InputError
from lightwork.lake.patience import RUN_SECONDS

if TYPE_CHECKING:
    from lightwork.lake.base import Lake

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SLASHES_MISSING = re.compile(r"(file|s3):(?!//)", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ALLOWED = "a folder, file:///folder or s3://bucket/prefix"


def open_lake(url: str | os.PathLike[str], *, tenant: str, patience: float = RUN_SECONDS) -> Lake:
    """Open one tenant's part of the lake at an address, without creating or contacting anything yet.

    Args:
        url: a folder (a relative one is resolved now, against the current folder), `file:///folder`, or
            `s3://bucket` with an optional prefix. For S3, the AWS environment variables give credentials,
            region and endpoint (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`).
        tenant: the tenant's name: at most 63 lower-case letters, digits and "-".
        patience: seconds for which each call waits for a lake that is away.

    Raises:
        InputError: an unknown scheme, a missing bucket, or an invalid tenant.
    """
    check_tenant(tenant)
    text = os.fspath(url)
    match = _SCHEME.fullmatch(text)
    if not text.strip() or _SLASHES_MISSING.match(text):
        raise InputError(f"lake {text!r}: expected {_ALLOWED}")
    if match is None:
        return _local(text, text, tenant, patience)
    scheme, location = match[1].lower(), match[2]
    if scheme == "file":
        host, slash, path = location.partition("/")
        if not slash or host not in {"", "localhost"}:
            raise InputError(f"lake {text!r}: a file address has three slashes, such as file:///folder")
        return _local(text, "/" + unquote(path), tenant, patience)
    if scheme == "s3":
        return _s3(text, location, tenant, patience)
    raise InputError(f"lake {text!r}: scheme {match[1]!r} is not known; expected {_ALLOWED}")


def check_tenant(tenant: str) -> str:
    """Return the tenant's name if it is valid; raise InputError otherwise."""
    if _LABEL.fullmatch(tenant):
        return tenant
    valid = re.sub(r"[^a-z0-9]+", "-", tenant.lower()).strip("-")[:63].strip("-")
    hint = f"; did you mean {valid!r}?" if valid else ""
    raise InputError(
        f'tenant {tenant!r}: expected 1 to 63 of a-z, 0-9 and "-", with no "-" at either end{hint}'
    )


def _local(text: str, folder: str, tenant: str, patience: float) -> Lake:
    from lightwork.lake.local import LocalLake

    if "\0" in folder:
        raise InputError(f"lake {text!r}: expected {_ALLOWED}")
    folder = os.path.abspath(os.path.expanduser(folder))  # noqa: PTH100, PTH111 - links stay as they are
    return LocalLake(Path(folder), tenant, patience)


def _s3(text: str, location: str, tenant: str, patience: float) -> Lake:
    from lightwork.lake.s3 import S3Lake

    bucket, _, prefix = location.partition("/")
    prefix = prefix.rstrip("/")
    if not bucket:
        raise InputError(f"lake {text!r}: the bucket is missing; expected s3://bucket/prefix")
    if not _BUCKET.fullmatch(bucket):
        raise InputError(
            f'lake {text!r}: {bucket!r} is not a bucket name; expected 3 to 63 of a-z, 0-9, "-" and "."'
        )
    if prefix and any(part in {"", ".", ".."} for part in prefix.split("/")):
        raise InputError(f'lake {text!r}: the prefix has an empty part, "." or ".."')
    return S3Lake(bucket, prefix, tenant, patience)
