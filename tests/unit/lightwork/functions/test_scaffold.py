from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lightwork
from lightwork import InputError
from lightwork.functions import discovery, scaffold

SOURCES = Path(lightwork.__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in the current folder whose package `own_pipelines` is installed."""
    (tmp_path / "own_pipelines").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(discovery, "packages", lambda: ["own_pipelines"])
    discovery.scan.cache_clear()
    yield tmp_path
    discovery.scan.cache_clear()
    for module in [module for module in sys.modules if module.partition(".")[0] == "own_pipelines"]:
        del sys.modules[module]


def run_test(test: Path, root: Path) -> None:
    """Run the new pipeline's own test in another process; it must pass."""
    paths = os.pathsep.join([str(root), str(SOURCES)])
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
        cwd=root, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "2 passed" in completed.stdout


@pytest.mark.slow
def test_a_new_pipeline_is_found_and_its_test_passes_right_away(project: Path) -> None:
    new = scaffold.make("wind-of-change")
    home = project / "own_pipelines" / "wind_of_change"
    assert sorted(path.name for path in home.iterdir()) == [
        "README.md",
        "__init__.py",
        "pipeline.py",
        "test_wind_of_change.py",
    ]
    assert list(discovery.pipelines()) == ["wind-of-change"]
    assert new.installed
    run_test(new.test, project)


def test_the_test_goes_into_the_tests_folder_if_there_is_one(project: Path) -> None:
    (project / "tests" / "unit").mkdir(parents=True)
    new = scaffold.make("windy")
    assert new.test == project / "tests" / "unit" / "own_pipelines" / "windy" / "test_windy.py"
    assert new.test.is_file()


def test_a_pipeline_in_a_folder_inside_the_package_is_found(project: Path) -> None:
    scaffold.make("windy", into="own_pipelines/team/a")
    assert discovery.find("windy").module == "own_pipelines.team.a.windy.pipeline"


def test_a_pipeline_outside_every_entry_point_counts_as_not_installed(project: Path) -> None:
    new = scaffold.make("windy", into="some/where")
    assert new.package == "some.where"
    assert not new.installed
    assert "from some.where.windy.pipeline import windy" in new.test.read_text()


def test_an_existing_folder_is_not_overwritten(project: Path) -> None:
    file = project / "own_pipelines" / "windy" / "notes.txt"
    file.parent.mkdir()
    file.write_text("mine")
    with pytest.raises(InputError, match="own_pipelines/windy exists"):
        scaffold.make("windy")
    assert [path.name for path in file.parent.iterdir()] == ["notes.txt"]


def test_an_existing_test_is_not_overwritten(project: Path) -> None:
    test = project / "tests" / "unit" / "own_pipelines" / "windy" / "test_windy.py"
    test.parent.mkdir(parents=True)
    test.write_text("mine")
    with pytest.raises(InputError, match=r"test_windy\.py exists"):
        scaffold.make("windy")
    assert not (project / "own_pipelines" / "windy").exists()


def test_the_name_of_another_pipeline_is_refused(project: Path) -> None:
    scaffold.make("windy")
    with pytest.raises(InputError, match=r"'windy', in own_pipelines\.windy\.pipeline"):
        scaffold.make("windy", into="elsewhere")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Windy City", "did you mean 'windy-city'?"),
        ("windyCity", "did you mean 'windy-city'?"),
        ("windy_city", "did you mean 'windy-city'?"),
        ("9lives", "for example windy-city"),
        ("", "for example windy-city"),
        ("../up", "did you mean 'up'?"),
        ("x" * 51, "at most 50 characters"),
        ("class", "reserved"),
        ("test-it", "reserved"),
        ("conftest", "reserved"),
    ],
)
def test_an_invalid_name_is_refused(project: Path, name: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        scaffold.make(name)
    assert words in str(caught.value)
    assert list((project / "own_pipelines").iterdir()) == []


@pytest.mark.parametrize(("into", "words"), [("a-b", "cannot be a Python package"), ("file", "is a file")])
def test_a_folder_that_is_not_a_valid_package_is_refused(project: Path, into: str, words: str) -> None:
    (project / "file").write_text("")
    with pytest.raises(InputError, match=words):
        scaffold.make("windy", into=into)


def test_outside_every_package_the_message_asks_for_a_folder(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(InputError, match="--into FOLDER"):
        scaffold.make("windy")
