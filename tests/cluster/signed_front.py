"""What AWS puts in front of a domain for people: TLS, signatures and IAM. It passes on what those allow.

A signature is verified as AWS does it, by making it again, with botocore's own signer. IAM is the evaluator
of the fast tests, with the policies that the program makes. OpenSearch gets the role, as it does on AWS.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.config.naming import Names
from infra.policies import resources
from infra.policies.statements import Policy
from infra.policies.tenant import tenant_boundary
from tests.cluster.opensearch import Answer, Server
from tests.infra.iam import decide, within

HOST = "vpc-lightwork-dev-logs.eu-central-1.es.example"
NAMES = Names(environment="dev", account="123456789012", region="eu-central-1")
DOMAIN_ARN = f"arn:aws:es:{NAMES.region}:{NAMES.account}:domain/{NAMES.search_domain}"
ACCESS = resources.search_access(domain_arn=DOMAIN_ARN, account=NAMES.account, paths=[NAMES.role_path])
BOUNDARY = tenant_boundary(
    account=NAMES.account, region=NAMES.region, environment=NAMES.environment, domain_arn=DOMAIN_ARN
)
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/\d{8}/(?P<region>[\w-]+)/es/aws4_request,"
    r" SignedHeaders=(?P<names>[\w;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whose an access key is.

    Attributes:
        role: the ARN of the role.
        secret: the secret of the key.
        grants: the policies of the role.
    """

    role: str
    secret: str
    grants: list[Policy] = field(default_factory=list)

    def may(self, method: str, path: str) -> bool:
        """Return what IAM says: the domain's policy, the role's own, and the boundary of tenants' roles."""
        action, resource = f"es:ESHttp{method.capitalize()}", f"{DOMAIN_ARN}/{path}"
        root = {"AWS": f"arn:aws:iam::{NAMES.account}:root"}
        opened = decide([ACCESS], action, resource, {"aws:PrincipalArn": self.role}, principal=root)
        return opened and within(BOUNDARY, list(self.grants), action, resource, {})


@dataclass
class SignedFront:
    """A running front.

    Attributes:
        port: its port.
        asked: the method, path and role of each request that OpenSearch got.
    """

    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def signed_front(
    server: Server,
    who: Callable[[str], Identity | None],
    authority: trustme.CA,
    address: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[SignedFront]:
    """Serve HTTPS in front of a server.

    Args:
        server: the server behind it.
        who: returns whose an access key is; None for nobody's.
        authority: signs the certificate of HOST.
        address: the address to listen on.
        port: the port; 0 for a free one.
    """
    front = SignedFront()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = self._decided(data)
            sent = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def _decided(self, data: bytes) -> Answer:
            identity = _verified(self, data, who)
            path = self.path.removeprefix("/")
            if identity is None:
                return Answer(403, {"message": "The request signature we calculated does not match"})
            if not identity.may(self.command, path.partition("?")[0]):
                text = f"User: {identity.role} is not authorized to perform: es:ESHttp{self.command.title()}"
                return Answer(403, {"Message": text})
            front.asked.append((self.command, path, identity.role))
            body = json.loads(data) if data else None
            return server.ask(self.command, path, body, user=identity.role)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _handle

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    with ThreadingHTTPServer((address, port), Handler) as listening:
        listening.socket = context.wrap_socket(
            listening.socket, server_side=True, do_handshake_on_connect=False
        )
        front.port = listening.server_address[1]
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield front
        finally:
            listening.shutdown()


def _verified(
    request: BaseHTTPRequestHandler, data: bytes, who: Callable[[str], Identity | None]
) -> Identity | None:
    """Return whose a request is, if its signature is right; else None."""
    found = _SIGNED.fullmatch(request.headers.get("Authorization", ""))
    if found is None or request.headers["Host"] != HOST or (identity := who(found["key"])) is None:
        return None
    headers = {name: request.headers[name] for name in found["names"].split(";")}
    again = AWSRequest(request.command, f"https://{HOST}{request.path}", headers=headers, data=data)
    again.context["timestamp"] = request.headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(found["key"], identity.secret), "es", found["region"])
    text = signer.string_to_sign(again, signer.canonical_request(again))
    return identity if signer.signature(text, again) == found["signature"] else None
