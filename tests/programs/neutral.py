"""Edits that must not matter: comments, docstrings, moved lines, another layout."""

from __future__ import annotations

import ast
from collections.abc import Callable
from random import Random

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def edit(files: dict[str, str], random: Random, *, ordered: bool = False) -> tuple[str, dict[str, str]]:
    """Make one kind of neutral edit to the modules of a program; return its kind and the new files.

    Args:
        files: the modules' text by path.
        random: chooses the edit.
        ordered: whether code reads all names of a module, so that the order of its functions may matter.
    """
    kinds = set(EDITS) - ({"functions moved"} if ordered else set())
    if any("__doc__" in text for text in files.values()):
        kinds.remove("docstrings")
    kind = random.choice(sorted(kinds))
    return kind, {
        path: EDITS[kind](text, random) if path.endswith(".py") else text for path, text in files.items()
    }


def _comments(text: str, random: Random) -> str:
    lines = text.splitlines()
    starts = _statements(text)
    for at in sorted(random.sample(starts, min(3, len(starts))), reverse=True):
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        lines.insert(at, f"{indent}# {random.choice(['why', 'def g(x):', 'a remark'])}")
    return "\n".join(lines) + "\n"


def _trailing_comments(text: str, random: Random) -> str:
    lines = text.splitlines()
    starts = [at for at in _statements(text) if not lines[at].rstrip().endswith("\\")]
    for at in random.sample(starts, min(3, len(starts))):
        lines[at] += "  # a remark"
    return "\n".join(lines) + "\n"


def _statements(text: str) -> list[int]:
    """Return the lines, from 0, on which a statement begins and ends."""
    return sorted(
        {
            node.lineno - 1
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.stmt)
            and not isinstance(node, _DEFINITIONS)
            and node.lineno == node.end_lineno
        }
    )


def _docstrings(text: str, random: Random) -> str:
    tree = ast.parse(text)
    lines = text.splitlines()
    for node in sorted(ast.walk(tree), key=lambda node: getattr(node, "lineno", 0), reverse=True):
        if isinstance(node, _DEFINITIONS) and random.random() < 0.5:
            first = node.body[0]
            if first.lineno > node.lineno and not _is_text(first):
                at = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))]) - 1
                indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
                lines.insert(at, f'{indent}"""Words about it.{random.choice(["", chr(10) + " more"])}"""')
    return '"""Words."""\n' + "\n".join(lines) + "\n"


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _blank_lines(text: str, random: Random) -> str:
    lines = text.splitlines()
    for at in sorted(_statements(text), reverse=True):
        if random.random() < 0.3:
            lines[at:at] = [""] * random.randrange(1, 4)
    return "\n" * random.randrange(1, 5) + "\n".join(lines) + "\n"


def _layout(text: str, random: Random) -> str:
    """Write the module as the compiler's own tree prints it: other quotes, brackets, spaces and lines."""
    return ast.unparse(ast.parse(text)) + "\n"


def _moved(text: str, random: Random) -> str:
    """Swap neighbouring functions whose definition runs nothing but the definition."""
    lines = text.splitlines()
    nodes = ast.parse(text).body
    for one, two in zip(nodes[::2], nodes[1::2], strict=False):
        if _inert(one) and _inert(two) and one.name != two.name:  # type: ignore[attr-defined]
            first, last = one.lineno - 1, two.end_lineno or two.lineno
            middle = one.end_lineno or one.lineno
            lines[first:last] = [*lines[middle:last], *lines[first:middle]]
    return "\n".join(lines) + "\n"


def _inert(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and not (
        node.decorator_list
        or node.args.defaults
        or node.args.kw_defaults
        or any(a.annotation for a in (*node.args.args, *node.args.kwonlyargs))
    )


def _nothing(text: str, random: Random) -> str:
    """Change nothing: the program runs in another folder and process, with another hash seed."""
    return text


EDITS: dict[str, Callable[[str, Random], str]] = {
    "comments": _comments,
    "comments behind": _trailing_comments,
    "docstrings": _docstrings,
    "blank lines": _blank_lines,
    "layout": _layout,
    "functions moved": _moved,
    "another folder, process and hash seed": _nothing,
}
