"""The names that code reads from outside: globals, closure cells, and modules imported in functions."""

from __future__ import annotations

import ast
import dataclasses
import dis
import inspect
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from hashlib import blake2b
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


Chain = tuple[str, ...]

_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_CELLS = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_STORED_ATTRIBUTES = frozenset({"STORE_ATTR", "DELETE_ATTR"})
_SUBSCRIPTS = frozenset({"BINARY_SUBSCR", "STORE_SUBSCR", "DELETE_SUBSCR"})
_FILLERS = frozenset({"EXTENDED_ARG", "CACHE", "PUSH_NULL", "PRECALL", "NOP"})
# Instructions between an import and the names that it binds.
_BETWEEN = frozenset({"SWAP", "POP_TOP", "ROT_TWO", "EXTENDED_ARG", "NOP", "CACHE", "COPY"})
# These read an attribute of their first argument by the name in their second.
_BY_NAME = frozenset({"getattr", "hasattr", "setattr", "delattr"})
# Methods that evaluate a text in which names of the calling module may be.
_EVALUATING = frozenset({"query", "eval", "evaluate"})
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_MENTION = re.compile(r"@([^\W\d]\w*)")


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """An import inside a function: module, relative `level`, imported attribute, and the chain read."""

    module: str
    level: int
    attribute: str
    chain: Chain


@dataclass(frozen=True, slots=True)
class Name:
    """An argument that is a chain of names."""

    chain: Chain


@dataclass(frozen=True, slots=True)
class Call:
    """How a chain of names is used at one place.

    Attributes:
        line: the line in the file.
        arguments: constants and names that the call passes; None if it is not called, or with other things.
        keywords: the names of the last arguments.
        key: the constant or name in brackets, or passed to `.get`, after that; None if there is none.
        rest: the attributes that are read of that.
        is_tested: it is only tested whether a constant is `in` it.
    """

    line: int
    arguments: tuple[object, ...] | None = None
    keywords: tuple[str, ...] = ()
    key: object = None
    rest: Chain = ()
    is_tested: bool = False


@dataclass(frozen=True, slots=True)
class Reads:
    """Chains of names: `("helpers", "scale")` is `helpers.scale`.

    Attributes:
        globals: chains that start at a global or builtin.
        closure: chains that start at a captured value.
        imports: what is imported inside functions, and the chains read of it.
        whole: first names of chains above that exist only if `getattr` and `vars` are the builtins.
        calls: how each chain and import is used.
        names: the attributes that are read of anything, and texts that may be such names, with their lines.
        mentioned: names inside texts that `DataFrame.query` and the like may look up.
    """

    globals: tuple[Chain, ...]
    closure: tuple[Chain, ...]
    imports: tuple[Import, ...]
    whole: tuple[Chain, ...] = ()
    calls: Mapping[Chain | Import, tuple[Call, ...]] = dataclasses.field(default_factory=dict)
    names: Mapping[str, int] = dataclasses.field(default_factory=dict)
    mentioned: tuple[str, ...] = ()


@dataclass(slots=True)
class _Step:
    """One instruction; instructions that access two variables are split."""

    op: str
    name: object
    line: int = 0


def reads_of(code: CodeType) -> Reads:
    """Return the names that the code and the functions inside it read."""
    steps = [(c, list(_steps(c))) for c in _all(code)]
    aliases = {name: list(imported) for name, imported in _aliases(steps).items()}
    free = frozenset(code.co_freevars)
    globals_: set[Chain] = set()
    closure: set[Chain] = set()
    imports: set[Import] = set()
    whole: set[Chain] = set()
    used: set[str] = set()
    calls: dict[Chain | Import, list[Call]] = defaultdict(list)
    for scope, block in steps:
        cells = {*scope.co_cellvars, *scope.co_freevars}
        stored: set[object] = set()
        exact: dict[int, Chain] = {}
        for at, step in enumerate(block):
            name = step.name
            if step.op == "STORE_NAME":
                stored.add(name)
            if not isinstance(name, str) or not step.op.startswith("LOAD_"):
                continue
            if step.op not in _GLOBALS and step.op not in _CELLS and name not in aliases:
                continue  # a local variable, an attribute or a constant
            chain, end = _chain(block, at)
            exact |= _read_by_name(block, at, chain, end)
            if at in exact:
                whole.add(chain)
                chain = (*chain[: -1 if chain[-1] == "__dict__" else None], *exact[at])
            call = _call(block, end, step.line)
            if step.op in _GLOBALS and name not in stored:
                globals_.add(chain)
                calls[chain].append(call)
            elif step.op in _CELLS and name in free:
                closure.add(chain)
                calls[chain].append(call)
            fast = step.op.startswith("LOAD_FAST") and name not in cells
            if name in aliases and (fast or step.op in _CELLS or step.op == "LOAD_NAME"):
                used.add(name)
                for alias in aliases[name]:
                    imports.add(item := Import(*alias, chain[1:]))
                    calls[item].append(call)
    for name, imported in aliases.items():
        if name not in used:
            imports.update(Import(*alias, ()) for alias in imported)
    names = dict(_names(steps))
    return Reads(
        tuple(sorted(globals_)),
        tuple(sorted(closure)),
        tuple(sorted(imports)),
        tuple(sorted(whole)),
        {chain: tuple(found) for chain, found in calls.items()},
        names,
        tuple(sorted(_mentioned(steps, evaluates=not _EVALUATING.isdisjoint(names)))),
    )


def _names(steps: list[tuple[CodeType, list[_Step]]]) -> Iterator[tuple[str, int]]:
    for _, block in steps:
        for step in block:
            name = step.name
            if step.op in _ATTRIBUTES or step.op == "LOAD_SUPER_ATTR":
                yield str(name), step.line
            elif step.op == "LOAD_CONST" and isinstance(name, str) and name.isidentifier():
                yield name, step.line


def _mentioned(steps: list[tuple[CodeType, list[_Step]]], *, evaluates: bool) -> set[str]:
    pattern = _IDENTIFIER if evaluates else _MENTION
    texts = (step.name for _, block in steps for step in block if step.op == "LOAD_CONST")
    return {name for text in texts if isinstance(text, str) for name in pattern.findall(text)}


def _all(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _all(const)


def _steps(code: CodeType) -> Iterator[_Step]:
    for instruction in dis.get_instructions(code):
        op, name = instruction.opname, instruction.argval
        line = (instruction.positions.lineno if instruction.positions else None) or code.co_firstlineno
        if isinstance(name, tuple) and op.startswith(("LOAD_FAST", "STORE_FAST")) and len(name) == 2:
            second = "STORE_FAST" if op.endswith("STORE_FAST") else "LOAD_FAST"
            yield _Step(op.partition("_FAST")[0] + "_FAST", name[0], line)
            yield _Step(second, name[1], line)
        elif op == "KW_NAMES":
            yield _Step(op, code.co_consts[instruction.arg or 0], line)
        else:
            yield _Step(op, name, line)


def _chain(block: list[_Step], at: int) -> tuple[Chain, int]:
    """Return the chain of names that starts at a step, and the step after it."""
    chain, at = [str(block[at].name)], at + 1
    while at < len(block) and (block[at].op in _ATTRIBUTES or block[at].op in _FILLERS):
        if block[at].op in _ATTRIBUTES:
            chain.append(str(block[at].name))
        at += 1
    if at < len(block) and block[at].op in _STORED_ATTRIBUTES:
        chain.append(str(block[at].name))
    return tuple(chain), at


def _read_by_name(block: list[_Step], at: int, chain: Chain, end: int) -> dict[int, Chain]:
    """Return what is added to a chain that is read by a constant name: `getattr(module, "name")`, by step."""
    first = _skip(block, at + 1)
    if chain[-1] == "__dict__" and isinstance(key := _key(block, end)[0], str):
        return {at: (key, *_key(block, end)[1])}
    if len(chain) > 1 or first >= len(block) or not block[first].op.startswith("LOAD_"):
        return {}
    call = _call(block, end, 0)
    arguments = call.arguments
    if not arguments or call.keywords or not isinstance(arguments[0], Name):
        return {}
    if chain[0] in _BY_NAME and len(arguments) > 1 and isinstance(arguments[1], str):
        return {first: (arguments[1], *call.rest)}
    if chain[0] == "vars" and len(arguments) == 1 and isinstance(call.key, str):
        return {first: (call.key, *call.rest)}
    return {}


def _skip(block: list[_Step], at: int) -> int:
    while at < len(block) and block[at].op in _FILLERS:
        at += 1
    return at


def _call(block: list[_Step], at: int, line: int) -> Call:
    """Return how the object before a step is used."""
    arguments: list[object] = []
    keywords: tuple[str, ...] = ()
    at = _skip(block, at)
    start = at
    while at < len(block):
        step = block[at]
        if step.op == "LOAD_CONST":
            arguments.append(step.name)
            at = _skip(block, at + 1)
        elif step.op == "KW_NAMES":
            keywords = step.name if isinstance(step.name, tuple) else ()
            at = _skip(block, at + 1)
        elif step.op.startswith("LOAD_") and isinstance(step.name, str):
            chain, at = _chain(block, at)
            arguments.append(Name(chain))
        else:
            break
    op = block[at].op if at < len(block) else ""
    if op == "CALL_KW" and arguments and isinstance(arguments[-1], tuple):
        keywords = arguments.pop()  # type: ignore[assignment]
    if op in {"CALL", "CALL_KW"} and block[at].name == len(arguments):
        key, rest = _key(block, _skip(block, at + 1))
        return Call(line, tuple(arguments), keywords, key, rest)
    key, rest = _key(block, start)
    return Call(line, None, (), key, rest, op == "CONTAINS_OP" and at == start)


def _key(block: list[_Step], at: int) -> tuple[object, Chain]:
    """Return the key in brackets, or passed to `.get`, at a step, and the attributes read after it."""
    rest: list[str] = []
    at = _skip(block, at)
    while at < len(block) and (block[at].op in _ATTRIBUTES or block[at].op in _FILLERS):
        if block[at].op in _ATTRIBUTES:
            rest.append(str(block[at].name))
        at += 1
    if rest and rest != ["get"]:
        return None, tuple(rest)
    if at + 1 >= len(block) or not block[at].op.startswith("LOAD_"):
        return None, tuple(rest)
    key: object = block[at].name
    after = at + 1
    if block[at].op != "LOAD_CONST":
        chain, after = _chain(block, at)
        key = Name(chain)
    after = _skip(block, after)
    if after >= len(block):
        return None, tuple(rest)
    ends = block[after].op == "CALL" if rest else block[after].op in _SUBSCRIPTS
    return (key, _attributes(block, after)) if ends else (None, tuple(rest))


def _attributes(block: list[_Step], at: int) -> Chain:
    return _chain(block, at)[0][1:]


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


NOTHING = Reads((), (), ())
