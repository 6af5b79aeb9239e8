"""Who imports what, from the sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.driver.imports import Imports


@pytest.fixture
def reached(tmp_path: Path):
    def find(without: tuple[str, ...] = (), **sources: str) -> set[str]:
        for name, source in sources.items():
            path = tmp_path / "infra" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        found = Imports(tmp_path).reached(without=without)
        return {path.removeprefix("infra/").removesuffix(".py") for path in found}

    return find


@pytest.mark.parametrize(
    "line",
    [
        "import infra.a",
        "from infra import a",
        "from infra.a import thing",
        "def f():\n    from infra import a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from infra.a import Thing",
        "from importlib import import_module\nimport_module('infra.a')",
    ],
)
def test_an_import_counts_wherever_it_stands(reached, line: str) -> None:
    assert reached(__main__=line, a="", b="") == {"__main__", "a"}


def test_imports_are_followed_also_in_a_circle(reached) -> None:
    assert reached(__main__="from infra import a", a="import infra.b", b="import infra.a", c="") == {
        "__main__",
        "a",
        "b",
    }


def test_what_is_left_out_is_not_gone_into(reached) -> None:
    sources = {"__main__": "from infra import a, b", "a": "from infra import c", "b": "", "c": ""}
    assert reached(without=("infra.a",), **sources) == {"__main__", "b"}


def test_of_a_package_on_the_way_only_what_it_runs_counts(reached) -> None:
    sources = {
        "__main__": "from infra.p import m",
        "p/__init__": "from infra import a\ndef f():\n    from infra import b",
        "p/m": "",
        "a": "",
        "b": "",
    }
    assert reached(**sources) == {"__main__", "p/__init__", "p/m", "a"}
    sources["__main__"] = "from infra.p import f"
    assert "b" in reached(**sources), "who takes something else out of it may run its functions"
