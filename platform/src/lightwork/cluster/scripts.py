"""The script that runs: each worker process on this machine imports it again."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, ModuleType

_ENDS = (ast.Raise, ast.Return)
_EXITS = ("exit", "quit", "_exit")


def check_main() -> None:
    """Refuse to start workers from code that each of them would run again.

    Raises:
        InputError: that is code of the script, or of `python -m module`, which does not stand under
            `if __name__ == "__main__":`.
    """
    import multiprocessing

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)  # this process is such a worker; its parent reports the error
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if main is None or path is None or not Path(path).is_file():
        return
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name.rpartition(".")[2] == "__main__":
        return  # workers do not import it
    if not _is_guarded(Path(path), _line(main)):
        raise InputError(
            f"{Path(path).name} starts worker processes, and each would run the script again; "
            'put its main code under `if __name__ == "__main__":`'
        )


def _line(main: ModuleType) -> int | None:
    """Return the line of the script that is being run; None if it is not this thread that runs it."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals is vars(main):
            return frame.f_lineno
        frame = frame.f_back
    return None


def _is_guarded(path: Path, line: int | None) -> bool:
    """Return whether a line of a script runs in the script itself only; for None, whether any line does."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return True
    spans = [span for node in ast.walk(tree) for span in _guarded(node)]
    return bool(spans) if line is None else any(first <= line <= last for first, last in spans)


def _guarded(node: ast.AST) -> Iterator[tuple[int, int | float]]:
    """Yield the first and last lines of what a statement or expression runs in the script itself only."""
    if isinstance(node, (ast.If, ast.IfExp)):
        body = node.body if isinstance(node, ast.If) else [node.body]
        other = node.orelse if isinstance(node, ast.If) else [node.orelse]
        if _compares(node.test, ast.Eq) and body:
            yield body[0].lineno, body[-1].end_lineno or body[-1].lineno
        if _compares(node.test, ast.NotEq):
            if other:
                yield other[0].lineno, other[-1].end_lineno or other[-1].lineno
            if isinstance(node, ast.If) and _leaves(node.body[-1]):
                yield (node.end_lineno or node.lineno) + 1, float("inf")
    elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And) and _compares(node, ast.Eq):
        yield node.lineno, node.end_lineno or node.lineno


def _compares(test: ast.AST, operator: type[ast.cmpop]) -> bool:
    """Return whether a condition compares `__name__` with "__main__"."""
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], operator):
            sides = [node.left, *node.comparators]
            names = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
            if names and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides):
                return True
    return False


def _leaves(statement: ast.stmt) -> bool:
    """Return whether a statement raises an exception or ends the process."""
    if isinstance(statement, _ENDS):
        return True
    call = statement.value if isinstance(statement, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    return getattr(function, "attr", getattr(function, "id", None)) in _EXITS
