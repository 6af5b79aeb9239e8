"""A lake in S3 or in an S3-compatible server."""

from __future__ import annotations

import io
import secrets
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError
from lightwork.lake.base import (
    ABANDONED,
    Data,
    Entry,
    Item,
    Lake,
    checked,
    checked_folder,
    checked_range,
    pieces,
)
from lightwork.lake.s3_connection import CutShortError, clear_errors, client, http_status, retried
from lightwork.lake.s3_uploads import abort_upload, upload_size, uploads, with_upload_again
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow.fs

_ONE_PUT = 64 * 2**20
_DELETES = 1000
_LISTED = 1000
_CONFLICTS = 10
_WRITER = "lightwork-writer"


class S3Lake(Lake):
    """A lake in a bucket; the connection belongs to the process that uses it."""

    def __init__(self, bucket: str, prefix: str, tenant: str) -> None:
        super().__init__(f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}", tenant)
        self.bucket = bucket
        self.prefix = prefix
        self._base = f"{prefix}/{tenant}/" if prefix else f"{tenant}/"

    def __reduce__(self) -> tuple[type[S3Lake], tuple[str, str, str]]:
        return S3Lake, (self.bucket, self.prefix, self.tenant)

    def read(self, path: str) -> bytes:
        """Return all bytes of a file; raise FileNotFoundError if it does not exist."""
        return self._get(path)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Return at most `length` bytes from byte `start` on; raise FileNotFoundError if it is missing."""
        checked_range(start, length)
        if length == 0:
            if self.exists(path):
                return b""
            raise FileNotFoundError(self.uri(path))
        return self._get(path, Range=f"bytes={start}-{start + length - 1}")

    def write(self, path: str, data: Data, *, durable: bool = True) -> None:  # noqa: ARG002 - S3 always is
        """Write a file atomically, replacing any at the same path; above 64 MiB in several parts."""
        body = _joined(data)
        key = self._key(path)
        with clear_errors("write", self.uri(path)):
            if len(body) <= _ONE_PUT:
                retried(lambda: client().put_object(Bucket=self.bucket, Key=key, Body=body))
                return
            from boto3.s3.transfer import TransferConfig

            settings = TransferConfig(multipart_threshold=_ONE_PUT, multipart_chunksize=_ONE_PUT // 4)
            with_upload_again(
                lambda: client().upload_fileobj(io.BytesIO(body), self.bucket, key, Config=settings)
            )

    def create(self, path: str, data: Data) -> bool:
        """Write a file atomically unless it exists; return whether it was written."""
        from botocore.exceptions import ClientError

        body = _joined(data)
        writer = secrets.token_hex(16)
        put = {"Bucket": self.bucket, "Key": self._key(path), "Body": body, "Metadata": {_WRITER: writer}}
        with clear_errors("write", self.uri(path)):
            for _ in range(_CONFLICTS):
                sent = 0

                def attempt() -> None:
                    nonlocal sent
                    sent += 1
                    client().put_object(**put, IfNoneMatch="*")

                try:
                    retried(attempt)
                    return True
                except ClientError as error:
                    status = http_status(error)
                    if status == 412:
                        # A put that was sent again may have been refused because of its own first attempt.
                        again = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
                        return (again or sent > 1) and self._written_by(path) == writer
                    if status != 409:
                        raise
                if self.exists(path):  # 409: another request for the same key was in progress
                    return False
        return False

    def entries(self, prefix: str = "") -> list[Entry]:
        """List the files in a folder and its subfolders, sorted by path; empty if there is none."""
        start = len(self._base)
        return sorted(
            Entry(item["Key"][start:], item["Size"], item["LastModified"].timestamp())
            for page in self._pages(prefix)
            for item in page.get("Contents", ())
            if not item["Key"].endswith("/")
        )

    def folders(self, prefix: str = "") -> list[str]:
        """List the names of the direct subfolders that hold at least one file, sorted."""
        return sorted(
            item["Prefix"].rstrip("/").rpartition("/")[2]
            for page in self._pages(prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", ())
        )

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files, a thousand per request; missing ones are ignored."""
        batch: list[dict[str, str]] = []
        for path in paths:
            batch.append({"Key": self._key(path)})
            if len(batch) == _DELETES:
                self._delete(batch)
                batch = []
        if batch:
            self._delete(batch)

    def exists(self, path: str) -> bool:
        """Return whether a file exists at this path."""
        from botocore.exceptions import ClientError

        with clear_errors("check", self.uri(path)):
            try:
                retried(lambda: client().head_object(Bucket=self.bucket, Key=self._key(path)))
            except ClientError as error:
                if http_status(error) == 404:
                    return False
                raise
        return True

    def arrow(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return a pyarrow file system, and the path of the root in it."""
        from lightwork.lake.s3_arrow import file_system

        return file_system(), f"{self.bucket}/{self._base}".rstrip("/")

    def now(self) -> float:
        """Return the time by the server's clock; by this machine's if the server does not say."""
        with clear_errors("list", f"s3://{self.bucket}/{self._base}"):
            names = {"Bucket": self.bucket, "Prefix": self._base, "MaxKeys": 1}
            response = retried(lambda: client().list_objects_v2(**names))
        with suppress(KeyError, TypeError, ValueError):
            return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
        return time.time()

    def inventory(self) -> Iterator[Item]:
        """Yield all objects, and the uploads that have not been completed; older versions are left out."""
        yield from self.files()
        yield from self.unfinished()

    def files(self, prefix: str = "") -> Iterator[Item]:
        """Yield the objects below a folder, those of one subfolder after the other."""
        start = len(self._base)
        for page in self._pages(prefix):
            for item in page.get("Contents", ()):
                size = item["Size"]
                yield Item(item["Key"][start:], size, item["LastModified"].timestamp(), size, "file")

    def unfinished(self) -> Iterator[Item]:
        """Yield the uploads that have not been completed."""
        try:
            for key, number, began in uploads(self.bucket, self._base):
                size, modified = upload_size(self.bucket, key, number, began)
                yield Item(key[len(self._base) :], size, modified, size, "upload", number)
        except LightworkError as error:  # the server does not have this, or this user may not
            get_logger("lightwork").warning(f"unfinished uploads are left out: {error}")

    def is_abandoned(self, item: Item, now: float, silent: float = ABANDONED) -> bool:
        """Return whether no part of an upload has arrived for `silent` seconds."""
        return item.kind == "upload" and now - item.modified > silent

    def discard(self, item: Item) -> bool:
        """End an upload, which deletes its parts; return whether there was one."""
        return item.kind == "upload" and abort_upload(self.bucket, self._base + item.path, item.upload)

    def _key(self, path: str) -> str:
        return self._base + checked(path)

    def _get(self, path: str, **options: str) -> bytes:
        from botocore.exceptions import ClientError

        def attempt() -> bytes:
            try:
                response = client().get_object(Bucket=self.bucket, Key=self._key(path), **options)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                    raise FileNotFoundError(self.uri(path)) from None
                if http_status(error) == 416:  # the range starts after the end
                    return b""
                raise
            return bytes(response["Body"].read())

        with clear_errors("read", self.uri(path)):
            return retried(attempt)

    def _written_by(self, path: str) -> str:
        head = retried(lambda: client().head_object(Bucket=self.bucket, Key=self._key(path)))
        return str(head["Metadata"].get(_WRITER, ""))

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        folder = checked_folder(prefix)
        start = f"{self._base}{folder}/" if folder else self._base
        options |= {"Bucket": self.bucket, "Prefix": start}

        def attempt() -> dict[str, Any]:
            page: dict[str, Any] = client().list_objects_v2(**options, MaxKeys=_LISTED)
            if "Name" not in page and "IsTruncated" not in page:  # botocore takes no body for an empty list
                raise CutShortError("the list is missing")
            return page

        while True:
            with clear_errors("list", f"s3://{self.bucket}/{start}"):
                page = retried(attempt)
            yield page
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    def _delete(self, batch: list[dict[str, str]]) -> None:
        with clear_errors("delete", f"s3://{self.bucket}/{batch[0]['Key']}"):
            names = {"Objects": batch, "Quiet": True}
            response = retried(lambda: client().delete_objects(Bucket=self.bucket, Delete=names))
        if failed := response.get("Errors"):
            first = failed[0]
            raise LightworkError(
                f"cannot delete {len(failed)} of {len(batch)} files in s3://{self.bucket}, "
                f"such as {first.get('Key')}: {first.get('Code')} {first.get('Message', '')}".rstrip()
            )


def _joined(data: Data) -> bytes:
    parts = pieces(data)
    first = parts[0] if len(parts) == 1 else None
    return first if isinstance(first, bytes) else b"".join(parts)
