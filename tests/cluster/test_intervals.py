"""Schedules as Argo has them: intervals, backfills, what is late or suspended, the queue, the doctor."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import subprocess
import time
import zoneinfo
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.config import kube_config

from lightwork import tenants as tenant_files
from lightwork.functions import parameters
from lightwork.functions.parameters import Described
from lightwork.kube import contract
from lightwork.kube.checks import Namespace
from lightwork.lake import open_lake
from lightwork.manifests import workflows
from lightwork.manifests.base import Target
from lightwork.store import records
from tests.cluster import probes, stores, tenants
from tests.cluster.images import platform_image
from tests.cluster.kube import apply, get, kubectl
from tests.cluster.progress import say, wait_for
from tests.cluster.settings import kubeconfig, run_folder
from tests.cluster.test_schedule import at, next_minute
from tests.waiting import patience

NAME = "interval"
UNSEEN = "unseen"
ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
STARTS: dict[str, dict[str, Any]] = {
    "start": {"name": "start", "type": "date and time", "required": True},
    "end": {"name": "end", "type": "str", "required": True, "schema": {"type": "string"}},
    "bad": {"name": "bad", "type": "str", "required": False, "default": "", "schema": {"type": "string"}},
}


def lake_options() -> list[str]:
    return ["--lake", f"s3://{tenants.bucket('acme')}"]


def environment() -> dict[str, str]:
    key = stores.credentials("acme")
    return {
        **os.environ,
        **tenants.environment(),
        "AWS_ENDPOINT_URL": stores.s3_url(),
        "AWS_REGION": stores.REGION,
        "AWS_ACCESS_KEY_ID": key["access"],
        "AWS_SECRET_ACCESS_KEY": key["secret"],
    }


def popen(*words: str) -> subprocess.Popen[str]:
    command = [*tenants.LIGHTWORK, *words, *tenants.WHERE, "acme"]
    return subprocess.Popen(
        command,
        cwd=run_folder(),
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def lightwork(*words: str, code: int = 0) -> str:
    """Run a command about acme in the folder with its file; return what it prints."""
    process = popen(*words)
    out, err = process.communicate(timeout=patience(600))
    say(f"lightwork {' '.join(words)}: {err.strip()}")
    assert process.returncode == code, err + out
    return out if code == 0 else out + err


def schedule(name: str = NAME) -> dict[str, Any]:
    listed = json.loads(lightwork("schedule", "--json", *lake_options()))["schedules"]
    return next(item for item in listed if item["pipeline"] == name)


def backfill(*words: str, code: int = 0) -> list[dict[str, Any]]:
    printed = lightwork("backfill", NAME, "--json", *lake_options(), *words, code=code)
    line = next(line for line in printed.splitlines() if line.startswith("{"))
    found: list[dict[str, Any]] = json.loads(line)["intervals"]
    return found


@pytest.fixture(scope="module", autouse=True)
def deployed(both_tenants: tuple[str, ...]) -> Iterator[None]:
    """Deploy the entry as if a description told what its image takes, and suspended by hand."""
    loaded = tenant_files.load(run_folder() / "tenants" / "acme.yaml")
    entry = loaded.pipelines[NAME].model_copy(update={"suspended": False})
    tenant = loaded.model_copy(update={"pipelines": {NAME: entry}})
    described = {name: parameters.from_json(item) for name, item in STARTS.items()}
    pipeline = Described(NAME, "Work on an interval.", described, ("start", "end"))
    target = Target(environment="dev", image=platform_image(), lake=f"s3://{tenants.bucket('acme')}")
    template = workflows.workflow_template(tenant, NAME, target, pipeline)
    cron = workflows.cron_workflow(tenant, NAME, pipeline)
    assert cron is not None
    # Argo leaves one with this label alone, as if it were away.
    labels = {**cron["metadata"]["labels"], "workflows.argoproj.io/controller-instanceid": "none"}
    unseen = {**cron, "metadata": {**cron["metadata"], "name": UNSEEN, "labels": labels}}
    spec = {**cron["spec"], "schedules": ["* * * * *"], "suspend": False}
    labels = {**cron["metadata"]["labels"], contract.LABEL_SUSPENDED: contract.SUSPENDED}
    held = {**cron, "metadata": {**cron["metadata"], "labels": labels}}
    apply([template, held, {**unseen, "spec": spec}])
    yield
    kubectl("-n", "tenant-acme", "delete", "cronworkflow", UNSEEN)
    tenants.set_up("acme")


def record(run: str) -> dict[str, Any]:
    os.environ |= {key: value for key, value in environment().items() if key.startswith("AWS_")}
    lake = open_lake(f"s3://{tenants.bucket('acme')}", tenant="acme")
    found: list[dict[str, Any]] = []

    def ended() -> bool:
        found[:] = [item] if (item := records.run(lake, run)) else []
        return bool(found and records.ended(found[0]))

    wait_for(f"the record of {run}", ended, seconds=60, every=1)
    return found[0]


def test_a_schedule_gives_its_run_the_interval_and_a_backfill_does_the_rest() -> None:
    said = lightwork("schedule", "suspend", NAME, "--reason", "the data is late", "--json")
    assert json.loads(said) == {"pipeline": NAME, "state": "suspended", "changed": False}
    assert re.search(r"the data is late \(\S+, 20\S+\)", schedule()["why"])
    assert schedule()["next"] is None

    moment = next_minute(ZONE, 10)
    change = {"spec": {"schedules": [at(moment)]}}
    kubectl("-n", "tenant-acme", "patch", "cronworkflow", NAME, "--type=merge", "-p", json.dumps(change))
    # The marks of the interval have the schedule too: a deployment changes both.
    text = json.dumps(get("-n", "tenant-acme", "cronworkflow", NAME)["spec"]["workflowSpec"]["arguments"])
    arguments = json.loads(text.replace("0 * * * *", at(moment)))
    change = {"spec": {"workflowSpec": {"arguments": arguments}}}
    kubectl("-n", "tenant-acme", "patch", "cronworkflow", NAME, "--type=merge", "-p", json.dumps(change))
    assert json.loads(lightwork("schedule", "resume", NAME, "--json"))["changed"] is True
    now = schedule()
    assert (now["state"], now["next"]) in (
        ("not due yet", moment.isoformat()),
        ("on time", moment.isoformat()),
    )

    run = f"{NAME}-{moment.timestamp():.0f}"
    ahead = (moment - dt.datetime.now(ZONE)).total_seconds()
    wait_for("the run of the schedule", lambda: tenants.status("acme", run), seconds=ahead + 40, every=1)
    assert run in {item["run"] for item in json.loads(lightwork("queue", "--json"))["runs"]}
    assert tenants.wait_for_end("acme", run, seconds=240)["phase"] == "Succeeded", tenants.describe(
        "acme", run
    )
    day = dt.timedelta(days=1)
    interval = [(moment - day).isoformat(), moment.isoformat()]
    of_run = record(run)
    assert of_run["interval"] == interval
    assert dt.datetime.fromisoformat(of_run["schedule"]) == moment
    assert of_run["result"] == {"start": interval[0], "end": interval[1]}
    after = schedule()
    assert (after["state"], after["run"], after["run_status"]) == ("on time", run, "succeeded")

    span = ["--from", f"{moment - 3 * day:%Y-%m-%d}", "--to", f"{moment + day:%Y-%m-%d}"]
    bad = (moment - 2 * day).isoformat()
    planned = backfill("--dry-run", *span)
    assert [item["state"] for item in planned] == ["to run", "to run", "done"]
    assert planned[2]["run"] == run
    assert planned[0]["interval"] == [(moment - 3 * day).isoformat(), (moment - 2 * day).isoformat()]

    # Interrupted while a run is at work, and taken up again.
    process = popen("backfill", NAME, *lake_options(), *span)
    wait_for("a run", lambda: set(tenants.names("acme", NAME)) - {run}, seconds=60, every=1)
    process.send_signal(signal.SIGINT)
    assert "the same command waits for it" in process.communicate(timeout=patience(60))[1]
    assert process.returncode == 130
    states = [(item["state"], item["interval"][0]) for item in backfill(*span)]
    # The first may have ended before it was looked for again.
    assert [state for state, _ in states][1:] == ["succeeded", "done"]
    assert states[0][0] in ("succeeded", "done")
    assert [item["state"] for item in backfill(*span)] == ["done", "done", "done"]
    os.environ |= {key: value for key, value in environment().items() if key.startswith("AWS_")}
    lake = open_lake(f"s3://{tenants.bucket('acme')}", tenant="acme")
    wanted = [item["interval"] for item in planned]
    found = [item for name in records.names(lake) if (item := records.run(lake, name))]
    of_intervals = [item for item in found if item["pipeline"] == NAME and item["interval"] in wanted]
    assert len(of_intervals) == 3, "one run for each interval, also after the interrupt"

    end = (moment - 2 * day + dt.timedelta(seconds=1)).isoformat()
    said = lightwork("backfill", NAME, f"bad={bad}", *lake_options(), "--from", bad, "--to", end, code=1)
    assert "1 failed; the first: " in said
    assert f"no data for {bad}" in said


def test_the_steps_of_a_scheduled_run_get_its_interval_and_a_backfill_does_the_rest() -> None:
    name, day = "interval-steps", dt.timedelta(days=1)
    loaded = tenant_files.load(run_folder() / "tenants" / "acme.yaml")
    moment = next_minute(ZONE, 10)
    change = {"schedule": at(moment), "suspended": False}
    entry = loaded.pipelines[name].model_copy(update=change)
    cron = workflows.cron_workflow(loaded.model_copy(update={"pipelines": {name: entry}}), name)
    assert cron is not None
    apply([cron])
    run = f"{name}-{moment.timestamp():.0f}"
    ahead = (moment - dt.datetime.now(ZONE)).total_seconds()
    wait_for("the run of the schedule", lambda: tenants.status("acme", run), seconds=ahead + 40, every=1)
    ended = tenants.wait_for_end("acme", run, seconds=240)
    assert ended["phase"] == "Succeeded", tenants.describe("acme", run)
    start, end = (moment - day).isoformat(), moment.isoformat()
    of_run = record(run)
    assert of_run["parameters"] == {"start": start, "end": end}
    assert of_run["result"] == {"first": {"start": start, "end": end}}

    span = ["--from", f"{moment - 2 * day:%Y-%m-%d}", "--to", f"{moment + day:%Y-%m-%d}"]
    printed = lightwork("backfill", name, "--json", *lake_options(), *span)
    first, second = json.loads(printed.splitlines()[-1])["intervals"]
    assert [item["state"] for item in (first, second)] == ["succeeded", "done"]
    assert second["run"] == run
    assert record(first["run"])["result"]["first"]["end"] == start
    said = lightwork("submit", name, code=2)
    assert "start" in said, "whoever starts one by hand says for what"


def test_the_queue_says_behind_whom_a_run_waits() -> None:
    label = probes.new_label()  # else their elements are cached
    values = {"elements": "9000", "seconds": "0.02", "label": label}
    names = [tenants.submit("acme", "probe-brief", **values) for _ in range(4)]

    def waiting() -> bool:
        found[:] = [item for item in json.loads(lightwork("queue", "--json"))["runs"] if item["run"] in names]
        return sum(len(item["behind"]) > 0 for item in found) == 2

    found: list[dict[str, Any]] = []
    try:
        wait_for("two runs that wait", waiting, seconds=60, every=1)
        at_work = [item["run"] for item in found if not item["behind"]]
        first, second = (item for item in found if item["behind"])
        assert set(first["behind"]) == set(at_work), "it is next, behind those at work"
        assert set(second["behind"]) == {*at_work, first["run"]}
        assert second["behind"][-1] == first["run"]
        assert "2 of at most 2 of the runs of probe-brief are active" in second["message"]
        said = lightwork("queue")
        assert f"behind {first['behind'][0]}" in said
    finally:
        kubectl("-n", "tenant-acme", "delete", "workflow", *names, "--ignore-not-found", "--wait=false")


def test_the_doctor_names_what_is_amiss_and_the_command_that_mends_it(monkeypatch) -> None:
    stuck = tenants.submit("acme", "probe-no-image")
    kubectl("-n", "tenant-acme", "create", "deployment", "left", "--image=none", "--replicas=0")
    kubectl("-n", "tenant-acme", "label", "deployment", "left", "lightwork/run=gone-1")
    patch = ["-n", "tenant-acme", "patch", "cronworkflow", "windy-city", "--type=merge", "-p"]
    kubectl(*patch, json.dumps({"spec": {"timezone": "Asia/Tokyo"}}))
    try:
        wait_for("its pods", lambda: tenants.pods("acme", stuck, "driver"), seconds=60, every=1)
        time.sleep(62)
        printed = lightwork("doctor", "--json", *lake_options(), code=1)
        found = json.loads(printed.splitlines()[0])["findings"]
        (pod,) = (item for item in found if item["kind"] == "pending" and f"{stuck}-driver" in item["what"])
        assert "the image" in pod["what"]
        assert pod["mend"] == f"lightwork stop {stuck} --env dev --tenant acme"
        (drift,) = (item for item in found if "'Asia/Tokyo' in the cluster" in item["what"])
        assert (drift["kind"], drift["mend"]) == ("drift", "make up STACK=dev.acme")

        for name, value in tenants.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig()))
        later = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=10)
        left = [item for item in Namespace("dev", "acme").findings("", later) if item.kind == "leftover"]
        (gone,) = (item for item in left if "gone-1" in item.what)
        assert gone.what == "gone-1 is gone, and left 1 Deployment"
        kubectl(*gone.mend.split()[1:])
        assert get("-n", "tenant-acme", "deployments", "-l", "lightwork/run=gone-1")["items"] == []
    finally:
        kubectl("-n", "tenant-acme", "delete", "workflow", stuck, "--ignore-not-found", "--wait=false")
        kubectl("-n", "tenant-acme", "delete", "deployment", "left", "--ignore-not-found")
        tenants.set_up("acme")


def test_a_schedule_that_argo_does_not_start_is_told_from_one_that_is_late() -> None:
    wait_for("two firings", lambda: schedule(UNSEEN)["state"] == "never started", seconds=200, every=10)
    assert "without a run since 20" in schedule(UNSEEN)["why"]
    amiss = json.loads(lightwork("doctor", "--json", *lake_options(), code=1).splitlines()[0])["findings"]
    (found,) = (item for item in amiss if item["kind"] == "schedule" and UNSEEN in item["what"])
    assert found["mend"] == f"lightwork schedule now {UNSEEN} --env dev --tenant acme"
    last = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=4)
    status = {"status": {"lastScheduledTime": f"{last:%Y-%m-%dT%H:%M:00Z}"}}
    kubectl("-n", "tenant-acme", "patch", "cronworkflow", UNSEEN, "--type=merge", "-p", json.dumps(status))
    assert schedule(UNSEEN)["state"] == "late"
