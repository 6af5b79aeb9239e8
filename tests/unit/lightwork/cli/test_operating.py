"""`lightwork schedule`, `queue` and `doctor` on this machine."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from lightwork.store import attempts
from lightwork.store.documents import seal

TENANT = """
name: acme
environments: [dev]
pipelines:
  windy-city: {schedule: 30 6 * * *, timezone: Europe/Berlin}
  table: {schedule: 0 7 * * *, timezone: UTC, suspended: true, parameters: {rows: 3}}
  raises: {}
"""


@pytest.fixture
def acme(project: Path) -> Path:
    (project / "tenants").mkdir()
    (project / "tenants" / "acme.yaml").write_text(TENANT)
    return project


def test_the_schedules_of_a_file_are_shown_with_their_next_firings(lightwork, acme: Path) -> None:
    found = json.loads(lightwork("schedule", "--tenant", "acme", "--json").out)["schedules"]
    assert [(item["pipeline"], item["state"]) for item in found] == [
        ("windy-city", "by the file"),
        ("table", "suspended"),
    ]
    assert dt.datetime.fromisoformat(found[0]["next"]) > dt.datetime.now(dt.UTC)
    assert found[1]["next"] is None
    assert "Europe/Berlin" in lightwork("schedule", "--tenant", "acme").out
    done = lightwork("schedule", "--tenant", "acm")
    assert (done.code, "did you mean 'acme'" in done.err) == (2, True)


def test_options_before_a_command_of_schedule_are_refused(lightwork, acme: Path) -> None:
    done = lightwork("schedule", "--tenant", "acme", "resume", "windy-city", "--env", "dev")
    assert done.code == 2
    assert done.err == "lightwork: schedule resume: give its options after its name\n"


@pytest.mark.parametrize(
    ("command", "reason", "said"),
    [
        ("suspend", " \n", "schedule suspend: --reason is empty; expected why it is suspended"),
        ("suspend", "x" * 501, "schedule suspend: --reason has 501 characters; expected 500 or fewer"),
        ("resume", "x" * 501, "schedule resume: --reason has 501 characters; expected 500 or fewer"),
    ],
)
def test_a_reason_is_one_short_line(lightwork, acme: Path, command: str, reason: str, said: str) -> None:
    done = lightwork("schedule", command, "windy-city", "--reason", reason, "--env", "dev")
    assert (done.code, done.err) == (2, f"lightwork: {said}\n")


def test_the_queue_of_this_machine_has_the_runs_at_work(lightwork, project: Path) -> None:
    assert lightwork("queue").out == "No run is at work here.\n"
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    values = {"id": "a", "run": "r1", "pipeline": "table", "tenant": "local", "status": "running"}
    path = project / ".lightwork/lake/local" / attempts.path("r1", "a")
    path.parent.mkdir(parents=True)
    path.write_bytes(seal({**values, "started": now, "seen": now}))
    (item,) = json.loads(lightwork("queue", "--json").out)["runs"]
    assert (item["name"], item["pipeline"], item["status"]) == ("r1", "table", "running")
    assert "r1" in lightwork("queue").out


def test_the_doctor_is_content_with_a_good_lake_and_names_a_lost_run(lightwork, project: Path) -> None:
    done = lightwork("doctor")
    assert (done.code, done.out) == (0, "Nothing is amiss.\n")
    old = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat(timespec="milliseconds")
    values = {"id": "a", "run": "r1", "pipeline": "table", "tenant": "local", "status": "running"}
    path = project / ".lightwork/lake/local" / attempts.path("r1", "a")
    path.parent.mkdir(parents=True)
    path.write_bytes(seal({**values, "started": old, "seen": old}))
    done = lightwork("doctor", "--json")
    assert done.code == 1
    (finding,) = json.loads(done.out)["findings"]
    assert finding == {
        "kind": "leftover",
        "what": "r1 has ended without a word",
        "mend": "lightwork retry r1",
    }
