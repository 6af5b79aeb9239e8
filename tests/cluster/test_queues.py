"""Runs that wait for their turn: none waits while there is room, and all end, also those that are stopped."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes.config import kube_config

from lightwork.kube import status
from lightwork.kube.runs import ENDED, Remote
from tests.cluster import tenants
from tests.cluster.kube import get, items, kubectl
from tests.cluster.progress import say, wait_for
from tests.cluster.settings import kubeconfig

IDLE = 30
"""Seconds for which a place may stay empty while a run waits for it: Argo's pace if many come at once."""
STOPPED = 30
"""Seconds within which a waiting run that is stopped ends, with thirty others that have just come."""
PIPELINES = [f"queue-{name}" for name in "abcde"]


@pytest.fixture
def remote(globex, monkeypatch) -> Iterator[Remote]:
    for name, value in tenants.environment().items():
        monkeypatch.setenv(name, value)
    # The library reads the variable as it is imported, which another test may have done.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig()))
    yield Remote(tenants.ENVIRONMENT, globex)
    # What a failed test leaves would hold up the next one. Argo takes deleted runs out of it in a minute.
    if any(status.phase(item) not in ENDED for item in items("-n", tenants.namespace(globex), "workflows")):
        kubectl("-n", tenants.namespace(globex), "delete", "workflows", "--all", "--wait=false")
        time.sleep(70)


def submit(tenant: str, pipelines: list[str], **parameters: str) -> list[str]:
    """Create a run of each pipeline by one command, most within the same second; return their names."""
    arguments = {"parameters": [{"name": key, "value": value} for key, value in parameters.items()]}
    workflows = [
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": f"{name}-", "namespace": tenants.namespace(tenant)},
            "spec": {"workflowTemplateRef": {"name": name}, "arguments": arguments},
        }
        for name in pipelines
    ]
    texts = [json.dumps(item) for item in workflows]
    return (
        kubectl("create", "-f", "-", "-o", "name", stdin="\n---\n".join(texts))
        .replace("workflow.argoproj.io/", "")
        .split()
    )


def pods(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a run's pods, without that of the exit handler."""
    nodes = workflow.get("status", {}).get("nodes", {}).values()
    return [node for node in nodes if node["type"] == "Pod" and "onExit" not in node["name"]]


@dataclass
class Queue:
    """What is seen of some runs until all have ended.

    Attributes:
        tenant: the tenant.
        names: the runs' names.
        seen: the last state of each Workflow.
        ended: when each run was first seen to have ended.
        empty: since when each pipeline has had an empty place with a run waiting for it.
        longest: the longest such time, in seconds.
        at_work: the runs whose pods were active at the last look.
    """

    tenant: str
    names: list[str]
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    empty: dict[str, float] = field(default_factory=dict)
    longest: float = 0.0
    at_work: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.places = {
            key: int(text)
            for key, text in get("-n", tenants.namespace(self.tenant), "configmap", "semaphores")[
                "data"
            ].items()
        }

    def look(self) -> bool:
        """Look at the runs; return whether all have ended."""
        now = time.monotonic()
        for item in items("-n", tenants.namespace(self.tenant), "workflows"):
            self.seen[item["metadata"]["name"]] = item
        active: dict[str, int] = defaultdict(int)
        waiting: set[str] = set()
        before, self.at_work = self.at_work, set()
        for name in self.names:
            state = status.phase(self.seen.get(name, {}))
            pipeline = name.rpartition("-")[0]
            if state in ENDED:
                self.ended.setdefault(name, now)
            elif any(pod["phase"] in ("Pending", "Running") for pod in pods(self.seen[name])):
                active[pipeline] += 1
                self.at_work.add(name)
            elif not self.seen[name]["spec"].get("shutdown"):
                waiting.add(pipeline)
        room = sum(active.values()) < self.places["tenant"]
        for pipeline in self.places:
            if room and pipeline in waiting and active[pipeline] < self.places[pipeline]:
                self.longest = max(self.longest, now - self.empty.setdefault(pipeline, now))
            else:
                self.empty.pop(pipeline, None)
        # Argo hands a place on before it writes that its holder has ended (`operate`, then `persistUpdates`).
        assert len(self.at_work & before) <= self.places["tenant"], active
        assert self.longest < IDLE, f"a run waits while there is room for it: {self.empty}, active: {active}"
        return len(self.ended) == len(self.names)

    def waits(self, name: str) -> bool:
        return status.phase(self.seen.get(name, {})) in ("", "Pending")

    def started(self, name: str) -> dt.datetime | None:
        starts = [dt.datetime.fromisoformat(pod["startedAt"]) for pod in pods(self.seen[name])]
        return min(starts, default=None)

    def most_at_once(self) -> int:
        """Return how many runs had pods at once, by Argo's times, which are whole seconds."""
        spans = []
        for name in self.names:
            own = [pod for pod in pods(self.seen[name]) if pod.get("finishedAt")]
            if own:
                begun = min(dt.datetime.fromisoformat(pod["startedAt"]) for pod in own)
                over = max(dt.datetime.fromisoformat(pod["finishedAt"]) for pod in own)
                spans.append((begun, over - dt.timedelta(seconds=1)))
        return max((sum(a <= moment < b for a, b in spans) for moment, _ in spans), default=0)


def go(tenant: str, remote: Remote, runs: int, pipelines: list[str], seed: int) -> None:
    """Submit runs at once, stop some while they wait, and check how all end."""
    draw = random.Random(seed)
    queue = Queue(tenant, submit(tenant, list(itertools.islice(itertools.cycle(pipelines), runs))))
    start = time.monotonic()
    wait_for(
        "a run to start", lambda: queue.look() or any(map(queue.started, queue.seen)), seconds=60, every=1
    )
    stops: dict[str, float] = {}
    for name in draw.sample(queue.names, runs // 4):
        if queue.waits(name):
            remote.stop(name, at_once=draw.random() < 0.5)
            stops[name] = time.monotonic()
            queue.look()
    wait_for("the end of all runs", queue.look, seconds=60 + 15 * runs, every=1)
    say(
        f"figure: queues: {runs} runs, {len(stops)} of them stopped, in {time.monotonic() - start:.0f} s;"
        f" a place was empty for {queue.longest:.0f} s at most"
    )
    for name in queue.names:
        workflow = queue.seen[name]
        if name in stops and not pods(workflow):
            assert status.phase(workflow) == "Failed", workflow["status"]
            assert "Terminate" in status.message(workflow)
            assert queue.ended[name] - stops[name] < STOPPED, name
        elif name not in stops:
            assert status.phase(workflow) == "Succeeded", tenants.describe(tenant, name)
    assert queue.most_at_once() <= queue.places["tenant"]
    for pipeline in pipelines:
        of_pipeline = [queue.seen[name] for name in queue.names if name.startswith(f"{pipeline}-")]
        pairs = [
            (item["metadata"]["creationTimestamp"], begun)
            for item in of_pipeline
            if (begun := queue.started(item["metadata"]["name"]))
        ]
        for (made, begun), (later, last) in itertools.permutations(pairs, 2):
            # Argo's times are whole seconds.
            assert made >= later or begun <= last + dt.timedelta(seconds=1), (
                f"{pipeline}: out of order: {pairs}"
            )


@pytest.mark.core
def test_runs_of_several_pipelines_take_turns_and_all_end(globex, remote):
    go(globex, remote, 12, PIPELINES[:3], 0)


@pytest.mark.parametrize("seed", range(1, 11))
def test_thirty_runs_of_five_pipelines_take_turns_and_all_end(globex, remote, seed):
    go(globex, remote, 30, PIPELINES, seed)


def test_a_run_whose_time_is_over_before_its_turn_comes_does_not_start(globex, remote):
    long = submit(globex, ["queue-c", "queue-c", "queue-d"], seconds="45")
    queue = Queue(globex, long)
    wait_for("full places", lambda: queue.look() or sum(map(bool, map(queue.started, long))) >= 2, seconds=60)
    # The first waits for the tenant's place, the second for its pipeline's.
    short = Queue(globex, submit(globex, ["queue-short", "queue-short"]))
    short.places["tenant"] = 0
    wait_for("the end of the waiting runs", short.look, seconds=180, every=1)
    for name in short.names:
        workflow = short.seen[name]
        assert (status.phase(workflow), pods(workflow)) == ("Failed", [])
        assert "ends_within" in status.message(workflow)
    wait_for("the end of the long runs", queue.look, seconds=180, every=1)


@pytest.mark.parametrize(("entry", "phase"), [("queue-skip", "Skipped"), ("queue-wait", "Succeeded")])
def test_a_scheduled_run_of_a_busy_pipeline_is_recorded_as_skipped_or_waits(globex, remote, entry, phase):
    where = ["-n", tenants.namespace(globex)]
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=70)
    ahead = (moment.replace(second=0, microsecond=0) - dt.datetime.now(dt.UTC)).total_seconds()
    held = submit(globex, [entry], seconds=str(int(ahead + 75)))
    change = {"spec": {"schedules": [f"{moment.minute} {moment.hour} * * *"], "suspend": False}}
    patch = [*where, "patch", "cronworkflow", entry, "--type=merge", "-p"]
    try:
        kubectl(*patch, json.dumps(change))
        wait_for("the firing", lambda: len(tenants.names(globex, entry)) == 2, seconds=ahead + 30, every=1)
        (fired,) = set(tenants.names(globex, entry)) - set(held)
        assert remote.status(fired).phase in ("", "Pending")
        last = None
        for last in remote.follow(fired, every=1):
            say(f"{fired}: {last.phase} {last.message}")
        assert last is not None
        assert last.phase == phase
        assert ("skipped" in last.message) == (phase == "Skipped")
    finally:
        kubectl(*patch, json.dumps({"spec": {"suspend": True}}))
