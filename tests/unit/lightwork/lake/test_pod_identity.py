"""Credentials as a pod gets them on EKS: from an endpoint, for a token in a file, short-lived and renewed.

The tests run both ends: the endpoint that issues sessions, and a gate in front of moto's S3 server that only
lets requests with a valid session and its token through.
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
from lightwork.errors import LakeAway, LightworkError
from lightwork.lake import open_lake, s3_arrow, s3_connection
from lightwork.lake import patience as lake_patience
from tests.waiting import patience


@dataclass
class Identity:
    """The sessions issued so far, and which of them have expired."""

    token: Path
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    used: list[str] = field(default_factory=list)
    url: str = ""
    faults: list[tuple[int, str]] = field(default_factory=list)
    asked: int = 0

    def renew_token(self) -> str:
        """Replace the token, as kubelet does long before it expires."""
        text = secrets.token_urlsafe(48)
        self.token.write_text(text)
        return text

    def issue_session(self) -> dict[str, str]:
        key = f"ASIA{secrets.token_hex(8).upper()}"
        # In the last ten minutes boto3 asks for new credentials before each use.
        end = datetime.now(UTC) + timedelta(minutes=5)
        self.sessions[key] = {
            "AccessKeyId": key,
            "SecretAccessKey": secrets.token_urlsafe(30),
            "Token": secrets.token_urlsafe(60),
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "AccountId": "000000000000",
        }
        return self.sessions[key]

    def expire_all(self) -> None:
        """Expire every session issued so far."""
        self.expired |= set(self.sessions)

    def refusal_of(self, key: str, token: str | None) -> str | None:
        if key in self.expired:
            return "ExpiredToken"
        if key not in self.sessions or self.sessions[key]["Token"] != token:
            return "InvalidToken"
        self.used.append(key)
        return None

    def hidden(self) -> list[str]:
        """Return the texts that must never be logged or sent."""
        secret = [
            session[name] for session in self.sessions.values() for name in ("SecretAccessKey", "Token")
        ]
        return [self.token.read_text(), *secret]


FRAMING = ("connection", "expect", "transfer-encoding", "content-length")
"""Headers of one connection, which a proxy does not forward."""


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    identity: Identity

    def log_message(self, *_: object) -> None: ...

    def respond(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Endpoint(Quiet):
    def do_GET(self) -> None:
        self.identity.asked += 1
        if self.identity.faults:
            status, body = self.identity.faults.pop(0)
            if not status:
                self.close_connection = True
                return
            self.respond(status, body.encode())
            return
        if self.headers["Authorization"] != self.identity.token.read_text():
            error = {"code": "AccessDeniedException", "message": "the token is not valid"}
            self.respond(403, json.dumps(error).encode())
            return
        self.respond(200, json.dumps(self.identity.issue_session()).encode())


class Gate(Quiet):
    behind: str

    def handle_any(self) -> None:
        body = self.read_body()
        match = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization") or "")
        token = self.headers.get("X-Amz-Security-Token")
        if code := self.identity.refusal_of(match.group(1) if match else "", token):
            text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
            self.respond(400, text.encode(), "application/xml")
            return
        server = http.client.HTTPConnection(urlsplit(self.behind).netloc, timeout=patience(30))
        headers = {name: text for name, text in self.headers.items() if name.lower() not in FRAMING}
        server.request(self.command, self.path, body=body, headers=headers)
        response = server.getresponse()
        data = response.read()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in FRAMING:
                self.send_header(name, value)
        length = response.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        server.close()

    def read_body(self) -> bytes:
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
    """The environment of a pod, and a bucket for it."""
    identity = Identity(tmp_path / "eks-pod-identity-token")
    identity.renew_token()
    endpoint = type("OfThisTest", (Endpoint,), {"identity": identity})
    gate = type("OfThisTest", (Gate,), {"identity": identity, "behind": s3_server})
    with serving(endpoint) as address, serving(gate) as s3:
        identity.url = f"{address}/v1/credentials"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", identity.url)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(identity.token))
        yield identity


@pytest.fixture
def lake(bucket: str, identity: Identity):
    return open_lake(f"s3://{bucket}/p", tenant="acme", patience=10)


def test_an_expired_session_is_refused(lake, identity: Identity) -> None:
    """Test the gate itself: otherwise the tests below would prove nothing."""
    import boto3
    from botocore.exceptions import ClientError

    lake.write("x", b"1")
    session = identity.sessions[identity.used[-1]]
    client = boto3.client(
        "s3",
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["Token"],
    )
    key = {"Bucket": lake.bucket, "Key": "p/acme/x"}
    assert client.get_object(**key)["Body"].read() == b"1"
    identity.expire_all()
    with pytest.raises(ClientError, match="ExpiredToken"):
        client.get_object(**key)


def test_boto3_continues_after_its_session_has_expired(lake, identity: Identity) -> None:
    lake.write("x", b"1")
    identity.expire_all()
    assert lake.read("x") == b"1"
    assert len(set(identity.used)) > 1


def test_pyarrow_continues_after_its_session_has_expired(lake, identity: Identity) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, base = lake.arrow()
    table = pa.table({"a": [1, 2, 3]})
    pq.write_table(table, f"{base}/t.parquet", filesystem=system)
    identity.expire_all()
    assert pq.read_table(f"{base}/t.parquet", filesystem=system) == table
    identity.expire_all()
    assert [info.base_name for info in system.get_file_info(_all_in(base))] == ["t.parquet"]


def _all_in(base: str):
    from pyarrow.fs import FileSelector

    return FileSelector(base)


def test_a_pickled_lake_uses_the_identity_of_the_process_that_loads_it(lake, identity: Identity) -> None:
    lake.write("x", b"1")
    system, base = lake.arrow()
    sent = pickle.dumps((lake, system))
    identity.expire_all()
    loaded, files = pickle.loads(sent)
    assert loaded.read("x") == b"1"
    assert files.open_input_file(f"{base}/x").read() == b"1"


def test_a_renewed_token_is_read_again(lake, identity: Identity) -> None:
    lake.write("x", b"1")
    identity.renew_token()
    identity.expire_all()
    assert lake.read("x") == b"1"


def test_a_large_file_is_uploaded_with_the_current_session(lake, identity: Identity, monkeypatch) -> None:
    from lightwork.lake import s3

    monkeypatch.setattr(s3, "_ONE_PUT", 6 * 2**20)
    lake.write("small", b"")
    identity.expire_all()
    data = b"0123456789abcdef" * 2**19
    lake.write("big", data)
    assert lake.read("big") == data


def test_a_refused_identity_is_one_line_without_the_token(lake, identity: Identity, monkeypatch):
    from botocore.utils import ContainerMetadataFetcher

    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    stranger = identity.token.with_name("stranger")
    stranger.write_text("the token of somebody else")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(stranger))
    for call in (lambda: lake.read("x"), lambda: lake.arrow()[0].get_file_info("bucket/x")):
        with pytest.raises(LightworkError, match=r"403.*the token is not valid") as caught:
            call()
        assert "\n" not in str(caught.value)
        assert "somebody else" not in str(caught.value)


def test_an_identity_that_is_refused_later_is_one_line(lake, identity: Identity, monkeypatch):
    from botocore.utils import ContainerMetadataFetcher

    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    lake.write("x", b"1")
    system, base = lake.arrow()
    identity.token.write_text("")  # as if the association had been deleted
    identity.token = identity.token.with_name("another")
    identity.renew_token()
    for call in (lambda: lake.read("x"), lambda: system.open_input_file(f"{base}/x")):
        with pytest.raises(LightworkError, match="403") as caught:
            call()
        assert not isinstance(caught.value, LakeAway)
        assert "\n" not in str(caught.value)


SESSION = {
    "AccessKeyId": "ASIA1",
    "SecretAccessKey": "not a secret",
    "Token": "nor this",
    "Expiration": "2100-01-01T00:00:00Z",
}
AWAY = {
    "throttled": (429, '{"code": "ThrottlingException", "message": "Rate exceeded"}'),
    "no reviews of tokens": (
        500,
        '{"code": "InternalServerException", "message": "the API server: timeout"}',
    ),
    "unavailable": (503, "<html>Service Unavailable</html>"),
    "too late": (408, ""),
    "cut": (200, '{"AccessKeyId": "ASIA1", "Secret'),
    "empty": (200, ""),
    "without its fields": (200, '{"code": "Later", "message": "not yet"}'),
    "a list": (200, "[]"),
    "without a time": (200, json.dumps({**SESSION, "Expiration": "soon"})),
    "without a type": (200, json.dumps({**SESSION, "Expiration": 7})),
    "expired": (200, json.dumps({**SESSION, "Expiration": "2001-01-01T00:00:00Z"})),
    "a closed connection": (0, ""),
}
"""Responses that pass by themselves, unlike 400, 403 and 404: the service refuses this identity then."""


@pytest.fixture
def without_pauses(monkeypatch) -> None:
    from botocore.utils import ContainerMetadataFetcher

    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)


def _by_boto3(lake) -> bytes:
    return bytes(lake.read("x"))


def _by_pyarrow(lake) -> bytes:
    system, base = lake.arrow()
    return bytes(lake.patiently(lambda: system.open_input_file(f"{base}/x").read()))


@pytest.mark.parametrize("fault", AWAY.values(), ids=AWAY)
@pytest.mark.sample(2)
def test_a_service_for_credentials_that_is_away_is_waited_for(
    lake, identity: Identity, without_pauses: None, monkeypatch, fault
) -> None:
    """As credentials are renewed, and as a process starts, each by boto3 and by pyarrow."""
    monkeypatch.setattr(lake_patience, "_LONGEST_PAUSE", 0.1)
    lake.write("x", b"1")
    for read in (_by_boto3, _by_pyarrow):
        for starts in (False, True):
            identity.expire_all()
            if starts:
                monkeypatch.setattr(s3_connection, "_cached", None)
            identity.faults, identity.asked = [fault] * 4, 0  # botocore tries three times
            assert read(lake) == b"1"
            assert not identity.faults
            assert identity.asked > 4


@pytest.mark.parametrize("fault", AWAY.values(), ids=AWAY)
def test_a_service_for_credentials_that_stays_away_is_told_in_one_line(
    bucket: str, identity: Identity, without_pauses: None, fault
) -> None:
    lake = open_lake(f"s3://{bucket}/p", tenant="acme", patience=0.2)
    identity.faults = [fault] * 10_000
    with pytest.raises(LakeAway, match=r"cannot get AWS credentials: .*gave up after") as caught:
        lake.read("x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_an_identity_that_is_refused_is_not_asked_for_again(
    lake, identity: Identity, without_pauses: None, status: int
) -> None:
    identity.faults = [(status, '{"code": "AccessDeniedException", "message": "no association"}')] * 100
    with pytest.raises(LightworkError, match=f"{status}.*no association") as caught:
        lake.read("x")
    assert not isinstance(caught.value, LakeAway)
    assert identity.asked <= 6  # botocore's own attempts, as the client is made and as it is used


def test_a_missing_token_file_is_one_line(lake, monkeypatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent/token")
    for call in (lambda: lake.read("x"), lambda: lake.arrow()[0].get_file_info("bucket/x")):
        with pytest.raises(LightworkError, match="/nonexistent/token"):
            call()


@pytest.fixture
def debug_logging() -> Iterator[None]:
    """Logging as in a pod, but with the root logger at DEBUG."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers, root.level = [], logging.DEBUG
    levels = {name: logging.getLogger(name).level for name in ("botocore", "boto3", "urllib3", "s3transfer")}
    logs.configure("json")
    yield
    root.handlers, root.level = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_no_secret_and_no_token_is_logged_or_pickled(lake, identity: Identity, debug_logging, capfd) -> None:
    first = identity.token.read_text()
    system, base = lake.arrow()
    lake.write("x", b"1")
    identity.expire_all()
    identity.renew_token()
    assert system.open_input_file(f"{base}/x").read() == b"1"
    with pytest.raises(LightworkError):
        open_lake("s3://no-such-bucket", tenant="acme").read("x")
    logs.get_logger().info("the log works", lake=lake, files=system)
    output = "".join(capfd.readouterr())
    assert "the log works" in output
    assert s3_arrow._cached is not None
    pickled = pickle.dumps((lake, system)) + repr((lake, system, s3_connection._MEANING)).encode()
    assert len(identity.sessions) > 1
    for secret in [first, *identity.hidden()]:
        assert secret not in output
        assert secret.encode() not in pickled
