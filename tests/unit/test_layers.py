"""What each part of the repository may import, by the contracts in pyproject.toml, and what it loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
PLATFORM = REPOSITORY / "platform" / "src"

HEAVY = {
    *("bokeh", "boto3", "botocore", "dask", "distributed", "hera", "jinja2", "numpy", "pandas"),
    *("pyarrow", "pydantic", "rich", "structlog"),
}
LIGHT = [
    *("lightwork", "lightwork.cli.main", "lightwork.errors", "lightwork.functions.decorated"),
    *("lightwork.runs.tasks", "lightwork.version"),
]


def imports(tree: ast.AST, *, module_level: bool = False) -> Iterator[str]:
    """The full names a module imports; at module level alone, those that merely importing it runs."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if "import" in ast.unparse(node.func):
                yield name
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() if module_level:
                continue
            case ast.If(test=test) if module_level and "TYPE_CHECKING" in ast.unparse(test):
                yield from imports(ast.Module(node.orelse, []), module_level=True)
                continue
        yield from imports(node, module_level=module_level)


def offences(source: str, forbidden: set[str], *, module_level: bool = False) -> list[str]:
    """The imports of a module whose top name is forbidden; `pulumi` stands for `pulumi_aws` too."""
    found = imports(ast.parse(source), module_level=module_level)
    return sorted({name for name in found if {name.split(".")[0], name.split("_")[0]} & forbidden})


def test_every_import_keeps_the_contracts() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _file(name: str) -> Path | None:
    base = PLATFORM.joinpath(*name.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def closure(name: str) -> dict[str, Path]:
    """The modules of lightwork that importing one of them also imports, itself included."""
    found: dict[str, Path] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        path = _file(current)
        if current in found or path is None:
            continue
        found[current] = path
        waiting += [".".join(current.split(".")[:-1])]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting += [other for other in imports(tree, module_level=True) if other.startswith("lightwork")]
    return found


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_module_imports_nothing_heavy_also_not_through_others(name: str) -> None:
    assert _file(name), f"there is no {name}"
    for module, path in closure(name).items():
        assert not offences(path.read_text(encoding="utf-8"), HEAVY, module_level=True), module


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np",
        "try:\n    import dask.bag\nexcept ImportError:\n    pass",
        "class A:\n    import rich",
    ],
)
def test_the_rule_of_light_modules_finds_an_offender(source: str) -> None:
    assert offences(source, HEAVY, module_level=True)


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    import numpy",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas as pd",
        "import richer_than_rich",
    ],
)
def test_the_rule_of_light_modules_lets_lazy_imports_pass(source: str) -> None:
    assert not offences(source, HEAVY, module_level=True)


def loaded(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("name", LIGHT)
def test_importing_a_light_module_loads_nothing_heavy(name: str) -> None:
    assert not loaded(f"import {name}")


def test_decorating_a_function_loads_nothing_heavy() -> None:
    assert not loaded("from lightwork import pipeline, task; task(len); pipeline(lambda: 1)")


def test_what_is_loaded_is_seen() -> None:
    assert loaded("import numpy") == {"numpy"}


def test_the_folder_platform_is_no_package() -> None:
    for folder in (PLATFORM.parent, PLATFORM):
        assert not (folder / "__init__.py").exists(), (
            "it would shadow the standard library's module `platform`"
        )


def test_the_programs_wiring_stays_wiring() -> None:
    main = (REPOSITORY / "infra" / "__main__.py").read_text(encoding="utf-8")
    assert len(main.splitlines()) <= 60, "what does not wire belongs in a component's file"
