"""A small program, an edit of it, and how both are written to a folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ITSELF = "the function itself"
CALLED = "functions it calls"
READ = "values it reads"
CLASSES = "classes"
COMPUTED = "names computed at run time"
RUNNING = "changed by the running program"
FILES = "files and packages"
ARGUMENTS = "arguments"
HARMLESS = "without effect"
GROUPS = (ITSELF, ARGUMENTS, CALLED, READ, CLASSES, COMPUTED, RUNNING, FILES, HARMLESS)

MARK = re.compile(r"^@cached\n", flags=re.MULTILINE)
"""Marks, in a program's text, the functions that a tool caches."""


class CompilerError(Exception):
    """The machine has no C compiler, or Python's headers are missing."""


@dataclass(frozen=True, slots=True)
class Extension:
    """A Python module in C, compiled when the program is written to a folder.

    The name of its file must be `NAME.so`, which every Python on Linux and macOS imports.
    """

    source: str


@dataclass(frozen=True, slots=True)
class Replace:
    """An edit of a file's text: `old`, which occurs once in it, becomes `new`."""

    old: str
    new: str


Text = str | Extension
Files = Mapping[str, Text]
Change = Replace | Text | None
"""What becomes of a file: a replacement in it, a new content, or None, which deletes it."""


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One kind of edit: a program, and what is changed in it between two runs.

    A program is a folder on Python's path. Its module `job` holds the function `f`, which is called with
    each value in the list `job.VALUES`, or [1, 2]. Where `job.STEPS` names several functions, each is called
    with the result of the one before. A module `start`, if there is one, stands for the script that starts
    the run: it is imported after `job`. If it has a function `between`, the calls are made twice,
    `between(results)` runs in the middle, and the second results count. A folder `libs` is on the path, too,
    like that of `pip install --target`.

    Attributes:
        kind: the kind of edit, in words; unique.
        group: one of GROUPS.
        program: the program's files, by path.
        change: the edit, by path.
        move: whether the edited program is in another folder.
        elsewhere: whether the edited program is started from another working directory.
        environment: environment variables of the second run.
        cannot: reasons why tools cannot express the program, by the tool's name.
    """

    kind: str
    group: str
    program: Files
    change: Mapping[str, Change] = field(default_factory=dict)
    move: bool = False
    elsewhere: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    cannot: Mapping[str, str] = field(default_factory=dict)

    @property
    def harmless(self) -> bool:
        """Whether the edited program has the same results."""
        return self.group == HARMLESS

    def edited(self) -> dict[str, Text]:
        """Return the files after the edit.

        Raises:
            ValueError: a replacement's old text is not in its file exactly once.
        """
        files = dict(self.program)
        for path, change in self.change.items():
            if change is None:
                del files[path]
            elif isinstance(change, Replace):
                files[path] = _replaced(self.kind, path, files[path], change)
            else:
                files[path] = change
        return files


def _replaced(kind: str, path: str, text: Text, change: Replace) -> Text:
    source = text.source if isinstance(text, Extension) else text
    if source.count(change.old) != 1:
        raise ValueError(
            f"{kind}: {path}: {change.old!r} occurs {source.count(change.old)} times, expected once"
        )
    source = source.replace(change.old, change.new)
    return Extension(source) if isinstance(text, Extension) else source


def lay(folder: Path, files: Files, header: str, decorator: str) -> None:
    """Write a program's files, and delete all others in the folder. Files that do not change are not touched.

    Args:
        folder: where to; it is created if it does not exist.
        files: the program.
        header: the lines that import the tool, put before the text of each file with a marked function.
        decorator: the line in place of each mark; empty if the tool needs none.

    Raises:
        CompilerError: the program holds a module in C, which cannot be compiled here.
    """
    wanted = {folder / name: text for name, text in files.items()}
    for path in [path for path in folder.rglob("*") if path.is_file() and path not in wanted]:
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        content = (
            compiled(text.source)
            if isinstance(text, Extension)
            else written(text, header, decorator).encode()
        )
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def written(text: str, header: str, decorator: str) -> str:
    """Return a file's text as one would write it for a tool."""
    if not MARK.search(text):
        return text
    return header + MARK.sub(lambda _: decorator, text)


@cache
def compiled(source: str) -> bytes:
    """Compile a module in C.

    Raises:
        CompilerError: it cannot be compiled here.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    headers = sysconfig.get_path("include")
    if compiler is None or not (Path(headers) / "Python.h").is_file():
        raise CompilerError("no C compiler, or no Python.h")
    loose = ["-undefined", "dynamic_lookup"] if sysconfig.get_platform().startswith("macosx") else []
    with tempfile.TemporaryDirectory() as folder:
        code, module = Path(folder) / "code.c", Path(folder) / "code.so"
        code.write_text(source)
        command = [compiler, "-shared", "-fPIC", f"-I{headers}", *loose, str(code), "-o", str(module)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompilerError(f"{compiler} failed: {' '.join(done.stderr.split())[-200:]}")
        return module.read_bytes()
