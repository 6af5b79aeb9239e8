"""A fake Kubernetes API: an HTTP server on this machine."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lightwork.cli import waiting
from lightwork.kube import archive
from tests.unit.lightwork.kube.objects import ARGO


class Api(BaseHTTPRequestHandler):
    """Responds as `answers` says and records each request.

    An answer is a status and a body, of which a list gives one after the other; or a list of such answers.
    With None for a status, the connection is closed without a response.
    """

    def do_GET(self):
        self.respond()

    do_POST = do_PATCH = do_GET

    def respond(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        path, _, query = self.path.partition("?")
        self.server.requests.append((self.command, path, query, body))
        self.server.headers.append(self.headers)
        answer = self.server.answers.get((self.command, path), (404, {"message": "not found"}))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        status, reply = answer
        if status is None:
            self.close_connection = True
            return
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        data = reply.encode() if isinstance(reply, str) else json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(reply, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """The fake API, which responds 404 to everything that is not in `answers`."""
    fake = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    fake.requests, fake.headers, fake.answers = [], [], {}
    fake.url = f"http://127.0.0.1:{fake.server_port}"
    thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield fake
    fake.shutdown()
    thread.join()
    fake.server_close()


@pytest.fixture
def api(server, tmp_path, monkeypatch):
    """The fake API, with the tenant acme and its pipeline windy-city, in the context lightwork-dev."""
    monkeypatch.setattr(waiting, "EVERY", 0)
    monkeypatch.setattr(archive, "PAUSES", (0, 0))
    names = {"cluster": "c", "user": "u"}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "elsewhere",
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"token": "t0k"}}],
        "contexts": [{"name": name, "context": names} for name in ("elsewhere", "lightwork-dev")],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    template = {
        "metadata": {"name": "windy-city"},
        "spec": {
            "arguments": {"parameters": [{"name": "max_timestamps", "value": "none"}, {"name": "unit"}]}
        },
    }
    server.answers["GET", f"{ARGO}/workflowtemplates"] = (200, {"items": [template]})
    server.answers["POST", f"{ARGO}/workflows"] = (201, {"metadata": {"name": "windy-city-x7k2p"}})
    return server


# What follows is imported where it is used: most tests of this folder need none of it.


@pytest.fixture(scope="module")
def amazon():
    """The account of dev, with a role of acme's people, which jane may assume and bob may not."""
    from tests.unit.lightwork.kube import machine

    with machine.account() as running:
        yield running


@pytest.fixture
def home(amazon, server, tmp_path, monkeypatch, capsys):
    """The machine of jane, and the API of the cluster: the fake one."""
    from lightwork.lake import s3_connection
    from tests.unit.lightwork.kube import machine

    machine.at(amazon, server.url)
    server.answers["GET", f"{ARGO}/workflowtemplates"] = (
        200,
        {"items": [{"metadata": {"name": "windy-city"}}]},
    )
    yield machine.of("jane", amazon, tmp_path, monkeypatch, capsys)
    s3_connection.act_as(None)


@pytest.fixture
def quick(monkeypatch):
    """Credentials of the kubeconfig without a new process."""
    from lightwork.cli import login
    from lightwork.kube import kubeconfig

    status = {"apiVersion": kubeconfig.EXEC_API, "kind": "ExecCredential", "status": {"token": "t0k"}}
    program = ["/bin/sh", "-c", f"echo '{json.dumps(status)}'"]
    monkeypatch.setattr(login, "_this_program", lambda: program)
