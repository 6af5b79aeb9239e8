"""Names of tenants and secrets that would reach into the cluster or into the environment of programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.config import accounts
from infra.services import objects
from lightwork import tenants
from lightwork.cli.main import execute
from lightwork.errors import InputError
from lightwork.kube import contract
from lightwork.tenants import names

HEAD = "environments: [dev]\n"
NAMESPACES = {
    *objects.LEVELS,
    *(item.namespace for item in vars(accounts).values() if isinstance(item, accounts.ServiceAccount)),
    *("kube-system", "kube-public", "kube-node-lease", "default", "argo", "amazon-cloudwatch", "lightwork"),
}
OBEYED = """
PATH LD_PRELOAD LD_LIBRARY_PATH PYTHONPATH PYTHONSTARTUP DASK_SCHEDULER_ADDRESS HOME AWS_ROLE_ARN TZ IFS
AWS_ENDPOINT_URL BASH_ENV KUBERNETES_SERVICE_HOST HTTPS_PROXY SSL_CERT_FILE REQUESTS_CA_BUNDLE
GLIBC_TUNABLES DB_SERVICE_HOST ARGO_TEMPLATE NODE_OPTIONS
"""
VARIABLES = {*OBEYED.split(), *(value for key, value in vars(contract).items() if key.startswith("ENV_"))}


def mistakes(folder: Path, text: str, name: str = "acme") -> list[str]:
    """Return the lines about a tenant's file."""
    path = folder / f"{name}.yaml"
    path.write_text(f"name: {name}\n{HEAD}{text}")
    try:
        tenants.read(path)
    except InputError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize("name", sorted(NAMESPACES))
def test_a_tenant_cannot_have_a_name_of_the_cluster(tmp_path: Path, name: str) -> None:
    (line,) = mistakes(tmp_path, "", name)
    assert line.endswith(
        f"name: found {name!r}; is a name of the cluster or the platform; choose another name"
    )


def test_a_file_of_such_a_tenant_is_not_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["tenant", "new", "kube-system"]) == 2
    assert "'kube-system' is a name of the cluster" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", sorted(VARIABLES))
def test_a_secret_cannot_become_a_variable_that_programs_obey(tmp_path: Path, key: str) -> None:
    for secret in (key.lower(), key.lower().replace("_", "-"), key):
        (line,) = mistakes(tmp_path, f"secrets: [weather-api, {secret}]\n")
        assert f"acme.yaml:3: secrets.1: found {secret!r}; becomes the environment variable {key}, " in line


@pytest.mark.parametrize("pair", ["a-b, a_b", "a_b, A-B", "token, TOKEN", "a-b-c, a_b-c"])
def test_two_secrets_cannot_become_one_variable(tmp_path: Path, pair: str) -> None:
    (line,) = mistakes(tmp_path, f"secrets: [{pair}]\n")
    assert "secrets.1: found " in line
    assert "too; rename one" in line


def test_a_secret_appears_once_and_does_not_start_with_a_digit(tmp_path: Path) -> None:
    assert "appears twice" in mistakes(tmp_path, "secrets: [a, a]\n")[0]
    assert "cannot start with a digit" in mistakes(tmp_path, "secrets: [1st]\n")[0]


@pytest.mark.parametrize(
    "secret", ["weather-api", "billing_token", "db-password", "pathfinder", "ldap", "home-page"]
)
def test_usual_names_of_secrets_are_taken(tmp_path: Path, secret: str) -> None:
    assert mistakes(tmp_path, f"secrets: [{secret}]\n") == []
    assert names.variable("weather-api") == "WEATHER_API"


PLAIN = "pipelines:\n  winds:\n    image: team/winds:1\n    parameters:\n      day: "
INSTALLED = "pipelines:\n  windy-city:\n    parameters:\n      day: "
STEPS = (
    "pipelines:\n  nightly:\n    steps: {a: {command: [x], args: ['${day}']}}\n    parameters:\n      day: "
)
STEP = (
    "pipelines:\n  nightly:\n    steps:\n      a:\n        pipeline: winds\n        image: team/winds:1\n"
    "        parameters:\n          day: "
)


LONG = [("x" * 30_001, 30_001), ("'\\\\n" * 8_000, 24_000)]


@pytest.mark.parametrize("place", [PLAIN, INSTALLED, STEPS, STEP])
@pytest.mark.parametrize(("value", "size"), LONG, ids=["long", "quoted"])
def test_a_value_that_is_too_long_for_a_workflow_is_refused(
    tmp_path: Path, place: str, value: str, size: int
) -> None:
    lines = mistakes(tmp_path, f'{place}"{value}"\n')
    wanted = f"parameters.day: found a value of {size:,} bytes; should be at most about 30,000 bytes"
    assert any(wanted in line for line in lines), lines


@pytest.mark.parametrize("place", [PLAIN, STEPS, STEP])
def test_values_that_are_too_long_together_are_refused(tmp_path: Path, place: str) -> None:
    start, _, _ = place.rpartition("day: ")
    indent = start.rpartition("\n")[2]
    lines = [f"day: {'x' * 25_000}", *(f"{indent}p{number}: {'x' * 25_000}" for number in range(2))]
    found = mistakes(tmp_path, start + "\n".join(lines) + "\n")
    assert any("the values are too long together; should be at most about 60,000" in line for line in found)


@pytest.mark.parametrize("field", ["command", "args"])
def test_a_control_character_in_a_command_line_is_refused(tmp_path: Path, field: str) -> None:
    other = {"command": "args: [y]", "args": "command: [x]"}[field]
    text = f'pipelines:\n  nightly:\n    steps:\n      a: {{{other}, {field}: ["a\\x7f"]}}\n'
    (line,) = mistakes(tmp_path, text)
    assert f"steps.a.{field}.0: found 'a\\x7f', which has a control character" in line


@pytest.mark.parametrize("field", ["command", "args"])
def test_a_command_line_that_is_too_long_is_refused(tmp_path: Path, field: str) -> None:
    other = {"command": "args: [y]", "args": "command: [x]"}[field]
    text = f"pipelines:\n  nightly:\n    steps:\n      a: {{{other}, {field}: [{'x' * 60_001}]}}\n"
    assert any("are too long together" in line for line in mistakes(tmp_path, text))


@pytest.mark.parametrize("place", [PLAIN, INSTALLED, STEPS, STEP])
def test_names_of_parameters_are_names(tmp_path: Path, place: str) -> None:
    for name in ("{{x}}", "a-b", "1a", "a b", '"}}'):
        lines = mistakes(tmp_path, f"{place}1\n".replace("      day:", f"      {name!r}:"))
        assert any("should be letters, digits and _" in line for line in lines)


@pytest.mark.parametrize("place", [PLAIN, INSTALLED, STEPS, STEP])
def test_single_braces_are_taken(tmp_path: Path, place: str) -> None:
    for text in ("'{day}'", "'} }'", "{a: {b: {}}}", "[[{}]]"):
        assert mistakes(tmp_path, f"{place}{text}\n") == []
