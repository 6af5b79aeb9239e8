"""Signed requests through a port of this machine, over real TLS."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import trustme
from botocore.credentials import Credentials

from lightwork.search.domain import Domain, Reply, UnreachableError, through

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "vpc-logs.eu-central-1.es.example"


class Handler(BaseHTTPRequestHandler):
    """Answers with the headers that it got."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        sent = f"{self.path} {self.headers['Host']} {self.headers['Authorization']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(authority: trustme.CA, name: str) -> Iterator[int]:
    """Serve HTTPS with a certificate for a name; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def ask(port: int, authority: trustme.CA, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Reply:
    """Send a request for HOST by way of a port, trusting an authority."""
    file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    keys = Credentials("AKIAEXAMPLE", "example", "session")
    return Domain(f"https://{HOST}", "eu-central-1", keys, through(port)).ask("POST", "logs/_search", {})


def test_a_request_is_for_the_domain_whatever_port_it_goes_to(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(authority, HOST) as port:
        reply = ask(port, authority, tmp_path, monkeypatch)
    path, host, authorization = reply.text.split(" ", 2)
    assert (reply.status, path, host) == (200, "/logs/_search", HOST)
    assert "/eu-central-1/es/aws4_request" in authorization
    assert "host;" in authorization, "a signature for this domain only"


def test_who_is_at_the_port_must_have_the_domains_certificate(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for issuer, name in ((trustme.CA(), HOST), (authority, "another.example")):
        with served(issuer, name) as port, pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(port, authority, tmp_path, monkeypatch)


def test_a_connection_that_ends_is_an_error_in_one_line(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(authority, HOST) as port:
        pass
    with pytest.raises(UnreachableError, match=rf"POST https://{HOST}/logs/_search: .*refused") as caught:
        ask(port, authority, tmp_path, monkeypatch)
    assert "\n" not in str(caught.value)
