"""The `pulumi` command, isolated from the terminal's Ctrl-C: the driver decides when to interrupt it.

Also the check for the `aws` command, which an estate's program needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pulumi import automation as auto
from pulumi.automation.errors import InvalidVersionError, create_command_error

from lightwork.errors import InputError, one_line

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping


def need_aws() -> None:
    """Check that the `aws` command is there, without which pulumi-eks stops in the middle of a preview.

    Raises:
        InputError: it is not.
    """
    if not shutil.which("aws"):
        raise InputError(
            "`aws` is not on PATH: install version 2.7 or newer of AWS's command line, which gives out the"
            " tokens for an estate's cluster"
        )


class Pulumi(auto.PulumiCommand):
    """Runs `pulumi`, each time in its own session, so that the terminal's Ctrl-C reaches only the driver."""

    def __init__(self, root: Path | None = None) -> None:
        """Find the command.

        Args:
            root: the folder with `bin/pulumi`; None for the one on PATH.

        Raises:
            InputError: the command is missing, or its version does not fit Pulumi's Python package.
        """
        executable = str(root / "bin" / "pulumi") if root else shutil.which("pulumi")
        if not executable or not Path(executable).exists():
            raise InputError(
                "`pulumi` is not on PATH: install version 3 of Pulumi's command line, which includes its"
                " Python language host"
            )
        try:
            super().__init__(root=str(root) if root else None)
        except (InvalidVersionError, OSError, subprocess.CalledProcessError) as error:
            raise InputError(f"{executable}: {one_line(error)}") from None
        self.command = executable
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> auto.CommandResult:
        """Run the command to its end, and return its output.

        A variable that `additional_env` has empty is unset, whatever the shell has.

        Raises:
            CommandError: its exit code is not 0.
        """
        folder = str(Path(self.command).parent)
        variables = {
            **os.environ,
            **additional_env,
            "PATH": os.pathsep.join((folder, os.environ.get("PATH", ""))),  # the plugins are in its folder
            "PULUMI_AUTOMATION_API": "true",
        }
        environment = {name: text for name, text in variables.items() if additional_env.get(name) != ""}
        process = subprocess.Popen(  # noqa: S603
            [self.command, "--non-interactive", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        with self._lock:
            self._running.add(process)
        try:
            stdout, stderr = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        for text, callback in ((stdout, on_output), (stderr, on_error)):
            for line in text.splitlines() if callback else ():
                callback(line)  # type: ignore[misc]
        result = auto.CommandResult(stdout=stdout, stderr=stderr, code=process.returncode)
        if process.returncode:
            raise create_command_error(result)
        return result

    def pids(self) -> list[int]:
        """Return the ids of the running processes."""
        with self._lock:
            return [process.pid for process in self._running]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the running processes."""
        with self._lock:
            for process in self._running:
                process.send_signal(number)
