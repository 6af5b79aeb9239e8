"""`lightwork submit --wait`: what it shows, and what it knows of a run whose Workflow is gone."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from lightwork.cli import main as cli
from lightwork.cli import waiting
from lightwork.kube.archive import SERVER
from lightwork.kube.contract import PROGRESS
from lightwork.kube.states import Status
from lightwork.kube.watching import Picture, Pod, end, progress
from lightwork.lake import open_lake
from lightwork.store import attempts
from lightwork.store.documents import seal
from lightwork.store.endings import Ledger, Submitted
from tests.unit.lightwork.kube.objects import ARGO, CORE, workflow
from tests.unit.lightwork.terminal import Terminal

RUN = "windy-city-x7k2p"
STATE = ("GET", f"{ARGO}/workflows/{RUN}")
EVENTS = ("GET", f"{CORE}/events")
PODS = ("GET", f"{CORE}/pods")
ARCHIVE = ("GET", f"{SERVER}/api/v1/workflows/tenant-acme/{RUN}")
WAIT = ["submit", "windy-city", "unit=mph", "--env", "dev", "--tenant", "acme", "--wait"]
GONE = (404, {"message": f'workflows.argoproj.io "{RUN}" not found'})
TIMES = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:12Z"}


@pytest.fixture(autouse=True)
def tenant(api):
    """The tenant's namespace is in the cluster."""
    api.answers["GET", CORE] = (200, {})
    api.answers["GET", f"{ARGO}/workflows"] = (200, {"items": []})


def run(capsys, *more):
    """Run `submit --wait`; return its exit code, and what it printed on stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*WAIT, *more])
    return ended.value.code, *capsys.readouterr()


def driver(phase, step="", **state):
    labels = {"lightwork/role": "driver", "lightwork/run": RUN, "lightwork/step": step}
    name = f"{RUN}-driver-{step or 1}"
    return {
        "metadata": {"name": name, "labels": labels, "uid": name},
        "spec": {"containers": [{"name": "wait"}, {"name": "main", "image": "i:1"}]},
        "status": {"phase": phase, **state},
    }


def role(name, role, **state):
    labels = {"lightwork/role": role, "lightwork/step": ""}
    spec = {"containers": [{"name": "worker", "image": "i:1"}]}
    return {"metadata": {"name": name, "labels": labels, "uid": name}, "spec": spec, "status": state}


def log(api, *lines, step=""):
    path = f"{CORE}/pods/{RUN}-driver-{step or 1}/log"
    api.answers["GET", path] = (200, "".join(f"{line}\n" for line in lines))


TOLD = {"event": PROGRESS, "done": 1503, "total": 3000, "cached": 3, "failed": 2, "per_second": 51.6}
END = {
    "run": "r",
    "status": "succeeded",
    "result": {"hours": 3},
    "elements": {"total": 3000, "cached": 12, "computed": 2988, "failed": 0},
    "artifacts": [],
    "report": "s3://lake/report.html",
}


# A Workflow that is gone


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1)])
def test_the_archive_tells_how_a_run_ended_whose_workflow_is_gone(api, capsys, phase, code):
    api.answers[STATE] = [(200, workflow("Running")), GONE]
    api.answers[ARCHIVE] = (200, workflow(phase, "no", **TIMES))
    assert run(capsys)[0] == code
    cookies = [
        headers.get("Cookie")
        for request, headers in zip(api.requests, api.headers, strict=True)
        if request[1] == ARCHIVE[1]
    ]
    assert cookies == ["authorization=Bearer t0k"]


def test_the_archive_is_waited_for_if_only_it_can_tell(api, capsys):
    api.answers[STATE] = [(200, workflow("Running")), GONE]
    api.answers[EVENTS] = (200, {"items": []})
    away = (503, {"message": "no endpoints"})
    api.answers[ARCHIVE] = [*[away] * 4, (200, workflow("Succeeded", **TIMES))]
    code, _, err = run(capsys)
    assert code == 0
    assert "Succeeded, in 72 s, as the archive says" in err


def test_an_archive_that_is_away_for_a_moment_is_asked_before_the_events(api, capsys):
    api.answers[STATE] = [(200, workflow("Running")), GONE]
    api.answers[EVENTS] = (200, {"items": [event("WorkflowSucceeded", "Workflow completed", 2)]})
    api.answers[ARCHIVE] = [(502, {"message": "TLS"}), (200, workflow("Succeeded", **TIMES))]
    assert "as the archive says" in run(capsys)[2]


def event(reason, message, second, **annotations):
    return {
        "reason": reason,
        "message": message,
        "lastTimestamp": f"2026-01-01T00:00:{second:02}Z",
        "metadata": {"annotations": annotations},
    }


POD = {"workflows.argoproj.io/node-type": "Pod"}
FAILED = event("WorkflowNodeFailed", f"Failed node {RUN}.turn.run.driver(0): no files", 1, **POD)


@pytest.mark.parametrize(
    ("events", "code", "words"),
    [
        ([event("WorkflowSucceeded", "Workflow completed", 2)], 0, "as the events say"),
        ([event("WorkflowFailed", "child 'x' failed", 2), FAILED], 1, "Failed: driver: no files"),
        (
            [
                event("WorkflowSucceeded", "Workflow completed", 2),
                event("WorkflowNodeSkipped", f"Skipped node {RUN}.turn.work-or-skip: when", 1),
            ],
            1,
            "Skipped: skipped by the schedule",
        ),
    ],
)
def test_events_tell_how_a_run_ended_if_the_archive_cannot(api, capsys, events, code, words):
    api.answers[STATE] = [(200, workflow("Running")), GONE]
    api.answers[EVENTS] = (200, {"items": events})
    ended, _, err = run(capsys)
    assert ended == code
    assert words in err


def record(lake, attempt, status, run=RUN, **more):
    begin = dt.datetime.now(dt.UTC).isoformat()
    values = {"id": attempt, "run": run, "pipeline": "windy-city", "status": status, "workflow": run, **more}
    lake.write(attempts.path(run, attempt), seal({"started": begin, "finished": None, **values}, indent=2))


@pytest.mark.parametrize(
    ("records", "end", "code"),
    [
        ({"a": ("failed", {}), "b": ("succeeded", {"result": {"hours": 3}})}, None, 0),
        ({"a": ("succeeded", {}), "b": ("failed", {"error": "no files"})}, None, 1),
        ({"b": ("succeeded", {})}, "failed", 1),
        ({"b": ("succeeded", {})}, "submitted", 3),
        ({}, None, 3),
        ({}, "failed", 1),
    ],
)
def test_the_record_in_the_lake_tells_how_a_run_ended(api, capsys, tmp_path, records, end, code):
    api.answers[STATE] = [(200, workflow("Running")), GONE]
    lake = open_lake(tmp_path, tenant="acme")
    for name, (status, more) in records.items():
        record(lake, name, status, **more)
    record(lake, "c", "failed", run="another")
    if end:
        now = dt.datetime.now(dt.UTC)
        ledger, submitted = Ledger(lake), Submitted(RUN, "u", "windy-city", now)
        ledger.note(submitted)
        if end != "submitted":
            ledger.settle(submitted, (end, "a later step"), now, lambda _: None)
    ended, out, _ = run(capsys, "--lake", str(tmp_path))
    assert ended == code
    assert out == ("" if code else '{\n  "hours": 3\n}\n')


def test_where_nothing_can_tell_one_line_says_so_and_the_exit_code_is_its_own(api, capsys, monkeypatch):
    monkeypatch.setattr(waiting, "ARCHIVE_PATIENCE", 0.0)
    api.answers[STATE] = [(200, workflow("Running")), GONE]
    api.answers[ARCHIVE] = (503, {"message": "no endpoints available"})
    api.answers[EVENTS] = (200, {"items": []})
    code, out, err = run(capsys, "--json")
    assert code == 3
    for words in ("how it ends is not known", "no endpoints available", "no event tells", "--lake"):
        assert words in err.splitlines()[-2]
    assert f"lightwork logs {RUN} --env dev --tenant acme" in err.splitlines()[-1]
    assert json.loads(out)["phase"] == ""


@pytest.mark.parametrize("status", [401, 403])
def test_a_right_that_is_lost_while_waiting_says_nothing_of_the_run(api, capsys, status):
    api.answers[STATE] = [(200, workflow("Running")), (status, {"message": "no"})]
    assert run(capsys)[0] == 3


def test_a_user_without_a_token_is_told_that_the_archive_wants_one(api, capsys, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(path.read_text().replace('"token": "t0k"', ""))
    api.answers[STATE] = GONE
    api.answers[EVENTS] = (200, {"items": []})
    code, _, err = run(capsys)
    assert code == 3
    assert "takes a token" in err


# What is shown


def test_pods_that_do_not_start_are_told_with_the_reason_once_each(api, capsys):
    waits = {"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no i:1"}}}
    unfit = [{"type": "PodScheduled", "status": "False", "message": "0/1 n"}]
    workers = [role(f"w{n}", "worker", phase="Pending", conditions=unfit) for n in range(2)]
    api.answers[PODS] = (200, {"items": [driver("Pending", containerStatuses=[waits]), *workers]})
    api.answers[STATE] = [(200, workflow("Running"))] * 3 + [(200, workflow("Failed", "no"))]
    lines = [line for line in run(capsys)[2].splitlines() if "waits" in line]
    assert lines == [
        f"{RUN}: driver waits: the image i:1 cannot be pulled: no i:1; 2 workers wait: no node fits: 0/1 n"
    ]


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["running", "waiting"], "starting: driver"),
        (["running", "running"], "1/4 steps done"),
        (["running", "terminated"], "1/4 steps done"),
    ],
)
def test_a_driver_that_ends_is_not_taken_for_one_that_starts(api, capsys, states, words):
    containers = [{"name": str(n), "state": {state: {}}} for n, state in enumerate(states)]
    api.answers[PODS] = (200, {"items": [driver("Running", containerStatuses=containers)]})
    api.answers[STATE] = [(200, workflow("Running")), (200, workflow("Failed", "no"))]
    assert f"{RUN}: {words}" in run(capsys)[2].splitlines()


def test_a_volume_that_is_not_there_is_told_by_its_event(api, capsys):
    placed = [{"type": "PodScheduled", "status": "True"}]
    api.answers[PODS] = (200, {"items": [driver("Pending", conditions=placed)]})
    mount = {"reason": "FailedMount", "message": 'secret "x" not found'}
    api.answers[EVENTS] = (200, {"items": [{**mount, "involvedObject": {"uid": f"{RUN}-driver-1"}}]})
    api.answers[STATE] = [(200, workflow("Running")), (200, workflow("Failed", "no"))]
    assert f'{RUN}: driver waits: secret "x" not found' in run(capsys)[2]


def test_elements_rate_time_left_and_workers_are_shown_and_the_result_at_the_end(api, capsys):
    worker = role("w", "worker", phase="Running")
    api.answers[PODS] = [
        (200, {"items": [driver("Running"), worker]}),
        (200, {"items": [driver("Succeeded")]}),
    ]
    path = f"{CORE}/pods/{RUN}-driver-1/log"
    lines = [json.dumps({**TOLD, "seconds_left": 90}), '{"event": "other"}', "{not json"]
    api.answers["GET", path] = [(200, "\n".join(lines)), (200, json.dumps(END))]
    api.answers[STATE] = [
        (200, workflow("Running")),
        (200, workflow("Running", done=3)),
        (200, workflow("Succeeded", **TIMES)),
    ]
    code, out, err = run(capsys)
    assert code == 0
    assert f"{RUN}: 1,503 of 3,000 elements, 52/s, 1:30 left, 1 worker, 2 failed" in err
    assert err.splitlines()[-1] == f"{RUN}: Succeeded, in 72 s, 3,000 elements, 12 of them cached"
    assert json.loads(out) == {"hours": 3}


def test_json_is_one_object_with_all_of_it_and_nothing_else_on_stdout(api, capsys):
    api.answers[PODS] = (200, {"items": [driver("Succeeded"), role("w", "worker", phase="Running")]})
    log(api, json.dumps(END))
    api.answers[STATE] = [(200, workflow("Running")), (200, workflow("Succeeded", **TIMES))]
    code, out, _ = run(capsys, "--json")
    assert code == 0
    told = json.loads(out)
    assert {name: told[name] for name in ("run", "phase", "seconds", "workers", "result")} == {
        "run": RUN,
        "phase": "Succeeded",
        "seconds": 72.0,
        "workers": 1,
        "result": {"hours": 3},
    }
    assert told["reports"] == ["s3://lake/report.html"]
    assert [pod["role"] for pod in told["pods"]] == ["driver", "worker"]
    assert told["history"]


def test_the_results_of_several_steps_are_told_by_their_names(api, capsys):
    api.answers[PODS] = (200, {"items": [driver("Succeeded", "first"), driver("Succeeded", "second")]})
    log(api, json.dumps(END), step="first")
    log(api, "x" * 100, step="second")
    api.answers[STATE] = (200, workflow("Succeeded", **TIMES))
    code, out, err = run(capsys)
    assert code == 0
    assert json.loads(out) == {"first": {"hours": 3}}
    assert "the result of step second is not at the end of the driver's log" in err


def test_a_large_result_is_not_poured_onto_the_terminal(api, capsys):
    api.answers[PODS] = (200, {"items": [driver("Succeeded")]})
    log(api, json.dumps({**END, "result": "x" * 3000}))
    api.answers[STATE] = (200, workflow("Succeeded", **TIMES))
    code, out, err = run(capsys)
    assert (code, out) == (0, "")
    assert "the result has 3,002 characters: --json shows it" in err


def test_what_may_not_be_read_is_left_out_and_told_once(api, capsys):
    api.answers[PODS] = (403, {"message": FORBIDDEN.replace("create", "list").replace("workflows", "pods")})
    api.answers[STATE] = [(200, workflow("Running"))] * 2 + [(200, workflow("Succeeded", **TIMES))]
    code, _, err = run(capsys)
    assert code == 0
    assert err.count("lacks the right to list pods") == 1


def test_what_a_run_says_moves_no_cursor(api, capsys):
    api.answers[STATE] = [(200, workflow("Running", "\x1b[2Jgone")), (200, workflow("Failed", "\x1b[2J"))]
    assert "\x1b" not in run(capsys)[2]


def test_a_log_has_a_line_a_change_and_one_each_half_minute(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: clock[0])
    shown = waiting.Shown("r1")
    state = Status("r1", "Running", "", "1/4")
    for second in range(0, 100, 2):
        clock[0] = float(second)
        told = {"": {"done": second, "total": 100}}
        workers = [Pod(f"w{n}", "worker", "", "Running", "") for n in range(1 + (second >= 50))]
        workers.append(Pod("d", "driver", "", "Running", ""))
        shown.show(Picture(state, pods=tuple(workers), told=told))
    done = [int(line.split()[1]) for line in capsys.readouterr().err.splitlines()]
    assert done == [0, 30, 50, 80]


def test_a_change_that_is_not_shown_has_no_line(capsys):
    shown = waiting.Shown("r1")
    for phase in ("Ending", "Succeeded"):
        shown.show(Picture(Status("r1", "Running", "", "4/5"), pods=(Pod("d", "driver", "", phase, ""),)))
    assert capsys.readouterr().err == "r1: 4/5 steps done\n"


def test_on_a_terminal_one_line_of_its_width_is_updated(api, tmp_path):
    api.answers[PODS] = (200, {"items": [driver("Running")]})
    log(api, json.dumps(TOLD))
    running = (200, workflow("Running", "a long reason of a pod that waits for its volume, " * 3))
    api.answers[STATE] = [running] * 3 + [(200, workflow("Succeeded", **TIMES))]
    command = "from lightwork.cli.main import main; main()"
    terminal = Terminal(tmp_path, "-c", command, *WAIT, columns=80)
    try:
        assert terminal.end() == 0
    finally:
        terminal.stop()
    lines = [line for line in terminal.text.splitlines() if line.startswith(RUN)]
    updates = [line for line in lines if "Succeeded" not in line]
    assert len(updates) > 2
    assert {len(line) for line in updates} == {79}
    assert all("…  0:" in line for line in updates)


def test_a_step_whose_driver_has_ended_is_not_told_any_more():
    pods = (
        Pod("a", "driver", "first", "Succeeded", ""),
        Pod("b", "driver", "second", "Running", ""),
        Pod("c", "worker", "second", "Running", ""),
    )
    told = {"first": {"done": 6, "total": 6}, "second": {"done": 1, "total": 2, "complete": False}}
    text = waiting.words(Picture(Status("r1", "Running", "", "3/9"), pods=pods, told=told))
    assert text == "3/9 steps done; second: 1 of 2 or more elements, 1 worker"


def test_a_container_is_told_by_the_name_of_its_step():
    starts, waits = Pod("a", "step", "round", "Pending", ""), Pod("a", "step", "round", "Pending", "no i:1")
    state = Status("r1", "Running", "", "0/1")
    assert waiting.words(Picture(state, pods=(starts,))) == "0/1 steps done; starting: round"
    assert waiting.words(Picture(state, pods=(waits,))) == "0/1 steps done; round waits: no i:1"


# The parts


@pytest.mark.parametrize(
    ("before", "words"), [(None, ""), ((0, 0), "it is next"), ((1, 1), "1 run"), ((3, 5), "3 to 5 runs")]
)
def test_the_place_in_the_queue_in_words(before, words):
    assert waiting.place(before).startswith(words)


def test_numbers_of_another_kind_are_not_taken_for_progress():
    assert progress(json.dumps({"event": PROGRESS, "done": "x", "total": 3})) == {"total": 3}
    assert progress("[1]\n{}\n" + "{" * 5000) == {}
    assert end('{"run": 1}\n') is None


FORBIDDEN = (
    'workflows.argoproj.io is forbidden: User "ann" cannot create resource "workflows" in API group'
    ' "argoproj.io" in the namespace "tenant-acme"'
)


def test_a_refusal_names_the_right_that_is_missing_and_who_grants_it(api, capsys):
    api.answers["POST", f"{ARGO}/workflows"] = (403, {"message": FORBIDDEN})
    code, _, err = run(capsys)
    assert code == 1
    assert err == (
        "lightwork: not allowed to submit windy-city: ann lacks the right to create workflows.argoproj.io"
        " in namespace tenant-acme; an administrator of the cluster grants it\n"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "--tenant is missing; expected --tenant NAME, or LIGHTWORK_TENANT"),
        (["--tenant", "acm"], "dev has no tenant 'acm'; did you mean 'acme'?"),
    ],
)
@pytest.mark.parametrize("command", [["submit", "windy-city"], ["stop", "r1"], ["logs", "r1"]])
def test_a_missing_or_unknown_tenant_is_one_line(api, capsys, monkeypatch, command, words, line):
    monkeypatch.delenv("LIGHTWORK_TENANT", raising=False)
    api.answers["GET", "/api/v1/namespaces"] = (
        200,
        {"items": [{"metadata": {"labels": {"lightwork/tenant": "acme"}}}]},
    )
    other = "/apis/argoproj.io/v1alpha1/namespaces/tenant-acm"
    api.answers["GET", f"{other}/workflowtemplates"] = (200, {"items": []})
    api.answers["GET", "/api/v1/namespaces/tenant-acm/pods"] = (200, {"items": []})
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--env", "dev", *words])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [f"lightwork: {line}"]
