"""Runs in a cluster, against a fake Kubernetes API."""

from __future__ import annotations

import datetime as dt
import re
import socket
import time

import pytest
from click.testing import CliRunner

from lightwork import InputError, LightworkError
from lightwork.cli import main as cli
from lightwork.cli import remote as commands
from lightwork.cli import waiting
from lightwork.kube.archive import SERVER
from lightwork.kube.contract import ANNOTATION_LONG
from lightwork.kube.runs import AwayError, Remote
from lightwork.lake import open_lake
from tests.unit.lightwork.kube.objects import ARGO, CORE, NAMESPACE, pods, workflow
from tests.waiting import patience


def test_a_run_is_created_from_the_tenants_template_with_the_given_values(api):
    run = Remote("dev", "acme").submit("windy-city", {"unit": "mph"})
    assert run == "windy-city-x7k2p"
    body = api.requests[-1][3]
    assert body["spec"]["workflowTemplateRef"] == {"name": "windy-city"}
    assert body["spec"]["arguments"]["parameters"] == [{"name": "unit", "value": "mph"}]
    assert re.fullmatch(r"windy-city-\d{8}t\d{6}-[a-z0-9]{5}", body["metadata"]["name"])
    assert body["metadata"]["annotations"] == {}


def test_a_retry_names_the_run_that_it_tries_again(api):
    Remote("dev", "acme").submit("windy-city", {"unit": "mph"}, retry_of="windy-city-1")
    assert api.requests[-1][3]["metadata"]["annotations"] == {"lightwork/retry-of": "windy-city-1"}


def test_the_name_of_a_run_leaves_room_for_its_steps(api):
    (template,) = api.answers["GET", f"{ARGO}/workflowtemplates"][1]["items"]
    step = "s" * 30
    template["spec"]["templates"] = [{"name": "work", "dag": {"tasks": [{"name": step}, {"name": "b"}]}}]
    Remote("dev", "acme").submit("windy-city", {"unit": "mph"})
    assert len(f"{api.requests[-1][3]['metadata']['name']}-{step}-scheduler") == 63


@pytest.fixture
def long_api(api):
    """The fake API with a pipeline that takes a long text, and what it answers to a ConfigMap."""
    (template,) = api.answers["GET", f"{ARGO}/workflowtemplates"][1]["items"]
    template["metadata"]["annotations"] = {ANNOTATION_LONG: "unit"}
    created = {"metadata": {"name": "windy-city-x7k2p", "uid": "u-1"}}
    api.answers["POST", f"{ARGO}/workflows"] = (201, created)
    api.answers["POST", f"/api/v1{NAMESPACE}/configmaps"] = (201, {})
    api.answers["GET", f"{ARGO}/workflows/windy-city-x7k2p"] = (200, workflow("Running"))
    api.answers["PATCH", f"{ARGO}/workflows/windy-city-x7k2p"] = (200, {})
    return api


def changes(api):
    """Return what was asked to be changed: the method, the end of the path, and the query."""
    return [(m, path.rsplit("/", 1)[-1], query) for m, path, query, _ in api.requests if m != "GET"]


def test_a_long_text_is_kept_beside_the_run(long_api):
    text = "{{x}}" * 40_000
    assert Remote("dev", "acme").submit("windy-city", {"unit": text}) == "windy-city-x7k2p"
    assert changes(long_api) == [
        ("POST", "configmaps", "dryRun=All"),
        ("POST", "workflows", ""),
        ("POST", "configmaps", ""),
    ]
    kept = long_api.requests[-1][3]
    assert kept["data"] == {"unit": text}
    assert kept["metadata"]["name"] == "windy-city-x7k2p-parameters"
    assert kept["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_nothing_is_created_if_a_long_text_cannot_be_kept(long_api):
    refusal = {"message": "configmaps is forbidden"}
    long_api.answers["POST", f"/api/v1{NAMESPACE}/configmaps"] = (403, refusal)
    with pytest.raises(
        LightworkError, match=r"not allowed to submit windy-city with long values, .*ConfigMap"
    ):
        Remote("dev", "acme").submit("windy-city", {"unit": "x" * 40_000})
    assert changes(long_api) == [("POST", "configmaps", "dryRun=All")]


def test_a_run_whose_long_text_is_lost_is_ended(long_api):
    long_api.answers["POST", f"/api/v1{NAMESPACE}/configmaps"] = [
        (201, {}),
        (500, {"message": "etcd is away"}),
    ]
    with pytest.raises(LightworkError, match="etcd is away"):
        Remote("dev", "acme").submit("windy-city", {"unit": "x" * 40_000})
    assert changes(long_api)[-1] == ("PATCH", "windy-city-x7k2p", "")
    assert long_api.requests[-1][3] == {"spec": {"shutdown": "Terminate"}}


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("windy-cty", {}, "acme has no pipeline 'windy-cty'; did you mean 'windy-city'"),
        ("windy-city", {"unti": "mph"}, "there is no parameter 'unti'; did you mean 'unit'"),
        ("windy-city", {}, "parameter unit is missing"),
    ],
)
def test_an_unknown_pipeline_or_parameter_is_refused_and_nothing_is_created(api, name, values, words):
    with pytest.raises(InputError, match=words):
        Remote("dev", "acme").submit(name, values)
    assert not [request for request in api.requests if request[0] == "POST"]


def test_the_current_context_is_never_used_by_default(api):
    with pytest.raises(InputError, match="no context 'lightwork-prod'; did you mean 'lightwork-dev'"):
        Remote("prod", "acme")
    Remote("prod", "acme", context="elsewhere")


def test_a_kubeconfig_without_a_current_context_can_be_used(api, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(path.read_text().replace('"current-context": "elsewhere", ', ""))
    assert Remote("dev", "acme").submit("windy-city", {"unit": "mph"})
    with pytest.raises(
        InputError, match=r"no context 'lightwork-prod'; .* --env prod --tenant acme` makes one"
    ):
        Remote("prod", "acme")


def test_a_refusal_is_one_line_that_says_what_is_not_allowed(api):
    api.answers["POST", f"{ARGO}/workflows"] = (403, {"message": "workflows is\nforbidden: User x"})
    with pytest.raises(LightworkError) as caught:
        Remote("dev", "acme").submit("windy-city", {"unit": "mph"})
    for words in ("not allowed", "submit windy-city in tenant-acme", "workflows is forbidden: User x"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def point_to(url, api, tmp_path):
    """Let the kubeconfig lead to another server."""
    path = tmp_path / "kubeconfig"
    path.write_text(path.read_text().replace(api.url, url))


def test_a_cluster_that_cannot_be_reached_is_one_line(api, tmp_path):
    point_to("http://127.0.0.1:9", api, tmp_path)
    remote = Remote("dev", "acme")
    remote._api.client.configuration.retries = False
    with pytest.raises(LightworkError, match="cannot read windy-city-x7k2p: the cluster cannot be reached"):
        remote.status("windy-city-x7k2p")


def test_a_run_is_followed_to_its_end_with_each_change_reported_once(api):
    states = [
        workflow("Running"),
        workflow("Running"),
        workflow("Running", done=3),
        workflow("Failed", "no"),
    ]
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, states)
    seen = list(Remote("dev", "acme").follow("r1", every=0))
    assert [(s.phase, s.progress, s.message) for s in seen] == [
        ("Running", "1/4", ""),
        ("Running", "3/4", ""),
        ("Failed", "1/4", "no"),
    ]


@pytest.mark.parametrize(("at_once", "word"), [(False, "Stop"), (True, "Terminate")])
def test_a_run_is_stopped_with_or_without_its_exit_handler(api, at_once, word):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Running"))
    api.answers["PATCH", f"{ARGO}/workflows/r1"] = (200, {})
    Remote("dev", "acme").stop("r1", at_once=at_once)
    assert api.requests[-1][3] == {"spec": {"shutdown": word}}


@pytest.mark.parametrize("phase", ["", "Pending"])
def test_a_run_that_waits_is_ended_at_once(api, phase):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow(phase))
    api.answers["PATCH", f"{ARGO}/workflows/r1"] = (200, {})
    Remote("dev", "acme").stop("r1")
    assert api.requests[-1][3] == {"spec": {"shutdown": "Terminate"}}


def test_a_run_that_was_terminated_while_it_waited_has_not_succeeded(api):
    ended = {**workflow("Succeeded"), "metadata": {"name": "r1"}, "spec": {"shutdown": "Terminate"}}
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, ended)
    assert Remote("dev", "acme").status("r1").phase == "Failed"


def test_a_run_that_has_ended_cannot_be_stopped(api):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Succeeded"))
    with pytest.raises(InputError, match="r1 cannot be stopped: it ended: Succeeded"):
        Remote("dev", "acme").stop("r1")


def test_an_unknown_run_is_named(api):
    api.answers["GET", f"/api/v1{NAMESPACE}"] = (200, {})
    api.answers["GET", f"{ARGO}/workflows"] = (200, {"items": [{"metadata": {"name": "windy-city-x7k2p"}}]})
    with pytest.raises(InputError, match=r"acme has no run.*did you mean 'windy-city-x7k2p'"):
        Remote("dev", "acme").status("windy-city-x7kp")
    with pytest.raises(InputError, match="acme has no run 'r9'"):
        Remote("dev", "acme").status("r9")


def test_logs_come_from_the_runs_pods_that_have_started(api):
    api.answers["GET", f"/api/v1{NAMESPACE}/pods"] = (200, pods("Running", "Pending"))
    api.answers["GET", f"/api/v1{NAMESPACE}/pods/pod-0"] = (200, pods("Running")["items"][0])
    api.answers["GET", f"/api/v1{NAMESPACE}/pods/pod-0/log"] = (200, '{"event": "a"}\n{"event": "b"}\n')
    assert list(Remote("dev", "acme").logs("r1", "worker")) == [
        ("pod-0", '{"event": "a"}'),
        ("pod-0", '{"event": "b"}'),
    ]
    queries = [query for _, path, query, _ in api.requests if path.endswith("/pods")]
    assert "lightwork/run%3Dr1" in queries[0]
    assert "lightwork/role%3Dworker" in queries[0]
    assert [query for _, path, query, _ in api.requests if path.endswith("/log")] == ["container=main"]


def test_logs_without_a_pod_are_refused(api):
    api.answers["GET", f"/api/v1{NAMESPACE}/pods"] = (200, {"items": []})
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Running"))
    with pytest.raises(InputError, match="r1 has no driver pod in the cluster yet: Running"):
        list(Remote("dev", "acme").logs("r1", "driver"))


def test_submit_waits_and_fails_with_the_run(api):
    api.answers["GET", f"{ARGO}/workflows/windy-city-x7k2p"] = (
        200,
        [workflow("Running"), workflow("Failed", "no")],
    )
    words = ["windy-city", "unit=mph", "--env", "dev", "--tenant", "acme", "--wait"]
    result = CliRunner().invoke(commands.submit_command, words)
    assert str(result.exception) == "windy-city-x7k2p: Failed: no"
    assert "windy-city-x7k2p: 1/4 steps done" in result.stderr


WAIT = ["submit", "windy-city", "unit=mph", "--env", "dev", "--tenant", "acme", "--wait"]
STATE = ("GET", f"{ARGO}/workflows/windy-city-x7k2p")


@pytest.mark.parametrize("refusal", [429, 500, 503])
def test_waiting_outlives_an_api_that_is_away(api, capsys, monkeypatch, refusal):
    answers = [
        (200, workflow("Running")),
        (refusal, {"message": "etcd"}),
        (None, ""),
        (200, workflow("Failed")),
    ]
    api.answers[STATE] = answers
    with pytest.raises(SystemExit) as ended:
        cli.main(WAIT)
    assert ended.value.code == 1
    text = capsys.readouterr().err
    assert "Failed" in text
    assert text.count("waiting for the cluster; cannot read windy-city-x7k2p") == 1, (
        "once, however often it is asked"
    )


@pytest.mark.parametrize("refusal", [401, 403, 404])
def test_waiting_ends_where_an_answer_will_not_change(api, monkeypatch, refusal):
    api.answers[STATE] = (refusal, {"message": "no"})
    with pytest.raises(LightworkError):
        list(Remote("dev", "acme").follow("windy-city-x7k2p", every=0))


def test_waiting_for_an_api_that_stays_away_ends_at_last(api, monkeypatch):
    monkeypatch.setattr("lightwork.kube.states.PATIENCE", 0.05)
    api.answers[STATE] = (503, {"message": "etcd"})
    with pytest.raises(LightworkError, match="etcd"):
        list(Remote("dev", "acme").follow("windy-city-x7k2p", every=0.02))


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_no_request_waits_for_ever(api, monkeypatch, tmp_path, method):
    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr("lightwork.kube.api.TIMEOUT", 0.1)
    point_to(f"http://127.0.0.1:{silent.getsockname()[1]}", api, tmp_path)
    remote = Remote("dev", "acme")
    start = time.monotonic()
    with silent, pytest.raises(OSError, match="timed out"):
        remote._api._object(method, "/x", {}, None if method == "GET" else {})
    assert time.monotonic() - start < patience(5)


def test_a_connection_to_a_port_does_not_wait_for_ever(api, monkeypatch, tmp_path):
    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr("lightwork.kube.api.TIMEOUT", 0.1)
    point_to(f"http://127.0.0.1:{silent.getsockname()[1]}", api, tmp_path)
    start = time.monotonic()
    with silent, pytest.raises(TimeoutError):
        Remote("dev", "acme").open_port("pod-0", 8787)
    assert time.monotonic() - start < patience(5)


def test_ctrl_c_while_waiting_says_that_the_run_goes_on_and_how_to_stop_it(api, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(waiting, "follow", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main(WAIT)
    assert ended.value.code == 130
    last = capsys.readouterr().err.splitlines()[-1]
    where = "windy-city-x7k2p --env dev --tenant acme"
    for words in ("windy-city-x7k2p goes on", f"lightwork logs {where}", f"lightwork stop {where}"):
        assert words in last
    monkeypatch.setattr(Remote, "submit", interrupted)
    with pytest.raises(SystemExit):
        cli.main(WAIT)
    last = capsys.readouterr().err.splitlines()[-1]
    assert "a run of windy-city that was submitted already goes on" in last


def test_a_value_that_does_not_fit_the_signature_is_refused_before_the_cluster_is_asked(api, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["submit", "windy-city", "max_timestamps=ten", "--env", "dev", "--tenant", "acme"])
    assert ended.value.code == 2
    assert "'ten' is not a whole number" in capsys.readouterr().err
    assert api.requests == []


def test_the_dashboard_needs_a_run_with_a_running_scheduler(api):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Failed"))
    words = ["r1", "--env", "dev", "--tenant", "acme", "--no-open"]
    refused = CliRunner().invoke(commands.dashboard_command, words).exception
    assert isinstance(refused, InputError)
    assert "r1 has no dashboard any more: it ended: Failed" in str(refused)
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Running"))
    api.answers["GET", f"/api/v1{NAMESPACE}/pods"] = (200, {"items": []})
    refused = CliRunner().invoke(commands.dashboard_command, words).exception
    assert isinstance(refused, InputError)
    assert "r1 has no running scheduler" in str(refused)


SERVED = f"{SERVER}/api/v1/workflows/tenant-acme/r1"


def test_a_run_that_is_being_stopped_is_not_stopped_again(api):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (
        200,
        {**workflow("Running"), "spec": {"shutdown": "Stop"}},
    )
    api.answers["PATCH", f"{ARGO}/workflows/r1"] = (200, {})
    assert not Remote("dev", "acme").stop("r1")
    assert not [request for request in api.requests if request[0] == "PATCH"]
    assert Remote("dev", "acme").stop("r1", at_once=True)


def test_stop_and_logs_of_a_run_that_is_gone_say_when_and_how_it_ended(api):
    finished = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=7)).isoformat()
    artifacts = [{"name": "main-logs", "s3": {"key": "acme/argo/r1/r1-driver-1/main.log"}}]
    ended = workflow("Succeeded", finishedAt=finished)
    ended["status"]["nodes"]["0"]["outputs"] = {"artifacts": artifacts}
    ended["status"]["artifactRepositoryRef"] = {"artifactRepository": {"s3": {"bucket": "lake"}}}
    api.answers["GET", SERVED] = (200, ended)
    api.answers["GET", f"{CORE}/pods"] = (200, {"items": []})
    remote = Remote("dev", "acme")
    with pytest.raises(InputError, match=r"r1 cannot be stopped: it ended 7 minutes ago: Succeeded"):
        remote.stop("r1")
    with pytest.raises(InputError) as caught:
        list(remote.logs("r1"))
    assert str(caught.value) == (
        "r1 has no started pod in the cluster: it ended 7 minutes ago: Succeeded; its log is kept in"
        " s3://lake/acme/argo/r1/r1-driver-1/main.log"
    )
    with pytest.raises(InputError, match="its log is not kept"):
        list(remote.logs("r1", "worker"))


@pytest.mark.parametrize(("role", "lines"), [(None, 2), ("driver", 1), ("step", 1), ("worker", 0)])
def test_logs_that_are_gone_are_read_from_the_lake_if_it_is_named(api, tmp_path, role, lines):
    lake = open_lake(tmp_path, tenant="acme")
    for pod in ("r1-driver-1", "r1-step-later-2"):
        lake.write(f"argo/r1/{pod}/main.log", f"a line of {pod}\n".encode())
    lake.write("argo/r2/r2-driver-1/main.log", b"another run's\n")
    api.answers["GET", f"{CORE}/pods"] = (200, {"items": []})
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Succeeded"))
    words = ["r1", "--env", "dev", "--tenant", "acme", "--lake", str(tmp_path)]
    result = CliRunner().invoke(commands.logs_command, [*words, *(["--role", role] if role else [])])
    assert result.stdout.count("a line of") == len(result.stdout.splitlines()) == lines
    assert (result.exit_code == 0) == bool(lines)


OFFLOADED = {
    "status": {"phase": "Failed", "message": "child 'x' failed", "offloadNodeStatusVersion": "fnv:1"}
}


def test_nodes_in_argos_database_are_read_from_its_server(api):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, OFFLOADED)
    failed = workflow("Failed", "child 'x' failed")
    failed["status"]["nodes"]["3"] = {
        "type": "Pod",
        "phase": "Failed",
        "displayName": "driver(0)",
        "message": "main: Error (exit code 1): no files",
    }
    api.answers["GET", SERVED] = (200, failed)
    assert Remote("dev", "acme").status("r1").message == "driver: no files"


def test_nodes_that_cannot_be_read_leave_what_the_pods_say(api):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, OFFLOADED)
    items = pods("Succeeded", "Failed")
    state = {"terminated": {"exitCode": 1, "message": "no files"}}
    items["items"][1]["status"]["containerStatuses"] = [{"name": "main", "state": state}]
    api.answers["GET", f"{CORE}/pods"] = (200, items)
    assert Remote("dev", "acme").status("r1").message == (
        "child 'x' failed; container main ended with exit code 1: no files; its steps are only in Argo's"
        " database, which cannot be read from here"
    )


def test_a_submission_without_an_answer_may_have_started_a_run(api):
    api.answers["POST", f"{ARGO}/workflows"] = (504, {"message": "timeout"})
    with pytest.raises(LightworkError, match="the run may have started all the same"):
        Remote("dev", "acme").submit("windy-city", {"unit": "mph"})


def test_a_page_of_a_proxy_is_not_taken_for_an_answer(api):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, "<html>Log in to the hotel</html>")
    with pytest.raises(AwayError, match="what answers is not Kubernetes"):
        Remote("dev", "acme").status("r1")
