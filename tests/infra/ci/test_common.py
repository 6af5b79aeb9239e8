"""What the commands of CI have in common."""

from __future__ import annotations

import click
import pytest

from infra.ci import common
from lightwork.errors import InputError


@click.command()
def refuse() -> None:
    raise InputError("tenants/\x1b]0;x\x07.yaml: \x9b2J\u202eno such file")


def test_an_error_is_shown_with_what_a_terminal_would_obey_escaped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert common.run(refuse, "infra.ci.x", []) == 2
    assert capsys.readouterr().err == "tenants/\\x1b]0;x\\x07.yaml: \\x9b2J\\u202eno such file\n"
