"""A lake in S3 or in an S3-compatible server."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from lightwork.errors import LakeAway, LightworkError
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
from lightwork.lake.patience import RUN_SECONDS, hurried, note_progress
from lightwork.lake.s3_connection import CutShortError, clear_errors, client, credentials, http_status
from lightwork.lake.s3_uploads import abort_upload, upload_size, uploads, with_upload_again
from lightwork.lake.threads import in_threads
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow.fs

T = TypeVar("T")

_ONE_PUT = 64 * 2**20
"""Bytes above which a file is uploaded in parts."""
_PART = 16 * 2**20
_PARTS_AT_ONCE = 4
_CHUNK = 1 << 20
"""Bytes of a response that are read at once."""
_DELETES = 1000
_LISTED = 1000
_CONFLICTS = 10
_WRITER = "lightwork-writer"


class S3Lake(Lake):
    """A lake in a bucket; the connection belongs to the process that uses it."""

    def __init__(self, bucket: str, prefix: str, tenant: str, patience: float = RUN_SECONDS) -> None:
        super().__init__(f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}", tenant, patience)
        self.bucket = bucket
        self.prefix = prefix
        self._base = f"{prefix}/{tenant}/" if prefix else f"{tenant}/"

    def __reduce__(self) -> tuple[type[S3Lake], tuple[str, str, str, float]]:
        return S3Lake, (self.bucket, self.prefix, self.tenant, self.patience)

    def with_patience(self, patience: float) -> S3Lake:
        """Return the same lake with another patience."""
        return S3Lake(self.bucket, self.prefix, self.tenant, patience)

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
        if len(body) > _ONE_PUT:
            starts = range(0, len(body), _PART)
            with_upload_again(
                lambda: self._upload(path, key, (body[start : start + _PART] for start in starts))
            )
            return
        self._call(
            "write",
            self.uri(path),
            lambda: self._client.put_object(Bucket=self.bucket, Key=key, Body=body),
            len(body),
        )

    def stream(self, path: str, data: Callable[[], Iterable[bytes]], size: int) -> None:  # noqa: ARG002
        """Write a file atomically, in several parts, from pieces that are made while it is written."""
        key = self._key(path)
        with_upload_again(lambda: self._upload(path, key, _parts(data())))

    def create(self, path: str, data: Data) -> bool:
        """Write a file atomically unless it exists; return whether it was written."""
        from botocore.exceptions import ClientError

        body = _joined(data)
        writer = secrets.token_hex(16)
        put = {"Bucket": self.bucket, "Key": self._key(path), "Body": body, "Metadata": {_WRITER: writer}}
        sent = conflicts = 0

        def attempt() -> bool:
            nonlocal sent, conflicts
            while True:
                sent += 1
                try:
                    self._client.put_object(**put, IfNoneMatch="*")
                    return True
                except ClientError as error:
                    status = http_status(error)
                    if status == 412:
                        # A put that is sent again may be refused because of its own first attempt.
                        return sent > 1 and self._written_by(path) == writer
                    conflicts += 1
                    if status != 409 or conflicts > _CONFLICTS:
                        raise
                if self._head(path) is not None:  # 409: another request for the same key was in progress
                    return self._written_by(path) == writer

        return self._call("write", self.uri(path), attempt, len(body))

    def tag(self, path: str) -> str | None:
        """Return the tag of a file, which each write changes; None if there is no such file."""
        head = self._call("check", self.uri(path), lambda: self._head(path))
        return None if head is None else str(head["ETag"])

    def replace(self, path: str, source: BinaryIO, expected: str | None) -> bool:
        """Write a file by one put unless it has changed; return whether it was written."""
        from botocore.exceptions import ClientError

        writer = secrets.token_hex(16)
        put = {"Bucket": self.bucket, "Key": self._key(path), "Metadata": {_WRITER: writer}}
        put |= {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        size = source.seek(0, os.SEEK_END)
        sent = 0

        def attempt() -> bool:
            nonlocal sent
            sent += 1
            source.seek(0)
            try:
                self._client.put_object(**put, Body=source, ContentLength=size)
            except ClientError as error:
                gone = error.response.get("Error", {}).get("Code") == "NoSuchKey"
                if not gone and http_status(error) not in (409, 412):
                    raise
                # A put that is sent again may be refused because of its own first attempt.
                return sent > 1 and self._written_by(path) == writer
            return True

        return self._call("write", self.uri(path), attempt, size)

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
        return self._call("check", self.uri(path), lambda: self._head(path) is not None)

    def arrow(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return a pyarrow file system, and the path of the root in it."""
        from lightwork.lake.s3_arrow import file_system

        return file_system(), f"{self.bucket}/{self._base}".rstrip("/")

    def is_away(self, error: Exception) -> bool:
        """Return whether an error of the pyarrow file system says that the lake is away."""
        from lightwork.lake.s3_arrow import is_away

        return is_away(error)

    def now(self) -> float:
        """Return the time by the server's clock; by this machine's if the server does not say."""
        names = {"Bucket": self.bucket, "Prefix": self._base, "MaxKeys": 1}
        response = self._call(
            "list", f"s3://{self.bucket}/{self._base}", lambda: self._client.list_objects_v2(**names)
        )
        with contextlib.suppress(KeyError, TypeError, ValueError):
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
            for key, number, began in uploads(self._call, self.bucket, self._base):
                size, modified = upload_size(self._call, self.bucket, key, number, began)
                yield Item(key[len(self._base) :], size, modified, size, "upload", number)
        except LakeAway:
            raise  # nobody knows what would be left out
        except LightworkError as error:  # the server does not have this, or this user may not
            get_logger("lightwork").warning(f"unfinished uploads are left out: {error}")

    def is_abandoned(self, item: Item, now: float, silent: float = ABANDONED) -> bool:
        """Return whether no part of an upload has arrived for `silent` seconds."""
        return item.kind == "upload" and now - item.modified > silent

    def discard(self, item: Item) -> bool:
        """End an upload, which deletes its parts; return whether there was one."""
        return item.kind == "upload" and abort_upload(
            self._call, self.bucket, self._base + item.path, item.upload
        )

    def _key(self, path: str) -> str:
        return self._base + checked(path)

    @property
    def _client(self) -> Any:
        return client(self.patience)

    def _call(self, action: str, address: str, attempt: Callable[[], T], size: int = 0) -> T:
        """Send a request, again as long as the lake is away; its errors have one line of text."""

        def clearly() -> T:
            credentials()  # first, so that an error that has to do with them is told as such
            with clear_errors(action, address):
                return attempt()

        with contextlib.suppress(LakeAway):  # the attempts below wait for the service that gives credentials
            _ = self._client  # it takes seconds to import and to make on a busy machine; the lake does not
        return self.patiently(clearly, size)

    def _get(self, path: str, **options: str) -> bytes:
        from botocore.exceptions import ClientError

        def attempt() -> bytes:
            try:
                response = self._client.get_object(Bucket=self.bucket, Key=self._key(path), **options)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                    raise FileNotFoundError(self.uri(path)) from None
                if http_status(error) == 416:  # the range starts after the end
                    return b""
                raise
            parts: list[bytes] = []
            while part := response["Body"].read(_CHUNK):
                parts.append(part)
                note_progress()
            return parts[0] if len(parts) == 1 else b"".join(parts)

        return self._call("read", self.uri(path), attempt)

    def _head(self, path: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            head: dict[str, Any] = self._client.head_object(Bucket=self.bucket, Key=self._key(path))
        except ClientError as error:
            if http_status(error) == 404:
                return None
            raise
        return head

    def _written_by(self, path: str) -> str:
        head = self._head(path)
        return "" if head is None else str(head["Metadata"].get(_WRITER, ""))

    def _upload(self, path: str, key: str, parts: Iterable[bytes]) -> None:
        """Write a large file in parts of at least 5 MiB, but for the last; each is sent again by itself."""
        writer = secrets.token_hex(16)
        target = {"Bucket": self.bucket, "Key": key}

        def call(attempt: Callable[[], T], size: int = 0) -> T:
            return self._call("write", self.uri(path), attempt, size)

        upload = call(lambda: self._client.create_multipart_upload(**target, Metadata={_WRITER: writer}))
        target["UploadId"] = upload["UploadId"]

        def send(numbered: tuple[int, bytes]) -> dict[str, Any]:
            number, part = numbered
            response = call(
                lambda: self._client.upload_part(**target, PartNumber=number, Body=part), len(part)
            )
            return {"PartNumber": number, "ETag": response["ETag"]}

        def complete() -> None:
            from botocore.exceptions import ClientError

            try:
                self._client.complete_multipart_upload(**target, MultipartUpload={"Parts": sent})
            except ClientError as error:
                # Its first attempt may have arrived.
                if http_status(error) != 404 or self._written_by(path) != writer:
                    raise

        try:
            sent: list[dict[str, Any]] = []
            numbered = enumerate(parts, 1)
            while some := list(itertools.islice(numbered, _PARTS_AT_ONCE)):
                sent += in_threads(send, some, _PARTS_AT_ONCE)
            call(complete)
        except BaseException:
            # The bucket's lifecycle rule deletes it in the end.
            with contextlib.suppress(Exception), hurried():
                self._client.abort_multipart_upload(**target)
            raise

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        folder = checked_folder(prefix)
        start = f"{self._base}{folder}/" if folder else self._base
        options |= {"Bucket": self.bucket, "Prefix": start}

        def attempt() -> dict[str, Any]:
            page: dict[str, Any] = self._client.list_objects_v2(**options, MaxKeys=_LISTED)
            if "Name" not in page and "IsTruncated" not in page:  # botocore takes no body for an empty list
                raise CutShortError("the list is missing")
            return page

        while True:
            page = self._call("list", f"s3://{self.bucket}/{start}", attempt)
            yield page
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    def _delete(self, batch: list[dict[str, str]]) -> None:
        names = {"Objects": batch, "Quiet": True}
        response = self._call(
            "delete",
            f"s3://{self.bucket}/{batch[0]['Key']}",
            lambda: self._client.delete_objects(Bucket=self.bucket, Delete=names),
        )
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


def _parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of pieces in parts of the size of an upload's."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _PART:
            joined = memoryview(b"".join(waiting))
            full = size - size % _PART
            for start in range(0, full, _PART):
                yield bytes(joined[start : start + _PART])
            waiting, size = [bytes(joined[full:])], size - full
    if size:
        yield b"".join(waiting)
