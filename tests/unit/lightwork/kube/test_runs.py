"""Runs in a cluster, against a stand-in that speaks the API's HTTP."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from lightwork import InputError, LightworkError
from lightwork.cli import main as cli
from lightwork.cli import remote as commands
from lightwork.kube.runs import Remote

NAMESPACE = "/namespaces/tenant-acme"
ARGO = f"/apis/argoproj.io/v1alpha1{NAMESPACE}"


@pytest.fixture
def api(server, tmp_path, monkeypatch):
    names = {"cluster": "c", "user": "u"}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "elsewhere",
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": name, "context": names} for name in ("elsewhere", "lightwork-dev")],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    template = {
        "metadata": {"name": "windy-city"},
        "spec": {
            "arguments": {"parameters": [{"name": "max_timestamps", "value": "none"}, {"name": "unit"}]}
        },
    }
    server.answers["GET", f"{ARGO}/workflowtemplates"] = (200, {"items": [template]})
    server.answers["POST", f"{ARGO}/workflows"] = (201, {"metadata": {"name": "windy-city-x7k2p"}})
    return server


def workflow(phase, message="", progress="1/4"):
    return {"status": {"phase": phase, "message": message, "progress": progress}}


def test_a_run_is_made_from_the_tenants_template_with_the_values_given(api):
    run = Remote("dev", "acme").submit("windy-city", {"unit": "mph"})
    assert run == "windy-city-x7k2p"
    body = api.asked[-1][3]
    assert body["spec"]["workflowTemplateRef"] == {"name": "windy-city"}
    assert body["spec"]["arguments"]["parameters"] == [{"name": "unit", "value": "mph"}]
    assert body["metadata"]["generateName"] == "windy-city-"


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("windy-cty", {}, "acme has no pipeline 'windy-cty'; did you mean 'windy-city'"),
        ("windy-city", {"unti": "mph"}, "there is no parameter 'unti'; did you mean 'unit'"),
        ("windy-city", {}, "parameter unit is missing"),
    ],
)
def test_what_the_tenant_does_not_have_is_refused_and_nothing_is_made(api, name, values, words):
    with pytest.raises(InputError, match=words):
        Remote("dev", "acme").submit(name, values)
    assert not [asked for asked in api.asked if asked[0] == "POST"]


def test_the_current_context_is_never_used_by_accident(api):
    with pytest.raises(InputError, match="no context 'lightwork-prod'; did you mean 'lightwork-dev'"):
        Remote("prod", "acme")
    Remote("prod", "acme", context="elsewhere")


def test_a_refusal_is_one_line_that_says_what_was_not_allowed(api):
    api.answers["POST", f"{ARGO}/workflows"] = (403, {"message": "workflows is\nforbidden: User x"})
    with pytest.raises(LightworkError) as caught:
        Remote("dev", "acme").submit("windy-city", {"unit": "mph"})
    text = "cannot submit windy-city in tenant-acme: workflows is forbidden: User x; not allowed"
    assert str(caught.value) == text


def test_a_cluster_that_does_not_answer_is_one_line(api, monkeypatch):
    remote = Remote("dev", "acme")
    remote._api.client.configuration.host = "http://127.0.0.1:9"
    remote._api.client.configuration.retries = False
    with pytest.raises(LightworkError, match="the cluster does not answer"):
        remote.status("windy-city-x7k2p")


def test_a_run_is_followed_to_its_end_each_change_once(api):
    states = [
        workflow("Running"),
        workflow("Running"),
        workflow("Running", progress="3/4"),
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
    assert api.asked[-1][3] == {"spec": {"shutdown": word}}


def test_a_run_that_has_ended_cannot_be_stopped(api):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Succeeded"))
    with pytest.raises(InputError, match="r1 has ended already: Succeeded"):
        Remote("dev", "acme").stop("r1")


def test_an_unknown_run_is_said_to_be_unknown(api):
    with pytest.raises(InputError, match="acme has no run 'r9'"):
        Remote("dev", "acme").status("r9")


def pods(*phases):
    made = [
        {
            "metadata": {"name": f"pod-{n}"},
            "spec": {"containers": [{"name": "wait"}, {"name": "main"}]},
            "status": {"phase": phase},
        }
        for n, phase in enumerate(phases)
    ]
    return {"items": made}


def test_logs_are_of_the_runs_own_pods_that_have_started(api):
    api.answers["GET", f"/api/v1{NAMESPACE}/pods"] = (200, pods("Running", "Pending"))
    api.answers["GET", f"/api/v1{NAMESPACE}/pods/pod-0"] = (200, pods("Running")["items"][0])
    api.answers["GET", f"/api/v1{NAMESPACE}/pods/pod-0/log"] = (200, '{"event": "a"}\n{"event": "b"}\n')
    assert list(Remote("dev", "acme").logs("r1", "worker")) == [
        ("pod-0", '{"event": "a"}'),
        ("pod-0", '{"event": "b"}'),
    ]
    queries = [query for _, path, query, _ in api.asked if path.endswith("/pods")]
    assert "lightwork/run%3Dr1" in queries[0]
    assert "lightwork/role%3Dworker" in queries[0]
    assert [query for _, path, query, _ in api.asked if path.endswith("/log")] == ["container=main"]


def test_no_pods_are_said_to_be_gone(api):
    api.answers["GET", f"/api/v1{NAMESPACE}/pods"] = (200, {"items": []})
    with pytest.raises(InputError, match="no driver of r1 in the cluster"):
        list(Remote("dev", "acme").logs("r1", "driver"))


def test_the_command_line_submits_waits_and_fails_with_the_run(api):
    api.answers["GET", f"{ARGO}/workflows/windy-city-x7k2p"] = (
        200,
        [workflow("Running"), workflow("Failed", "no")],
    )
    words = ["windy-city", "unit=mph", "--env", "dev", "--tenant", "acme", "--wait"]
    result = CliRunner().invoke(commands.submit_command, words)
    assert str(result.exception) == "windy-city-x7k2p ended as Failed: no"
    assert "windy-city-x7k2p: Running 1/4" in result.stderr


def test_a_value_that_does_not_fit_the_signature_is_refused_before_the_cluster_is_asked(api, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["submit", "windy-city", "max_timestamps=ten", "--env", "dev", "--tenant", "acme"])
    assert ended.value.code == 2
    assert "'ten' is not a whole number" in capsys.readouterr().err
    assert api.asked == []


def test_the_dashboard_of_a_run_that_has_ended_or_has_no_scheduler_yet_is_refused(api):
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Failed"))
    words = ["r1", "--env", "dev", "--tenant", "acme", "--no-open"]
    refused = CliRunner().invoke(commands.dashboard_command, words).exception
    assert isinstance(refused, InputError)
    assert "r1 has ended already: Failed" in str(refused)
    api.answers["GET", f"{ARGO}/workflows/r1"] = (200, workflow("Running"))
    api.answers["GET", f"/api/v1{NAMESPACE}/pods"] = (200, {"items": []})
    refused = CliRunner().invoke(commands.dashboard_command, words).exception
    assert isinstance(refused, InputError)
    assert "r1 has no scheduler that runs" in str(refused)
