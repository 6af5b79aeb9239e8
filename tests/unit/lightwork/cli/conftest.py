from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lightwork.cli.main import execute
from lightwork.functions import discovery

PACKAGE = "cli_pipelines"
CODE = '''
import datetime as dt
import signal
from typing import Annotated, Literal

import pandas as pd
from annotated_types import Gt
from pydantic import DirectoryPath

from lightwork import InputError, current_session, pipeline, task


@task
def double(x: int) -> int:
    return 2 * x


@task(retries=2, retry_on=OSError)
def scaled(x, factor=2):
    if x == 3:
        raise ValueError("three is\\nno good")
    return x * factor


@pipeline
def windy_city(max_timestamps: Annotated[int, Gt(0)] = 10, data: DirectoryPath | None = None,
               mode: Literal["fast", "slow"] = "fast") -> dict:
    """Which place is windiest.

    More about it.
    """
    session = current_session()
    session.report.bars("Wins", {"JFK": 3, "LGA": 1}, unit="hours")
    print("from the pipeline")
    return {"sum": sum(double.map(range(max_timestamps))), "nan": float("nan"), "mode": mode}


@pipeline
def table(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"n": range(rows), "day": dt.date(2026, 1, 31)})


@pipeline
def refuses() -> None:
    raise InputError("refuses: the input folder is empty; expected Parquet files")


@pipeline
def raises() -> None:
    raise KeyError("missing")


@pipeline
def element_fails() -> list:
    return list(scaled.map(range(5)))


@pipeline
def drawn() -> dict:
    current_session().report.bars("Wins", {"JFK": 3, "LGA": 1})
    return {"wins": {"JFK": 3, "LGA": 1}}


@pipeline
def terminated() -> None:
    signal.raise_signal(signal.SIGTERM)
    raise AssertionError("went on")


@pipeline
def interrupted() -> None:
    raise KeyboardInterrupt
'''


@dataclass(frozen=True)
class Outcome:
    """The exit code and the output of a command line."""

    code: int
    out: str
    err: str


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with an installed package of pipelines, and no settings in the environment."""
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "pipes.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(discovery, "packages", lambda: [PACKAGE])
    for variable in ("LIGHTWORK_ON", "LIGHTWORK_LAKE", "LIGHTWORK_TENANT", "DASK_SCHEDULER_ADDRESS"):
        monkeypatch.delenv(variable, raising=False)
    discovery.scan.cache_clear()
    yield tmp_path
    discovery.scan.cache_clear()
    for module in [module for module in sys.modules if module.partition(".")[0] == PACKAGE]:
        del sys.modules[module]


@pytest.fixture
def lightwork(project: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process."""

    def run(*argv: str) -> Outcome:
        capfd.readouterr()
        code = execute(argv)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
