"""Digests of code as it is written (normalised AST) and, without source, as it is compiled (bytecode)."""

from __future__ import annotations

import ast
import inspect
import sys
from hashlib import blake2b
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# `ctx` follows from the place, `kind` is the u of u"", `type_comment` and `type_ignores` are comments.
_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
_HAS_DOCSTRING = 0x4000000  # CO_HAS_DOCSTRING, from Python 3.13

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


def ast_digest(node: ast.AST, *, without: frozenset[str] = frozenset()) -> bytes:
    """The digest of a node without positions, comments and docstrings, nor its own fields in `without`.

    Raises:
        RecursionError: the code is nested too deeply.
    """
    out: list[str] = []
    _write(node, out.append, without)
    return blake2b("".join(out).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def definition_digest(node: Definition) -> bytes:
    """The digest of a function or class without its decorators and, of a function, its parameters' defaults.

    Those are evaluated once, where it is defined: they count by what they are at run time.
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
    """The digest of compiled code without lines, file and docstring; it holds for one minor Python."""
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
