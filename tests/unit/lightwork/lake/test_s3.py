from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lightwork.errors import LightworkError
from lightwork.lake import open_lake, s3, s3_connection


@pytest.fixture
def there(bucket: str):
    return open_lake(f"s3://{bucket}/p", tenant="acme")


def test_a_missing_bucket_is_named_in_one_line(s3_environment: str) -> None:
    lake = open_lake("s3://there-is-none", tenant="acme")
    for use in (
        lambda: lake.read("x"),
        lambda: lake.write("x", b""),
        lake.entries,
        lambda: lake.create("x", b""),
    ):
        with pytest.raises(
            LightworkError, match=r"cannot \w+ s3://there-is-none/acme/.*no such bucket"
        ) as caught:
            use()
        assert "\n" not in str(caught.value)


def test_an_unreachable_endpoint_is_one_line(s3_environment: str, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(
        LightworkError, match=r"cannot read s3://bucket/acme/x: the endpoint cannot be reached"
    ):
        open_lake("s3://bucket", tenant="acme").read("x")


def test_the_endpoint_of_s3_alone_goes_before_the_general_one(
    there, s3_environment: str, monkeypatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_environment)
    there.write("x", b"1")
    system, base = there.arrow()
    assert system.open_input_file(f"{base}/x").read() == b"1"


def test_missing_credentials_are_one_line(there, monkeypatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(LightworkError, match="there are no AWS credentials"):
        there.read("x")
    with pytest.raises(LightworkError, match="there are no AWS credentials"):
        there.arrow()[0].get_file_info("bucket/x")


def test_denied_access_is_one_line() -> None:
    from botocore.exceptions import ClientError

    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")
    with (
        pytest.raises(LightworkError, match="cannot read s3://b/x: access denied; give"),
        s3_connection.refusals("read", "s3://b/x"),
    ):
        raise denied


def test_a_file_above_the_limit_goes_in_parts(there, monkeypatch) -> None:
    monkeypatch.setattr(s3, "_ONE_PUT", 6 * 2**20)
    data = b"0123456789abcdef" * 2**19
    there.write("big", [data[:100], data[100:]])
    assert there.read("big") == data
    head = s3_connection.client().head_object(Bucket=there.bucket, Key="p/acme/big")
    assert "-" in head["ETag"]


def test_more_files_than_one_request_carries_are_listed_and_deleted(there, monkeypatch) -> None:
    monkeypatch.setattr(s3, "_LISTED", 10)
    monkeypatch.setattr(s3, "_DELETES", 10)
    names = [f"many/{number:04d}" for number in range(35)]
    for name in names:
        there.write(name, b"")
    assert [entry.path for entry in there.entries("many")] == names
    real, batches = s3_connection.client(), []

    class Counting:
        def delete_objects(self, **options: Any) -> Any:
            batches.append(len(options["Delete"]["Objects"]))
            return real.delete_objects(**options)

    with monkeypatch.context() as patch:
        patch.setattr(s3, "client", Counting)
        there.delete(iter([*names, "many/never-there"]))
    assert batches == [10, 10, 10, 6]
    assert there.entries() == []


def test_of_many_threads_that_create_one_path_exactly_one_wins(there) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: there.create("one", str(number).encode()), range(40)))
    assert won.count(True) == 1
    assert there.read("one") == str(won.index(True)).encode()


def _refusal(status: int, retries: int = 0) -> Exception:
    from botocore.exceptions import ClientError

    return ClientError(
        {
            "Error": {"Code": "PreconditionFailed" if status == 412 else "ConditionalRequestConflict"},
            "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": retries},
        },
        "PutObject",
    )


class _Client:
    """The real client, whose first put arrives but answers with an error."""

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


def test_a_put_that_was_sent_twice_meets_itself_and_still_wins(there, monkeypatch) -> None:
    double = _Client(_refusal(412, retries=1), arrives=True)
    monkeypatch.setattr(s3, "client", lambda: double)
    assert there.create("x", b"1") is True
    assert there.create("x", b"2") is False


def test_a_put_sent_twice_after_another_writer_loses(there, monkeypatch) -> None:
    there.write("x", b"the other's")
    double = _Client(_refusal(412, retries=1), arrives=False)
    monkeypatch.setattr(s3, "client", lambda: double)
    assert there.create("x", b"1") is False


def test_a_conflict_is_tried_again_until_it_is_settled(there, monkeypatch) -> None:
    double = _Client(_refusal(409), arrives=False)
    monkeypatch.setattr(s3, "client", lambda: double)
    assert there.create("x", b"1") is True


def test_an_answer_that_breaks_off_is_read_again(there, monkeypatch) -> None:
    from botocore.exceptions import IncompleteReadError

    there.write("x", b"whole")
    answers = []

    def attempt() -> bytes:
        answers.append(1)
        if len(answers) < 3:
            raise IncompleteReadError(actual_bytes=1, expected_bytes=5)
        return there.read("x")

    monkeypatch.setattr(s3_connection.time, "sleep", lambda seconds: None)
    assert s3_connection.retried(attempt) == b"whole"


def test_neither_lake_nor_file_system_carries_a_secret(there) -> None:
    there.write("x", b"1")
    system, _ = there.arrow()
    assert system.get_file_info("nowhere/x").size is None
    assert b"a-secret-of-the-test" not in pickle.dumps(there) + pickle.dumps(system)


def test_folders_of_pyarrow_leave_no_marker_objects(there) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, base = there.arrow()
    pq.write_to_dataset(
        pa.table({"k": ["a", "b"], "x": [1, 2]}), f"{base}/t", partition_cols=["k"], filesystem=system
    )
    keys = s3_connection.client().list_objects_v2(Bucket=there.bucket)["Contents"]
    assert len(keys) == len(there.entries("t")) == 2


def test_one_client_serves_a_process(there) -> None:
    assert s3_connection.client() is s3_connection.client()
    there.write("x", b"1")
    held = s3_connection.client()
    pickle.loads(pickle.dumps(there)).read("x")
    assert s3_connection.client() is held


def test_a_forked_process_makes_its_own_client(there) -> None:
    s3_connection.client()
    s3_connection._forget()
    assert s3_connection._held is None
    there.write("x", b"1")
    assert there.read("x") == b"1"
