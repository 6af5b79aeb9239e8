"""The pipeline run after a deployment is started as a data engineer would start it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from infra.ci import common, smoke
from lightwork.cli import main as cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.config.naming import Names


@pytest.fixture(autouse=True)
def _site(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        smoke, "settings_and_names", lambda _, environment: common.settings_and_names(root, environment)
    )
    monkeypatch.setattr(smoke, "installed", lambda name: name)


def run() -> int:
    return smoke.main(["--env", "staging", "--tenant", "acme"])


def test_the_run_is_started_in_its_environments_context_and_awaited(program: Callable[..., Path]) -> None:
    aws = program("aws", 'echo "$KUBECONFIG" >>"$0.config"')
    lightwork = program("lightwork", 'echo "$KUBECONFIG" >>"$0.config"')
    assert run() == 0
    assert aws.read_text().split() == [
        *("eks", "update-kubeconfig", "--name", "lightwork-staging", "--region", "eu-central-1"),
        *("--alias", "lightwork-staging"),
    ]
    assert lightwork.read_text().split() == [
        *("submit", "windy-city", "--wait", "--env", "staging", "--tenant", "acme")
    ]
    configs = {aws.with_name("aws.config").read_text(), aws.with_name("lightwork.config").read_text()}
    assert len(configs) == 1, "both must use the same kubeconfig"
    assert configs != {"\n"}, "the user's own kubeconfig must not change"


def test_a_run_that_does_not_succeed_fails_the_job(
    program: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    program("aws")
    program("lightwork", "exit 1")
    assert run() == 1
    assert "submit windy-city" in capsys.readouterr().err


def test_nothing_is_submitted_without_access_to_the_cluster(program: Callable[..., Path]) -> None:
    program("aws", "exit 254")
    lightwork = program("lightwork")
    assert run() == 1
    assert not lightwork.read_text()


def test_lightwork_accepts_these_arguments(names: dict[str, Names], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def remote(*arguments: Any) -> Any:
        calls.append(arguments)
        raise SystemExit(0)

    monkeypatch.setattr("lightwork.cli.remote._remote", remote)
    _, *words = smoke.submit_words(names["staging"], "acme")
    result = CliRunner().invoke(cli.cli, words)
    assert (result.exit_code, calls) == (0, [("staging", "acme", None)]), result.output
