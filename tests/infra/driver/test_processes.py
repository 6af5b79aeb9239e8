"""The `pulumi` command's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.driver import processes
from infra.driver.processes import Pulumi, need_aws
from lightwork.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def test_an_empty_variable_of_ours_is_unset_and_one_of_the_shell_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pulumi"
    program.write_text("#!/bin/sh\necho ${ONE-unset},${TWO-unset},${THREE-unset}\n")
    program.chmod(0o755)
    monkeypatch.setattr(processes.auto.PulumiCommand, "__init__", lambda self, root=None: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("ONE", "of the shell")
    monkeypatch.setenv("TWO", "")
    result = Pulumi().run([], str(tmp_path), {"ONE": "", "THREE": "ours"})
    assert result.stdout == "unset,,ours\n", "an empty passphrase of the shell is one too"


def test_a_missing_aws_command_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"^`aws` is not on PATH: install version 2\.7 or newer"):
        need_aws()
    (tmp_path / "aws").touch(mode=0o755)
    need_aws()
