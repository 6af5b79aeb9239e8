"""`lightwork login`: against moto's STS, IAM and EKS over HTTP, and an API that records who asks."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.policies import tenant as tenant_policies
from lightwork.cli import lakes, login
from lightwork.errors import InputError, LightworkError
from lightwork.kube import api as kube_api
from lightwork.kube import eks as kube_eks
from lightwork.kube import kubeconfig, logins
from lightwork.kube.runs import AwayError, Remote
from lightwork.lake import s3_connection
from tests import eks
from tests.unit.lightwork.kube.machine import (
    NAMES,
    NO_CREDENTIALS,
    NO_PROFILE,
    ONCE,
    ROLE,
    WHERE,
    Home,
    become,
    put,
    roles,
)
from tests.unit.lightwork.kube.objects import ARGO


def test_what_is_given_once_makes_every_command_work(
    home: Home, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # AWS's own command line is not needed
    code, out, err = home.run("login", *ONCE)
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        f"logged in as jane: context lightwork-dev-acme in {home.kubeconfig}",
        "pipelines of acme: windy-city",
        "start a run: lightwork submit windy-city --env dev --tenant acme --wait",
    ]
    token = server.headers[-1]["Authorization"].removeprefix("Bearer ")
    assert (
        eks.caller_of(token, "lightwork-dev")
        == ROLE.replace(":iam:", ":sts:").replace("role/lightwork/dev/tenants", "assumed-role") + "/jane"
    ), "the cluster's log says who it was"
    with pytest.raises(eks.RefusedTokenError):
        eks.caller_of(token, "lightwork-prod")
    server.answers["GET", f"{ARGO}/workflows/r1"] = (
        200,
        {"metadata": {"name": "r1"}, "status": {"phase": "Succeeded"}},
    )
    code, _, err = home.run("stop", "r1", *WHERE)
    assert (code, "cannot be stopped" in err) == (2, True), "by the same context"

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    asked = len(server.requests)
    code, _, err = home.run("stop", "r1", *WHERE)
    assert (code, err) == (1, f"lightwork: no credentials for the cluster: {NO_CREDENTIALS}\n")
    assert len(server.requests) == asked, "nobody is asked without credentials"


def test_the_address_of_the_tenants_runs_in_a_browser_is_printed(
    home: Home, server: Any, quick: None
) -> None:
    """Argo's start page leads to its own namespace, where a tenant's people see nothing."""
    address = "https://argo.dev.example.com/workflows/tenant-acme"
    place = {"endpoint": "vpc", "region": eks.REGION, "stream": "logs-tenant-acme"}
    path = "/api/v1/namespaces/tenant-acme/configmaps/log-search"
    for status, data, expected in ((200, place, 0), (403, {}, 0), (200, {**place, "page": address}, 1)):
        server.answers["GET", path] = (status, {"data": data})
        code, _, err = home.run("login", *ONCE)
        assert (code, err.splitlines().count(f"runs in a browser: {address}")) == (0, expected)


def test_the_second_time_needs_no_options(home: Home, quick: None) -> None:
    code, _, err = home.run("login", *WHERE)
    assert code == 2
    assert err == (
        "lightwork: --account and --region missing: given once for dev and acme, and then kept; expected"
        " `lightwork login --env dev --tenant acme --account NUMBER --region REGION`, which whoever runs the"
        " platform tells you\n"
    )
    assert home.run("login", *ONCE, "--lake", "s3://other")[0] == 0
    assert home.run("login", *WHERE)[0] == 0
    kept = logins.find("dev", "acme")
    assert kept is not None
    assert (kept.account, kept.region, kept.role, kept.session) == (eks.ACCOUNT, eks.REGION, ROLE, "jane")
    assert kept.lake_url == "s3://other"
    assert logins.find("prod", "acme") is None


def test_an_option_that_is_given_again_replaces_what_was_kept(
    home: Home, quick: None, amazon: eks.Aws
) -> None:
    custom = ROLE.replace("people-acme", "people-of-acme")
    if custom not in roles():
        jane = f"arn:aws:iam::{eks.ACCOUNT}:user/jane"
        amazon.add_role(custom, tenant_policies.trust_people(principals=(jane,)))
    own = ("--lake", "s3://other", "--role", custom)
    assert home.run("login", *ONCE, *own)[0] == 0
    assert home.run("login", *ONCE)[0] == 0
    kept = logins.find("dev", "acme")
    assert kept is not None
    assert (kept.role, kept.lake) == (custom, "s3://other"), "it is the same account"
    assert home.run("login", *WHERE, "--lake", "", "--role", "")[0] == 0
    kept = logins.find("dev", "acme")
    assert kept is not None
    assert (kept.role, kept.lake) == (ROLE, ""), "the usual ones again"
    logins.write_private(logins.added(replace(kept, account="999999999999", role=custom, lake="s3://other")))
    assert home.run("login", *ONCE)[0] == 0
    kept = logins.find("dev", "acme")
    assert kept is not None
    assert (kept.role, kept.lake) == (ROLE, ""), "those were of another account"


def test_a_profile_can_be_taken_back(home: Home, quick: None) -> None:
    assert home.run("login", *ONCE)[0] == 0
    kept = logins.find("dev", "acme")
    assert kept is not None
    logins.write_private(logins.added(replace(kept, profile="gone")))
    code, _, err = home.run("login", *WHERE)
    assert (code, err) == (
        1,
        f"lightwork: {NO_PROFILE.format('gone')}\n",
    )
    assert home.run("login", *WHERE, "--profile", "")[0] == 0


def test_a_login_asks_anew_who_the_person_is(
    home: Home, quick: None, amazon: eks.Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.run("login", *ONCE)[0] == 0
    kept = logins.find("dev", "acme")
    assert kept is not None
    logins.write_private(logins.added(replace(kept, session="somebody-else")))
    code, _, err = home.run("login", *WHERE)
    assert (code, err.splitlines()[0].split(":")[0]) == (0, "logged in as jane")


def test_the_names_are_those_that_the_estate_gives() -> None:
    login = logins.Login(
        environment="dev", tenant="acme", account=NAMES.account, region=NAMES.region, role=""
    )
    assert login.cluster == NAMES.cluster
    assert login.lake_url == f"s3://{NAMES.lake_bucket('acme')}"
    assert logins.role_of_people("dev", "acme", NAMES.account) == ROLE


def test_the_context_of_the_tenant_comes_before_that_of_the_environment(home: Home, server: Any) -> None:
    entries = {"general": "lightwork-dev", "own": "lightwork-dev-acme", "elsewhere": "elsewhere"}
    home.kubeconfig.parent.mkdir()
    for token, name in entries.items():
        put(name, cluster={"server": server.url}, user={"token": token})
    for context, token in ((None, "own"), ("elsewhere", "elsewhere"), ("lightwork-dev", "general")):
        Remote("dev", "acme", context).pipelines()
        assert server.headers[-1]["Authorization"] == f"Bearer {token}"
    with pytest.raises(LightworkError, match="cannot read the tenant's pipelines"):
        Remote("dev", "globex").pipelines()
    assert server.headers[-1]["Authorization"] == "Bearer general", "another tenant's"


def test_credentials_that_end_while_a_run_is_watched_are_waited_for(
    home: Home, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = home.folder / "gone"
    status = {
        "apiVersion": kubeconfig.EXEC_API,
        "kind": "ExecCredential",
        "status": {"token": "t0k", "expirationTimestamp": "2026-01-01T00:00:00Z"},
    }
    fails = f"test -e {flag} && echo 'lightwork: your session has ended' >&2 && exit 1"
    script = f"{fails}; echo '{json.dumps(status)}'"
    home.kubeconfig.parent.mkdir()
    user = kubeconfig.user_of_command(["/bin/sh", "-c", script])
    put("lightwork-dev", cluster={"server": server.url}, user=user)
    remote = Remote("dev", "acme")
    assert remote.pipelines() == ["windy-city"]
    flag.touch()
    with pytest.raises(AwayError, match="no credentials for the cluster: your session has ended"):
        remote.pipelines()
    flag.unlink()
    assert remote.pipelines() == ["windy-city"]


def test_the_lake_is_opened_with_the_role(home: Home, quick: None, amazon: eks.Aws) -> None:
    assert home.run("login", *ONCE)[0] == 0
    lake = lakes.shown(None, "acme", "dev")
    assert lake.uri("x") == f"s3://{NAMES.lake_bucket('acme')}/acme/x"
    session = s3_connection.connection().session
    arn = session.client("sts", endpoint_url=amazon.url).get_caller_identity()["Arn"]
    assert arn.endswith("assumed-role/lightwork-dev-people-acme/jane")
    with pytest.raises(InputError, match="--lake and --env both name a lake"):
        lakes.shown("s3://x", "acme", "dev")
    lakes.shown(str(home.folder), "acme")
    assert (
        s3_connection.connection().session.get_credentials().access_key
        == amazon.people["jane"]["AWS_ACCESS_KEY_ID"]
    )


def test_a_search_is_signed_with_the_role(
    home: Home, quick: None, amazon: eks.Aws, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.run("login", *ONCE)[0] == 0
    known = logins.find("dev", "acme")
    assert known is not None
    keys = kube_eks.credentials(known).get_frozen_credentials()
    session = boto3.Session(keys.access_key, keys.secret_key, keys.token, region_name=eks.REGION)
    arn = session.client("sts", endpoint_url=amazon.url).get_caller_identity()["Arn"]
    assert arn.endswith("assumed-role/lightwork-dev-people-acme/jane"), "the audit logs say who it was"
    place = {"endpoint": "logs.example", "region": eks.REGION, "stream": "logs-tenant-acme"}
    path = "/api/v1/namespaces/tenant-acme/configmaps/log-search"
    server.answers["GET", path] = (200, {"data": place})
    become(amazon, "bob", monkeypatch)
    code, _, err = home.run("search", "wind", *WHERE)
    assert (code, err.count("\n")) == (1, 1)
    assert f"AWS does not let you assume {ROLE}" in err


def test_a_token_goes_to_the_sts_that_eks_asks(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """EKS takes signed addresses of AWS's own STS only."""
    import base64

    from botocore.credentials import Credentials

    class Session:
        def __init__(self) -> None:
            import boto3

            self._session = boto3.session.Session(region_name=eks.REGION)
            self.client, self.events = self._session.client, self._session.events

        def get_credentials(self) -> Credentials:
            return Credentials("AKIA", "secret", "session")

    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setattr("lightwork.lake.role.Role.assumed", lambda _: Session())
    one = logins.Login(
        environment="dev", tenant="acme", account=NAMES.account, region=NAMES.region, role=ROLE
    )
    text = kube_eks.token(one)["status"]["token"].removeprefix("k8s-aws-v1.")
    url = base64.urlsafe_b64decode(text + "==").decode()
    assert url.startswith(
        f"https://sts.{eks.REGION}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz"
    )
    assert "X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Security-Token=session" in url


def test_the_command_of_the_context_works_from_any_folder() -> None:
    program = login._this_program()
    assert Path(program[0]).is_absolute()
    assert program[0].startswith(str(Path(sys.executable).parent))


def test_other_lines_of_the_log_are_not_taken_for_complaints(caplog: Any) -> None:
    import logging

    with kube_api._credentials_or_error():
        logging.getLogger().warning("of somebody else")
    assert "of somebody else" in caplog.text
