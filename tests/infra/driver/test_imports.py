"""The modules that the program imports, read from the sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.driver.imports import Imports
from infra.offline.preview import ROOT
from lightwork.errors import InputError


@pytest.fixture
def reached(tmp_path: Path):
    def find(without: tuple[str, ...] = (), **sources: str) -> set[str]:
        sources = {"__init__": "", **sources}
        for name, source in sources.items():
            path = tmp_path / "infra" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        files = Imports(tmp_path).reached(without=without)
        return {path.removeprefix("infra/").removesuffix(".py") for path in files} - {"__init__"}

    return find


@pytest.mark.parametrize(
    "line",
    [
        "import infra.a",
        "from infra import a",
        "from infra.a import thing",
        "def f():\n    from infra import a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from infra.a import Thing",
        "def f():\n    import infra.a",
    ],
)
def test_an_import_counts_wherever_it_is(reached, line: str) -> None:
    assert reached(__main__=line, a="", b="") == {"__main__", "a"}


def test_circular_imports_are_followed(reached) -> None:
    assert reached(__main__="from infra import a", a="import infra.b", b="import infra.a", c="") == {
        "__main__",
        "a",
        "b",
    }


def test_an_excluded_module_is_left_out_with_its_imports(reached) -> None:
    sources = {"__main__": "from infra import a, b", "a": "from infra import c", "b": "", "c": ""}
    assert reached(without=("infra.a",), **sources) == {"__main__", "b"}


def test_a_parent_package_counts_with_its_imports(reached) -> None:
    sources = {
        "__main__": "from infra.p import m",
        "p/__init__": "from infra import a",
        "p/m": "",
        "a": "",
        "b": "",
    }
    assert reached(**sources) == {"__main__", "p/__init__", "p/m", "a"}


def test_modules_are_read_from_the_given_clone_without_being_imported(reached, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    source = f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n"
    assert reached(__main__="from infra import a", a=source, config="") == {"__main__", "a"}
    assert not ran.exists(), "the module was run"


def test_a_file_that_is_not_python_is_refused_in_one_line(reached) -> None:
    with pytest.raises(InputError, match=r"cannot read the imports of infra.*a\.py") as refused:
        reached(__main__="from infra import a", a="def (:")
    assert "\n" not in str(refused.value)


def test_the_real_program_imports_the_platform_but_not_the_driver() -> None:
    files = Imports(ROOT).reached()
    assert {"infra/__main__.py", "infra/aws/network.py", "platform/src/lightwork/errors.py"} <= files
    assert not [path for path in files if path.startswith(("infra/driver/", "infra/ci/"))]
