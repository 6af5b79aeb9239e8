"""The names that code reads from outside: globals, closure cells, and modules imported in functions."""

from __future__ import annotations

import ast
import dis
import inspect
import sys
from dataclasses import dataclass
from hashlib import blake2b
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


Chain = tuple[str, ...]

_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_CELLS = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
# Instructions between an import and the names that it binds.
_BETWEEN = frozenset({"SWAP", "POP_TOP", "ROT_TWO", "EXTENDED_ARG", "NOP", "CACHE", "COPY"})


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """An import inside a function: module, relative `level`, imported attribute, and the chain read."""

    module: str
    level: int
    attribute: str
    chain: Chain


@dataclass(frozen=True, slots=True)
class Reads:
    """Chains of names: `("helpers", "scale")` is `helpers.scale`."""

    globals: tuple[Chain, ...]
    closure: tuple[Chain, ...]
    imports: tuple[Import, ...]


@dataclass(slots=True)
class _Step:
    """One instruction; instructions that access two variables are split."""

    op: str
    name: object


def reads_of(code: CodeType) -> Reads:
    """Return the names that the code and the functions inside it read."""
    steps = [(c, list(_steps(c))) for c in _all(code)]
    aliases = {name: list(imported) for name, imported in _aliases(steps).items()}
    free = frozenset(code.co_freevars)
    globals_: set[Chain] = set()
    closure: set[Chain] = set()
    imports: set[Import] = set()
    used: set[str] = set()
    for scope, block in steps:
        cells = {*scope.co_cellvars, *scope.co_freevars}
        stored: set[object] = set()
        for at, step in enumerate(block):
            name = step.name
            if step.op == "STORE_NAME":
                stored.add(name)
            if not isinstance(name, str) or not step.op.startswith("LOAD_"):
                continue
            chain = (name, *_attributes(block, at))
            if step.op in _GLOBALS and name not in stored:
                globals_.add(chain)
            elif step.op in _CELLS and name in free:
                closure.add(chain)
            fast = step.op.startswith("LOAD_FAST") and name not in cells
            if name in aliases and (fast or step.op in _CELLS or step.op == "LOAD_NAME"):
                used.add(name)
                imports.update(Import(*alias, chain[1:]) for alias in aliases[name])
    for name, imported in aliases.items():
        if name not in used:
            imports.update(Import(*alias, ()) for alias in imported)
    return Reads(tuple(sorted(globals_)), tuple(sorted(closure)), tuple(sorted(imports)))


def _all(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _all(const)


def _steps(code: CodeType) -> Iterator[_Step]:
    for instruction in dis.get_instructions(code):
        op, name = instruction.opname, instruction.argval
        if isinstance(name, tuple) and op.startswith(("LOAD_FAST", "STORE_FAST")) and len(name) == 2:
            second = "STORE_FAST" if op.endswith("STORE_FAST") else "LOAD_FAST"
            yield _Step(op.partition("_FAST")[0] + "_FAST", name[0])
            yield _Step(second, name[1])
        else:
            yield _Step(op, name)


def _attributes(block: list[_Step], at: int) -> Chain:
    chain = []
    for step in block[at + 1 :]:
        if step.op not in _ATTRIBUTES:
            if step.op in {"EXTENDED_ARG", "CACHE"}:
                continue
            break
        chain.append(str(step.name))
    return tuple(chain)


def _aliases(steps: list[tuple[CodeType, list[_Step]]]) -> dict[str, set[tuple[str, int, str]]]:
    """Return (module, level, attribute) by imported name; attribute "" is the module, "." its package."""
    aliases: dict[str, set[tuple[str, int, str]]] = {}
    for _, block in steps:
        for at, step in enumerate(block):
            if step.op != "IMPORT_NAME":
                continue
            constants = [s.name for s in block[max(0, at - 4) : at] if s.op not in {"EXTENDED_ARG", "CACHE"}]
            level, names = constants[-2], constants[-1]
            level = level if isinstance(level, int) else 0
            for bound, attribute in _bound(block, at, from_names=bool(names)):
                aliases.setdefault(bound, set()).add((str(step.name), level, attribute))
    return aliases


def _bound(block: list[_Step], at: int, *, from_names: bool) -> Iterator[tuple[str, str]]:
    attribute = ""
    renamed = False
    for step in block[at + 1 :]:
        if step.op == "IMPORT_FROM":
            attribute, renamed = str(step.name), True
        elif step.op.startswith("STORE_"):
            if from_names:
                yield str(step.name), attribute
            else:
                # `import a.b as c` takes b from a; `import a.b` binds a alone.
                yield str(step.name), "" if renamed else "."
                return
        elif step.op not in _BETWEEN or (step.op == "POP_TOP" and from_names):
            return


# `ctx` follows from the position, `kind` is the u of u"", `type_comment` and `type_ignores` are comments.
_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
_HAS_DOCSTRING = 0x4000000  # CO_HAS_DOCSTRING, from Python 3.13

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


def ast_digest(node: ast.AST, *, without: frozenset[str] = frozenset()) -> bytes:
    """Return the digest of a node without positions, comments, docstrings, and its own fields in `without`.

    Raises:
        RecursionError: the code is nested too deeply.
    """
    out: list[str] = []
    _write(node, out.append, without)
    return blake2b("".join(out).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def definition_digest(node: Definition) -> bytes:
    """Return the digest of a function or class without decorators and defaults of parameters.

    Those are evaluated once, at the definition, and count by their values at run time.
    """
    out: list[str] = []
    _write(node, out.append, frozenset({"decorator_list", "args"}))
    if not isinstance(node, ast.ClassDef):
        out.append(" arguments")
        _write(node.args, out.append, frozenset({"defaults", "kw_defaults"}))
    return blake2b("".join(out).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _write(node: ast.AST, add: Any, without: frozenset[str] = frozenset()) -> None:
    add(f"({type(node).__name__}")
    if isinstance(node, ast.Constant):
        value = node.value
        shown = f"{value:x}" if type(value) is int else repr(value)
        add(f" {type(value).__name__} {len(shown)}:{shown})")
        return
    for field in node._fields:
        if field in _SKIPPED or field in without:
            continue
        value = getattr(node, field, None)
        if value is None or value == []:
            continue
        add(f" {field}=")
        if isinstance(value, list):
            items = value[1:] if field == "body" and _has_docstring(node, value) else value
            add(f"[{len(items)}")
            for item in items:
                _write_item(item, add)
            add("]")
        else:
            _write_item(value, add)
    add(")")


def _write_item(value: object, add: Any) -> None:
    if isinstance(value, ast.AST):
        _write(value, add)
    else:
        shown = repr(value)
        add(f" {type(value).__name__} {len(shown)}:{shown}")


def _has_docstring(node: ast.AST, body: list[ast.stmt]) -> bool:
    if not isinstance(node, _DOCUMENTED):
        return False
    first = body[0]
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


def code_digest(code: CodeType) -> bytes:
    """Return the digest of compiled code without lines, file and docstring, valid for one minor Python."""
    state = blake2b(digest_size=16)
    for part in _code_parts(code):
        state.update(b"%d:" % len(part))
        state.update(part)
    return state.digest()


def _code_parts(code: CodeType) -> Iterator[bytes]:
    yield repr(sys.version_info[:2]).encode()
    yield code.co_code
    yield code.co_exceptiontable
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    yield repr((code.co_name, *counts, code.co_flags & ~_HAS_DOCSTRING)).encode()
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode()
    consts = list(code.co_consts)
    if _documented(code) and consts and isinstance(consts[0], str):
        consts[0] = None
    for const in consts:
        yield _const(const)


def _documented(code: CodeType) -> bool:
    if sys.version_info >= (3, 14):
        return bool(code.co_flags & _HAS_DOCSTRING)
    return bool(code.co_flags & inspect.CO_NEWLOCALS) and not code.co_name.startswith("<")


def _const(value: object) -> bytes:
    if isinstance(value, CodeType):
        return b"code" + code_digest(value)
    if isinstance(value, tuple):
        return b"tuple" + b"".join(b"%d:%b" % (len(p), p) for p in map(_const, value))
    if isinstance(value, frozenset):
        return b"frozenset" + b"".join(b"%d:%b" % (len(p), p) for p in sorted(map(_const, value)))
    shown = f"{value:x}" if type(value) is int else repr(value)
    return f"{type(value).__name__} {shown}".encode("utf-8", "surrogatepass")
