"""Serve the metrics of all tenants' pipelines, and tell CloudWatch that alerts work."""

from __future__ import annotations

import argparse
import http.server
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from lightwork.errors import one_line
from lightwork.kube.api import InCluster, RefusedError
from lightwork.pods.watch import gathering, metrics
from lightwork.pods.watch.switch import EVERY, Switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.kube.api import KubeApi
    from lightwork.pods.watch.gathering import Tenant

REFRESH = 30.0
"""Seconds for which figures that were read are served again."""
PATH, ALARM_PATH, HEALTH_PATH = "/metrics", "/alive", "/healthy"
"""Where metrics are read, where Alertmanager sends the alert that always fires, and whether this runs."""
_LONGEST = 1 << 20


class Watch:
    """The figures of all tenants, read anew from time to time.

    Args:
        api: the Kubernetes API.
        clock: returns the time (Unix seconds).
    """

    def __init__(self, api: KubeApi, clock: Callable[[], float] = time.time) -> None:
        self._api = api
        self._clock = clock
        self._lock = threading.Lock()
        self._tenants: dict[str, Tenant] = {}
        self._unread = 0
        self._read: float | None = None

    def text(self) -> str:
        """Return the metrics; of a tenant whose figures cannot be read, those that were read last.

        Raises:
            RefusedError: the API refuses to list the tenants.
            OSError: the API cannot be reached.
        """
        with self._lock:
            now = self._clock()
            if self._read is None or not 0 <= now - self._read < REFRESH:
                self._refresh()
                self._read = now
            return metrics.text(self._tenants.values(), now, self._unread)

    def _refresh(self) -> None:
        found = dict.fromkeys(gathering.tenants(self._api))
        tenants, unread = {}, 0
        for name in found:
            try:
                tenants[name] = gathering.of_tenant(self._api, name)
            except (RefusedError, OSError) as error:
                say(f"{name}: its figures could not be read: {one_line(error)}")
                tenants[name] = self._tenants.get(name, gathering.Tenant(name))
                unread += 1
        self._tenants, self._unread = tenants, unread


class Server(http.server.ThreadingHTTPServer):
    """Serves metrics to Prometheus, and takes the alert that always fires from Alertmanager."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], watch: Watch, switch: Switch | None) -> None:
        super().__init__(address, _Handler)
        self.watch, self.switch = watch, switch


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    timeout = 10

    def do_GET(self) -> None:
        if self.path == HEALTH_PATH:
            self._answer(200, "")
        elif self.path == PATH:
            try:
                self._answer(200, self.server.watch.text())
            except (RefusedError, OSError) as error:
                say(f"the tenants could not be read: {one_line(error)}")
                self._answer(503, "the Kubernetes API does not answer as it should\n")
        else:
            self._answer(404, "")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or ""
        if self.path != ALARM_PATH or not length.isdigit() or int(length) > _LONGEST:
            self._answer(404, "")
            return
        self.rfile.read(int(length))
        if self.server.switch is not None:
            self.server.switch.hear(time.monotonic())
        self._answer(200, "")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing: each scrape would leave a line."""


def beat(switch: Switch, stop: threading.Event) -> None:
    """Write a value every minute until told to stop."""
    while not stop.wait(EVERY):
        try:
            if not switch.beat(time.monotonic()):
                say("Alertmanager has sent nothing for minutes: CloudWatch is told nothing either")
        except (OSError, ValueError) as error:
            say(f"CloudWatch could not be told that alerts work: {one_line(error)}")


def say(text: str) -> None:
    """Print a line to the pod's log."""
    print(f"watch: {text}", file=sys.stderr, flush=True)


def main(words: list[str] | None = None) -> None:
    """Serve until Kubernetes ends the process."""
    parser = argparse.ArgumentParser(prog="python -m lightwork.pods.watch", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--metric-namespace", help="where CloudWatch is told; without it, nowhere")
    parser.add_argument("--cluster", default="")
    parser.add_argument("--region", default="")
    options = parser.parse_args(words)
    switch = None
    if options.metric_namespace:
        if not options.cluster or not options.region:
            parser.error("--metric-namespace needs --cluster and --region")
        switch = Switch(options.metric_namespace, options.cluster, options.region)
    server = Server(("0.0.0.0", options.port), Watch(InCluster()), switch)  # noqa: S104 - a pod's own address
    stop = threading.Event()
    # The first process of a container is ended only by signals that it handles.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    if switch is not None:
        threading.Thread(target=beat, args=(switch, stop), daemon=True).start()
    server.serve_forever()
    stop.set()


if __name__ == "__main__":
    main()
