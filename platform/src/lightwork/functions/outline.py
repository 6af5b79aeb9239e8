"""Pipelines, tasks and their parameters as the source files show them: nothing is imported, no code runs.

Tab completion uses it, which has to be quick and must not start anything. A pipeline that only running code
would show (built in a loop, say) is missing here; `discovery` knows all.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightwork.functions import discovery

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 1_000_000
"""Bytes of a source file; larger ones are generated and hold no pipelines."""
_DEEPEST = 12
"""Imports, aliases or nested types that are followed one after the other."""
_NOTE = 60
"""Characters of a parameter's description, at most."""
_PATHS: dict[str, Literal["file", "dir"]] = {
    "pathlib.Path": "file",
    "pydantic.FilePath": "file",
    "pydantic.NewPath": "file",
    "pydantic.DirectoryPath": "dir",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter of a pipeline or task.

    Attributes:
        name: its name in the signature.
        note: its type and default as written, shortened; empty if it has neither.
        values: the texts that may be given, if its type lists them.
        path: what it names, if it is a path.
    """

    name: str
    note: str
    values: tuple[str, ...]
    path: Literal["", "file", "dir"]


@dataclass(frozen=True, slots=True)
class Definition:
    """A function that a decorator of lightwork makes a pipeline or a task.

    Attributes:
        name: the name on the command line.
        doc: the first line of its docstring; empty if it has none.
        module: the file that defines it.
        node: its definition.
    """

    name: str
    doc: str
    module: _Module
    node: ast.FunctionDef | ast.AsyncFunctionDef

    def arguments(self) -> list[Argument]:
        """Return the parameters that can be given by name, in the order of the signature."""
        spec = self.node.args
        plain = spec.posonlyargs + spec.args
        defaults = [None] * (len(plain) - len(spec.defaults)) + spec.defaults
        named = list(zip(plain, defaults, strict=True))[len(spec.posonlyargs) :]
        return [
            self._argument(arg, default)
            for arg, default in [*named, *zip(spec.kwonlyargs, spec.kw_defaults, strict=True)]
        ]

    def _argument(self, arg: ast.arg, default: ast.expr | None) -> Argument:
        texts = [ast.unparse(arg.annotation)] if arg.annotation else []
        texts += [f"default {ast.unparse(default)}"] if default else []
        note = " ".join(", ".join(texts).split())
        kinds = _Kinds()
        if arg.annotation is not None:
            kinds.add(self.module, arg.annotation)
        short = note if len(note) <= _NOTE else f"{note[: _NOTE - 1]}…"
        return Argument(arg.arg, short, tuple(dict.fromkeys(kinds.values)), kinds.path)


def pipelines() -> dict[str, Definition]:
    """Return the pipelines in the packages of the installed entry points, by name, sorted."""
    _module.cache_clear()  # the files may have changed
    _folders.cache_clear()
    found: dict[str, Definition] = {}
    for package in discovery.packages():
        for module in _inside(package):
            if b"pipeline" in module.source:
                for item in module.defined("pipeline"):
                    found.setdefault(item.name, item)
    return dict(sorted(found.items()))


def tasks(pipeline: Definition) -> dict[str, Definition]:
    """Return the tasks in a pipeline's module, imported ones included, and in its folder, by name, sorted."""
    modules = [pipeline.module]
    parent = pipeline.module.name.rpartition(".")[0]
    if parent and parent not in discovery.packages():
        modules += [module for module in _children(parent) if module.name != pipeline.module.name]
    found: dict[str, Definition] = {}
    for module in modules:
        for item in module.defined("task", with_imported=True):
            found.setdefault(item.name, item)
    return dict(sorted(found.items()))


class _Module:
    """The top level of one source file."""

    def __init__(self, name: str, file: Path) -> None:
        self.name = name
        self.file = file

    @functools.cached_property
    def source(self) -> bytes:
        try:
            return self.file.read_bytes() if self.file.stat().st_size <= _LARGEST else b""
        except OSError:
            return b""

    @functools.cached_property
    def bound(self) -> dict[str, ast.stmt | tuple[str, str]]:
        """What each name of the top level is: a statement, or a module and a name in it ("" for itself)."""
        try:
            tree = ast.parse(self.source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return {}
        names: dict[str, ast.stmt | tuple[str, str]] = {}
        for statement in _statements(tree.body):
            match statement:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    names[statement.name] = statement
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    names[name] = statement
                case ast.Import():
                    for alias in statement.names:
                        whole = alias.name if alias.asname else alias.name.partition(".")[0]
                        names[alias.asname or whole] = (whole, "")
                case ast.ImportFrom():
                    origin = self._origin(statement)
                    names |= {alias.asname or alias.name: (origin, alias.name) for alias in statement.names}
                case _ if type(statement).__name__ == "TypeAlias":  # of Python 3.12
                    names[statement.name.id] = statement  # type: ignore[attr-defined]
        return names

    def _origin(self, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        parts = self.name.split(".") + ([""] if self.file.name == "__init__.py" else [])
        return ".".join([*parts[: -statement.level], *filter(None, [statement.module])])

    def defined(
        self, kind: Literal["pipeline", "task"], *, with_imported: bool = False
    ) -> Iterator[Definition]:
        """Yield what the top level makes a pipeline or a task."""
        for name, what in self.bound.items():
            if isinstance(what, tuple) and not with_imported:
                continue
            meaning = _meaning(self, ast.Name(name)) if isinstance(what, tuple) else (self, what)
            if isinstance(meaning, tuple) and (function := _decorated(*meaning, kind)):
                text = function.name.replace("_", "-") if kind == "pipeline" else function.name
                doc = (ast.get_docstring(function) or "").partition("\n")[0]
                yield Definition(text, doc, meaning[0], function)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module's top level, those under `if`, `try` and `with` included."""
    for statement in body:
        yield statement
        for part in ("body", "orelse", "handlers", "finalbody"):
            if isinstance(statement, ast.If | ast.Try | ast.With | ast.ExceptHandler):
                yield from _statements(getattr(statement, part, []))


def _meaning(module: _Module, node: ast.expr, depth: int = 0) -> str | tuple[_Module, ast.stmt] | None:
    """Return what an expression names: a statement in a source file, or a dotted name of anything else."""
    if depth > _DEEPEST:
        return None
    if isinstance(node, ast.Attribute):
        outer = _meaning(module, node.value, depth + 1)
        return _imported(outer, node.attr, depth) if isinstance(outer, str) else None
    if not isinstance(node, ast.Name):
        return None
    what = module.bound.get(node.id)
    if what is None:
        return f"builtins.{node.id}"
    if not isinstance(what, tuple):
        return module, what
    return _imported(*what, depth) if what[1] else what[0]


def _imported(origin: str, name: str, depth: int) -> str | tuple[_Module, ast.stmt] | None:
    """Return what a name of another module is."""
    other = _module(origin)
    if other is None or name not in other.bound:
        return f"{origin}.{name}"
    return _meaning(other, ast.Name(name), depth + 1)


def _decorated(module: _Module, what: ast.stmt, kind: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the function that a statement makes a pipeline or a task, by a decorator or by a call."""
    if isinstance(what, ast.FunctionDef | ast.AsyncFunctionDef):
        return what if any(_makes(module, item, kind) for item in what.decorator_list) else None
    value = what.value if isinstance(what, ast.Assign | ast.AnnAssign) else None
    if not (isinstance(value, ast.Call) and value.args and _makes(module, value.func, kind)):
        return None
    meaning = _meaning(module, value.args[0])
    if isinstance(meaning, tuple) and isinstance(meaning[1], ast.FunctionDef | ast.AsyncFunctionDef):
        return meaning[1]
    return None


def _makes(module: _Module, decorator: ast.expr, kind: str) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    meaning = _meaning(module, called)
    return isinstance(meaning, str) and meaning.startswith("lightwork.") and meaning.endswith(f".{kind}")


class _Kinds:
    """The values of a type, as far as its source shows them."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.path: Literal["", "file", "dir"] = ""

    def add(self, module: _Module, node: ast.expr, depth: int = 0) -> None:
        """Add a type's values."""
        if depth > _DEEPEST:
            return
        match node:
            case ast.Constant(value=None):
                self.values.append("none")
            case ast.Constant(value=str(text)):
                try:
                    self.add(module, ast.parse(text.strip(), mode="eval").body, depth + 1)
                except (SyntaxError, ValueError):
                    return
            case ast.BinOp(op=ast.BitOr()):
                self.add(module, node.left, depth + 1)
                self.add(module, node.right, depth + 1)
            case ast.Subscript():
                self._add_generic(module, node, depth)
            case ast.Name() | ast.Attribute():
                self._add_named(module, node, depth)

    def _add_generic(self, module: _Module, node: ast.Subscript, depth: int) -> None:
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        name = str(_meaning(module, node.value, depth)).rpartition(".")[2]
        if name == "Literal":
            self.values += [text for item in items if (text := _text(item)) is not None]
        elif name == "Annotated":
            self.add(module, items[0], depth + 1)
        elif name in ("Union", "Optional"):
            for item in [*items, *([ast.Constant(None)] if name == "Optional" else [])]:
                self.add(module, item, depth + 1)

    def _add_named(self, module: _Module, node: ast.expr, depth: int) -> None:
        meaning = _meaning(module, node, depth)
        if isinstance(meaning, str):
            if meaning == "builtins.bool":
                self.values += ["true", "false"]
            self.path = self.path or _PATHS.get(meaning, "")
        elif meaning is not None:
            where, what = meaning
            if isinstance(what, ast.ClassDef):
                self.values += _members(where, what)
            elif isinstance(value := getattr(what, "value", None), ast.expr):  # an alias
                self.add(where, value, depth + 1)


def _text(node: ast.expr) -> str | None:
    """Return a constant as it is written on the command line; None if it is none that a type lists."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | str) else None


def _members(module: _Module, what: ast.ClassDef) -> list[str]:
    """Return the values of an enum's members; empty for any other class."""
    bases = [str(_meaning(module, base)) for base in what.bases]
    if not any(base.startswith("enum.") for base in bases):
        return []
    texts = []
    for statement in what.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if isinstance(statement.value, ast.Call) and "enum.StrEnum" in bases:  # auto()
                texts.append(name.lower())
            elif not name.startswith("_") and (text := _text(statement.value)) is not None:
                texts.append(text)
    return texts


def _inside(name: str) -> Iterator[_Module]:
    """Yield a module and all modules inside it."""
    module = _module(name)
    if module is not None:
        yield module
    for child in _names(name):
        yield from _inside(child)


def _children(name: str) -> list[_Module]:
    return [module for child in _names(name) if (module := _module(child)) is not None]


def _names(name: str) -> list[str]:
    return [f"{name}.{member}" for member in discovery.members(_folders(name))]


@functools.cache
def _module(name: str) -> _Module | None:
    """Return a module of the user's packages; None for any other module, and for a folder without code."""
    if name.partition(".")[0] not in {package.partition(".")[0] for package in discovery.packages()}:
        return None
    parent, _, last = name.rpartition(".")
    files = [folder / "__init__.py" for folder in _folders(name)]
    if parent:
        files += [folder / f"{last}.py" for folder in _folders(parent)]
    elif (spec := importlib.util.find_spec(name)) is not None and spec.origin:
        files.append(Path(spec.origin))
    return next((_Module(name, file) for file in files if file.suffix == ".py" and file.is_file()), None)


@functools.cache
def _folders(name: str) -> tuple[Path, ...]:
    """Return the folders of a package of modules."""
    parent, _, last = name.rpartition(".")
    if parent:
        return tuple(folder / last for folder in _folders(parent) if (folder / last).is_dir())
    spec = importlib.util.find_spec(name)
    return tuple(map(Path, (spec and spec.submodule_search_locations) or ()))
