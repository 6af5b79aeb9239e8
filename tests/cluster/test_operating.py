"""A failed run in a cluster, from the first look to the bill; then the commands of `docs/operating.md`.

Somebody of the tenant types what people may do, an administrator the rest. What the page names is replaced by
what is here. The platform's namespaces `monitoring` and `logging` are not here: about them, kubectl has to
find a command right and its object missing.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightwork.kube import contract
from tests import eks, runbook
from tests.cluster import argo, night, schedules, stores, tenants
from tests.cluster.binaries import program
from tests.cluster.progress import say, wait_for
from tests.cluster.settings import kubeconfig, run_folder
from tests.cluster.test_people import Person, jane  # noqa: F401 - a fixture
from tests.unit.lightwork.runs.report.browser import Browser, browser, executable

WHERE = f"--env {tenants.ENVIRONMENT} --tenant acme"
ONE_NIGHT = f"start={night.BAD_DAY}T00:00:00+00:00 end={night.BAD_DAY + dt.timedelta(days=1)}T00:00:00+00:00"


@pytest.fixture(scope="module")
def person(jane: Person) -> Iterator[Person]:  # noqa: F811
    """Somebody of acme who has logged in, before a night whose data is bad."""
    night.deploy()
    bucket = tenants.bucket("acme")
    jane.type(f"lightwork login {WHERE} --account {eks.ACCOUNT} --region {eks.REGION} --lake s3://{bucket}")
    yield jane
    tenants.set_up("acme")


def shown(person: Person, command: str) -> dict[str, Any]:
    """Run a command of the person; return what `--json` prints last."""
    found: dict[str, Any] = json.loads(person.type(f"lightwork {command} {WHERE} --json").splitlines()[-1])
    return found


def until_recorded(person: Person, run: str, status: str) -> None:
    wait_for(
        f"the record of {run}",
        lambda: shown(person, f"show {run}")["status"] == status,
        seconds=120,
        every=2,
    )


@pytest.fixture(scope="module")
def failed(person: Person) -> str:
    """Submit the run of the bad night, and wait for its end; return its name."""
    said = person.type(f"lightwork submit night {ONE_NIGHT} {WHERE} --wait 2>&1; test $? = 1", timeout=400)
    (run,) = re.findall(r"submitted (\S+) to tenant-acme", said)
    assert "could not convert string to float: '///'" in said
    until_recorded(person, run, "failed")
    return run


def test_a_run_that_fails_at_element_77_is_found_explained_and_tried_again(
    person: Person, failed: str
) -> None:
    found = shown(person, "runs night --status failed --since 1h")["runs"]
    assert failed in {item["run"] for item in found}
    (row,) = (row for row in shown(person, f"show {failed}")["failures"] if row["index"] == night.BAD)
    assert "///" in row["input"]
    text = person.type(f"lightwork show {failed} {WHERE}")
    assert "--only knots:77 --on serial" in text
    say(text)
    errors = person.type(f"lightwork logs {failed} --errors {WHERE}")
    assert "could not convert string to float: '///'" in errors
    say(errors)

    night.put(night.BAD_DAY)
    again = shown(person, f"retry {failed}")["run"]
    assert tenants.wait_for_end("acme", again, seconds=300)["phase"] == "Succeeded", tenants.describe(
        "acme", again
    )
    until_recorded(person, again, "succeeded")
    after = shown(person, f"show {again}")
    assert (after["retry_of"], after["elements"]["total"]) == (failed, 120)
    assert after["elements"]["cached"] > 0, "what the failed run had computed"

    span = f"--from {night.MISSED[0]} --to {night.BAD_DAY}"
    filled = shown(person, f"backfill night {span} --parallel 3")["intervals"]
    assert [item["state"] for item in filled] == ["succeeded"] * 3
    assert [item["state"] for item in shown(person, f"backfill night {span}")["intervals"]] == ["done"] * 3
    bill = shown(person, "cost --pipeline night --since 1h")
    assert bill["total"]["runs"] >= 5
    assert bill["total"]["worker_hours"] > 0


MAY_END = {"doctor": {0, 1}, "dashboard": {0, 2}, "schedule": {0, 2}}
"""The exit codes of commands that need not end with 0.

There may be findings, the run has ended, and the tenant's file suspends the schedule.
"""
BY_ADMINISTRATORS = ("cache", "tenant")


def here(words: list[str], failed: str, other: str) -> list[str]:
    """Return a command of the page with the names that are here."""
    names = {
        runbook.ENVIRONMENT: tenants.ENVIRONMENT,
        runbook.RUN: failed,
        runbook.OTHER_RUN: other,
        "windy-city": night.NAME,
        "windiest-days": night.NAME,
        "2026-11-21": str(night.MISSED[0]),
        "2026-11-24": str(night.BAD_DAY),
        f"deployment/{contract.ARGO_CONTROLLER}": "deployment/workflow-controller",
        contract.ARGO_CONTROLLERS: "app=workflow-controller",
        f"lightwork/run={runbook.RUN}": f"lightwork/run={failed}",
        "s3://lw-prod-acme-123456789012-eu-central-1": f"s3://{tenants.bucket('acme')}",
    }
    return [names.get(word, word) for word in words]


def administrator(folder: Path) -> dict[str, str]:
    """Return the variables of a shell of somebody with all rights; `kubectl` is on its PATH."""
    key = stores.credentials("acme")
    return {
        **os.environ,
        "PATH": f"{program('kubectl').parent}:{Path(tenants.LIGHTWORK[0]).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "KUBECONFIG": str(kubeconfig()),
        "AWS_ENDPOINT_URL": stores.s3_url(),
        "AWS_REGION": stores.REGION,
        "AWS_ACCESS_KEY_ID": key["access"],
        "AWS_SECRET_ACCESS_KEY": key["secret"],
    }


def typed(words: list[str], folder: Path) -> tuple[int, str]:
    """Type a command as an administrator; return its exit code and all that it prints."""
    done = subprocess.run(
        words,
        cwd=run_folder(),
        env=administrator(folder),
        text=True,
        timeout=600,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    say(f"{shlex.join(words)}: {done.returncode}\n{done.stdout[-600:]}")
    return done.returncode, done.stdout


def test_the_commands_of_lightwork_work(person: Person, failed: str, tmp_path: Path) -> None:
    found = shown(person, "runs night --last 5")["runs"]
    other = next((item["run"] for item in found if item["run"] != failed), failed)
    for words in runbook.of("lightwork"):
        line = here(words, failed, other)
        command = " ".join(words[1:])
        if "stop" in words:
            continue  # below, as it needs a run that goes on
        if command.startswith(BY_ADMINISTRATORS):
            code, said = typed(line, tmp_path)
        else:
            printed = person.type(f"{shlex.join(line)} 2>&1 </dev/null; echo code $?", timeout=400)
            said, _, number = printed.rpartition("code ")
            code = int(number)
            say(f"{shlex.join(line)}: {code}\n{said[-600:]}")
        assert code in MAY_END.get(words[1], {0}), f"{shlex.join(line)}: {said}"
        assert "Traceback (most recent call last)" not in said or words[1] == "logs"


def test_a_run_is_stopped_by_the_command_of_the_page(person: Person) -> None:
    (line,) = (words for words in runbook.of("lightwork") if words[1] == "stop")
    said = person.type(f"lightwork submit probe elements=9000 seconds=0.02 label=stopped {WHERE} 2>&1")
    (run,) = re.findall(r"submitted (\S+) to tenant-acme", said)
    assert f"{run} is stopping" in person.type(f"{shlex.join(here(line, run, run))} 2>&1")
    tenants.wait_for_end("acme", run, seconds=180)


NOT_HERE = ("monitoring", "logging")
MISSING = re.compile(r"\(NotFound\)|No resources found")


def test_the_commands_of_kubectl_work(person: Person, failed: str, tmp_path: Path) -> None:
    try:
        for words in runbook.of("kubectl"):
            line = here(words, failed, failed)
            code, said = typed(line, tmp_path)
            if words[2] in NOT_HERE or failed in line:
                assert code == 0 or MISSING.search(said), said
            else:
                assert code == 0, f"{shlex.join(line)}: {said}"
    finally:
        argo.wait_until_ready()


@contextlib.contextmanager
def page(person: Person, folder: Path) -> Iterator[Browser]:
    """Open the page of the person's tenant in a browser of theirs, until the `with` block ends."""
    command = ["lightwork", "ui", *WHERE.split(), "--no-open"]
    with (folder / "ui").open("w+") as said:
        server = subprocess.Popen(command, env=person.environment, cwd=folder, stdout=said, stderr=said)
        try:
            wait_for("the page's address", lambda: "http" in Path(said.name).read_text(), seconds=60)
            address = re.search(r"^acme: (http\S+) ", Path(said.name).read_text(), re.MULTILINE)
            assert address
            with browser(folder / "profile") as chromium:
                chromium.open(address[1], width=1280)
                yield chromium
        finally:
            server.terminate()
            server.wait(timeout=30)


PENDING = "document.querySelector('header') === null || document.querySelector('[data-pending]') !== null"


def next_firings(chromium: Browser) -> dict[str, list[str]]:
    """Return what the page says of each schedule, with or without runs: its text, and what its tips add."""
    found: dict[str, list[str]] = chromium.run(
        "Object.fromEntries([...document.querySelectorAll('tr[data-name] td.next, .waiting li')].map("
        "item => [item.closest('[data-name]').dataset.name, "
        "[item.innerText, ...[...item.querySelectorAll('[title]')].map(tip => tip.title)]]))"
    )
    return found


@pytest.mark.skipif(executable() is None, reason="no chromium on PATH")
def test_the_page_has_the_failed_run_and_what_the_cluster_fires_next(
    person: Person, failed: str, tmp_path: Path
) -> None:
    with schedules.active("windy-city"), page(person, tmp_path) as chromium:
        by_cluster = {item["pipeline"]: item for item in shown(person, "schedule")["schedules"]}
        assert by_cluster["windy-city"]["next"]
        wait_for("the schedules", lambda: not chromium.run(PENDING), seconds=60)
        told = next_firings(chromium)
        for name, item in by_cluster.items():
            moment = item["next"] and dt.datetime.fromisoformat(item["next"]).astimezone()
            expected = f"{moment.day} {moment:%b %Y, %H:%M:%S}" if moment else item["state"]
            assert any(expected in text for text in told[name])
        chromium.picture(tmp_path / "overview.png")
        chromium.run(f"location = document.querySelector('a.bar[href$=\"{failed}\"]').getAttribute('href')")
        title = "document.querySelector('h1')?.innerText ?? ''"
        wait_for("the run", lambda: chromium.run(title) == failed, seconds=60)
        text = str(chromium.run("document.body.innerText"))
        for part in ("could not convert string to float: '///'", f"lightwork retry {failed} {WHERE}"):
            assert part in text
        chromium.picture(tmp_path / "run.png")
        say(f"pictures: {tmp_path}\n{text}")
        assert chromium.messages == []


@pytest.mark.skipif(executable() is None, reason="no chromium on PATH")
def test_the_page_has_what_a_person_has_suspended(person: Person, failed: str, tmp_path: Path) -> None:
    with schedules.active("windy-city"):
        person.type(f"lightwork schedule suspend windy-city --reason 'the station is being moved' {WHERE}")
        with page(person, tmp_path) as chromium:
            wait_for("the schedules", lambda: not chromium.run(PENDING), seconds=60)
            text, *tips = next_firings(chromium)["windy-city"]
            assert "suspended" in text
            assert any("the station is being moved" in tip for tip in tips)
    file = tmp_path / "runs.html"
    person.type(f"lightwork ui {WHERE} --out {file}")
    assert failed in file.read_text()
    assert "the cluster has not answered" not in file.read_text()


def test_the_page_of_another_tenant_is_refused_in_one_line(person: Person) -> None:
    said = person.type(f"lightwork ui --env {tenants.ENVIRONMENT} --tenant globex --no-open 2>&1 || true")
    say(said)
    assert len(said.splitlines()) == 1
    assert "lightwork login" in said
