"""`lightwork logs` of real pods: followed over workers that go and come, and kept in the lake."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lightwork.lake import open_lake
from lightwork.store import run_logs
from tests.cluster import probes, stores, tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import run
from tests.cluster.settings import ROOT
from tests.waiting import patience

ELEMENTS = 2500
PLACE = {"tenant", "pipeline", "run", "role", "level", "timestamp", "logger", "host"}


def words(name: str, tenant: str, *options: str) -> list[str]:
    return [*tenants.LIGHTWORK, "logs", name, *options, *tenants.WHERE, tenant]


def events(text: str) -> list[dict[str, Any]]:
    """Return the lines that `logs --json` has printed, each with its own fields if it is an event."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        line["event"] = json.loads(line["text"]) if line["text"].startswith('{"timestamp"') else {}
    return lines


def numbers(lines: list[dict[str, Any]]) -> Counter[int]:
    """Count the lines of each element."""
    return Counter(line["event"]["number"] for line in lines if line["event"].get("event") == "squaring")


@pytest.fixture
def lake_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that opens a tenant's lake as an administrator."""
    keys = stores.credentials("root")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["access"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", stores.s3_url())
    monkeypatch.setenv("AWS_REGION", stores.REGION)
    return lambda tenant: open_lake(f"s3://{tenants.bucket(tenant)}", tenant=tenant)


def test_a_followed_run_loses_and_doubles_no_line_and_the_lake_keeps_them(
    acme: str, tmp_path: Path, lake_of: Any
) -> None:
    label = probes.new_label()
    name = probes.submit(acme, label, elements=ELEMENTS)
    output = tmp_path / "followed"
    with output.open("w") as file:
        follower = subprocess.Popen(
            words(name, acme, "--follow", "--json"),
            cwd=ROOT,
            env={**os.environ, **tenants.environment()},
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            probes.wait_until_at_work(acme, name, label, elements=200)
            first, second, *_ = probes.running(acme, name, "worker")
            where = ["-n", tenants.namespace(acme)]
            # The container of one is started again in its pod; another pod takes the place of the second.
            kubectl(*where, "exec", first, "--", "python", "-c", "import os; os.kill(1, 15)")
            kubectl(*where, "delete", "pod", second, "--wait=false")
            tenants.wait_for_end(acme, name, seconds=300)
            _, err = follower.communicate(timeout=patience(150))
        finally:
            follower.kill()
    assert follower.returncode == 0, err
    followed = events(output.read_text())
    per_element = numbers(followed)
    assert set(per_element) == set(range(ELEMENTS)), "no line is lost"
    lines = Counter((line["time"], line["pod"], line["text"]) for line in followed)
    assert [line for line, count in lines.items() if count > 1] == [], "no line is doubled"
    assert {line["role"] for line in followed} == {"driver", "scheduler", "worker"}
    assert len({line["pod"] for line in followed if line["role"] == "worker"}) >= 4
    for line in followed:
        if line["role"] != "driver" or line["event"]:  # Argo's own container writes to the driver's log
            assert line["event"].keys() >= PLACE, line
            assert (line["event"]["tenant"], line["event"]["run"]) == (acme, name)
            assert line["event"]["role"] == line["role"]
    loggers = {line["event"].get("logger") for line in followed}
    assert {"distributed.scheduler", "distributed.nanny", "distributed.worker"} <= loggers
    kept = run_logs.kept(lake_of(acme), name)
    others = [line for line in followed if line["role"] == "worker" and line["pod"] not in (first, second)]
    there = Counter((line.pod, line.text) for line in kept)
    missing = [line for line in others if not there[line["pod"], line["text"]]]
    assert not numbers(missing), "of workers that nobody has killed, each line is in the lake"
    assert {first, second} <= {line.pod for line in kept}, "of those that were killed, what was read before"
    doubled = [line for line, count in Counter(kept).items() if count > 1]
    assert doubled == []


def test_a_pipeline_that_fails_says_so_in_one_event(acme: str) -> None:
    label = probes.new_label()
    name = probes.submit(acme, label, elements=20, fail="out of wind")
    tenants.wait_for_end(acme, name, seconds=180)
    text = run(words(name, acme, "--errors", "--json"), env=tenants.environment(), check=False)
    fatal = [line for line in events(text) if line["role"] == "driver" and "out of wind" in line["text"]]
    assert len(fatal) == 1, text
    event = fatal[0]["event"]
    assert (event["level"], event["event"]) == ("critical", "failed: ValueError: out of wind")
    assert "Traceback" in event["exception"]
    assert event.keys() >= PLACE


def test_the_workers_account_may_not_read_logs(acme: str) -> None:
    def may(account: str) -> bool:
        user = f"system:serviceaccount:{tenants.namespace(acme)}:{account}"
        where = ["-n", tenants.namespace(acme), "--as", user]
        return kubectl("auth", "can-i", "get", "pods/log", *where, check=False).strip() == "yes"

    assert may("driver")
    assert not any(map(may, ("worker", "scheduler", "step", "default", "controller")))
