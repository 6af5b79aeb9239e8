"""The command line of the Job that makes Argo's login."""

from __future__ import annotations

import pytest

from lightwork.pods.archive import __main__ as program

WORDS = ["--host", "db", "--database", "argo", "--secret", "login", "--pods", "app=argo"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required"),
        (WORDS, "one of the arguments --master-arn --master-folder is required"),
        ([*WORDS, "--master-arn", "x", "--master-folder", "y"], "not allowed with argument"),
        ([*WORDS, "--master-arn", "x"], "--region is missing"),
        ([*WORDS, "--master-folder", "y", "--days", "soon"], "invalid float value"),
    ],
)
def test_wrong_options_are_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        program.main(words)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_failure_is_one_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("no\ntoken")

    monkeypatch.setattr(program, "InCluster", refuse)
    with pytest.raises(SystemExit) as end:
        program.main([*WORDS, "--master-folder", "/master"])
    assert end.value.code == "archive: login: no token", "exit code 1, and the reason in one line"
