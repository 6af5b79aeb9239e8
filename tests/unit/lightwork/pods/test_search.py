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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Domain(ThreadingHTTPServer):
    """A server that responds to each path with a status and records the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: dict[str, int] = {}
        self.requests: list[tuple[str, str, Any, dict[str, str]]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Domain

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.command, self.path, body, dict(self.headers)))
        self.send_response(self.server.statuses.get(self.path, 200))
        self.end_headers()
        self.wfile.write(b"the reason")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Domain]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    with Domain() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


REQUESTS = [
    {"method": "PUT", "path": "_plugins/roles/a", "body": {"one": 1}},
    {"method": "PUT", "path": "_plugins/policies/b", "body": {"two": 2}, "once": True},
]


def test_requests_are_sent_in_order_and_signed_with_the_pods_identity(domain: Domain) -> None:
    search.send(domain.endpoint, REQUESTS, "eu-central-1")
    assert [(path, body) for _, path, body, _ in domain.requests] == [
        ("/_plugins/roles/a", {"one": 1}),
        ("/_plugins/policies/b", {"two": 2}),
    ]
    for _, _, _, headers in domain.requests:
        assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
        assert "/eu-central-1/es/aws4_request" in headers["Authorization"], (
            "the signature names the service and the region"
        )
        assert headers["X-Amz-Security-Token"] == "session", "a role's keys are valid only with it"


def test_a_conflict_is_accepted_only_for_requests_marked_once(
    domain: Domain, capsys: pytest.CaptureFixture[str]
) -> None:
    domain.statuses["/_plugins/policies/b"] = 409
    search.send(domain.endpoint, REQUESTS, "eu-central-1")
    assert "exists already" in capsys.readouterr().out
    domain.statuses = {"/_plugins/roles/a": 409}
    with pytest.raises(InputError, match="409: the reason"):
        search.send(domain.endpoint, REQUESTS, "eu-central-1")


def test_a_refusal_stops_the_requests_with_one_line(domain: Domain) -> None:
    domain.statuses["/_plugins/roles/a"] = 403
    with pytest.raises(InputError, match=r"PUT http://.*/_plugins/roles/a: 403: the reason") as caught:
        search.send(domain.endpoint, REQUESTS, "eu-central-1")
    assert "\n" not in str(caught.value)
    assert len(domain.requests) == 1, "later requests may depend on the refused one"


def test_a_domain_that_cannot_be_reached_is_an_error() -> None:
    with Domain() as closed:
        endpoint = closed.endpoint
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        with pytest.raises(InputError, match="refused"):
            search.send(endpoint, REQUESTS, "eu-central-1")


def test_nothing_is_sent_over_plain_http(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, domain: Domain
) -> None:
    path = tmp_path / "requests.json"
    path.write_text(json.dumps(REQUESTS))
    monkeypatch.setattr(sys, "argv", ["search", "--endpoint", domain.endpoint, "--requests", str(path)])
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with pytest.raises(SystemExit) as caught:
        search.main()
    assert caught.value.code == 2
    assert not domain.requests, "signed requests must not be readable on the way"
