"""S3 as a pyarrow file system that always has valid credentials and carries none when it is sent."""

from __future__ import annotations

import os
import threading
from typing import Any
from urllib.parse import urlsplit

from pyarrow.fs import FileSystemHandler, PyFileSystem, S3FileSystem

from lightwork.errors import LightworkError
from lightwork.lake.s3_connection import client, credentials

_made: tuple[tuple[str | None, ...], S3FileSystem] | None = None
_lock = threading.Lock()


def _forget() -> None:
    """A forked process shares no connection (and no lock) with its parent."""
    global _made, _lock
    _made, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def file_system() -> PyFileSystem:
    """A file system whose every opening of a file takes this process's credentials of that moment."""
    return PyFileSystem(_Current())


def _current() -> S3FileSystem:
    """The file system for the credentials that are valid now; boto3 renews them in time."""
    global _made
    frozen = credentials()
    meta = client().meta
    endpoint, region = meta.endpoint_url, meta.region_name
    wanted = (frozen.access_key, frozen.secret_key, frozen.token, endpoint, region)
    with _lock:
        if _made is None or _made[0] != wanted:
            place = urlsplit(endpoint)
            own = place.hostname is not None and not place.hostname.endswith(
                (".amazonaws.com", ".amazonaws.com.cn")
            )
            options = {"endpoint_override": place.netloc, "scheme": place.scheme} if own else {}
            if region and region != "aws-global":
                options["region"] = region
            system = S3FileSystem(
                access_key=frozen.access_key,
                secret_key=frozen.secret_key,
                session_token=frozen.token,
                **options,
            )
            _made = (wanted, system)
        return _made[1]


class _Current(FileSystemHandler):  # type: ignore[misc]
    """Hands every call to the file system of the moment, which does the work in native code."""

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
        """Nothing: in S3 a folder is there when a file is."""

    def delete_dir(self, path: str) -> None:
        _current().delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool) -> None:
        _current().delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise LightworkError("the buckets themselves are not this file system's to delete")

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
