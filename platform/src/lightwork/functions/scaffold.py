"""Making a new pipeline: its code, its README, and a test that passes right away."""

from __future__ import annotations

import importlib
import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from lightwork.errors import InputError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 50

_CODE = Template('''"""$title: what it does, in one line."""

from typing import Annotated

import pandas as pd
from annotated_types import Gt

from lightwork import current_session, pipeline, task


@task
def square(number: int) -> int:
    """The work for one element: it runs on a worker, and its result is kept in the lake."""
    return number * number


@pipeline
def $snake(count: Annotated[int, Gt(0)] = 1000) -> dict[str, int]:
    """Square the first numbers."""
    session = current_session()
    squares = list(square.map(range(count)))
    table = pd.DataFrame({"number": range(count), "square": squares})
    session.artifacts.write("$name", table)
    session.report.lines("Squares", table.set_index("number"))
    return {"count": count, "sum": sum(squares)}
''')

_TEST = Template("""from pathlib import Path

from $module import $snake, square

from lightwork import connect


def test_a_number_is_squared() -> None:
    assert square(3) == 9


def test_the_squares_are_summed_and_written(tmp_path: Path) -> None:
    with connect(on="serial", lake=tmp_path) as session:
        assert $snake(4) == {"count": 4, "sum": 14}
        assert list(session.artifacts.read("$name")["square"]) == [0, 1, 4, 9]
""")

_README = Template("""# $title

What it does, from which input, and what its result means.

```
lightwork run $name count=1000
```

`pipeline.py` is the code: a task is the work for one element, the pipeline says which elements there are and
what becomes of the results. `--on serial` runs it in one process, where `breakpoint()` works.
""")


@dataclass(frozen=True, slots=True)
class Made:
    """What was made.

    Attributes:
        name: the pipeline's name.
        files: the files, code first.
        test: the test's file.
        package: the package that it is in.
        installed: whether that package's pipelines are found already.
    """

    name: str
    files: tuple[Path, ...]
    test: Path
    package: str
    installed: bool


def make(name: str, into: str | None = None) -> Made:
    """Make the folder of a new pipeline.

    Args:
        name: lower-case words joined by `-`, such as `windy-city`.
        into: the folder for it; by default the package of pipelines that is in the current folder.

    Raises:
        InputError: a name that cannot be or is taken, no folder to put it in, or files that exist.
    """
    from lightwork.functions import discovery

    snake = _checked(name)
    folder, package, installed = _place(into)
    if name in discovery.pipelines():
        raise InputError(
            f"new: there is a pipeline {name!r} already, in {discovery.pipelines()[name].module}"
        )
    home = folder / snake
    if home.exists():
        raise InputError(
            f"new: {_shown(home)} exists already, and nothing is overwritten; choose another name"
        )
    tests = folder.parent / "tests" / "unit"
    test = (tests / folder.name / snake if tests.is_dir() else home) / f"test_{snake}.py"
    if test.exists():
        raise InputError(
            f"new: {_shown(test)} exists already, and nothing is overwritten; choose another name"
        )
    title = name.replace("-", " ").capitalize()
    values = {"name": name, "snake": snake, "title": title, "module": f"{package}.{snake}.pipeline"}
    # Folders between the package and the new one are packages too, so that they are looked into.
    between = [folder, *folder.parents][: package.count(".")] if installed else []
    contents = {
        home / "pipeline.py": _CODE.substitute(values),
        home / "__init__.py": f'"""{title}."""\n',
        home / "README.md": _README.substitute(values),
        test: _TEST.substitute(values),
        **{inner / "__init__.py": "" for inner in between if not (inner / "__init__.py").exists()},
    }
    try:
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"new: {error.filename} cannot be written ({error.strerror}); choose --into"
        ) from error
    discovery.scan.cache_clear()
    return Made(name, tuple(contents), test, package, installed)


def _checked(name: str) -> str:
    """The name of its function and its folder."""
    snake = name.replace("-", "_")
    right = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()).strip("-")
    guess = (
        f"; did you mean {right!r}?"
        if right != name and _NAME.fullmatch(right)
        else ", for example windy-city"
    )
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InputError(
            f"new: {name!r} is not a pipeline's name; expected lower-case words joined by '-',"
            f" at most {_LONGEST} characters{guess}"
        )
    if keyword.iskeyword(snake) or re.match(r"test_|tests?$|conftest|square$|build$|dist$", snake):
        raise InputError(f"new: {name!r} has a meaning of its own in Python; expected another name")
    return snake


def _place(into: str | None) -> tuple[Path, str, bool]:
    """The folder for pipelines, the package that it is, and whether an entry point names it."""
    from lightwork.functions import discovery

    here = Path.cwd().resolve()
    known = _package_folders()
    if into is None:
        inside = {folder: package for folder, package in known.items() if folder.is_relative_to(here)}
        if not inside:
            raise InputError(
                "new: no installed package of pipelines is in the current folder; expected --into FOLDER,"
                " or the folder of a repository whose package names its pipelines in the entry point group"
                f" {discovery.GROUP!r}"
            )
        folder = min(inside)
        return folder, inside[folder], True
    folder = (here / into).resolve()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"new: --into {into!r} is a file; expected a folder")
    for root, package in known.items():
        if folder.is_relative_to(root):
            inner = [package, *folder.relative_to(root).parts]
            return _named(folder, ".".join(inner)), ".".join(inner), True
    parts = folder.relative_to(here).parts if folder.is_relative_to(here) else (folder.name,)
    package = ".".join(parts)
    return _named(folder, package), package, False


def _named(folder: Path, package: str) -> Path:
    if not package or not all(
        part.isidentifier() and not keyword.iskeyword(part) for part in package.split(".")
    ):
        raise InputError(
            f"new: --into {_shown(folder)!r} cannot be a Python package; expected a folder named with"
            " letters, digits and '_', for example my_pipelines"
        )
    return folder


def _package_folders() -> dict[Path, str]:
    """The folders of the packages that entry points name."""
    from lightwork.functions import discovery

    folders = {}
    for package in discovery.packages():
        try:
            module = importlib.import_module(package)
        except Exception:  # noqa: BLE001, S112  (`lightwork list` says what is wrong with it)
            continue
        for folder in getattr(module, "__path__", ()):
            folders[Path(folder).resolve()] = package
    return folders


def _shown(path: Path) -> str:
    here = Path.cwd().resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
