"""Credentials as a pod has them on EKS: from an address, for a token in a file, ending soon, and renewed.

Both ends are here: who hands out sessions, and a gate before moto's S3 server that lets through none but
those that have not ended, with their session token.
"""

from __future__ import annotations

import http.client
import json
import logging
import pickle
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lightwork import logs
from lightwork.errors import LightworkError
from lightwork.lake import open_lake, s3_arrow, s3_connection
from tests.waiting import patience


@dataclass
class Identity:
    """Who hands out sessions, and which of them have not ended."""

    token: Path
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    used: list[str] = field(default_factory=list)
    url: str = ""

    def renew_token(self) -> str:
        """What kubelet does with the file long before its token's end."""
        text = secrets.token_urlsafe(48)
        self.token.write_text(text)
        return text

    def open_session(self) -> dict[str, str]:
        key = f"ASIA{secrets.token_hex(8).upper()}"
        # Within ten minutes of the end boto3 uses no credentials without asking first.
        end = datetime.now(UTC) + timedelta(minutes=5)
        self.sessions[key] = {
            "AccessKeyId": key,
            "SecretAccessKey": secrets.token_urlsafe(30),
            "Token": secrets.token_urlsafe(60),
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "AccountId": "000000000000",
        }
        return self.sessions[key]

    def end_all(self) -> None:
        """From now on the server refuses the sessions that it has opened so far."""
        self.ended |= set(self.sessions)

    def refusal(self, key: str, token: str | None) -> str | None:
        if key in self.ended:
            return "ExpiredToken"
        if key not in self.sessions or self.sessions[key]["Token"] != token:
            return "InvalidToken"
        self.used.append(key)
        return None

    def hidden(self) -> list[str]:
        """What must never be seen."""
        found = [one[name] for one in self.sessions.values() for name in ("SecretAccessKey", "Token")]
        return [self.token.read_text(), *found]


FRAMING = ("connection", "expect", "transfer-encoding", "content-length")
"""Headers that are between two neighbours, and not for who is behind."""


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    identity: Identity

    def log_message(self, *_: object) -> None: ...

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Endpoint(Quiet):
    def do_GET(self) -> None:
        if self.headers["Authorization"] != self.identity.token.read_text():
            refused = {"code": "AccessDeniedException", "message": "the token is not a valid one"}
            self.answer(403, json.dumps(refused).encode())
            return
        self.answer(200, json.dumps(self.identity.open_session()).encode())


class Gate(Quiet):
    behind: str

    def handle_any(self) -> None:
        body = self.whole_body()
        match = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization") or "")
        token = self.headers.get("X-Amz-Security-Token")
        if code := self.identity.refusal(match.group(1) if match else "", token):
            text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
            self.answer(400, text.encode(), "application/xml")
            return
        there = http.client.HTTPConnection(urlsplit(self.behind).netloc, timeout=patience(30))
        headers = {name: text for name, text in self.headers.items() if name.lower() not in FRAMING}
        there.request(self.command, self.path, body=body, headers=headers)
        found = there.getresponse()
        data = found.read()
        self.send_response(found.status)
        for name, value in found.getheaders():
            if name.lower() not in FRAMING:
                self.send_header(name, value)
        length = found.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        there.close()

    def whole_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any


@contextmanager
def serving(handler: type[Quiet]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def identity(bucket: str, s3_server: str, monkeypatch, tmp_path) -> Iterator[Identity]:
    """The environment of a pod, whose bucket is there already."""
    made = Identity(tmp_path / "eks-pod-identity-token")
    made.renew_token()
    endpoint = type("OfThisTest", (Endpoint,), {"identity": made})
    gate = type("OfThisTest", (Gate,), {"identity": made, "behind": s3_server})
    with serving(endpoint) as address, serving(gate) as s3:
        made.url = f"{address}/v1/credentials"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", made.url)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(made.token))
        yield made


@pytest.fixture
def there(bucket: str, identity: Identity):
    return open_lake(f"s3://{bucket}/p", tenant="acme")


def test_a_session_that_has_ended_is_refused(there, identity: Identity) -> None:
    """The gate itself: without this, the tests below would say nothing."""
    import boto3
    from botocore.exceptions import ClientError

    there.write("x", b"1")
    one = identity.sessions[identity.used[-1]]
    held = boto3.client(
        "s3",
        aws_access_key_id=one["AccessKeyId"],
        aws_secret_access_key=one["SecretAccessKey"],
        aws_session_token=one["Token"],
    )
    key = {"Bucket": there.bucket, "Key": "p/acme/x"}
    assert held.get_object(**key)["Body"].read() == b"1"
    identity.end_all()
    with pytest.raises(ClientError, match="ExpiredToken"):
        held.get_object(**key)


def test_boto3_goes_on_when_its_session_has_ended(there, identity: Identity) -> None:
    there.write("x", b"1")
    identity.end_all()
    assert there.read("x") == b"1"
    assert len(set(identity.used)) > 1


def test_a_file_system_of_pyarrow_goes_on_when_its_session_has_ended(there, identity: Identity) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, base = there.arrow()
    table = pa.table({"a": [1, 2, 3]})
    pq.write_table(table, f"{base}/t.parquet", filesystem=system)
    identity.end_all()
    assert pq.read_table(f"{base}/t.parquet", filesystem=system) == table
    identity.end_all()
    assert [info.base_name for info in system.get_file_info(_all_in(base))] == ["t.parquet"]


def _all_in(base: str):
    from pyarrow.fs import FileSelector

    return FileSelector(base)


def test_a_lake_that_was_sent_elsewhere_uses_the_identity_of_where_it_is(there, identity: Identity) -> None:
    there.write("x", b"1")
    system, base = there.arrow()
    sent = pickle.dumps((there, system))
    identity.end_all()
    lake, files = pickle.loads(sent)
    assert lake.read("x") == b"1"
    assert files.open_input_file(f"{base}/x").read() == b"1"


def test_a_token_that_kubelet_has_renewed_is_read_again(there, identity: Identity) -> None:
    there.write("x", b"1")
    identity.renew_token()
    identity.end_all()
    assert there.read("x") == b"1"


def test_a_part_of_a_big_file_that_takes_long_uses_the_session_of_its_moment(
    there, identity: Identity, monkeypatch
) -> None:
    from lightwork.lake import s3

    monkeypatch.setattr(s3, "_ONE_PUT", 6 * 2**20)
    there.write("small", b"")
    identity.end_all()
    data = b"0123456789abcdef" * 2**19
    there.write("big", data)
    assert there.read("big") == data


def test_an_identity_that_is_refused_is_one_line_without_the_token(there, identity: Identity, monkeypatch):
    from botocore.utils import ContainerMetadataFetcher

    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    stranger = identity.token.with_name("stranger")
    stranger.write_text("the token of somebody else")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(stranger))
    for use in (lambda: there.read("x"), lambda: there.arrow()[0].get_file_info("bucket/x")):
        with pytest.raises(LightworkError, match=r"403.*the token is not a valid one") as caught:
            use()
        assert "\n" not in str(caught.value)
        assert "somebody else" not in str(caught.value)


def test_an_identity_that_is_refused_later_is_one_line_too(there, identity: Identity, monkeypatch):
    from botocore.utils import ContainerMetadataFetcher

    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    there.write("x", b"1")
    system, base = there.arrow()
    identity.token.write_text("")  # as when the association has been taken away
    identity.token = identity.token.with_name("another")
    identity.renew_token()
    for use in (lambda: there.read("x"), lambda: system.open_input_file(f"{base}/x")):
        with pytest.raises(LightworkError, match="403") as caught:
            use()
        assert "\n" not in str(caught.value)


def test_a_missing_token_file_is_one_line(there, monkeypatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent/token")
    for use in (lambda: there.read("x"), lambda: there.arrow()[0].get_file_info("bucket/x")):
        with pytest.raises(LightworkError, match="/nonexistent/token"):
            use()


@pytest.fixture
def most_talkative() -> Iterator[None]:
    """Logging as a pod sets it up, but with every line that there is of the root logger's own level."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers, root.level = [], logging.DEBUG
    levels = {name: logging.getLogger(name).level for name in ("botocore", "boto3", "urllib3", "s3transfer")}
    logs.configure("json")
    yield
    root.handlers, root.level = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_no_secret_and_no_token_is_in_a_log_or_in_what_is_sent(
    there, identity: Identity, most_talkative, capfd
) -> None:
    first = identity.token.read_text()
    system, base = there.arrow()
    there.write("x", b"1")
    identity.end_all()
    identity.renew_token()
    assert system.open_input_file(f"{base}/x").read() == b"1"
    with pytest.raises(LightworkError):
        open_lake("s3://there-is-none", tenant="acme").read("x")
    logs.get_logger().info("the log works", lake=there, files=system)
    said = "".join(capfd.readouterr())
    assert "the log works" in said
    assert s3_arrow._made is not None
    sent = pickle.dumps((there, system)) + repr((there, system, s3_connection._MEANING)).encode()
    assert len(identity.sessions) > 1
    for secret in [first, *identity.hidden()]:
        assert secret not in said
        assert secret.encode() not in sent
