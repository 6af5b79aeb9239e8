"""A worker with the same code never refuses it, and one with other code never runs that, of all kinds."""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from lightwork import RunFailed, connect, task
from lightwork.engine import proof as proofs
from tests.dask_workers import dask_workers
from tests.unit.lightwork.engine.kinds_of_code import cases, module_of, package
from tests.unit.lightwork.engine.proving import Case, X, main, outcome, parcel_of
from tests.unit.lightwork.keys.conftest import forget
from tests.unit.lightwork.keys.installed import ARCHIVE, install, write
from tests.unit.lightwork.keys.test_imports_inside import DEPENDENCY, LIBRARY

REPOSITORY = Path(__file__).parents[4]
CHANGED_BY_USE = {
    "a default table",
    "a function chosen at first use",
    "a memo",
    "a table of functions that grows",
    "a value made at first use",
    "an instance with a cached_property",
    "objects that are kept",
    "weak references",
}
"""Kinds whose code holds another value once it was called: what differs then may be refused."""
WITHOUT_KEY = {"a context variable", "a lock", "a thread's own values", "cmp_to_key", "weak references"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="module")
def libraries(root):
    install(root / "site-packages", LIBRARY, name="rates")
    return install(root / "site-packages", DEPENDENCY, name="rates-dep")


@pytest.fixture(scope="module")
def packages(root):
    """The package `own` before an edit, in a source tree and as an image has it, and after it."""
    return {
        "same": write(root / "here", package(2)),
        "elsewhere": install(
            root / "image/site-packages", package(2), name="own", metadata={"direct_url.json": ARCHIVE}
        ),
        "edited": write(root / "edited", package(3)),
    }


@pytest.fixture
def fresh(root, packages, libraries, monkeypatch):
    """Return a function that makes this process one that has imported nothing of a package yet."""
    path = list(sys.path)

    def start(name: str) -> None:
        forget(root)
        proofs._proven.clear()
        proofs._changed_by_runs.clear()
        monkeypatch.setattr(sys, "path", [str(packages[name]), str(libraries), *path])

    yield start
    start("same")


@pytest.mark.sample(24)
@pytest.mark.parametrize(("kind", "form"), cases())
def test_the_same_code_elsewhere_is_run_and_edited_code_refused(fresh, kind, form):
    fresh("same")
    function = importlib.import_module(module_of(kind, form)).f
    sent = Case(*parcel_of(function), function(X))
    parcel, key = parcel_of(function)
    fresh("elsewhere")
    assert outcome(sent) == "s"
    proofs._proven.clear()
    assert outcome(sent) == "s", "what a worker's own runs load and change is no difference"
    fresh("elsewhere")
    if kind not in CHANGED_BY_USE:
        assert (key, parcel.proof) == (sent.key, sent.parcel.proof), "nor what those of a driver load"
    fresh("edited")
    assert outcome(sent) == "r"


DRIVERS = ["", "held loaded", "script used"]
WORKERS = ["loaded", "unpacked again", "old used again"]


ON_WORKERS = [
    case
    for case in cases()
    if case[1] in {"at the top", "in the body", "in a helper's body", "through a lazy module"}
]


def run(role: str, file: Path, conditions: str, *path: Path, seed: str) -> str:
    """Run a driver or a worker, in another folder and with another home."""
    completed = subprocess.run(
        [sys.executable, "-c", f"from {main.__module__} import main; main()", role, file, conditions, *path],
        cwd=file.parent,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": seed, "HOME": str(file.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


def named(letters: str, letter: str) -> set[tuple[str, str]]:
    assert len(letters) == len(cases())
    return {case for case, found in zip(cases(), letters, strict=True) if found == letter}


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_processes_agree_whatever_they_have_loaded_and_run_unless_code_was_edited(
    packages, libraries, tmp_path, driver
):
    file = tmp_path / "cases"
    run("driver", file, driver, packages["same"], libraries, seed="1")
    keys = {case: sent.key for case, sent in zip(cases(), pickle.loads(file.read_bytes()), strict=True)}
    assert {kind for (kind, _), key in keys.items() if isinstance(key, str)} <= WITHOUT_KEY
    for worker in WORKERS:
        letters = run("worker", file, worker, packages["elsewhere"], libraries, seed="2")
        assert not named(letters, "w")
        refused = {kind for kind, _ in named(letters, "r")}
        is_used = "used" in driver + worker or "unpacked" in worker
        assert refused <= (CHANGED_BY_USE if is_used else set()), worker
    letters = run("worker", file, "", packages["edited"], libraries, seed="2")
    assert not named(letters, "w")
    assert not {form for _, form in named(letters, "s") if "body" in form or "lazy" in form}


@pytest.fixture(scope="module")
def local(packages, libraries, tmp_path_factory):
    """A session with one local worker, which has the package at another place."""
    path = [str(packages["same"]), str(libraries)]
    sys.path[:0] = path
    with connect(
        on="local", workers=1, lake=tmp_path_factory.mktemp("lake"), tenant="acme", progress="off"
    ) as session:
        yield session
    del sys.path[: len(path)]


@pytest.mark.slow
def test_a_local_worker_runs_every_kind(local):
    functions = {case: importlib.import_module(module_of(*case)).f for case in ON_WORKERS}
    results = {case: result_of(function, cache=True) for case, function in functions.items()}
    # Only now, as a call of it in this process changes what some kinds hold.
    assert {case: results[case] for case in results if results[case] != functions[case](X)} == {}


def result_of(function, *, cache: bool = False) -> object:
    """Return the result of one element on a worker, or the error that ends the run."""
    try:
        return next(task(cache=cache)(function).map([X]))
    except RunFailed as error:
        return error


@pytest.mark.slow
@pytest.mark.parametrize("there", ["elsewhere", "edited"])
def test_workers_of_a_scheduler_run_the_same_code_or_refuse_in_one_line(
    fresh, packages, libraries, tmp_path, monkeypatch, there
):
    fresh("same")
    monkeypatch.setattr(sys, "path", [str(packages[there]), str(libraries), *sys.path[2:]])
    with dask_workers(1) as address:
        fresh("same")
        with connect(on=address, lake=tmp_path, tenant="acme", progress="off"):
            functions = {case: importlib.import_module(module_of(*case)).f for case in ON_WORKERS}
            results = {case: result_of(function) for case, function in functions.items()}
    refused = {case: str(result) for case, result in results.items() if isinstance(result, RunFailed)}
    assert not [line for line in refused.values() if "\n" in line or "is not what a worker has" not in line]
    ran = [case for case in ON_WORKERS if case not in refused]
    assert [case for case in ran if results[case] != functions[case](X)] == []
    if there == "elsewhere":
        assert not refused
    else:
        assert refused.keys() >= {case for case in ON_WORKERS if case[1] == "in the body"}
