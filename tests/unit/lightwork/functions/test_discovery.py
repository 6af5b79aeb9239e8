from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lightwork import InputError
from lightwork.functions import discovery

PIPELINE = "from lightwork import pipeline\n\n@pipeline\ndef {name}(n: int = 1) -> int:\n    return n\n"
_numbers = itertools.count()

Make = Callable[[dict[str, str]], str]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Install packages of pipelines, each under a new name that an entry point names."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed: list[str] = []
    monkeypatch.setattr(discovery, "packages", lambda: list(installed))
    discovery.scan.cache_clear()

    def install(files: dict[str, str]) -> str:
        name = f"package_{next(_numbers)}"
        for path, text in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("PACKAGE", name))
        installed.append(name)
        return name

    yield install
    discovery.scan.cache_clear()
    for module in [module for module in sys.modules if module.partition(".")[0] in installed]:
        del sys.modules[module]


def test_modules_and_sub_packages_are_scanned(make: Make) -> None:
    make(
        {
            "__init__.py": PIPELINE.format(name="top"),
            "one.py": PIPELINE.format(name="first_one"),
            "deep/__init__.py": "",
            "deep/er/__init__.py": "",
            "deep/er/two.py": PIPELINE.format(name="second"),
        }
    )
    assert list(discovery.pipelines()) == ["first-one", "second", "top"]


def test_a_pipeline_in_a_module_of_its_name_is_found_without_importing_others(make: Make) -> None:
    package = make(
        {
            "__init__.py": "",
            "wind_farm/__init__.py": "",
            "wind_farm/pipeline.py": PIPELINE.format(name="wind_farm"),
            "other.py": PIPELINE.format(name="elsewhere"),
        }
    )
    pipeline = discovery.named("wind-farm")
    assert pipeline is not None
    assert pipeline.name == "wind-farm"
    assert f"{package}.other" not in sys.modules, "a module was imported that was not asked for"
    assert discovery.named("elsewhere") is None, "it is in a module of another name"


def test_folders_without_an_init_are_scanned(make: Make) -> None:
    make({"folder/pipeline.py": PIPELINE.format(name="bare")})
    assert list(discovery.pipelines()) == ["bare"]


def test_private_modules_and_tests_are_not_imported(make: Make) -> None:
    broken = "raise RuntimeError('imported')"
    make(
        {
            "__init__.py": "",
            "_own.py": broken,
            "test_it.py": broken,
            "conftest.py": broken,
            "tests/x.py": broken,
        }
    )
    assert discovery.pipelines() == {}
    assert discovery.broken() == {}


def test_an_imported_pipeline_is_found_once(make: Make) -> None:
    make({"a.py": PIPELINE.format(name="once"), "b.py": "from PACKAGE.a import once\n"})
    assert list(discovery.pipelines()) == ["once"]


def test_an_imported_pipeline_of_another_package_is_ignored(make: Make, tmp_path: Path) -> None:
    (tmp_path / "foreign_lib.py").write_text(PIPELINE.format(name="theirs"))
    make({"a.py": "from foreign_lib import theirs\n" + PIPELINE.format(name="ours")})
    assert list(discovery.pipelines()) == ["ours"]


def test_two_pipelines_of_the_same_name_are_refused(make: Make) -> None:
    name = make({"a.py": PIPELINE.format(name="same"), "b.py": PIPELINE.format(name="same")})
    with pytest.raises(InputError, match=rf"'same': {name}\.a\.same and {name}\.b\.same"):
        discovery.pipelines()


def test_a_broken_module_does_not_hide_the_others(make: Make) -> None:
    name = make({"good.py": PIPELINE.format(name="good"), "bad.py": "\nimport no_such_module\n"})
    assert list(discovery.pipelines()) == ["good"]
    reason = "ModuleNotFoundError: No module named 'no_such_module' (bad.py, line 2)"
    assert discovery.broken() == {f"{name}.bad": reason}


def test_a_module_that_exits_counts_as_broken(make: Make) -> None:
    name = make({"good.py": PIPELINE.format(name="good"), "bad.py": "raise SystemExit(3)"})
    assert list(discovery.broken()) == [f"{name}.bad"]


def test_the_error_for_a_pipeline_in_a_broken_module_gives_the_reason(make: Make) -> None:
    make({"windy_city.py": "1/0"})
    with pytest.raises(
        InputError, match=r"module package_\d+\.windy_city cannot be imported: ZeroDivisionError"
    ):
        discovery.find("windy-city")


def test_the_error_for_an_unknown_pipeline_gives_the_nearest_name_and_the_broken_modules(make: Make) -> None:
    make({"a.py": PIPELINE.format(name="windy_city"), "bad.py": "1/0"})
    with pytest.raises(InputError, match=r"did you mean 'windy-city'\? \(not imported: package_\d+\.bad\)"):
        discovery.find("windy-cty")


def test_without_any_package_the_message_explains_how_to_install_one(make: Make) -> None:
    with pytest.raises(InputError, match="no installed package names its pipelines"):
        discovery.find("windy-city")


def test_a_pipelines_tasks_are_those_in_its_module_and_in_its_folder(make: Make) -> None:
    task = "from lightwork import task\n\n@task\ndef {name}(x: int) -> int:\n    return x\n"
    make(
        {
            "other/more.py": task.format(name="elsewhere"),
            "mine/steps.py": task.format(name="beside"),
            "mine/test_steps.py": "1/0",
            "mine/pipeline.py": task.format(name="inside") + PIPELINE.format(name="mine"),
        }
    )
    assert list(discovery.tasks(discovery.find("mine"))) == ["beside", "inside"]


def test_an_entry_point_of_an_installed_package_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "p.py").write_text(PIPELINE.format(name="really_there"))
    info = tmp_path / "there-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: there\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[lightwork.pipelines]\nthere = there\n")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}]\n"
        "from lightwork.functions import discovery\n"
        "print(discovery.pipelines()['really-there'].module)"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "there.p"
