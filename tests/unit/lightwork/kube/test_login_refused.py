"""`lightwork login` and what it cannot do: one line each, and nothing is written."""

from __future__ import annotations

import re
import socket
import time
from typing import Any

import pytest
from botocore.credentials import AssumeRoleProvider
from moto.core.exceptions import AccessDeniedError
from moto.sts.responses import TokenResponse

from lightwork.cli import login
from tests import eks
from tests.estate import files
from tests.unit.lightwork.kube.machine import (
    NO_CREDENTIALS,
    NO_PROFILE,
    ONCE,
    ROLE,
    WHERE,
    Home,
    at,
    become,
    roles,
)
from tests.unit.lightwork.kube.objects import ARGO


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
    if "prod" in words and prod not in roles():
        amazon.add_role(
            prod, {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
        )
    code, out, err = home.run("login", *words)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert not home.kubeconfig.exists()


def test_nobodys_credentials_and_a_profile_that_is_not_there_are_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    code, _, err = home.run("login", *ONCE)
    assert (code, err) == (1, f"lightwork: {NO_CREDENTIALS}\n")
    code, _, err = home.run("login", *ONCE, "--profile", "work")
    assert (code, err) == (
        1,
        f"lightwork: {NO_PROFILE.format('work')}\n",
    )


PROFILES = """
[profile missing-program]
credential_process = /nowhere/program --now
[profile failing-program]
credential_process = sh -c 'echo the vault is locked >&2; exit 3'
[profile babbling-program]
credential_process = echo no JSON
[profile sso]
sso_session = company
sso_account_id = 123456789012
sso_role_name = data
region = us-east-1
[sso-session company]
sso_start_url = https://company.example/start
sso_region = us-east-1
[profile old-sso]
sso_start_url = https://company.example/start
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = data
[profile no-source]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = nobody
[profile half]
aws_access_key_id = AKIAEXAMPLE
[profile token-file]
role_arn = arn:aws:iam::123456789012:role/x
web_identity_token_file = /nowhere/token
[profile mfa]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = own
mfa_serial = arn:aws:iam::123456789012:mfa/jane
[profile own]
aws_access_key_id = AKIAEXAMPLE
aws_secret_access_key = x
[profile login]
login_session = arn:aws:iam::123456789012:user/jane
"""
NOT_ACCEPTED = "AWS does not accept your credentials"
GOT = "your AWS credentials cannot be got"
ENDED = "your session at AWS has ended (Error loading SSO Token: Token for"
OF_PROFILES = {
    "missing-program": f"{GOT} ([Errno 2] No such file or directory: '/nowhere/program'); check your profile",
    "failing-program": "there are no AWS credentials of yours (Error when retrieving credentials from"
    " custom-process: the vault is locked); log in to AWS first",
    "babbling-program": f"{GOT} (Expecting value: line 1 column 1 (char 0)); check your profile",
    "sso": f"{ENDED} company does not exist); run `aws sso login --profile sso`",
    "old-sso": f"{ENDED} https://company.example/start does not exist); run `aws sso login",
    "no-source": 'cannot use AWS: The source_profile "nobody" referenced in the profile "no-source"',
    "half": "there are no AWS credentials of yours; log in to AWS first",
    "token-file": f"{GOT} ([Errno 2] No such file or directory: '/nowhere/token'); check your profile",
    "mfa": "your profile asks for the code of a device (mfa_serial), and there is no terminal to type it in",
    "login": "cannot use AWS: Missing Dependency",
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("profile", OF_PROFILES)
def test_a_profile_without_credentials_is_one_line_with_what_to_do(
    home: Home, quick: None, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(AssumeRoleProvider.__init__, "__defaults__", (_no_terminal, None, None))
    (home.folder / ".aws").mkdir()
    (home.folder / ".aws" / "config").write_text(PROFILES)
    for more in ((), ("--token",)):
        code, out, err = home.run("login", *ONCE, "--profile", profile, *more)
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert err.startswith(f"lightwork: {OF_PROFILES[profile]}"), err
    assert not home.kubeconfig.exists()


class _Refused(AccessDeniedError):
    """An error of AWS with a code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super(AccessDeniedError, self).__init__(code, message)


def _no_terminal(_: str) -> str:
    """Ask for a code as `getpass` does where there is no terminal."""
    raise EOFError


@pytest.mark.parametrize(
    ("call", "code", "message", "told"),
    [
        (
            "get_caller_identity",
            "ExpiredToken",
            "The security token included in the request is expired",
            f"{NOT_ACCEPTED} (The security token included in the request is expired); log in to AWS again",
        ),
        (
            "get_caller_identity",
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            f"{NOT_ACCEPTED} (The security token included in the request is invalid.); log in to AWS again",
        ),
        (
            "get_caller_identity",
            "SignatureDoesNotMatch",
            "Signature expired",
            "AWS refuses GetCallerIdentity: SignatureDoesNotMatch: Signature expired",
        ),
        (
            "assume_role",
            "ExpiredToken",
            "is expired",
            f"{NOT_ACCEPTED} (is expired); log in to AWS again",
        ),
        (
            "assume_role",
            "AccessDenied",
            "u may not sts:AssumeRole on resource: role/own",
            "AWS refuses AssumeRole: AccessDenied: u may not sts:AssumeRole on resource: role/own",
        ),
    ],
)
def test_what_aws_does_not_accept_is_one_line(
    home: Home, quick: None, monkeypatch: pytest.MonkeyPatch, call: str, code: str, message: str, told: str
) -> None:
    def refuse(_: Any) -> None:
        raise _Refused(code, message)

    monkeypatch.setattr(TokenResponse, call, refuse)
    result, out, err = home.run("login", *ONCE)
    assert (result, out, err) == (1, "", f"lightwork: {told}\n")
    assert not home.kubeconfig.exists()


def test_a_region_that_is_not_there_is_one_line(
    home: Home, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    code, out, err = home.run("login", *WHERE, "--account", eks.ACCOUNT, "--region", "eu-central-9")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("lightwork: AWS cannot be reached in eu-central-9: ")
    assert err.endswith("; check --region and the network\n")
    assert not home.kubeconfig.exists()


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


def test_whoever_has_not_logged_in_is_told_how(home: Home) -> None:
    code, _, err = home.run("stop", "r1", *WHERE)
    assert (code, err.count("\n")) == (2, 1)
    assert err.endswith("or log in: lightwork login --env dev --tenant acme\n")
    code, _, err = home.run("runs", *WHERE)
    told = "you have not logged in there as acme: lightwork login --env dev --tenant acme"
    assert (code, err) == (2, f"lightwork: --env dev: {told}\n")


@pytest.mark.parametrize(
    "command", ["search wind", "runs", "artifacts", "submit windy-city", "logs r1", "stop r1"]
)
def test_an_unknown_environment_or_tenant_is_told_what_is_known(
    home: Home, quick: None, command: str
) -> None:
    assert home.run("login", *ONCE)[0] == 0
    code, _, err = home.run(*command.split(), "--env", "mars", "--tenant", "acme")
    assert (code, err) == (2, "lightwork: --env: found 'mars'; expected dev, staging or prod\n")
    with files.own_pipelines():
        code, _, err = home.run(*command.split(), "--env", "dev", "--tenant", "acmee")
    assert (code, err.count("\n")) == (2, 1)
    assert re.search("; did you mean '(lightwork-dev-)?acme'", err), err
    code, _, err = home.run(*command.split(), "--env", "dev", "--tenant", "../acme")
    assert (code, err.count("\n")) == (2, 1)
    assert "'../acme'" in err
