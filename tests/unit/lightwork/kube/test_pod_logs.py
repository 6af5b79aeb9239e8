"""Logs of a run's pods, against a fake Kubernetes API; `tests/cluster` follows real ones."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import random
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from lightwork import InputError
from lightwork.cli import logs as commands
from lightwork.cli import search
from lightwork.cli.search import MOST
from lightwork.kube import pod_logs
from lightwork.kube.archive import SERVER
from lightwork.kube.pod_logs import PodLogs, Seen, entries_of
from lightwork.lake import open_lake
from lightwork.search.lines import Found, Line, Query
from lightwork.store import run_logs
from lightwork.store.run_logs import Kept
from tests.unit.lightwork.kube.objects import ARGO, CORE, pods, workflow

SERVED = f"{SERVER}/api/v1/workflows/tenant-acme/r1"
TIME = "2026-11-28T07:00:{:02}.{:09}Z"
WHERE = ["r1", "--env", "dev", "--tenant", "acme"]


def stamped(*texts: str, second: int = 0) -> str:
    return "".join(f"{TIME.format(second, number)} {text}\n" for number, text in enumerate(texts))


def test_logs_come_from_the_pods_that_have_started_in_the_order_of_time(api):
    api.answers["GET", f"{CORE}/pods"] = (200, pods("Running", "Pending", "Running"))
    api.answers["GET", f"{CORE}/pods/pod-0/log"] = (200, stamped("a", "c\r\x0cd") + stamped("e", second=2))
    api.answers["GET", f"{CORE}/pods/pod-2/log"] = (200, stamped("b", second=1))
    found = PodLogs("dev", "acme").entries("r1", "worker")
    assert [(pod, text) for _, pod, text in found] == [
        *(("pod-0", "a"), ("pod-0", "c\r\x0cd"), ("pod-2", "b"), ("pod-0", "e")),
    ]
    queries = [query for _, path, query, _ in api.requests if path.endswith("/pods")]
    assert "lightwork/run%3Dr1" in queries[0]
    assert "lightwork/role%3Dworker" in queries[0]


def test_a_restarted_container_has_said_something_before(api):
    restarted = pods("Running")
    restarted["items"][0]["status"]["containerStatuses"] = [{"restartCount": 1}]
    api.answers["GET", f"{CORE}/pods"] = (200, restarted)
    api.answers["GET", f"{CORE}/pods/pod-0/log"] = [(200, stamped("before")), (200, stamped("now", second=1))]
    assert [text for *_, text in PodLogs("dev", "acme").entries("r1")] == ["before", "now"]
    asked = [query for _, path, query, _ in api.requests if path.endswith("/log")]
    assert ["previous=true" in query for query in asked] == [True, False]


def test_logs_without_a_pod_are_refused_with_the_place_where_they_are(api):
    api.answers["GET", f"{CORE}/pods"] = (200, {"items": []})
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Running"))
    with pytest.raises(InputError, match="r1 has no driver pod in the cluster yet: Running"):
        PodLogs("dev", "acme").entries("r1", "driver")
    del api.answers["GET", f"{ARGO}/workflows/r1"]
    finished = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=7)).isoformat()
    artifacts = [{"name": "main-logs", "s3": {"key": "acme/argo/r1/r1-driver-1/main.log"}}]
    ended = workflow("Succeeded", finishedAt=finished)
    ended["status"]["nodes"]["0"]["outputs"] = {"artifacts": artifacts}
    ended["status"]["artifactRepositoryRef"] = {"artifactRepository": {"s3": {"bucket": "lake"}}}
    api.answers["GET", SERVED] = (200, ended)
    with pytest.raises(InputError) as caught:
        PodLogs("dev", "acme").entries("r1")
    assert str(caught.value) == (
        "r1 has no started pod in the cluster: it ended 7 minutes ago: Succeeded; its log is kept in"
        " s3://lake/acme/argo/r1/r1-driver-1/main.log"
    )
    with pytest.raises(InputError, match="its log is kept in the lake, in runs/r1/logs/"):
        PodLogs("dev", "acme").entries("r1", "worker")


@pytest.mark.parametrize(
    ("role", "count"), [(None, 4), ("driver", 1), ("step", 1), ("worker", 1), ("scheduler", 1)]
)
def test_logs_that_are_gone_are_read_from_the_lake(api, tmp_path, role, count):
    lake = open_lake(tmp_path, tenant="acme")
    for pod in ("r1-driver-1", "r1-step-later-2"):
        lake.write(f"argo/r1/{pod}/main.log", f"a line of {pod}\n".encode())
    lake.write("argo/r2/r2-driver-1/main.log", b"another run's\n")
    names = ("r1-workers-6f7-abcde", "r1-scheduler-6f7-abcde")
    run_logs.keep(lake, "r1", "r1-driver-1", 0, [Kept(TIME, name, f"a line of {name}") for name in names])
    api.answers["GET", f"{CORE}/pods"] = (200, {"items": []})
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Succeeded"))
    words = [*WHERE, "--lake", str(tmp_path), *(["--role", role] if role else [])]
    result = CliRunner().invoke(commands.logs_command, words)
    assert result.stdout.count("a line of") == len(result.stdout.splitlines()) == count, result.stderr
    (said,) = result.stderr.splitlines()
    assert said.startswith("lightwork: OpenSearch is not searched: "), "which has what the lake has not"
    assert said.endswith("; these lines are those that the lake keeps")


def test_pods_that_are_gone_are_shown_beside_those_that_are_there(api, tmp_path):
    lake = open_lake(tmp_path, tenant="acme")
    killed = [Kept(TIME.format(0, 5), "r1-workers-6f7-abcde", "of the killed one")]
    run_logs.keep(lake, "r1", "r1-driver-1", 0, [*killed, Kept(TIME.format(0, 0), "pod-0", "a")])
    api.answers["GET", f"{CORE}/pods"] = (200, pods("Running"))
    api.answers["GET", f"{CORE}/pods/pod-0/log"] = (200, stamped("a") + stamped("b", second=1))
    result = CliRunner().invoke(commands.logs_command, [*WHERE, "--lake", str(tmp_path), "--json"])
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == [
        "a",
        "of the killed one",
        "b",
    ]


def test_a_run_without_pods_is_looked_for_in_opensearch_before_the_lake(api, tmp_path, monkeypatch):
    asked = []

    @contextlib.contextmanager
    def opened(*where):
        asked.append(where)
        yield SimpleNamespace(newest=newest)

    def newest(query, limit):
        asked.append((query, limit))
        return Found([Line(TIME.format(0, 1), "r1-workers-6f7d8-abcde", "worker", "found")], 1)

    monkeypatch.setattr(search, "opened", opened)
    api.answers["GET", f"{CORE}/pods"] = (200, {"items": []})
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Succeeded"))
    result = CliRunner().invoke(commands.logs_command, [*WHERE, "--task", "t", "--role", "worker"])
    assert (result.exit_code, result.stdout) == (0, ""), "it is of no task"
    result = CliRunner().invoke(commands.logs_command, [*WHERE, "--lake", str(tmp_path)])
    assert result.stdout == "r1-workers-6f7d8-abcde  found\n"
    where = ("dev", "acme", None)
    assert asked == [
        where,
        (Query(run="r1", own=True, task="t"), MOST),
        where,
        (Query(run="r1", own=True), MOST),
    ]
    CliRunner().invoke(commands.logs_command, [*WHERE, "--tail", "7"])
    CliRunner().invoke(commands.logs_command, [*WHERE, "--tail", "7", "--errors"])
    assert asked[5::2] == [(Query(run="r1", own=True), 7), (Query(run="r1", own=True, errors=True), MOST)]


def test_what_two_attempts_of_a_driver_have_kept_comes_once(tmp_path):
    lake = open_lake(tmp_path, tenant="acme")
    lines = [Kept(TIME.format(0, 1), "w", "same"), Kept(TIME.format(0, 1), "w", "same")]
    later = Kept(TIME.format(1, 0), "w", "later")
    run_logs.keep(lake, "r1", "r1-driver-1", 0, lines)
    run_logs.keep(lake, "r1", "r1-driver-2", 0, lines[:1])
    run_logs.keep(lake, "r1", "r1-driver-2", 1, [lines[0], later])
    assert run_logs.kept(lake, "r1") == [*lines, later]


def test_a_run_is_followed_over_a_restart_and_an_api_that_is_away(api, monkeypatch):
    monkeypatch.setattr(pod_logs, "EVERY", 0.01)
    running, restarted, over = pods("Running"), pods("Running"), pods("Succeeded")
    for found in (restarted, over):
        found["items"][0]["status"]["containerStatuses"] = [{"restartCount": 1}]
    for found in (running, restarted, over):
        found["items"][0]["metadata"]["uid"] = "u"
    api.answers["GET", f"{CORE}/pods"] = [(200, running), (503, "away"), (200, running)]
    one, two = stamped("1", "2"), stamped("3", second=3)
    api.answers["GET", f"{CORE}/pods/pod-0"] = [
        *((200, running["items"][0]), (503, {}), (200, running["items"][0])),
        *((200, restarted["items"][0]), (200, over["items"][0])),
    ]
    api.answers["GET", f"{CORE}/pods/pod-0/log"] = [
        (200, one),
        (200, one + stamped("2b", second=1)),
        (200, one + stamped("2b", "2c", second=1)),  # what it said before the restart
        (200, two),
        (200, two + stamped("4", second=4)),
    ]
    api.answers["GET", f"{ARGO}/workflows/r1"] = [
        *[(200, workflow("Running"))] * 6,
        (200, workflow("Succeeded")),
    ]
    result = CliRunner().invoke(commands.logs_command, [*WHERE, "--follow"])
    assert result.exit_code == 0, result.stderr
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["1", "2", "2b", "2c", "3", "4"]
    asked = [query for _, path, query, _ in api.requests if path.endswith("/log")]
    assert "follow=true" in asked[0]
    assert "sinceTime=2026-11-28T06%3A59%3A55Z" in asked[1], "five seconds before the last line"


def test_no_line_is_doubled_or_lost_however_the_responses_overlap():
    """Random logs, with equal lines and times that are out of order, read in random pieces."""
    random_ = random.Random(7)
    for _ in range(200):
        clock, lines = 0.0, []
        for _ in range(random_.randrange(1, 60)):
            clock += random_.choice([0, 0, 0.001, 0.5, 3])
            at = max(0.0, clock - random_.choice([0, 0, 1.5]))
            moment = dt.datetime(2026, 11, 28, tzinfo=dt.UTC) + dt.timedelta(seconds=at)
            lines.append(f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z {random_.choice('ab')}")
        seen, found, end = Seen(), [], 0
        while end < len(lines):
            end = min(len(lines), end + random_.randrange(0, 20))
            since = seen.since().get("sinceTime", "")
            found += entries_of("p", "\n".join(x for x in lines[:end] if x[:19] >= since[:19]) + "\n", seen)
        assert [f"{entry.time} {entry.text}" for entry in found] == lines
