"""The files of a new pipeline: its code, its README, and a test that passes right away."""

from __future__ import annotations

import importlib
import keyword
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from lightwork.errors import InputError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN = re.compile(r"test_|tests?$|conftest|square$|build$|dist$")
_LONGEST = 50


@dataclass(frozen=True, slots=True)
class NewPipeline:
    """A pipeline that was just created.

    Attributes:
        name: the pipeline's name.
        files: the files written, the code first.
        test: the test's file.
        package: the package that contains the pipeline's folder.
        installed: whether an entry point already names that package, or one around it.
    """

    name: str
    files: tuple[Path, ...]
    test: Path
    package: str
    installed: bool


def make(name: str, into: str | None = None) -> NewPipeline:
    """Create the folder of a new pipeline.

    Args:
        name: lower-case words joined by `-`, such as `windy-city`.
        into: the parent folder; by default the package of pipelines in the current folder.

    Raises:
        InputError: the name is invalid or taken, there is no folder to create it in, or a file exists.
    """
    from lightwork.functions import discovery

    snake = _function_name(name)
    parent, package, installed = _parent(into)
    if name in discovery.pipelines():
        raise InputError(
            f"new: there is already a pipeline {name!r}, in {discovery.pipelines()[name].module}"
        )
    home = parent / snake
    tests = parent.parent / "tests" / "unit"
    test = (tests / parent.name / snake if tests.is_dir() else home) / f"test_{snake}.py"
    for path in (home, test):
        if path.exists():
            raise InputError(f"new: {_relative(path)} exists and is not overwritten; choose another name")
    values = {
        "name": name,
        "snake": snake,
        "title": name.replace("-", " ").capitalize(),
        "module": f"{package}.{snake}.pipeline",
    }
    # Folders between the package and the new one become packages too, so that discovery descends into them.
    between = [parent, *parent.parents][: package.count(".")] if installed else []
    contents = {
        home / "pipeline.py": _rendered("pipeline.py", values),
        home / "__init__.py": _rendered("__init__.py", values),
        home / "README.md": _rendered("README.md", values),
        test: _rendered("test.py", values),
        **{folder / "__init__.py": "" for folder in between if not (folder / "__init__.py").exists()},
    }
    try:
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"new: {error.filename} cannot be written ({error.strerror}); choose another folder with --into"
        ) from error
    discovery.scan.cache_clear()
    return NewPipeline(name, tuple(contents), test, package, installed)


def _rendered(file: str, values: dict[str, str]) -> str:
    """Return a file of the new pipeline, from its template in `templates/`."""
    template = files(__package__) / "templates" / f"{file}.template"
    return Template(template.read_text(encoding="utf-8")).substitute(values)


def _function_name(name: str) -> str:
    """Return the name of the pipeline's function and folder.

    Raises:
        InputError: the pipeline's name is invalid.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        kebab = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()).strip("-")
        usable = kebab != name and _NAME.fullmatch(kebab)
        hint = f"; did you mean {kebab!r}?" if usable else ", for example windy-city"
        raise InputError(
            f"new: {name!r} is not a valid pipeline name; expected lower-case words joined by '-',"
            f" at most {_LONGEST} characters{hint}"
        )
    snake = name.replace("-", "_")
    if keyword.iskeyword(snake) or _TAKEN.match(snake):
        raise InputError(f"new: {name!r} is a reserved name in Python or in its tools; choose another name")
    return snake


def _parent(into: str | None) -> tuple[Path, str, bool]:
    """Return the folder for the pipeline, that folder's package, and whether an entry point names it.

    Raises:
        InputError: there is no such folder, or it cannot be a package.
    """
    from lightwork.functions import discovery

    here = Path.cwd().resolve()
    packages = _package_folders()
    if into is None:
        below = {folder: package for folder, package in packages.items() if folder.is_relative_to(here)}
        if not below:
            raise InputError(
                "new: the current folder holds no installed package of pipelines; give --into FOLDER, or"
                " change to a repository whose package is named in the entry point group"
                f" {discovery.GROUP!r}"
            )
        folder = min(below)
        return folder, below[folder], True
    folder = (here / into).resolve()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"new: --into {into!r} is a file; expected a folder")
    for root, package in packages.items():
        if folder.is_relative_to(root):
            package = ".".join([package, *folder.relative_to(root).parts])
            _check_package(folder, package)
            return folder, package, True
    parts = folder.relative_to(here).parts if folder.is_relative_to(here) else (folder.name,)
    package = ".".join(parts)
    _check_package(folder, package)
    return folder, package, False


def _check_package(folder: Path, package: str) -> None:
    """Refuse a folder whose name Python cannot import."""
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in package.split(".")):
        raise InputError(
            f"new: --into {_relative(folder)!r} cannot be a Python package; use letters, digits and '_' in"
            " its name, for example my_pipelines"
        )


def _package_folders() -> dict[Path, str]:
    """Return the packages that entry points name, by folder."""
    from lightwork.functions import discovery

    folders = {}
    for package in discovery.packages():
        try:
            module = importlib.import_module(package)
        except Exception:  # noqa: BLE001, S112  (`lightwork list` reports what is wrong with it)
            continue
        for folder in getattr(module, "__path__", ()):
            folders[Path(folder).resolve()] = package
    return folders


def _relative(path: Path) -> str:
    """Return a path as the user would write it."""
    here = Path.cwd().resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
