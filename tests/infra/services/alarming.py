"""A real Prometheus and a real Alertmanager, from Debian's packages, and what they talk to."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import yaml

from lightwork.pods.watch.__main__ import Server, Watch
from lightwork.pods.watch.switch import Switch
from tests.unit.lightwork.pods.watch.test_metrics import FIGURES, Api, config_map
from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROMETHEUS, ALERTMANAGER = shutil.which("prometheus"), shutil.which("prometheus-alertmanager")
MISSING = [
    name
    for name, found in (("prometheus", PROMETHEUS), ("prometheus-alertmanager", ALERTMANAGER))
    if found is None
]
_ANSWER = (
    b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1'
    b"</MessageId></PublishResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
    b"</PublishResponse>"
)


def free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


def wait_for(what: str, is_true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + patience(seconds)
    while not is_true():
        assert time.monotonic() < end, f"it never came: {what}"
        time.sleep(0.1)


class Process:
    """One of the two programs, which can be stopped and started again with what it has kept."""

    def __init__(self, words: list[str], port: int, log: Path) -> None:
        self._words, self._log = words, log
        self.url = f"http://127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._words, stdout=log, stderr=log, env=environment)
        wait_for(f"{self._words[0]} is ready: {self._log}", self._is_ready)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(patience(30))
            self._process = None


@contextlib.contextmanager
def prometheus(folder: Path, config: dict[str, Any], rules: list[dict[str, Any]]) -> Iterator[Process]:
    """Run Prometheus with rules, each evaluated every half second."""
    folder.mkdir()
    groups = [{"name": "alerts", "interval": "500ms", "rules": rules}] if rules else []
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    (folder / "prometheus.yaml").write_text(yaml.safe_dump({**config, "rule_files": ["rules.yaml"]}))
    port = free_port()
    words = [
        str(PROMETHEUS),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=1s",
    ]
    process = Process(words, port, folder / "log")
    process.start()
    try:
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def alertmanager(folder: Path, config: dict[str, Any]) -> Iterator[Process]:
    folder.mkdir()
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    words = [
        str(ALERTMANAGER),
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    process = Process(words, port, folder / "log")
    process.start()
    try:
        yield process
    finally:
        process.stop()


class Topic(ThreadingHTTPServer):
    """A topic of SNS, as far as Alertmanager publishes to it: its messages, in the order of their arrival."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Publish)
        self.messages: list[dict[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @contextlib.contextmanager
    def listening(self) -> Iterator[Topic]:
        thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()


class _Publish(BaseHTTPRequestHandler):
    server: Topic

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.messages.append(dict(urllib.parse.parse_qsl(body)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(_ANSWER)))
        self.end_headers()
        self.wfile.write(_ANSWER)

    def log_message(self, *_: object) -> None:
        pass


class Exporter:
    """The exporter of the metrics on a fixed port, which can be stopped and started again."""

    def __init__(self) -> None:
        self.api, self.port = Api(), free_port()
        self.switch = Switch("lightwork/dev", "lightwork-dev", "eu-central-1")
        self._server: Server | None = None

    def start(self) -> None:
        self._server = Server(("127.0.0.1", self.port), Watch(self.api), self.switch)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def ends(self, run: str, status: str, error: str = "") -> None:
        last = {"run": run, "status": status, "finished": time.time(), "error": error}
        self.api.maps["acme"] = config_map(sun={**FIGURES, "last": last})
