"""S3 as a pyarrow file system: its credentials are always valid, and are not pickled with it."""

from __future__ import annotations

import os
import re
import threading
from typing import Any
from urllib.parse import urlsplit

from pyarrow.fs import FileSystemHandler, PyFileSystem, S3FileSystem

from lightwork.errors import LightworkError
from lightwork.lake.s3_connection import client, credentials

_AWAY = re.compile(
    r"AWS Error (NETWORK_CONNECTION|SLOW_DOWN|THROTTLING|REQUEST_TIMEOUT|INTERNAL_FAILURE)"
    r"|AWS Error SERVICE_UNAVAILABLE"
    r"|HTTP response code: 5\d\d|curlCode|Couldn't connect|Timeout was reached|Connection (reset|refused)",
    re.IGNORECASE,
)
"""What Arrow says of an endpoint that is unreachable or overloaded."""

_cached: tuple[tuple[str | None, ...], S3FileSystem] | None = None
_lock = threading.Lock()


def _forget() -> None:
    """Drop connection and lock in a forked process, which must not share them with its parent."""
    global _cached, _lock
    _cached, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def is_away(error: Exception) -> bool:
    """Return whether an error of the file system says that the endpoint is unreachable or overloaded."""
    return isinstance(error, OSError) and _AWAY.search(str(error)) is not None


def file_system() -> PyFileSystem:
    """Return a file system that uses this process's current credentials on every call."""
    return PyFileSystem(_Current())


def _current() -> S3FileSystem:
    """Return the file system for the current credentials, which boto3 renews before they expire."""
    global _cached
    frozen = credentials()
    meta = client().meta
    endpoint, region = meta.endpoint_url, meta.region_name
    settings = (frozen.access_key, frozen.secret_key, frozen.token, endpoint, region)
    with _lock:
        if _cached is None or _cached[0] != settings:
            address = urlsplit(endpoint)
            custom = address.hostname is not None and not address.hostname.endswith(
                (".amazonaws.com", ".amazonaws.com.cn")
            )
            options = {"endpoint_override": address.netloc, "scheme": address.scheme} if custom else {}
            if region and region != "aws-global":
                options["region"] = region
            system = S3FileSystem(
                access_key=frozen.access_key,
                secret_key=frozen.secret_key,
                session_token=frozen.token,
                **options,
            )
            _cached = (settings, system)
        return _cached[1]


class _Current(FileSystemHandler):  # type: ignore[misc]
    """Forwards every call to the current S3FileSystem, which does the work in native code."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Current)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(_Current)

    def __reduce__(self) -> tuple[type[_Current], tuple[()]]:
        return _Current, ()

    def __dask_tokenize__(self) -> str:
        return "lightwork.lake.s3"

    def get_type_name(self) -> str:
        return "s3"

    def normalize_path(self, path: str) -> str:
        return str(_current().normalize_path(path))

    def get_file_info(self, paths: list[str]) -> Any:
        return _current().get_file_info(paths)

    def get_file_info_selector(self, selector: Any) -> Any:
        return _current().get_file_info(selector)

    def create_dir(self, path: str, recursive: bool) -> None:
        """Do nothing: in S3 a folder exists as soon as a file in it does."""

    def delete_dir(self, path: str) -> None:
        _current().delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool) -> None:
        _current().delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise LightworkError("this file system does not delete buckets")

    def delete_file(self, path: str) -> None:
        _current().delete_file(path)

    def move(self, src: str, dest: str) -> None:
        _current().move(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        _current().copy_file(src, dest)

    def open_input_stream(self, path: str) -> Any:
        return _current().open_input_stream(path)

    def open_input_file(self, path: str) -> Any:
        return _current().open_input_file(path)

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        return _current().open_output_stream(path, metadata=dict(metadata) if metadata else None)

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        return _current().open_append_stream(path, metadata=dict(metadata) if metadata else None)
