"""Runs of programs in forks of two processes with different hash seeds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.programs.program import Program

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program gave.

    Attributes:
        plain: what plain Python computed, as text; None if it failed.
        cached: what the map gave; None if it failed.
        hits: how many results came from the lake.
        total: how many there are.
        error: why one of them failed; empty if neither did.
    """

    plain: tuple[str, ...] | None
    cached: tuple[str, ...] | None
    hits: int
    total: int
    error: str


class Zygote:
    """A process that forks for each run."""

    def __init__(self, lake: Path, hash_seed: int, on: str) -> None:
        env = {
            **os.environ,
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "LIGHTWORK_PROGRESS": "off",
        }
        env.pop("LIGHTWORK_ON", None)
        command = [sys.executable, "-m", "tests.programs.zygote", str(lake), on]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT
        )

    def ask(self, request: Mapping[str, Any]) -> Outcome:
        """Run a program."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        plain, cached = answer.get("plain"), answer.get("cached")
        error = answer.get("error") or answer.get("plain_error") or answer.get("cached_error") or ""
        return Outcome(
            None if plain is None else tuple(plain),
            None if cached is None else tuple(cached),
            answer.get("hits", 0),
            answer.get("total", 0),
            error,
        )

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Processes:
    """Two processes that write and read the same lakes; a context manager.

    Args:
        on: where their maps run: `serial`, or the address of workers.
    """

    def __init__(self, on: str = "serial") -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lightwork-programs-"))
        self._zygotes = [Zygote(self._folder / f"warm{seed}", seed, on) for seed in (1, 2)]
        self._count = 0

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *failure: object) -> None:
        for zygote in self._zygotes:
            zygote.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def lake(self) -> Path:
        """Return the folder of a new lake."""
        return self.folder() / "lake"

    def folder(self) -> Path:
        """Return a new folder."""
        self._count += 1
        folder = self._folder / f"p{self._count}"
        folder.mkdir()
        return folder

    def done(self, *folders: Path) -> None:
        """Delete folders that are no longer needed."""
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def run(self, which: int, program: Program, files: Mapping[str, str], lake: Path, **edit: Any) -> Outcome:
        """Run a program's files in one of the two processes.

        Args:
            which: the process, 0 or 1.
            program: how it starts.
            files: its files, written to a new folder.
            lake: the folder of the lake.
            edit: an edit in the same process, as `zygote` describes it.
        """
        folder = self.folder()
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        try:
            return self._zygotes[which].ask(
                {
                    "folder": str(folder),
                    "entry": program.entry,
                    "start": program.start,
                    "lake": str(lake),
                    **edit,
                }
            )
        finally:
            self.done(folder)
