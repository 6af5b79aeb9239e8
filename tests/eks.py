"""AWS and EKS, as a person of a tenant meets them: moto's servers, and what EKS has in front of its API.

moto gives a role to everybody who asks. Here the role's trust decides. In front of a real Kubernetes API,
`Front` takes tokens as EKS does and tells the API who asks.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import json
import select
import socket
import socketserver
import ssl
import threading
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trustme

from tests.infra.iam import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

ACCOUNT = "123456789012"
REGION = "us-east-1"
FRESH = dt.timedelta(minutes=15)
_CHUNK = 64 * 1024


class RefusedTokenError(Exception):
    """A token that EKS would not take."""


@dataclass
class Aws:
    """moto's servers for IAM, STS and EKS in this process.

    Attributes:
        url: their address.
        people: the environment of each person, by name.
    """

    url: str
    people: dict[str, dict[str, str]] = field(default_factory=dict)

    def add_person(self, name: str) -> str:
        """Create an IAM user with an access key; return the user's ARN."""
        user = self.client("iam").create_user(UserName=name)["User"]
        key = self.client("iam").create_access_key(UserName=name)["AccessKey"]
        self.people[name] = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return str(user["Arn"])

    def add_role(self, arn: str, trust: Mapping[str, Any]) -> None:
        """Create a role by its ARN, with a trust policy."""
        path, _, name = arn.partition(":role")[2].rpartition("/")
        self.client("iam").create_role(
            RoleName=name, Path=f"{path}/", AssumeRolePolicyDocument=json.dumps(trust)
        )

    def add_cluster(self, name: str, endpoint: str, authority: bytes, **vpc: Any) -> None:
        """Create a cluster whose API is at an address."""
        from moto.eks.models import eks_backends

        role = f"arn:aws:iam::{ACCOUNT}:role/cluster"
        self.client("eks").create_cluster(
            name=name, roleArn=role, resourcesVpcConfig={"subnetIds": ["subnet-1"]}
        )
        cluster = eks_backends[ACCOUNT][REGION].clusters[name]
        cluster.endpoint = endpoint
        cluster.certificate_authority = {"data": base64.b64encode(authority).decode()}
        cluster.resources_vpc_config |= vpc

    def client(self, service: str) -> Any:
        """Return a client with an administrator's rights."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="administrator",
            aws_secret_access_key="of-the-tests",
        )


@contextlib.contextmanager
def aws(on_assumed: Callable[[Any], None] = lambda _: None) -> Iterator[Aws]:
    """Run moto's servers.

    Args:
        on_assumed: is given each session of a role that moto makes, and may change its keys.
    """
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.server import ThreadedMotoServer
    from moto.sts.responses import TokenResponse

    assert DEFAULT_ACCOUNT_ID == ACCOUNT
    plain = TokenResponse.assume_role

    def by_trust(self: Any) -> Any:
        caller = self.backend.get_caller_identity(self.get_access_key(), self.region)[1]
        _check_trust(caller, self._get_param("RoleArn"))
        answer = plain(self)
        on_assumed(self.backend.assumed_roles[-1])
        return answer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    TokenResponse.assume_role = by_trust
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    # What moto keeps is the process's, not the server's.
    urllib.request.urlopen(f"{url}/moto-api/reset", data=b"").close()
    try:
        yield Aws(url)
    finally:
        TokenResponse.assume_role = plain
        server.stop()


def _check_trust(caller: str, role: str) -> None:
    from moto.core.exceptions import AccessDeniedError
    from moto.iam.models import iam_backends

    roles = iam_backends[ACCOUNT]["aws"].roles.values()
    trust = next((json.loads(item.assume_role_policy_document) for item in roles if item.arn == role), None)
    if trust is None or not decide([trust], "sts:AssumeRole", role, {}, principal={"AWS": caller}):
        raise AccessDeniedError(user_arn=caller, action="sts:AssumeRole")


def caller_of(token: str, cluster: str) -> str:
    """Return who a token is of, as EKS's authenticator finds out.

    Raises:
        RefusedTokenError: it is malformed, old, for another cluster, or signed by nobody.
    """
    prefix, _, text = token.partition(".")
    if prefix != "k8s-aws-v1":
        raise RefusedTokenError("no token of AWS")
    url = urllib.parse.urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    made = dt.datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    if query["Action"] != "GetCallerIdentity" or int(query["X-Amz-Expires"]) > 900:
        raise RefusedTokenError("another request")
    if (
        not made <= dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
        or dt.datetime.now(dt.UTC) - made > FRESH
    ):
        raise RefusedTokenError("too old")
    key, _, scope = query["X-Amz-Credential"].partition("/")
    session = _session(key, query.get("X-Amz-Security-Token", ""))
    if not hmac.compare_digest(
        _signature(url, query, scope, session.secret_access_key, cluster), query["X-Amz-Signature"]
    ):
        raise RefusedTokenError("another signature, or for another cluster")
    return str(session.arn)


def _session(key: str, token: str) -> Any:
    from moto.sts.models import sts_backends

    sessions = sts_backends[ACCOUNT]["aws"].assumed_roles
    found = next((item for item in sessions if item.access_key_id == key), None)
    if found is None or found.session_token != token:
        raise RefusedTokenError("nobody's key")
    return found


def _signature(
    url: urllib.parse.SplitResult, query: Mapping[str, str], scope: str, secret: str, cluster: str
) -> str:
    """Return the signature that AWS expects of a signed address, with the cluster's name as a header."""
    quoted = {urllib.parse.quote(k, safe=""): urllib.parse.quote(v, safe="") for k, v in query.items()}
    listed = "&".join(f"{k}={v}" for k, v in sorted(quoted.items()) if k != "X-Amz-Signature")
    headers = {"host": url.netloc, "x-k8s-aws-id": cluster}
    lines = "".join(f"{name}:{headers[name]}\n" for name in query["X-Amz-SignedHeaders"].split(";"))
    request = "\n".join(
        ["GET", url.path, listed, lines, query["X-Amz-SignedHeaders"], hashlib.sha256().hexdigest()]
    )
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, digest])
    signing = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    return hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()


class Front(socketserver.ThreadingTCPServer):
    """Stands in front of a real API server as EKS's authentication does.

    Args:
        cluster: the cluster's name.
        server: host and port of the API server.
        client: TLS to it, as somebody who may impersonate everybody.
        entries: the Kubernetes groups by the ARN of a role: the access entries.
        folder: for its certificate.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        cluster: str,
        server: tuple[str, int],
        client: ssl.SSLContext,
        entries: dict[str, list[str]],
        folder: Path,
    ) -> None:
        self.cluster, self.server, self.client, self.entries = cluster, server, client, entries
        # In 1.3, a side may be readable without a byte for us, and reading it would wait.
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        authority = trustme.CA()
        self.authority = authority.cert_pem.bytes()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._tls)
        super().__init__(("127.0.0.1", 0), _Handler)
        self.endpoint = f"https://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a broken connection."""

    def identity(self, token: str) -> list[tuple[str, str]]:
        """Return the headers by which the API is told who asks."""
        arn = caller_of(token, self.cluster)
        name = arn.split("/")[1]
        groups = next((item for role, item in self.entries.items() if role.rpartition("/")[2] == name), None)
        if groups is None:
            raise RefusedTokenError(f"no access entry for {arn}")
        return [("Impersonate-User", arn), *(("Impersonate-Group", group) for group in groups)]


class _Handler(socketserver.BaseRequestHandler):
    server: Front

    def handle(self) -> None:
        self.request.do_handshake()
        head, rest = self._head()
        first, *lines = head.split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in lines]
        token = next((value for name, value in headers if name.lower() == "authorization"), "")
        try:
            who = self.server.identity(token.removeprefix("Bearer "))
        except (RefusedTokenError, KeyError, ValueError) as error:
            self._refuse(str(error))
            return
        upgrades = any(name.lower() == "upgrade" for name, _ in headers)
        dropped = {"authorization"} if upgrades else {"authorization", "connection"}
        kept = [
            item
            for item in headers
            if item[0].lower() not in dropped and not item[0].lower().startswith("imper")
        ]
        if not upgrades:
            kept.append(("Connection", "close"))
        text = "\r\n".join([first, *(f"{name}: {value}" for name, value in [*kept, *who])]) + "\r\n\r\n"
        with self.server.client.wrap_socket(
            socket.create_connection(self.server.server, 30), server_hostname=self.server.server[0]
        ) as api:
            api.settimeout(None)
            api.sendall(text.encode() + rest)
            _pump(self.request, api)

    def _head(self) -> tuple[str, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.request.recv(_CHUNK)
            if not more:
                raise ConnectionError
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        return head.decode(), rest

    def _refuse(self, why: str) -> None:
        body = json.dumps({"kind": "Status", "code": 401, "message": f"Unauthorized: {why}"}).encode()
        head = (
            f"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        )
        self.request.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)


def _pump(one: ssl.SSLSocket, other: ssl.SSLSocket) -> None:
    """Copy bytes both ways until a side ends."""
    while True:
        ready = [side for side in (one, other) if side.pending()] or select.select([one, other], [], [])[0]
        for side in ready:
            data = side.recv(_CHUNK)
            if not data:
                return
            (other if side is one else one).sendall(data)


@contextlib.contextmanager
def running(front: Front) -> Iterator[Front]:
    """Run a front while the block runs."""
    thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield front
    finally:
        front.shutdown()
        front.server_close()
        thread.join()
