"""An identity provider with people and groups, in place of GitLab, and a browser that logs in through it.

It speaks as much of OpenID Connect as Argo's server asks of GitLab: discovery, the form in which a person
agrees, the exchange of a code for a token that is signed with a published key.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT, SECRET = "argo-client", "argo-client-secret"
KEY_ID = "k1"


@dataclass(frozen=True, slots=True)
class Person:
    """A person, with the groups they were put into and all that follow from these.

    A member of a group of GitLab is a member of the groups below it as well.
    """

    direct: tuple[str, ...] = ()
    all: tuple[str, ...] = ()


@dataclass(slots=True)
class Provider:
    """The provider.

    Attributes:
        redirects: the addresses that the application was registered with.
        people: the people, by their names.
        issuer: its URL.
    """

    redirects: tuple[str, ...]
    people: Mapping[str, Person]
    issuer: str = ""
    codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def discovery(self) -> dict[str, Any]:
        """Return what a client finds at the well-known address."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/oauth/authorize",
            "token_endpoint": f"{self.issuer}/oauth/token",
            "userinfo_endpoint": f"{self.issuer}/oauth/userinfo",
            "jwks_uri": f"{self.issuer}/oauth/discovery/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> dict[str, Any]:
        """Return the published key."""
        numbers = self.key.public_key().public_numbers()
        parts = {name: _number(value) for name, value in (("n", numbers.n), ("e", numbers.e))}
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, **parts}]}

    def agree(self, query: Mapping[str, list[str]], person: str) -> str | None:
        """Return where a person who agrees is sent; None if the application or its address is another."""
        redirect = query.get("redirect_uri", [""])[0]
        if query.get("client_id") != [CLIENT] or redirect not in self.redirects:
            return None
        code = secrets.token_hex(8)
        self.codes[code] = (person, redirect)
        return f"{redirect}?{urlencode({'code': code, 'state': query['state'][0]})}"

    def exchange(self, form: Mapping[str, list[str]], client: tuple[str, str]) -> dict[str, Any] | None:
        """Return the tokens for a code, which serves once, at the address that it was sent to."""
        person, redirect = self.codes.pop(form.get("code", [""])[0], ("", ""))
        if not person or form.get("redirect_uri") != [redirect] or client != (CLIENT, SECRET):
            return None
        groups, now = self.people[person], int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": person,
            "iat": now,
            "exp": now + 120,
            "email": f"{person}@example.com",
            "email_verified": True,
            "name": person,
            "groups_direct": list(groups.direct),
            "groups": list(groups.all or groups.direct),
        }
        return {
            "access_token": secrets.token_hex(8),
            "token_type": "Bearer",
            "expires_in": 120,
            "id_token": self._signed(claims),
        }

    def _signed(self, claims: dict[str, Any]) -> str:
        head = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        return f"{text}.{_encoded(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@contextlib.contextmanager
def running(provider: Provider) -> Iterator[Provider]:
    """Serve a provider on localhost during the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/.well-known/openid-configuration":
                self._reply(provider.discovery())
            elif url.path == "/oauth/discovery/keys":
                self._reply(provider.keys())
            elif url.path == "/oauth/authorize":
                person = SimpleCookie(self.headers.get("Cookie"))["person"].value
                self._send_on(provider.agree(parse_qs(url.query), person))
            else:
                self._reply({"error": "not found"}, 404)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            given = (form.get("client_id", [""])[0], form.get("client_secret", [""])[0])
            if basic := self.headers.get("Authorization", "").removeprefix("Basic "):
                name, _, secret = base64.b64decode(basic).decode().partition(":")
                given = (name, secret)
            tokens = provider.exchange(form, given)
            self._reply(tokens or {"error": "invalid_grant"}, 200 if tokens else 400)

        def _send_on(self, where: str | None) -> None:
            if where is None:
                self._reply({"error": "The redirect URI included is not valid."}, 401)
                return
            self.send_response(302)
            self.send_header("Location", where)
            self.end_headers()

        def _reply(self, body: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield provider
        finally:
            server.shutdown()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status, its headers, and the start of its body."""

    status: int
    headers: http.client.HTTPMessage
    body: str

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class Browser:
    """A browser that finds the page's host name at an address of this machine, and keeps the page's cookies.

    It does not know the authority of Argo's own certificate, as a balancer does not.

    Attributes:
        host: the page's host name.
        port: the port on this machine.
        cookies: the page's cookies.
    """

    host: str
    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, method: str = "GET", body: Any = None, *, most: int | None = None) -> Answer:
        """Send a request to the page.

        Args:
            path: the path, with its query.
            method: the method.
            body: what is sent as JSON.
            most: the most bytes to read of an answer that does not end.
        """
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Host": self.host, "Content-Type": "application/json", "Cookie": cookies}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = (response.read1(most) if most else response.read()).decode(errors="replace")
        finally:
            connection.close()
        for line in response.headers.get_all("Set-Cookie") or ():
            self.cookies |= {name: item.coded_value for name, item in SimpleCookie(line).items()}
        return Answer(response.status, response.headers, text)

    def log_in(self, person: str, page: str = "/") -> Answer:
        """Log a person in, who starts from a page; return the last answer, which leads back to it."""
        provider = self.ask(f"/oauth2/redirect?{urlencode({'redirect': page})}").headers["Location"]
        url = urlsplit(provider)
        connection = http.client.HTTPConnection(url.netloc, timeout=20)
        connection.request("GET", f"{url.path}?{url.query}", headers={"Cookie": f"person={person}"})
        agreed = connection.getresponse()
        if agreed.status != 302:
            return Answer(agreed.status, agreed.headers, agreed.read().decode())
        back = urlsplit(agreed.headers["Location"])
        assert (back.scheme, back.netloc) == ("https", self.host), "it leads to another server"
        return self.ask(f"{back.path}?{back.query}")
