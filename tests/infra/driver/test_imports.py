"""Who imports what, from the sources."""

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
        found = Imports(tmp_path).reached(without=without)
        return {path.removeprefix("infra/").removesuffix(".py") for path in found} - {"__init__"}

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


def test_a_package_on_the_way_counts_with_what_it_imports(reached) -> None:
    sources = {
        "__main__": "from infra.p import m",
        "p/__init__": "from infra import a",
        "p/m": "",
        "a": "",
        "b": "",
    }
    assert reached(**sources) == {"__main__", "p/__init__", "p/m", "a"}


def test_nothing_is_imported_and_the_clone_is_not_this_one(reached, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    run = f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n"
    assert reached(__main__="from infra import a", a=run, config="") == {"__main__", "a"}
    assert not ran.exists(), "only read"


def test_a_file_that_is_not_python_is_refused_in_one_line(reached) -> None:
    with pytest.raises(InputError, match=r"cannot be read: .*a\.py") as caught:
        reached(__main__="from infra import a", a="def (:")
    assert "\n" not in str(caught.value)


def test_the_real_program_reaches_the_platform() -> None:
    found = Imports(ROOT).reached()
    assert {"infra/__main__.py", "infra/aws/network.py", "platform/src/lightwork/errors.py"} <= found
    assert not [path for path in found if path.startswith(("infra/driver/", "infra/ci/"))]
