"""Uploads in several parts that were not completed: they take space, and no listing shows them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lightwork.errors import LightworkError
from lightwork.lake.s3_connection import client, http_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_GONE = "NoSuchUpload"
_PART_GONE = "InvalidPart"
"""What a server may say of an upload that was ended while its parts arrived."""
_ATTEMPTS = 3


class Send(Protocol):
    """Sends a request of a lake, as long as the lake is away, and words its errors."""

    def __call__(self, action: str, address: str, attempt: Callable[[], T], size: int = 0) -> T:
        """Return what the attempt returns."""


def uploads(send: Send, bucket: str, prefix: str) -> Iterator[tuple[str, str, float]]:
    """Yield key, id and time of start (Unix seconds) of each upload that was not completed."""
    options: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
    while True:
        page = send(
            "list the uploads in",
            f"s3://{bucket}/{prefix}",
            lambda: client().list_multipart_uploads(**options),
        )
        for item in page.get("Uploads", ()):
            yield item["Key"], item["UploadId"], item["Initiated"].timestamp()
        if not page.get("IsTruncated") or not page.get("NextKeyMarker"):
            return
        options["KeyMarker"] = page["NextKeyMarker"]
        options["UploadIdMarker"] = page.get("NextUploadIdMarker", "")


def upload_size(send: Send, bucket: str, key: str, number: str, began: float) -> tuple[int, float]:
    """Return the size of an upload's parts in bytes, and when the newest one arrived, else its start."""
    from botocore.exceptions import ClientError

    size, newest = 0, began
    options: dict[str, Any] = {"Bucket": bucket, "Key": key, "UploadId": number}

    def attempt() -> dict[str, Any]:
        try:
            page: dict[str, Any] = client().list_parts(**options)
        except ClientError as error:
            if _is_gone(error):
                return {}
            raise
        return page

    while True:
        page = send("list the upload", f"s3://{bucket}/{key}", attempt)
        if not page:
            return 0, newest
        for part in page.get("Parts", ()):
            size += part["Size"]
            newest = max(newest, part["LastModified"].timestamp())
        if not page.get("IsTruncated") or not page.get("NextPartNumberMarker"):
            return size, newest
        options["PartNumberMarker"] = int(page["NextPartNumberMarker"])


def abort_upload(send: Send, bucket: str, key: str, number: str) -> bool:
    """Delete the parts of an upload; return whether there was such an upload."""
    from botocore.exceptions import ClientError

    def attempt() -> bool:
        try:
            client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=number)
        except ClientError as error:
            if _is_gone(error):
                return False
            raise
        return True

    return send("end the upload", f"s3://{bucket}/{key}", attempt)


def with_upload_again(upload: Callable[[], object]) -> None:
    """Upload; start anew if the upload has been ended by others, as this process has stood still for long."""
    from botocore.exceptions import ClientError

    for _ in range(_ATTEMPTS - 1):
        try:
            upload()
        except LightworkError as problem:
            error = problem.__cause__
            if not isinstance(error, ClientError):
                raise
            if not (_is_gone(error) or error.response.get("Error", {}).get("Code") == _PART_GONE):
                raise
        else:
            return
    upload()


def _is_gone(error: Any) -> bool:
    code = error.response.get("Error", {}).get("Code")
    return code == _GONE or (http_status(error) == HTTPStatus.NOT_FOUND and code != "NoSuchBucket")
