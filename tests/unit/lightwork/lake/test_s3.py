from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from lightwork.errors import LightworkError
from lightwork.lake import open_lake, s3, s3_connection


@pytest.fixture
def lake(bucket: str):
    return open_lake(f"s3://{bucket}/p", tenant="acme")


def test_a_missing_bucket_is_reported_in_one_line(s3_environment: str) -> None:
    lake = open_lake("s3://missing", tenant="acme")
    for call in (
        lambda: lake.read("x"),
        lambda: lake.write("x", b""),
        lake.entries,
        lambda: lake.create("x", b""),
    ):
        with pytest.raises(LightworkError, match=r"cannot \w+ s3://missing/acme/.*no such bucket") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_an_unreachable_endpoint_is_one_line(s3_environment: str, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(LightworkError, match=r"cannot read s3://bucket/acme/x: the endpoint is unreachable"):
        open_lake("s3://bucket", tenant="acme", patience=0).read("x")


def test_the_endpoint_for_s3_overrides_the_general_one(lake, s3_environment: str, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_environment)
    lake.write("x", b"1")
    system, base = lake.arrow()
    assert system.open_input_file(f"{base}/x").read() == b"1"


def test_missing_credentials_are_one_line(lake, monkeypatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(LightworkError, match="there are no AWS credentials"):
        lake.read("x")
    with pytest.raises(LightworkError, match="there are no AWS credentials"):
        lake.arrow()[0].get_file_info("bucket/x")


def test_denied_access_is_one_line() -> None:
    from botocore.exceptions import ClientError

    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")
    with (
        pytest.raises(LightworkError, match="cannot read s3://b/x: access denied"),
        s3_connection.clear_errors("read", "s3://b/x"),
    ):
        raise denied


def test_a_file_above_the_limit_is_uploaded_in_parts(lake, monkeypatch) -> None:
    monkeypatch.setattr(s3, "_ONE_PUT", 6 * 2**20)
    monkeypatch.setattr(s3, "_PART", 5 * 2**20)
    data = b"0123456789abcdef" * 2**19
    lake.write("big", [data[:100], data[100:]])
    assert lake.read("big") == data
    head = s3_connection.client().head_object(Bucket=lake.bucket, Key="p/acme/big")
    assert "-" in head["ETag"]


def test_more_files_than_one_request_carries_are_listed_and_deleted(lake, monkeypatch) -> None:
    monkeypatch.setattr(s3, "_LISTED", 10)
    monkeypatch.setattr(s3, "_DELETES", 10)
    names = [f"many/{number:04d}" for number in range(35)]
    for name in names:
        lake.write(name, b"")
    assert [entry.path for entry in lake.entries("many")] == names
    real, batches = s3_connection.client(), []

    class Counting:
        def delete_objects(self, **options: Any) -> Any:
            batches.append(len(options["Delete"]["Objects"]))
            return real.delete_objects(**options)

    with monkeypatch.context() as patch:
        patch.setattr(s3, "client", lambda _: Counting())
        lake.delete(iter([*names, "many/never-there"]))
    assert batches == [10, 10, 10, 6]
    assert lake.entries() == []


def test_exactly_one_of_many_threads_creates_a_path(lake) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: lake.create("one", str(number).encode()), range(40)))
    assert won.count(True) == 1
    assert lake.read("one") == str(won.index(True)).encode()


def _client_error(status: int, code: str) -> Exception:
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


class _Client:
    """The real client, except that its first put fails, whether or not it has arrived."""

    def __init__(self, error: Exception, arrives: bool) -> None:
        self.real, self.error, self.arrives = s3_connection.client(), error, arrives

    def put_object(self, **options: Any) -> Any:
        error, self.error = self.error, None
        if error is None or self.arrives:
            self.real.put_object(**options)
        if error is not None:
            raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.mark.parametrize("arrives", [True, False])
def test_a_create_that_is_sent_again_is_not_refused_because_of_itself(lake, monkeypatch, arrives) -> None:
    double = _Client(_client_error(503, "SlowDown"), arrives=arrives)
    monkeypatch.setattr(s3, "client", lambda _: double)
    assert lake.create("x", b"1") is True
    assert lake.create("x", b"2") is False
    assert lake.read("x") == b"1"


def test_a_create_that_is_sent_again_after_another_writer_loses(lake, monkeypatch) -> None:
    lake.write("x", b"the other's")
    double = _Client(_client_error(503, "SlowDown"), arrives=False)
    monkeypatch.setattr(s3, "client", lambda _: double)
    assert lake.create("x", b"1") is False


def test_a_conflicting_put_is_retried(lake, monkeypatch) -> None:
    double = _Client(_client_error(409, "ConditionalRequestConflict"), arrives=False)
    monkeypatch.setattr(s3, "client", lambda _: double)
    assert lake.create("x", b"1") is True


def test_neither_the_lake_nor_its_file_system_pickles_a_secret(lake) -> None:
    lake.write("x", b"1")
    system, _ = lake.arrow()
    assert system.get_file_info("nowhere/x").size is None
    assert b"a-secret-of-the-test" not in pickle.dumps(lake) + pickle.dumps(system)


def test_pyarrow_creates_no_marker_objects_for_folders(lake) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, base = lake.arrow()
    pq.write_to_dataset(
        pa.table({"k": ["a", "b"], "x": [1, 2]}), f"{base}/t", partition_cols=["k"], filesystem=system
    )
    keys = s3_connection.client().list_objects_v2(Bucket=lake.bucket)["Contents"]
    assert len(keys) == len(lake.entries("t")) == 2


def test_one_client_serves_a_process(lake) -> None:
    assert s3_connection.client() is s3_connection.client()
    lake.write("x", b"1")
    client = s3_connection.client()
    pickle.loads(pickle.dumps(lake)).read("x")
    assert s3_connection.client() is client


def test_a_forked_process_creates_its_own_client(lake) -> None:
    s3_connection.client()
    s3_connection._forget()
    assert s3_connection._cached is None
    lake.write("x", b"1")
    assert lake.read("x") == b"1"


class _Cutting(BaseHTTPRequestHandler):
    """Passes requests on to nothing: answers with what it is given, the last answer for ever."""

    answers: ClassVar[list[tuple[int, bytes, int]]] = []
    """Status, body, and the length that is claimed: negative for a body in chunks."""
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body, length = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        if length < 0:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_POST = _answer

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def cutting(s3_environment: str, monkeypatch) -> Iterator[type[_Cutting]]:
    """A server on this machine whose responses break off; the lake `s3://bucket` uses it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Cutting)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_address[1]}")
    yield _Cutting
    server.shutdown()
    server.server_close()
    thread.join()


_ERROR = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
_LIST = (
    b"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated><Contents><Key>acme/x</Key>"
    b"<Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"
)
_CALLS = {
    "read": lambda lake: lake.read("x"),
    "read_range": lambda lake: lake.read_range("x", 0, 5),
    "write": lambda lake: lake.write("x", b"1"),
    "create": lambda lake: lake.create("x", b"1"),
    "entries": lambda lake: lake.entries(),
    "folders": lambda lake: lake.folders(),
    "delete": lambda lake: lake.delete(["x"]),
}
_CUTS = {
    "error": (404, _ERROR[:20], len(_ERROR)),
    "error without its end": (404, _ERROR[:20], 20),
    "error in chunks": (404, b"50\r\n" + _ERROR[:20], -1),
    "server error in chunks": (503, b"50\r\n" + _ERROR[:20], -1),
    "list in chunks": (200, b"200\r\n" + _LIST[:60], -1),
    "server error": (500, _ERROR[:20], len(_ERROR)),
    "list": (200, _LIST[:60], len(_LIST)),
    "list without its end": (200, _LIST[:60], 60),
    "rubbish": (500, b"<html>\xff\xfe", 8),
}


@pytest.mark.parametrize("cut", _CUTS)
@pytest.mark.parametrize("call", _CALLS)
@pytest.mark.sample(8)
def test_a_response_that_is_always_cut_is_one_line(cutting: type[_Cutting], call: str, cut: str) -> None:
    cutting.answers = [_CUTS[cut]]
    lake = open_lake("s3://bucket", tenant="acme", patience=0)
    if cut.startswith("list") and call not in ("entries", "folders"):
        return  # to them it is no response that was cut
    with pytest.raises(LightworkError, match=r"^cannot [^\n]* s3://bucket[^\n]*$"):
        _CALLS[call](lake)


@pytest.mark.parametrize(
    "cut", ["error", "error in chunks", "list", "list in chunks", "list without its end"]
)
def test_a_list_that_is_cut_once_is_asked_for_again(cutting: type[_Cutting], cut: str) -> None:
    cutting.answers = [_CUTS[cut], (200, _LIST, len(_LIST))]
    assert [entry.path for entry in open_lake("s3://bucket", tenant="acme").entries()] == ["x"]


def test_an_error_that_is_cut_once_is_asked_for_again(cutting: type[_Cutting]) -> None:
    cutting.answers = [_CUTS["error"], (200, b"whole", 5)]
    assert open_lake("s3://bucket", tenant="acme").read("x") == b"whole"


def test_a_list_without_a_body_is_not_an_empty_list(cutting: type[_Cutting]) -> None:
    cutting.answers = [(200, b"", 0)]
    with pytest.raises(LightworkError, match=r"cannot list .*: the endpoint's response broke off"):
        open_lake("s3://bucket", tenant="acme", patience=0).entries()
