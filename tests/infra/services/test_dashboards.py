"""Every query of the dashboards, asked of a real Prometheus that has really scraped.

The metrics are those of a real Dask scheduler and its workers, and of our exporter. Those of
kube-state-metrics, which no package has, are samples in its format (KUBE_STATE).
"""

from __future__ import annotations

import http.server
import json
import os
import threading
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from infra.services import dashboards
from lightwork.pods.watch import __main__ as program
from tests.infra.services import alarming
from tests.infra.services.alarming import Exporter
from tests.unit.lightwork.pods.watch.test_metrics import FIGURES, config_map

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.kill,
    pytest.mark.skipif(bool(alarming.MISSING), reason=f"not installed: {', '.join(alarming.MISSING)}"),
]
LIMIT = 400_000_000
KUBE_STATE = "".join(
    f"{line}\n"
    for line in (
        'kube_pod_status_phase{namespace="tenant-acme",pod="r-workers-0",phase="Pending"} 1',
        *(
            f'kube_resourcequota{{namespace="tenant-acme",resource="requests.{name}",type="{kind}"}} {value}'
            for name in ("cpu", "memory")
            for kind, value in (("used", 1), ("hard", 4))
        ),
        *(
            f'kube_pod_container_resource_limits{{namespace="tenant-acme",pod="r-workers-{number}",'
            f'container="worker",resource="memory"}} {LIMIT}'
            for number in range(2)
        ),
    )
)


class KubeState(http.server.ThreadingHTTPServer):
    """Serves the samples of kube-state-metrics."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Samples)


class _Samples(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(KUBE_STATE)))
        self.end_headers()
        self.wfile.write(KUBE_STATE.encode())

    def log_message(self, *_: object) -> None:
        pass


def block(number: int) -> bytes:
    return os.urandom(20_000_000) + bytes([number])


def leave() -> None:
    os._exit(1)


class World:
    """A Dask cluster, the exporter, and the Prometheus that scrapes them."""

    def __init__(self, client: Any, exporter: Exporter, prometheus: alarming.Process) -> None:
        self.client, self.exporter, self._prometheus = client, exporter, prometheus

    def ask(self, query: str) -> list[dict[str, Any]]:
        text = query.replace("$tenant", "acme").replace("$run", ".+")
        url = f"{self._prometheus.url}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            result: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
        return result

    def value(self, query: str) -> float:
        return sum(float(item["value"][1]) for item in self.ask(query))


def jobs(client: Any, exporter: Exporter, kube_state: KubeState) -> list[dict[str, Any]]:
    scheduler = client.scheduler_info()
    workers = sorted(scheduler["workers"].values(), key=lambda item: str(item["id"]))
    ports = [scheduler["services"]["dashboard"], *(item["services"]["dashboard"] for item in workers)]
    names = ["r-scheduler", *(f"r-workers-{number}" for number in range(len(workers)))]
    labels = {"tenant": "acme", "pipeline": "sun", "run": "sun-1"}
    dask = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {**labels, "pod": name}}
        for port, name in zip(ports, names, strict=True)
    ]
    return [
        {"job_name": "dask", "static_configs": dask},
        {
            "job_name": "watch",
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}],
        },
        {
            "job_name": "kube-state-metrics",
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{kube_state.server_address[1]}"]}],
        },
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    import dask
    from distributed import Client, LocalCluster

    patch = pytest.MonkeyPatch()
    patch.setattr(program, "REFRESH", 0.0)
    exporter, kube_state = Exporter(), KubeState()
    exporter.api.maps = {"acme": config_map(sun={**FIGURES, "ended": {}, "last": None})}
    exporter.start()
    threading.Thread(target=kube_state.serve_forever, args=(0.05,), daemon=True).start()
    spilling = {
        "distributed.worker.memory.target": 0.1,
        "distributed.worker.memory.spill": 0.2,
        "distributed.scheduler.allowed-failures": 0,
    }
    with (
        dask.config.set(spilling),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=LIMIT,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": jobs(client, exporter, kube_state),
        }
        with alarming.prometheus(tmp_path_factory.mktemp("world") / "prometheus", config, []) as prometheus:
            own = World(client, exporter, prometheus)
            alarming.wait_for("all targets are up", lambda: own.value("up") == 5)
            yield own
    exporter.stop()
    kube_state.shutdown()
    kube_state.server_close()
    patch.undo()


def panel(title: str) -> str:
    return next(
        target["expr"]
        for board in (dashboards.runs(), dashboards.dask_run())
        for one in board["panels"]
        for target in one["targets"]
        if one["title"] == title
    )


def test_the_panels_show_what_happens(world: World) -> None:
    """One story, as Dask's processes take seconds to start."""
    assert world.value(panel("Runs that failed, a day")) == 0
    world.exporter.ends("sun-2", "failed", "no data")
    world.exporter.api.maps["acme"] = config_map(
        sun={**FIGURES, "ended": {"failed": 1}, "last": {**FIGURES["last"], "run": "sun-2"}}
    )
    alarming.wait_for("the first failure of all", lambda: world.value(panel("Runs that failed, a day")) > 0.5)
    ((failing,),) = [world.ask(panel("Pipelines that fail"))]
    assert failing["metric"]["run"] == "sun-2"

    blocks = world.client.map(block, range(20), pure=False)
    alarming.wait_for("blocks are spilled", lambda: world.value(panel("On disk at the moment")) > 1e8, 60)
    shares = world.ask(panel("Memory of a worker, of what it may have"))
    on_disk = world.value('sum(dask_worker_memory_bytes{type="spilled"})')
    memory = world.value('sum(dask_worker_memory_bytes{type!="spilled"})')
    assert {item["metric"]["pod"] for item in shares} == {"r-workers-0", "r-workers-1"}
    total = sum(float(item["value"][1]) for item in shares) * LIMIT
    assert total == pytest.approx(memory, rel=0.25)
    assert total < memory + on_disk / 2, "what is on disk is not in memory"

    spilled = panel("Spilled to disk, so far")
    before = world.value(spilled)
    assert before > 1e8, "also what was spilled in one go"
    for one in blocks:
        one.result()  # reads it back
    reads = 'sum(dask_worker_spill_bytes_total{activity="disk-read"})'
    alarming.wait_for("reads are counted", lambda: world.value(reads) > 1e8)
    writes = 'sum(dask_worker_spill_bytes_total{activity="disk-write"})'
    assert world.value(spilled) == world.value(writes), "reading is not spilling"

    nap = world.client.submit(time.sleep, 20, pure=False)
    alarming.wait_for("a task at work", lambda: world.value(panel("Tasks at work on the workers")) >= 1)
    empty = [
        (title, query)
        for board in (dashboards.runs(), dashboards.dask_run())
        for title, query in ((one["title"], t["expr"]) for one in board["panels"] for t in one["targets"])
        if not world.ask(query)
    ]
    assert empty == [], "a panel that never shows anything"
    for board in (dashboards.runs(), dashboards.dask_run()):
        for variable in board["templating"]["list"]:
            series = variable["query"]["query"].removeprefix("label_values(").rpartition(",")[0]
            assert world.ask(series), variable["name"]

    lost = panel("Tasks whose worker was lost, so far")
    del blocks, one
    nap.result()
    retired = next(iter(world.client.scheduler_info()["workers"]))
    world.client.retire_workers([retired])
    alarming.wait_for(
        "the worker has left", lambda: world.value("max(dask_scheduler_workers_removed_total)") >= 1
    )
    time.sleep(2)
    assert world.value(lost) == 0, "a worker that was retired is not lost"
    with pytest.raises(Exception, match="leave"):
        world.client.submit(leave, pure=False, key="leave-1").result(timeout=120)
    suspicious = "sum(dask_scheduler_tasks_suspicious_total)"
    alarming.wait_for("a worker is lost", lambda: world.value(suspicious) >= 1)
