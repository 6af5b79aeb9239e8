"""The master's login, from files and from Secrets Manager: a local server, and botocore's own signature."""

from __future__ import annotations

import datetime as dt
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from lightwork.pods import signing
from lightwork.pods.archive import master

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = dt.datetime(2026, 11, 28, 1, 2, 3, tzinfo=dt.UTC)
KEYS = signing.Keys("AKIAEXAMPLE", "secret/+", "session==")
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1-AbCdEf"


def test_the_signature_is_that_of_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url, body = "https://secretsmanager.eu-central-1.amazonaws.com/", b'{"SecretId": "x"}'
    headers = master.signed(url, body, "eu-central-1", KEYS, NOW)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: NOW.replace(tzinfo=None))
    request = AWSRequest(
        method="POST",
        url=url,
        data=body,
        headers={name: headers[name] for name in ("content-type", "x-amz-target")},
    )
    credentials = Credentials(KEYS.access, KEYS.secret, KEYS.session)
    auth.SigV4Auth(credentials, "secretsmanager", "eu-central-1").add_auth(request)
    assert headers["authorization"] == request.headers["Authorization"]


class Server(ThreadingHTTPServer):
    """The credentials endpoint of EKS Pod Identity and Secrets Manager in one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.secret = 200, '{"username": "argo", "password": "new"}'
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        answer = {"AccessKeyId": KEYS.access, "SecretAccessKey": KEYS.secret, "Token": KEYS.session}
        self._answer(200, answer)

    def do_POST(self) -> None:
        answer = {"SecretString": self.server.secret} if self.server.status == 200 else {"Message": "no"}
        self._answer(self.server.status, answer)

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "token").write_text("a token\n")
    with Server() as server:
        monkeypatch.setenv(signing.ENV_CREDENTIALS, server.url)
        monkeypatch.setenv(signing.ENV_TOKEN, str(tmp_path / "token"))
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_login_is_read_with_the_pods_own_identity(server: Server) -> None:
    login = master.of_secrets_manager(ARN, "eu-central-1", endpoint=server.url)
    assert (login.user, login.password) == ("argo", "new")
    identity, request = server.requests
    assert identity[1]["Authorization"] == "a token", "the token proves which pod asks"
    assert json.loads(request[2]) == {"SecretId": ARN}
    assert f"Credential={KEYS.access}/" in request[1]["Authorization"]


def test_a_refusal_is_told_with_aws_own_words(server: Server) -> None:
    server.status = 400
    with pytest.raises(ValueError, match=r'400: \{"Message": "no"\}'):
        master.of_secrets_manager(ARN, "eu-central-1", endpoint=server.url)


@pytest.mark.parametrize("secret", ["{}", "[]", "not JSON", '{"username": "argo"}'])
def test_a_secret_that_is_not_a_login_is_refused_and_not_shown(server: Server, secret: str) -> None:
    server.secret = secret
    with pytest.raises(ValueError, match=r"rds!db-1-AbCdEf: the secret is not a login") as error:
        master.of_secrets_manager(ARN, "eu-central-1", endpoint=server.url)
    assert secret not in str(error.value)


def test_a_pod_without_a_role_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (signing.ENV_CREDENTIALS, signing.ENV_TOKEN):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OSError, match="service account has no role"):
        master.of_secrets_manager(ARN, "eu-central-1")


def test_without_aws_the_login_is_that_of_a_mounted_secret(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("argo")
    (tmp_path / "password").write_text("mine")
    login = master.of_files(tmp_path)
    assert (login.user, login.password) == ("argo", "mine")
    assert "mine" not in repr(login), "it must not show up in a traceback"
    (tmp_path / "password").unlink()
    with pytest.raises(OSError, match="password"):
        master.of_files(tmp_path)
