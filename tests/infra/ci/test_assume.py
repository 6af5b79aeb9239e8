"""A job becomes a role by its token: what AWS would refuse is refused in one line, before anything runs."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.ci import assume
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


def test_a_command_finds_the_role_and_the_token_and_no_key(root: Path) -> None:
    signed = token(DEPLOYS)
    found = assume.prepared("apply", "dev", {**JOB, "AWS_TOKEN": signed}, root=root)
    account = ACCOUNTS["dev"]
    assert found["AWS_ROLE_ARN"] == f"arn:aws:iam::{account}:role/lightwork-ci/dev/lightwork-dev-apply"
    assert found["AWS_ROLE_SESSION_NAME"] == "gitlab-7-1234-56789", "CloudTrail leads to the job"
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert found["PULUMI_BACKEND_URL"].startswith(f"s3://lw-dev-{account}-eu-central-1-state?")
    assert "AWS_TOKEN" not in found, "once is enough: in the file"
    file = Path(found["AWS_WEB_IDENTITY_TOKEN_FILE"])
    assert file.read_text() == signed
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700, "nobody else on the machine reads it"


@pytest.mark.parametrize("kind", ["preview", "apply"])
@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_role_is_the_one_that_the_program_makes(
    estates: dict[str, Run], kind: str, environment: str
) -> None:
    from infra.config.naming import Names
    from tests.infra.engine import ACCOUNT, REGION

    (made,) = (
        resource.inputs
        for resource in estates[environment].resources
        if resource.type == "aws:iam/role:Role" and resource.name == f"access-{kind}"
    )
    arn = Names(environment=environment, account=ACCOUNT, region=REGION).ci_role_arn(kind)  # type: ignore[arg-type]
    assert arn == f"arn:aws:iam::{ACCOUNT}:role{made['path']}{made['name']}"


def trusted(kind: str, subject: str) -> bool:
    provider = "arn:aws:iam::111111111111:oidc-provider/gitlab.com"
    trust: dict[str, Any] = (
        policies_trust.preview(provider_arn=provider, gitlab=GITLAB)
        if kind == "preview"
        else policies_trust.apply(provider_arn=provider, gitlab=GITLAB, environment="dev")
    )
    context = {"gitlab.com:aud": policies_trust.AUDIENCE, "gitlab.com:sub": subject}
    who = {"Federated": provider}
    return decide([trust], "sts:AssumeRoleWithWebIdentity", "", context, principal=who)


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
def test_what_is_refused_here_is_what_the_roles_own_trust_refuses(kind: Any, subject: str) -> None:
    try:
        assume.check(kind, token(subject), GITLAB, "dev")
        let_in = True
    except InputError:
        let_in = False
    assert let_in == trusted(kind, subject), "another answer than AWS's misleads"


@pytest.mark.parametrize(
    ("kind", "signed", "says"),
    [
        ("apply", "", "AWS_TOKEN: is not set; the job needs `id_tokens: {AWS_TOKEN: {aud: lightwork}}`"),
        ("apply", "a.b", "AWS_TOKEN: is not a token of GitLab"),
        ("apply", "a.W10.c", "AWS_TOKEN: is not a token of GitLab"),
        ("apply", token(DEPLOYS, audience="https://gitlab.com"), "AWS_TOKEN: its audience is"),
        ("apply", token(DEPLOYS, issuer="https://gitlab.example.com"), "AWS_TOKEN: was issued by"),
        ("apply", token(MAIN), "ci_id_token_sub_claim_components has no environment in it"),
        ("apply", token(DEPLOYS.replace("true", "false")), "protect the environment dev on GitLab"),
        ("preview", token(MAIN.replace("example", "fork")), "compare it with gitlab: in Pulumi.dev.yaml"),
    ],
)
def test_a_token_that_aws_would_refuse_is_refused_with_what_to_do(
    root: Path, kind: Any, signed: str, says: str
) -> None:
    with pytest.raises(InputError) as refused:
        assume.prepared(kind, "dev", {**JOB, "AWS_TOKEN": signed}, root=root)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value), "one line"
    if signed:
        assert signed.rpartition(".")[2] not in str(refused.value).split(), "a log is no place for a token"


@pytest.mark.parametrize("key", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"])
def test_keys_are_refused_since_they_would_be_taken_for_the_role(root: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"^{key}: is set"):
        assume.prepared("preview", "dev", {**JOB, "AWS_TOKEN": token(MAIN), key: "x"}, root=root)


def test_an_account_that_nobody_has_chosen_is_refused_with_its_line(root: Path) -> None:
    file = root / "Pulumi.dev.yaml"
    file.write_text(file.read_text().replace(ACCOUNTS["dev"], "000000000000"))
    with pytest.raises(InputError, match=r"Pulumi\.dev\.yaml:\d+: lightwork:account: .*zeros"):
        assume.prepared("preview", "dev", {**JOB, "AWS_TOKEN": token(MAIN)}, root=root)


def test_the_command_takes_the_process_over(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(assume, "known", lambda _, environment: common_known(root, environment))
    for key in assume.KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("AWS_TOKEN", token(MAIN))
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr("os.execvpe", lambda *words: started.append(words))
    assert assume.main(["preview", "--env", "dev", "--", "true", "--env", "x", "--"]) == 0
    ((program, words, environment),) = started
    assert (program, words) == ("true", ["true", "--env", "x", "--"]), "its words are its own"
    assert environment["AWS_ROLE_ARN"].endswith("lightwork-dev-preview")
    assert "as arn:aws:iam::" in capsys.readouterr().err


def common_known(root: Path, environment: Any) -> Any:
    from infra.ci.common import known

    return known(root, environment)


def test_a_program_that_is_not_there_is_one_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(assume, "prepared", lambda *_: {"AWS_ROLE_ARN": "x", "PATH": "/nowhere"})
    assert assume.main(["preview", "--env", "dev", "--", "no-such-program"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "no-such-program: there is no such program here"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["preview", "--env", "dev"], "after -- belongs what to run"),
        (["preview", "--env", "dev", "--"], "after -- belongs what to run"),
        (["preview", "--env", "dev", "true"], "unexpected extra argument (true)"),
        (["preview", "--", "true"], "Missing option '--env'"),
        (["destroy", "--env", "dev", "--", "true"], "'destroy' is not one of 'preview', 'apply'"),
        (["preview", "--env", "production", "--", "true"], "'production' is not one of 'dev'"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert assume.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert line.endswith("(python -m infra.ci.assume --help)")
