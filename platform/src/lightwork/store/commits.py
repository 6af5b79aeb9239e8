"""The commit file of an artifact's version, which names its files: read with every field checked."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import unquote

from lightwork.errors import InputError
from lightwork.lake.base import checked
from lightwork.store import documents
from lightwork.store.documents import OddError


def checked_commit(data: bytes, name: str, version: str) -> dict[str, Any]:
    """Read the commit file of a version.

    Args:
        data: its content.
        name: the artifact's name.
        version: the version, as in the file's name.

    Raises:
        OddError: it is not the commit file of this version, or a field is not as it was written.
    """
    document = documents.parse(data)
    for field, expected in (("name", name), ("version", version)):
        if documents.text(document, field) != expected:
            raise OddError(f"{field}: it is the file of another version")
    documents.text(document, "run_id")
    documents.moment(document, "created")
    size = documents.whole(document, "bytes")
    files = [_checked_file(file) for file in documents.items(document, "files", list)]
    if sum(file[2] for file in files) != size:
        raise OddError("bytes: not the sum of the files")
    match documents.text(document, "kind"):
        case "file":
            if [file[0] for file in files] != [name]:
                raise OddError("files: expected the file itself")
        case "table":
            if sum(file[1] for file in files) != documents.whole(document, "rows"):
                raise OddError("rows: not the sum of the files")
            if len({file[0] for file in files}) < len(files):
                raise OddError("files: one is named twice")
            _check_columns(document)
            _check_folders(document, files)
        case kind:
            raise OddError(f"kind: expected table or file, got {kind!r}")
    return document


def _checked_file(file: list[Any]) -> list[Any]:
    """Check the path, rows and bytes of a file, and its digest, which files of earlier versions lack."""
    if len(file) not in (3, 4):
        raise OddError("files: expected a path, rows, bytes and a digest for each")
    fields = dict(zip(("path", "rows", "bytes", "digest"), file, strict=False))
    try:
        checked(documents.text(fields, "path"))
    except InputError as error:
        raise OddError(f"files: {error}") from None
    documents.whole(fields, "rows")
    documents.whole(fields, "bytes")
    if "digest" in fields:
        documents.text(fields, "digest")
    return file


def _check_columns(document: dict[str, Any]) -> None:
    columns = documents.items(document, "columns", str)
    if not set(documents.items(document, "partition_by", str)) <= set(columns):
        raise OddError("partition_by: expected some of the columns")
    try:
        base64.b64decode(documents.text(document, "schema"), validate=True)
    except ValueError:
        raise OddError("schema: expected base64") from None


def _check_folders(document: dict[str, Any], files: list[list[Any]]) -> None:
    """Check that the folders of a table's files name the columns that the table is stored by."""
    for path, rows, *_ in files:
        columns = [unquote(part.partition("=")[0]) for part in path.split("/")[:-1]]
        if rows and columns != document["partition_by"]:
            raise OddError("files: their folders do not name the columns of partition_by")


def check_schema(document: dict[str, Any]) -> None:
    """Check the schema of a table in its commit file; this takes pyarrow.

    Raises:
        OddError: it cannot be read, or does not fit the columns.
    """
    import pyarrow as pa

    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(document["schema"])))
        index = list((schema.pandas_metadata or {}).get("index_columns", ()))
    except Exception as error:  # noqa: BLE001 - pyarrow raises many kinds
        raise OddError(f"schema: {error}") from None
    if schema.names != document["columns"] or not all(isinstance(item, str | dict) for item in index):
        raise OddError("schema: it does not fit the columns")
