"""A stand-in for EKS Pod Identity: the endpoint for pods' credentials, and the webhook that announces it.

`python -m tests.cluster.pod_identity_server`; `pod_identity.py` starts it. Its log has the caller, the result
and the reason of each request, and never a token or a secret.
"""

from __future__ import annotations

import datetime as dt
import json
import signal
import ssl
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.cluster import certificates, kube, pod_identity, pod_identity_webhook, stores
from tests.cluster.settings import CREDENTIALS_IP, WEBHOOK_PORT, host

LIFE = dt.timedelta(minutes=15, seconds=20)
"""How long credentials are valid. boto3 refreshes them 15 minutes before they expire: here, after 20 s."""
_ACCOUNT_ID = "000000000000"
_LONGEST = 8 * 2**20


class RefusedError(Exception):
    """Credentials were refused; has the response's status, its code and the reason."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def credentials(token: str) -> tuple[str, dict[str, str]]:
    """Return a token's account, `namespace/name`, and the account's credentials in AWS's format.

    Raises:
        RefusedError: the token is missing, invalid or for another audience, or its account has no role.
    """
    if not token:
        raise RefusedError(400, "InvalidRequestException", "the header Authorization has no token")
    user = reviewed(token)
    kind, _, name = user.partition("serviceaccount:")
    namespace, _, account = name.partition(":")
    if kind != "system:" or not account:
        raise RefusedError(403, "AccessDeniedException", f"{user}: not a service account")
    role = pod_identity.association(namespace, account)
    if role is None:
        raise RefusedError(404, "ResourceNotFoundException", f"{namespace}/{account}: no association")
    key = stores.credentials(role)
    end = dt.datetime.now(dt.UTC) + LIFE
    return f"{namespace}/{account}", {
        "AccessKeyId": key["access"],
        "SecretAccessKey": key["secret"],
        # The S3 server's accounts are permanent, and it refuses a session token with them.
        "Token": "",
        "AccountId": _ACCOUNT_ID,
        "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def reviewed(token: str) -> str:
    """Have the API server review a token and return its user.

    Raises:
        RefusedError: the token is invalid or for another audience, or the API server does not respond.
    """
    audience = pod_identity_webhook.AUDIENCE
    spec = {"token": token, "audiences": [audience]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    request = urllib.request.Request(
        f"{kube.cluster()['server']}/apis/authentication.k8s.io/v1/tokenreviews",
        data=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Bearer {pod_identity.token_file().read_text()}",
        },
    )
    context = ssl.create_default_context(cafile=str(kube.authority()))
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=10) as response:
            status = json.load(response)["status"]
    except (OSError, ValueError) as error:
        raise RefusedError(500, "InternalServerException", f"the API server: {error}") from None
    if not status.get("authenticated") or audience not in status.get("audiences", []):
        raise RefusedError(403, "AccessDeniedException", f"the token is not valid for {audience}")
    return str(status["user"]["username"])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Suppress the default log: the handlers log each response themselves."""

    def log(self, text: str) -> None:
        """Write a line to the log."""
        print(f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ} {text}", flush=True)

    def page(self) -> str:
        """Return the path without its query, where the API server adds a timeout."""
        return self.path.partition("?")[0]

    def reply(self, status: int, document: dict[str, Any]) -> None:
        """Send a JSON document."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Credentials(_Handler):
    """GET /v1/credentials."""

    def do_GET(self) -> None:
        if self.page() != "/v1/credentials":
            self.reply(404, {"code": "ResourceNotFoundException", "message": "page not found"})
            return
        if (status := pod_identity.fault()) is not None:
            self.log(f"told to fail {self.client_address[0]}: {status}")
            self.reply(status, {"code": "InternalServerException", "message": "told to fail"})
            return
        try:
            account, document = credentials(self.headers.get("Authorization") or "")
        except RefusedError as error:
            self.log(f"refused {self.client_address[0]}: {error.status} {error.message}")
            self.reply(error.status, {"code": error.code, "message": error.message})
            return
        self.log(f"credentials for {account} at {self.client_address[0]} until {document['Expiration']}")
        self.reply(200, document)


class Webhook(_Handler):
    """POST /mutate, an AdmissionReview."""

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if self.page() != "/mutate" or not 0 < size <= _LONGEST:
            self.close_connection = True
            self.reply(400, {"message": "not an AdmissionReview"})
            return
        try:
            admission_review = json.loads(self.rfile.read(size))
            response = pod_identity_webhook.review(
                admission_review, associated=_associated, region=stores.REGION
            )
        except (ValueError, KeyError, TypeError) as error:
            self.log(f"not an AdmissionReview: {type(error).__name__} {error}")
            self.reply(400, {"message": "not an AdmissionReview"})
            return
        request, patched = admission_review["request"], "patch" in response["response"]
        metadata = request["object"].get("metadata", {})
        name = metadata.get("name") or metadata.get("generateName", "")
        self.log(f"pod {request['namespace']}/{name}: {'injected' if patched else 'unchanged'}")
        self.reply(200, response)


def _associated(namespace: str, account: str) -> bool:
    return pod_identity.association(namespace, account) is not None


def _listening(address: str, port: int, handler: type[_Handler]) -> ThreadingHTTPServer:
    try:
        return ThreadingHTTPServer((address, port), handler)
    except OSError as error:
        sys.exit(
            f"cannot listen on {address}, port {port}: {error.strerror}; "
            "if another server uses that port on all addresses, bind it to its own address"
        )


def main() -> None:
    """Serve the endpoint and the webhook until SIGTERM."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    webhook = _listening(host(), WEBHOOK_PORT, Webhook)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = certificates.folder()
    context.load_cert_chain(folder / "pod-identity-webhook.crt", folder / "pod-identity-webhook.key")
    # Each connection's own thread does the handshake, so that a slow one does not block the others.
    webhook.socket = context.wrap_socket(webhook.socket, server_side=True, do_handshake_on_connect=False)
    servers = [webhook, _listening(CREDENTIALS_IP, 80, Credentials)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    stopped.wait()
    for server in servers:
        server.shutdown()


if __name__ == "__main__":
    main()
