"""Today's code reads the lake that lightwork 0.1.0 wrote: at worst it computes again, and never fails.

`lake_of_0_1_0` holds a lake and the module whose tasks filled it.
"""

from __future__ import annotations

import functools
import importlib
import json
import shutil
from pathlib import Path

import pytest

import lightwork
from lightwork import Artifact, ElementError, connect
from lightwork.engine.runner import Runner
from lightwork.keys import CodeKey
from lightwork.keys.source import classify
from lightwork.runs.outcome import Run

HERE = Path(__file__).with_name("lake_of_0_1_0")


@pytest.fixture
def session(tmp_path):
    shutil.copytree(HERE / "lake", tmp_path / "lake")
    with connect(on="serial", lake=tmp_path / "lake", tenant="acme", progress="off") as opened:
        yield opened


@pytest.fixture
def tasks(monkeypatch):
    """The module that the lake was filled from."""
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("kept_tasks")


@pytest.fixture
def kept_keys(monkeypatch):
    """Look results up by the keys of code that the lake was written with."""

    def code_of(runner, task):
        files = (HERE / "lake/acme/results" / task.name).glob("*/code.json")
        return CodeKey.from_json(json.loads(next(files).read_text()))

    monkeypatch.setattr(Runner, "code_of", code_of)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("plain", [0.0625, 14.0625, 52.5625, 115.5625, 203.0625]),
        ("tenant_of", ["acme-0", "acme-1", "acme-2", "acme-3", "acme-4"]),
    ],
)
def test_a_map_has_the_right_results_and_finds_them_all_the_next_time(session, tasks, name, right):
    task = getattr(tasks, name)
    assert list(task.map(range(5))) == right
    results = task.map(range(5))
    assert list(results) == right
    assert (results.stats.total, results.stats.cached, results.stats.computed) == (5, 5, 0)


def test_a_single_call_has_the_right_result(session, tasks):
    assert tasks.plain.submit(10, power=3).result() == 43800.328125
    assert session.elements["failed"] == 0


def test_kept_results_are_found_by_the_keys_of_then(session, tasks, kept_keys):
    results = tasks.plain.map(range(5))
    assert list(results) == [0.0625, 14.0625, 52.5625, 115.5625, 203.0625]
    assert (results.stats.total, results.stats.cached, results.stats.computed) == (5, 5, 0)


def test_kept_objects_of_lightwork_have_todays_classes(session, tasks, kept_keys):
    def make(name: str) -> object:
        raise AssertionError(name)

    results = tasks.made.map(["artifact", "error", "task", "run"], shared={"make": make})
    artifact, error, task, run = results
    assert results.stats.cached == 4
    assert type(artifact) is Artifact
    assert (artifact.name, session.artifacts.read_file("one")) == ("one", b"1")
    assert type(error) is ElementError
    assert str(error) == "kept_tasks.made: element 3 (3) failed: ValueError: no"
    assert task is tasks.plain
    assert type(run) is Run
    assert run.parameters == {"year": 2020}


NAMES = [name for name in lightwork.__all__ if name != "runs"]
"""All public names but that of the folder that can be called."""


@pytest.mark.parametrize("name", NAMES)
def test_the_module_of_a_public_name_is_the_package(name):
    assert getattr(lightwork, name).__module__ == "lightwork"


@pytest.mark.parametrize("name", NAMES)
def test_keys_refer_to_a_public_name_through_the_package(name):
    item = getattr(lightwork, name)
    named = classify.class_name(item) if isinstance(item, type) else classify.function_name(item)
    assert named == f"lightwork.{name}"


def test_a_users_wrapper_of_a_public_function_keeps_its_own_name():
    @functools.wraps(lightwork.current_session)
    def mine() -> None: ...

    assert classify.function_name(mine).startswith(f"{__name__}.")


def test_a_public_class_is_named_before_the_package_has_loaded_it(monkeypatch):
    monkeypatch.delitem(vars(lightwork), "Artifact", raising=False)
    assert classify.is_named(Artifact)
