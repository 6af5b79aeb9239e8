"""`lightwork runs`: its filters, its pages, and one clear line for what is wrong with them."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from lightwork.cli.history import since_of
from lightwork.cli.main import execute
from lightwork.errors import InputError
from lightwork.history.collect import collect
from lightwork.lake import Lake
from tests.unit.lightwork.history.leaving import NOW, leave


@pytest.fixture
def filled(lake: Lake) -> Lake:
    for number in range(6):
        leave(
            lake,
            f"run-{number}",
            status="failed" if number == 3 else "succeeded",
            ended=NOW - dt.timedelta(days=number),
            seconds=1000 if number == 1 else 100,
            parameters={"n": number},
            error="it broke" if number == 3 else None,
        )
    collect(lake)
    return lake


def runs(lake: Lake, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    folder = lake.root.removeprefix("file://").rpartition("/")[0]
    code = execute(["runs", "--lake", folder, "--tenant", "acme", *words])
    out, err = capfd.readouterr()
    return code, out, err


def found(lake: Lake, capfd: pytest.CaptureFixture[str], *words: str) -> list[str]:
    code, out, err = runs(lake, capfd, "--json", *words)
    assert (code, err) == (0, "")
    return [run["name"] for run in json.loads(out)["runs"]]


def test_each_filter(filled: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    assert found(filled, capfd) == [f"run-{number}" for number in range(6)]
    assert found(filled, capfd, "--status", "failed,lost") == ["run-3"]
    assert found(filled, capfd, "--status", "failed", "--status", "succeeded", "--last", "2") == [
        "run-0",
        "run-1",
    ]
    assert found(filled, capfd, "--where", "n=4") == ["run-4"]
    assert found(filled, capfd, "--since", "36h") == ["run-0", "run-1"]
    assert found(filled, capfd, "--slow") == ["run-1"]
    assert found(filled, capfd, "windy-city", "--status", "failed") == ["run-3"]
    assert found(filled, capfd, "--pipeline", "windy-city", "--status", "stopped") == []


def test_pages(filled: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    _, out, _ = runs(filled, capfd, "--last", "4")
    assert "older runs: the same with --before run-3" in out
    assert found(filled, capfd, "--last", "4", "--before", "run-3") == ["run-4", "run-5"]
    assert "older runs" not in runs(filled, capfd, "--before", "run-3")[1]
    assert json.loads(runs(filled, capfd, "--last", "4", "--json")[1])["more"] is True


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--status", "faled"], "--status: there is no status 'faled'"),
        (["--where", "n"], "--where: found 'n'; expected NAME=VALUE"),
        (["--where", "m=1"], "--where: no run in"),
        (["--since", "soon"], "--since: found 'soon'; expected an age such as 7d or 12h"),
        (["--before", "nobody"], "--before: there is no run 'nobody' in"),
        (["--pipeline", "nobody"], "runs: there is no pipeline 'nobody'"),
        (["windy-city", "--pipeline", "other"], "the pipeline is 'windy-city' and --pipeline 'other'"),
        (["--pipeline", "no\udc80text"], "runs: there is no pipeline 'no\\udc80text'"),
        (["--where", "no\udc80text=\udc80"], "has a parameter 'no\\udc80text'"),
        (["--before", "no\udc80text"], "there is no run 'no\\udc80text'"),
        (["--last", "0"], "runs: invalid value for '--last'"),
    ],
)
def test_a_wrong_input_is_one_line(
    filled: Lake, capfd: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    code, out, err = runs(filled, capfd, *words)
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1


def test_nothing_that_fits_is_told(filled: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    assert runs(filled, capfd, "--status", "stopped")[1].startswith("No such runs in ")


def test_moments() -> None:
    now = dt.datetime.now(dt.UTC).timestamp()
    assert since_of("7d") == pytest.approx(now - 7 * 86400, abs=5)
    assert since_of("2026-11-01T06:00+01:00") == dt.datetime(2026, 11, 1, 5, tzinfo=dt.UTC).timestamp()
    assert since_of("2026-11-01") == dt.datetime(2026, 11, 1).astimezone().timestamp()
    for wrong in ("", "yesterday", "2026-13-01", "-7d"):
        with pytest.raises(InputError, match="--since"):
            since_of(wrong)
