"""The `pulumi` command, run so that an interrupt reaches it when the driver says so, and not before."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pulumi import automation as auto
from pulumi.automation.errors import InvalidVersionError, create_command_error

from lightwork.errors import InputError

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping


class Pulumi(auto.PulumiCommand):
    """Runs `pulumi`, each time in a session of its own: a terminal's Ctrl-C is the driver's to pass on."""

    def __init__(self, root: Path | None = None) -> None:
        """Find it.

        Args:
            root: the folder that has it as `bin/pulumi`; None for the one on PATH.

        Raises:
            InputError: there is none, or it is none that goes with Pulumi's Python package.
        """
        found = str(root / "bin" / "pulumi") if root else shutil.which("pulumi")
        if not found or not Path(found).exists():
            raise InputError(
                "there is no `pulumi` on PATH: install Pulumi's command line, version 3, which brings its"
                " Python language host"
            )
        try:
            super().__init__(root=str(root) if root else None)
        except (InvalidVersionError, OSError, subprocess.CalledProcessError) as error:
            raise InputError(f"{found}: {' '.join(str(error).split())}") from None
        self.command = found
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
        """Run it to its end, and hand out what it printed.

        Raises:
            CommandError: its exit code is not 0.
        """
        place = str(Path(self.command).parent)
        environment = {
            **os.environ,
            **additional_env,
            "PATH": os.pathsep.join((place, os.environ.get("PATH", ""))),  # its plugins are beside it
            "PULUMI_AUTOMATION_API": "true",
        }
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
            printed, complained = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        for text, told in ((printed, on_output), (complained, on_error)):
            for line in text.splitlines() if told else ():
                told(line)  # type: ignore[misc]
        result = auto.CommandResult(stdout=printed, stderr=complained, code=process.returncode)
        if process.returncode:
            raise create_command_error(result)
        return result

    def pids(self) -> list[int]:
        """The processes that run now."""
        with self._lock:
            return [process.pid for process in self._running]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to what runs now."""
        with self._lock:
            for process in self._running:
                process.send_signal(number)
