"""The `pulumi` command's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.driver import processes
from infra.driver.processes import Pulumi

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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
