"""Setting up OpenSearch, against a local server that records its requests."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from lightwork.errors import InputError
from lightwork.pods import search
from lightwork.search.domain import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Domain(ThreadingHTTPServer):
    """A server that gives its scripted replies, the last one again and again, and records the requests.

    Attributes:
        replies: the replies to a method and a path; 200 and `{}` by default.
        requests: the requests, as method, path, body and headers.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: dict[str, list[tuple[int, Any]]] = {}
        self.requests: list[tuple[str, str, Any, dict[str, str]]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def lines(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.requests]


class _Handler(BaseHTTPRequestHandler):
    server: Domain

    def _handle(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(text) if text else None
        self.server.requests.append((self.command, self.path, body, dict(self.headers)))
        replies = self.server.replies.get(f"{self.command} {self.path}", [(200, {})])
        status, reply = replies.pop(0) if len(replies) > 1 else replies[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(reply.encode() if isinstance(reply, str) else json.dumps(reply).encode())

    do_GET = do_PUT = do_POST = do_DELETE = _handle

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Domain]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    monkeypatch.setattr(search, "PAUSE", 0.0)
    with Domain() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


REQUESTS = [
    {"method": "PUT", "path": "_plugins/roles/a", "body": {"one": 1}},
    {"method": "POST", "path": "b/_merge?all=true", "body": None, "how": "send"},
]
POLICY = {
    "method": "PUT",
    "path": "policies/p",
    "body": {"policy": {"days": 7, "states": [1]}},
    "how": "replace",
}
STREAM = {"method": "PUT", "path": "_data_stream/s", "body": None, "how": "create"}
ROLE = {"method": "DELETE", "path": "roles/r", "body": None, "how": "remove"}


def send(domain: Domain, *requests: dict[str, Any]) -> None:
    search.send(domain.endpoint, list(requests), "eu-central-1")


def test_requests_are_sent_in_order_and_signed_with_the_pods_identity(domain: Domain) -> None:
    send(domain, *REQUESTS)
    assert [(path, body) for _, path, body, _ in domain.requests] == [
        ("/_plugins/roles/a", {"one": 1}),
        ("/b/_merge?all=true", None),
    ]
    for _, _, _, headers in domain.requests:
        assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
        assert "/eu-central-1/es/aws4_request" in headers["Authorization"], (
            "the signature names the service and the region"
        )
        assert headers["X-Amz-Security-Token"] == "session", "a role's keys are valid only with it"


@pytest.mark.parametrize("request_", [REQUESTS[0], ROLE, POLICY], ids=["send", "remove", "replace"])
def test_a_conflict_with_somebody_elses_change_is_tried_again(
    domain: Domain, request_: dict[str, Any]
) -> None:
    line = f"{request_['method']} /{request_['path']}"
    domain.replies = {"GET /policies/p": [(404, {})], line: [(409, {}), (409, {}), (200, {})]}
    send(domain, request_)
    assert domain.lines.count(line) == 3
    domain.replies[line] = [(409, "in the way")]
    with pytest.raises(InputError, match="409: in the way"):
        send(domain, request_)
    assert domain.lines.count(line) == 3 + search.ATTEMPTS


def test_a_refusal_stops_the_requests_with_one_line(domain: Domain) -> None:
    domain.replies["PUT /_plugins/roles/a"] = [(403, "the\nreason")]
    with pytest.raises(InputError, match=r"PUT http://.*/_plugins/roles/a: 403: the.*reason") as caught:
        send(domain, *REQUESTS)
    assert "\n" not in str(caught.value)
    assert len(domain.requests) == 1, "later requests may depend on the refused one"


def test_what_exists_is_not_created(domain: Domain, capsys: pytest.CaptureFixture[str]) -> None:
    send(domain, STREAM)
    assert domain.lines == ["GET /_data_stream/s"]
    assert "exists already" in capsys.readouterr().out
    domain.replies["GET /_data_stream/s"] = [(404, {}), (404, {}), (200, {})]
    send(domain, STREAM)
    assert domain.lines[-2:] == ["GET /_data_stream/s", "PUT /_data_stream/s"]
    domain.replies["PUT /_data_stream/s"] = [(400, "resource_already_exists_exception")]
    send(domain, STREAM)
    assert domain.lines[-2:] == ["PUT /_data_stream/s", "GET /_data_stream/s"], "somebody else was quicker"


def test_an_index_of_a_streams_name_is_not_taken_for_it(domain: Domain) -> None:
    domain.replies = {
        "GET /_data_stream/s": [(404, {})],
        "PUT /_data_stream/s": [(400, "resource_already_exists_exception")],
    }
    with pytest.raises(InputError, match="400: resource_already_exists_exception"):
        send(domain, STREAM)


def test_a_policy_is_replaced_by_its_version_if_it_says_something_else(
    domain: Domain, capsys: pytest.CaptureFixture[str]
) -> None:
    there = {"_seq_no": 7, "_primary_term": 2, "policy": {"days": 7, "states": [1], "id": "p"}}
    domain.replies["GET /policies/p"] = [(200, there)]
    send(domain, POLICY)
    assert domain.lines == ["GET /policies/p"]
    assert "says so already" in capsys.readouterr().out
    for other in (
        {"days": 8, "states": [1]},
        {"days": 7, "states": [1, 2]},
        {"states": [1]},
        {"days": 7, "states": {}},
    ):
        domain.replies["GET /policies/p"] = [(200, {**there, "policy": other})]
        send(domain, POLICY)
        method, path, body, _ = domain.requests[-1]
        assert (method, path) == ("PUT", "/policies/p?if_seq_no=7&if_primary_term=2"), other
        assert body == POLICY["body"]


def test_a_policy_that_cannot_be_read_is_not_replaced(domain: Domain) -> None:
    domain.replies["GET /policies/p"] = [(503, "not now")]
    with pytest.raises(InputError, match="503: not now"):
        send(domain, POLICY)
    assert domain.lines == ["GET /policies/p"]


def test_what_is_gone_already_counts_as_removed(domain: Domain, capsys: pytest.CaptureFixture[str]) -> None:
    domain.replies["DELETE /roles/r"] = [(404, {})]
    send(domain, ROLE)
    assert "is gone already" in capsys.readouterr().out


def test_a_domain_that_cannot_be_reached_is_an_error() -> None:
    with Domain() as closed:
        endpoint = closed.endpoint
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        with pytest.raises(UnreachableError, match="refused"):
            search.send(endpoint, REQUESTS, "eu-central-1")


def test_nothing_is_sent_over_plain_http(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, domain: Domain
) -> None:
    path = tmp_path / "requests.json"
    path.write_text(json.dumps(REQUESTS))
    assert run(monkeypatch, "--endpoint", domain.endpoint, "--requests", str(path)) == 2
    assert not domain.requests, "signed requests must not be readable on the way"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["search", *arguments])
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with pytest.raises(SystemExit) as caught:
        search.main()
    return caught.value.code


def test_requests_come_from_a_file_or_as_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "requests.json"
    path.write_text(json.dumps(REQUESTS))
    sent: list[Any] = []
    monkeypatch.setattr(search, "send", lambda *words: sent.append(words))
    https = ("--endpoint", "https://host/")
    assert run(monkeypatch, *https, "--requests", str(path)) == 0
    assert run(monkeypatch, *https, "--text", json.dumps(REQUESTS)) == 0
    assert sent == [("https://host", REQUESTS, "eu-central-1")] * 2
    assert run(monkeypatch, *https) == 2
    assert run(monkeypatch, *https, "--requests", str(path), "--text", "[]") == 2
    assert len(sent) == 2
