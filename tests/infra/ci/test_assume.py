"""A job assumes a role by its token. A token that AWS would refuse is refused before anything runs."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.ci import assume, common
from infra.config.settings import GitLab
from infra.policies import trust as policies_trust
from lightwork.errors import InputError
from tests.infra.ci.conftest import ACCOUNTS, token
from tests.infra.iam import decide

if TYPE_CHECKING:
    from tests.infra.engine import Run

GITLAB = GitLab(project="example/lightwork")
MAIN = "project_path:example/lightwork:ref_type:branch:ref:main"
DEPLOYS = f"{MAIN}:environment:dev:environment_protected:true"
JOB = {"CI_PROJECT_ID": "7", "CI_PIPELINE_ID": "1234", "CI_JOB_ID": "56789", "PATH": "/usr/bin"}


def test_a_command_gets_the_role_and_the_tokens_file_and_no_key(root: Path) -> None:
    signed = token(DEPLOYS)
    variables = assume.prepared("apply", "dev", {**JOB, "AWS_TOKEN": signed}, root=root)
    account = ACCOUNTS["dev"]
    assert variables["AWS_ROLE_ARN"] == f"arn:aws:iam::{account}:role/lightwork-ci/dev/lightwork-dev-apply"
    assert variables["AWS_ROLE_SESSION_NAME"] == "gitlab-7-1234-56789", "CloudTrail must lead to the job"
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert variables["PULUMI_BACKEND_URL"].startswith(f"s3://lw-dev-{account}-eu-central-1-state?")
    assert "AWS_TOKEN" not in variables, "the token is in the file"
    file = Path(variables["AWS_WEB_IDENTITY_TOKEN_FILE"])
    assert file.read_text() == signed
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700, "other users could read it"


@pytest.mark.parametrize("kind", ["preview", "apply"])
@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_role_is_the_one_that_the_program_creates(
    estates: dict[str, Run], kind: str, environment: str
) -> None:
    from infra.config.naming import Names
    from tests.infra.engine import ACCOUNT, REGION

    (role,) = (
        resource.inputs
        for resource in estates[environment].resources
        if resource.type == "aws:iam/role:Role" and resource.name == f"access-{kind}"
    )
    arn = Names(environment=environment, account=ACCOUNT, region=REGION).ci_role_arn(kind)  # type: ignore[arg-type]
    assert arn == f"arn:aws:iam::{ACCOUNT}:role{role['path']}{role['name']}"


def trusted(kind: str, subject: str) -> bool:
    provider = "arn:aws:iam::111111111111:oidc-provider/gitlab.com"
    trust: dict[str, Any] = (
        policies_trust.preview(provider_arn=provider, gitlab=GITLAB)
        if kind == "preview"
        else policies_trust.apply(provider_arn=provider, gitlab=GITLAB, environment="dev")
    )
    context = {"gitlab.com:aud": policies_trust.AUDIENCE, "gitlab.com:sub": subject}
    principal = {"Federated": provider}
    return decide([trust], "sts:AssumeRoleWithWebIdentity", "", context, principal=principal)


@pytest.mark.parametrize("kind", ["preview", "apply"])
@pytest.mark.parametrize(
    "subject",
    [
        MAIN,
        DEPLOYS,
        MAIN.replace("main", "feature/x"),
        MAIN.replace("main", "[main]"),
        DEPLOYS.replace("dev", "prod"),
        DEPLOYS.replace("true", "false"),
        DEPLOYS.replace("example/", "stranger/"),
        MAIN.replace("branch", "tag"),
        f"x{DEPLOYS}",
        f"{DEPLOYS}x",
    ],
)
def test_the_check_agrees_with_the_roles_trust_policy(kind: Any, subject: str) -> None:
    try:
        assume.check(kind, token(subject), GITLAB, "dev")
        accepted = True
    except InputError:
        accepted = False
    assert accepted == trusted(kind, subject), "it must decide as AWS does"


@pytest.mark.parametrize(
    ("kind", "signed", "message"),
    [
        ("apply", "", r"is not set.*`id_tokens: \{AWS_TOKEN: \{aud: lightwork\}\}`"),
        ("apply", "a.b", "not a GitLab token.*`id_tokens`"),
        ("apply", "a.W10.c", "not a GitLab token.*`id_tokens`"),
        ("apply", token(DEPLOYS, audience="https://gitlab.com"), "audience .*gitlab.com'.* 'lightwork'"),
        ("apply", token(DEPLOYS, issuer="https://gitlab.example.com"), "issuer .*example.com'.*gitlab.host"),
        ("apply", token(MAIN), "ci_id_token_sub_claim_components.*first-install"),
        ("apply", token(DEPLOYS.replace("true", "false")), "protect the environment dev on GitLab"),
        ("preview", token(MAIN.replace("example", "fork")), "gitlab: in Pulumi.dev.yaml"),
    ],
)
def test_a_token_that_aws_would_refuse_is_refused_with_the_remedy(
    root: Path, kind: Any, signed: str, message: str
) -> None:
    with pytest.raises(InputError, match=f"^AWS_TOKEN: .*{message}") as refused:
        assume.prepared(kind, "dev", {**JOB, "AWS_TOKEN": signed}, root=root)
    assert "\n" not in str(refused.value)
    if signed:
        assert signed.rpartition(".")[2] not in str(refused.value).split(), "a log must not have the token"


@pytest.mark.parametrize("key", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"])
def test_keys_are_refused_as_they_would_replace_the_token(root: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"^{key}: is set"):
        assume.prepared("preview", "dev", {**JOB, "AWS_TOKEN": token(MAIN), key: "x"}, root=root)


def test_settings_without_an_account_are_refused_with_their_line(root: Path) -> None:
    file = root / "Pulumi.dev.yaml"
    file.write_text(file.read_text().replace(ACCOUNTS["dev"], "000000000000"))
    with pytest.raises(InputError, match=r"Pulumi\.dev\.yaml:\d+: lightwork:account: .*zeros"):
        assume.prepared("preview", "dev", {**JOB, "AWS_TOKEN": token(MAIN)}, root=root)


def test_the_command_replaces_the_process(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        assume, "settings_and_names", lambda _, environment: common.settings_and_names(root, environment)
    )
    for key in assume.KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("AWS_TOKEN", token(MAIN))
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr("os.execvpe", lambda *words: started.append(words))
    assert assume.main(["preview", "--env", "dev", "--", "true", "--env", "x", "--"]) == 0
    ((program, words, environment),) = started
    assert (program, words) == ("true", ["true", "--env", "x", "--"]), "its arguments are unchanged"
    assert environment["AWS_ROLE_ARN"].endswith("lightwork-dev-preview")
    assert "as arn:aws:iam::" in capsys.readouterr().err


def test_a_missing_program_is_reported_in_one_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(assume, "prepared", lambda *_: {"AWS_ROLE_ARN": "x", "PATH": "/nowhere"})
    assert assume.main(["preview", "--env", "dev", "--", "no-such-program"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("no-such-program: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["preview", "--env", "dev"], "the command to run after --"),
        (["preview", "--env", "dev", "--"], "the command to run after --"),
        (["preview", "--env", "dev", "true"], "unexpected extra argument (true)"),
        (["preview", "--", "true"], "Missing option '--env'"),
        (["destroy", "--env", "dev", "--", "true"], "'destroy' is not one of 'preview', 'apply'"),
        (["preview", "--env", "production", "--", "true"], "'production' is not one of 'dev'"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert assume.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert line.endswith("(python -m infra.ci.assume --help)")
