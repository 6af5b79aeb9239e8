"""A pipeline is run for real after a deployment: by the words that a data engineer types."""

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
    monkeypatch.setattr(smoke, "known", lambda _, environment: common.known(root, environment))
    monkeypatch.setattr(smoke, "own", lambda name: name)


def run() -> int:
    return smoke.main(["--env", "staging", "--tenant", "acme"])


def test_the_run_is_waited_for_in_the_context_of_its_environment(program: Callable[..., Path]) -> None:
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
    assert len(configs) == 1, "the one writes what the other reads"
    assert configs != {"\n"}, "and not into somebody's own kubeconfig"


def test_a_run_that_does_not_succeed_fails_the_job(
    program: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    program("aws")
    program("lightwork", "exit 1")
    assert run() == 1
    assert "submit windy-city" in capsys.readouterr().err


def test_without_a_way_into_the_cluster_nothing_is_submitted(program: Callable[..., Path]) -> None:
    program("aws", "exit 254")
    lightwork = program("lightwork")
    assert run() == 1
    assert not lightwork.read_text()


def test_lightwork_takes_these_words(names: dict[str, Names], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def remote(*words: Any) -> Any:
        asked.append(words)
        raise SystemExit(0)

    monkeypatch.setattr("lightwork.cli.remote._remote", remote)
    _, *words = smoke.submit_words(names["staging"], "acme")
    done = CliRunner().invoke(cli.cli, words)
    assert (done.exit_code, asked) == (0, [("staging", "acme", None)]), done.output
