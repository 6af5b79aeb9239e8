"""Run the examples in lightwork's docstrings."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import lightwork

PACKAGE = Path(lightwork.__file__).parent
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(node: Documented, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield name, docstring and line of each docstring with examples, without importing the module.

    `doctest.DocTestFinder` is not enough: it skips public classes, whose module is the package.
    """
    text = ast.get_docstring(node)
    if text is not None and ">>>" in text:
        yield name, text, node.body[0].lineno
    for child in node.body:
        if isinstance(child, Documented):
            yield from documented(child, f"{name}.{child.name}")


def examples() -> Iterator[object]:
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for name, text, line in documented(ast.parse(path.read_text(encoding="utf-8")), module):
            yield pytest.param(module, name, text, line, id=name.removeprefix("lightwork."))


def run(text: str, namespace: dict[str, object], name: str, file: str, line: int) -> tuple[int, str]:
    """Run the examples in a docstring; return the number of failures and their description."""
    report: list[str] = []
    test = doctest.DocTestParser().get_doctest(text, namespace, name, file, line - 1)
    outcome = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert outcome.attempted
    return outcome.failed, "".join(report)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, where results go, and without settings."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith(("LIGHTWORK_", "DASK_"))]:
        monkeypatch.delenv(variable)


@pytest.mark.parametrize(("module", "name", "text", "line"), list(examples()))
def test_the_example_is_right(module: str, name: str, text: str, line: int) -> None:
    imported = importlib.import_module(module)
    failed, report = run(text, {**vars(imported), "__name__": "example"}, name, str(imported.__file__), line)
    assert not failed, report


def test_a_wrong_example_fails() -> None:
    failed, report = run(">>> 1 + 1\n3\n", {}, "wrong", "wrong.py", 1)
    assert failed == 1
    assert "Expected:\n    3\nGot:\n    2" in report


PUBLIC = [getattr(lightwork, name) for name in lightwork.__all__]


@pytest.mark.parametrize(
    "function",
    [*filter(inspect.isfunction, PUBLIC), lightwork.Task.map, lightwork.Task.submit],
    ids=lambda function: function.__qualname__,
)
def test_a_public_function_has_an_example(function: object) -> None:
    assert ">>>" in (function.__doc__ or "")
