"""`lightwork login`: against moto's STS, IAM and EKS over HTTP, and an API that records who asks."""

from __future__ import annotations

import json
import re
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from infra.config.naming import Names
from infra.policies import tenant as tenant_policies
from infra.tenant.identity import people_role
from lightwork.cli import lakes, login
from lightwork.cli.main import execute
from lightwork.errors import InputError, LightworkError
from lightwork.kube import api as kube_api
from lightwork.kube import eks as kube_eks
from lightwork.kube import kubeconfig, logins
from lightwork.kube.runs import AwayError, Remote
from lightwork.lake import s3_connection
from tests import eks
from tests.unit.lightwork.kube.objects import ARGO

NAMES = Names(environment="dev", account=eks.ACCOUNT, region=eks.REGION)
ROLE = NAMES.role_arn(people_role(NAMES, "acme"), tenant=True)
WHERE = ("--env", "dev", "--tenant", "acme")
NO_CREDENTIALS = "there are no AWS credentials of yours; log in to AWS first, or name a profile by --profile"
ONCE = (*WHERE, "--account", eks.ACCOUNT, "--region", eks.REGION)


@dataclass
class Home:
    """A person's machine.

    Attributes:
        folder: their home.
        kubeconfig: their kubeconfig.
        run: runs a command; returns its exit code, and what it printed on stdout and stderr.
    """

    folder: Path
    kubeconfig: Path
    run: Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def amazon() -> Iterator[eks.Aws]:
    """The account of dev, with a role of acme's people, which jane may assume and bob may not."""
    with eks.aws() as running:
        jane, _ = running.add_person("jane"), running.add_person("bob")
        running.add_role(ROLE, tenant_policies.trust_people(principals=(jane,)))
        running.add_cluster("lightwork-dev", "http://replaced", b"an authority")
        yield running


@pytest.fixture
def home(
    amazon: eks.Aws, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Iterator[Home]:
    """The machine of jane, and the API of the cluster: the fake one."""
    path = tmp_path / "kube" / "config"
    become(amazon, "jane", monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.chdir(tmp_path)
    at(amazon, server.url)
    server.answers["GET", f"{ARGO}/workflowtemplates"] = (
        200,
        {"items": [{"metadata": {"name": "windy-city"}}]},
    )

    def run(*words: str) -> tuple[int, str, str]:
        code = execute(words)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    yield Home(tmp_path, path, run)
    s3_connection.act_as(None)


def become(amazon: eks.Aws, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in amazon.people[name].items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def at(amazon: eks.Aws, endpoint: str, **vpc: Any) -> None:
    """Let EKS say that the cluster's API is at an address."""
    from moto.eks.models import eks_backends

    cluster = eks_backends[eks.ACCOUNT][eks.REGION].clusters["lightwork-dev"]
    cluster.endpoint, cluster.status = endpoint, "ACTIVE"
    cluster.resources_vpc_config = {"subnetIds": ["subnet-1"], **vpc}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the kubeconfig without a new process."""
    status = {"apiVersion": kubeconfig.EXEC_API, "kind": "ExecCredential", "status": {"token": "t0k"}}
    program = ["/bin/sh", "-c", f"echo '{json.dumps(status)}'"]
    monkeypatch.setattr(login, "_this_program", lambda: program)


def test_what_is_given_once_makes_every_command_work(
    home: Home, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_no_credentials_are_written(home: Home, quick: None, amazon: eks.Aws) -> None:
    assert home.run("login", *ONCE)[0] == 0
    written = [path for path in home.folder.rglob("*") if path.is_file()]
    assert {path.relative_to(home.folder).as_posix() for path in written} == {
        "kube/config",
        ".config/lightwork/logins.json",
    }
    secrets = [value for name, value in amazon.people["jane"].items() if "KEY" in name]
    for path in written:
        text = path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not any(secret in text for secret in secrets)
        assert not re.search(r"k8s-aws-v1|ASIA|client-key|token:", text)
    (user,) = yaml.safe_load(home.kubeconfig.read_text())["users"]
    assert set(user["user"]) == {"exec"}


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


def test_the_names_are_those_that_the_estate_gives() -> None:
    login = logins.Login(
        environment="dev", tenant="acme", account=NAMES.account, region=NAMES.region, role=""
    )
    assert login.cluster == NAMES.cluster
    assert login.lake_url == f"s3://{NAMES.lake_bucket('acme')}"
    assert logins.role_of_people("dev", "acme", NAMES.account) == ROLE


def test_whom_the_tenants_file_does_not_name_is_refused_in_one_line(
    home: Home, amazon: eks.Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(amazon, "bob", monkeypatch)
    code, _, err = home.run("login", *ONCE)
    assert code == 1
    assert err.startswith(
        f"lightwork: AWS does not let you assume {ROLE} (User: arn:aws:iam::{eks.ACCOUNT}:user/bob"
    )
    assert err.endswith(
        "your own role or user must be under `people` in tenants/acme.yaml, and deployed to dev; ask whoever"
        " runs the platform\n"
    )
    assert err.count("\n") == 1
    assert not home.kubeconfig.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--env", "dev"), "--tenant is missing; expected --tenant NAME, or LIGHTWORK_TENANT"),
        (("--tenant", "acme"), "login: --env is missing; expected `lightwork login --env ENV`"),
        (("--env", "test", *ONCE[2:]), "--env: found 'test'; expected dev, staging or prod"),
        ((*ONCE, "--account", "12"), "--account: found '12'; expected the 12 digits of an AWS account"),
        ((*ONCE, "--account", "١" * 12), "--account: found"),
        (
            (*ONCE, "--region", "Frankfurt"),
            "--region: found 'Frankfurt'; expected a region of AWS, for example",
        ),
        (
            (*ONCE, "--role", "admin"),
            "--role: found 'admin'; expected the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME",
        ),
        ((*ONCE, "--lake", "gs://x"), "lake 'gs://x': scheme 'gs' is not known"),
        ((*WHERE, "--account", eks.ACCOUNT), "--region missing: given once"),
        (
            ("--env", "prod", *ONCE[2:]),
            f"account {eks.ACCOUNT} has no cluster lightwork-prod in {eks.REGION}",
        ),
        ((*WHERE, "--region"), "option '--region' has no value; expected `--region VALUE`"),
    ],
)
def test_a_wrong_input_is_refused_in_one_line(
    home: Home, amazon: eks.Aws, words: tuple[str, ...], message: str
) -> None:
    prod = ROLE.replace("dev", "prod")
    if "prod" in words and prod not in _roles():
        amazon.add_role(
            prod, {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
        )
    code, out, err = home.run("login", *words)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert not home.kubeconfig.exists()


def _roles() -> list[str]:
    from moto.iam.models import iam_backends

    return [role.arn for role in iam_backends[eks.ACCOUNT]["aws"].roles.values()]


def test_nobodys_credentials_and_a_profile_that_is_not_there_are_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    code, _, err = home.run("login", *ONCE)
    assert (code, err) == (1, f"lightwork: {NO_CREDENTIALS}\n")
    code, _, err = home.run("login", *ONCE, "--profile", "work")
    assert (code, err) == (1, "lightwork: cannot use AWS: The config profile (work) could not be found\n")


def test_a_cluster_that_is_not_ready_is_one_line(home: Home, amazon: eks.Aws, server: Any) -> None:
    from moto.eks.models import eks_backends

    eks_backends[eks.ACCOUNT][eks.REGION].clusters["lightwork-dev"].status = "CREATING"
    code, _, err = home.run("login", *ONCE)
    assert (code, err) == (2, "lightwork: the cluster lightwork-dev cannot be used: its state is CREATING\n")


@pytest.mark.parametrize("cidrs", [(), ("203.0.113.0/24", "198.51.100.7/32")])
def test_an_api_that_is_not_open_to_this_machine_is_one_line_with_who_opens_it(
    home: Home, amazon: eks.Aws, quick: None, monkeypatch: pytest.MonkeyPatch, cidrs: tuple[str, ...]
) -> None:
    monkeypatch.setattr(login, "REACH_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        at(amazon, endpoint, endpointPublicAccess=bool(cidrs), publicAccessCidrs=list(cidrs) or ["0.0.0.0/0"])
        start = time.monotonic()
        code, _, err = home.run("login", *ONCE)
        assert time.monotonic() - start < 20, "it does not wait as long as a run does"
    assert code == 1
    also = " and to 203.0.113.0/24, 198.51.100.7/32" if cidrs else ""
    assert err.startswith(f"lightwork: the cluster does not answer from this machine at {endpoint} (")
    assert err.endswith(
        f"): its API is open inside its VPC{also} only; whoever runs the platform opens it to more addresses"
        " by `api_public_cidrs` in Pulumi.dev.yaml, or tells you the VPN to use\n"
    )
    assert err.count("\n") == 1


def test_a_cluster_that_does_not_know_the_role_yet_says_so(home: Home, server: Any, quick: None) -> None:
    server.answers["GET", f"{ARGO}/workflowtemplates"] = (401, {"message": "Unauthorized"})
    code, _, err = home.run("login", *ONCE)
    assert code == 1
    assert (
        "cannot read the tenant's pipelines: the cluster does not accept the credentials of this context"
        in err
    )
    assert err.count("\n") == 1


def test_the_rest_of_a_kubeconfig_stays_as_it_is(home: Home, quick: None) -> None:
    before = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mine",
        "clusters": [
            {"name": name, "cluster": {"server": "http://mine"}} for name in ("mine", "lightwork-dev-acme")
        ],
        "users": [{"name": "mine", "user": {"token": "t"}}],
        "contexts": [{"name": "mine", "context": {"cluster": "mine", "user": "mine"}}],
    }
    real = home.folder / "real"
    real.write_text(yaml.safe_dump(before))
    home.kubeconfig.parent.mkdir()
    home.kubeconfig.symlink_to(real)
    assert home.run("login", *ONCE)[0] == 0
    assert home.run("login", *ONCE)[0] == 0, "once more"
    after = yaml.safe_load(real.read_text())
    assert home.kubeconfig.is_symlink()
    assert after["current-context"] == "mine"
    for kind in ("clusters", "users", "contexts"):
        assert [item["name"] for item in after[kind]] == ["mine", "lightwork-dev-acme"]
        assert after[kind][0] == before[kind][0]
    assert after["contexts"][1]["context"]["namespace"] == "tenant-acme"


@pytest.mark.parametrize("text", ["{", "[]", "contexts: [1]", "contexts: 1", "\x00"])
def test_a_broken_kubeconfig_is_one_line_and_stays_as_it_is(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", f"{path}:{tmp_path}/other")
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        kubeconfig.put("x", cluster={}, user={}, namespace="x")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["{", "[]", '{"dev/acme": 1}', '{"dev/acme": {"account": 1}}'])
def test_damaged_settings_are_one_line(home: Home, text: str) -> None:
    path = home.folder / ".config" / "lightwork" / "logins.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        logins.find("dev", "acme")
    assert str(path) in str(caught.value)
    assert "log in again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_context_of_the_tenant_comes_before_that_of_the_environment(home: Home, server: Any) -> None:
    entries = {"general": "lightwork-dev", "own": "lightwork-dev-acme", "elsewhere": "elsewhere"}
    home.kubeconfig.parent.mkdir()
    for token, name in entries.items():
        kubeconfig.put(name, cluster={"server": server.url}, user={"token": token}, namespace="x")
    for context, token in ((None, "own"), ("elsewhere", "elsewhere"), ("lightwork-dev", "general")):
        Remote("dev", "acme", context).pipelines()
        assert server.headers[-1]["Authorization"] == f"Bearer {token}"
    with pytest.raises(LightworkError, match="cannot read the tenant's pipelines"):
        Remote("dev", "globex").pipelines()
    assert server.headers[-1]["Authorization"] == "Bearer general", "another tenant's"


def test_whoever_has_not_logged_in_is_told_how(home: Home) -> None:
    code, _, err = home.run("stop", "r1", *WHERE)
    assert (code, err.count("\n")) == (2, 1)
    assert err.endswith("or log in: lightwork login --env dev --tenant acme\n")
    code, _, err = home.run("runs", *WHERE)
    told = "you have not logged in there as acme: lightwork login --env dev --tenant acme"
    assert (code, err) == (2, f"lightwork: --env dev: {told}\n")


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
    kubeconfig.put("lightwork-dev", cluster={"server": server.url}, user=user, namespace="x")
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
