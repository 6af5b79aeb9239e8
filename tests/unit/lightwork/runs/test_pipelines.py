"""A pipeline that is called from Python leaves a run, and `lightwork.runs()` shows it."""

from __future__ import annotations

import html
import importlib

import pandas as pd
import pytest

import lightwork
from lightwork import InputError, LightworkError, pipeline, task
from lightwork.lake import open_lake
from lightwork.runs import provenance
from lightwork.store import records
from lightwork.store.artifacts import Artifacts


@task(on_error="skip")
def inverse(number: int) -> float:
    return 1 / number


@pipeline
def inverses(count: int = 3, workers: int = 1) -> pd.DataFrame:
    return pd.DataFrame({"value": list(inverse.map(range(count)))})


@pipeline
def fails(text: str) -> None:
    lightwork.current_session().artifacts.write("half", pd.DataFrame({"n": [0]}))
    raise RuntimeError(text)


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTWORK_LAKE", str(tmp_path))
    monkeypatch.delenv("LIGHTWORK_TENANT", raising=False)
    return open_lake(tmp_path, tenant="local")


def test_a_pipeline_gives_a_run(lake):
    run = inverses.run(count=4, on="serial", workers=7)
    assert (run.status, run.pipeline) == ("succeeded", "inverses")
    assert run.parameters == {"count": 4, "workers": 7}, "a parameter with an option's name is the parameter"
    assert run.result["rows"] == 3
    assert run.stats["elements"] == {"total": 4, "cached": 0, "computed": 3, "failed": 1}
    assert [row["input"] for row in run.failures] == ["0"]
    assert [item["name"] for item in run.artifacts] == ["inverses"]
    assert run.report.endswith("report.html")
    (found,) = lightwork.runs()
    assert (found.name, found.result, found.failures) == (run.name, run.result, run.failures)


def test_a_run_that_fails_raises_its_error_with_its_name(lake):
    with pytest.raises(RuntimeError, match="no wind") as raised:
        fails.run(text="no wind")
    (run,) = lightwork.runs("fails")
    assert run.error == "RuntimeError: no wind"
    assert run.name in raised.value.__notes__[0]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"count": "many"}, "count"),
        ({"cuont": 3}, "did you mean 'count'?"),
        ({"on": "mars"}, "mars"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(lake, given, reason):
    with pytest.raises(InputError) as raised:
        inverses.run(**given)
    assert reason in str(raised.value)
    assert records.names(lake) == []


def test_the_history_can_be_called_whatever_is_imported(lake):
    inverses.run()
    importlib.import_module("lightwork.runs.session")
    assert len(lightwork.runs()) == 1
    assert lightwork.runs("another") == []
    with pytest.raises(InputError):
        lightwork.runs(last=0)


def test_a_notebook_shows_a_run_with_everything_escaped(lake):
    text = "<script>alert(1)</script>"
    with pytest.raises(RuntimeError):
        fails.run(text=text)
    run = lightwork.runs()[0]
    for page in (run._repr_html_(), lightwork.runs()._repr_html_()):
        assert text not in page
        assert html.escape(text) in page
    inverses.run()
    assert "failed elements" in lightwork.runs()[0]._repr_html_()


def test_the_newest_artifact_is_that_of_a_run_that_succeeded(lake):
    looking = Artifacts(lake, run_id="", provenance={})
    with pytest.raises(RuntimeError):
        fails.run(text="x")
    with pytest.raises(LightworkError, match="of a run that succeeded"):
        looking.read("half")
    name = lightwork.runs()[0].name
    assert list(looking.read("half", run=name)["n"]) == [0], "by its run, any can be read"

    with lightwork.connect("serial") as session:
        session.artifacts.write("half", pd.DataFrame({"n": [1]}))
        assert list(session.artifacts.read("half")["n"]) == [1], "a session of its own has no record"
    with pytest.raises(RuntimeError):
        fails.run(text="again")
    assert list(looking.read("half")["n"]) == [1]


def test_an_artifact_says_what_it_comes_from(lake):
    run = inverses.run(count=2)
    (file,) = lake.entries("artifacts/inverses/_versions")
    document = lightwork.store.documents.parse(lake.read(file.path))
    assert document["run_id"] == run.name
    assert len(document["code_key"]) == 32
    assert document["provenance"]["parameters"] == {"count": 2, "workers": 1}
    assert document["provenance"]["versions"]["lightwork"] == lightwork.__version__
    assert document["provenance"]["code_keys"] == run.record["code_keys"]
    assert document["provenance"]["git_commit"] == run.record["git_commit"]


# The commit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({".git/HEAD": COMMIT}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": f"{COMMIT}\n"}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/a/b", ".git/packed-refs": f"# x\n{COMMIT} refs/heads/a/b\n"}, COMMIT),
        ({".git": "gitdir: ../main/.git/worktrees/w", "../main/.git/worktrees/w/HEAD": "ref: refs/heads/w",
          "../main/.git/worktrees/w/commondir": "../..", "../main/.git/refs/heads/w": COMMIT}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/unborn"}, None),
        ({".git/HEAD": "ref: ../../../etc/passwd"}, None),
        ({".git/HEAD": "x"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_commit_is_read_from_the_repository(tmp_path, files, expected):
    top = tmp_path / "top"
    (top / "src").mkdir(parents=True)
    for name, text in files.items():
        file = (top / name).resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert provenance._head(top / "src") == expected


@pytest.mark.parametrize(("value", "expected"), [(COMMIT, COMMIT), ("latest", None)])
def test_an_image_says_its_commit(monkeypatch, value, expected):
    monkeypatch.setenv("LIGHTWORK_COMMIT", value)
    assert provenance.git_commit(inverses) == expected


def test_the_text_of_a_run_is_short(lake):
    with pytest.raises(RuntimeError):
        fails.run(text="long " * 1000)
    run = lightwork.runs()[0]
    assert repr(run).startswith(f"<Run {run.name} failed: ")
    assert len(repr(run)) < 400
