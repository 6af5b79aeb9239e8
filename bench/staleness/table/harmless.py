"""Edits after which the results are the same, so that nothing need be computed again."""

from __future__ import annotations

from collections.abc import Mapping

from bench.staleness.programs import HARMLESS, Change, Edit, Files, Replace

_JOB = """import far

LIMIT = 3


def _unused(x):
    return x


@cached
def f(x: int) -> int:
    return far.grow(x) + LIMIT
"""
_FAR = """FACTOR = 2


class Scaler:
    def scale(self, x):
        return x * FACTOR


def grow(x):
    return Scaler().scale(x)


def unused(x):
    return x
"""
_LISTS = "@cached\ndef f(x: int) -> list:\n    return [x]\n"
_CHANGES = "def between(results):\n    for result in results:\n        result.append('mine')\n"
_PROGRAM = {"job.py": _JOB, "far.py": _FAR, "aside.py": "def unused(x):\n    return x\n"}


def _edit(kind: str, change: Mapping[str, Change], program: Files = _PROGRAM) -> Edit:
    return Edit(kind, HARMLESS, program, change)


EDITS = (
    _edit("a comment in the function", {"job.py": Replace("    return far", "    # why\n    return far")}),
    _edit("a docstring", {"job.py": Replace("    return far", '    """Words."""\n    return far')}),
    _edit("the function moved down", {"job.py": Replace("@cached", "# moved\n\n\n@cached")}),
    _edit(
        "a line broken in two",
        {"job.py": Replace("return far.grow(x) + LIMIT", "return (\n        far.grow(x) + LIMIT\n    )")},
    ),
    _edit(
        "comments and docstrings in a helper and its class",
        {
            "far.py": Replace(
                "        return x * FACTOR",
                '        """Words."""\n        # why\n        return x * FACTOR',
            )
        },
    ),
    _edit(
        "a docstring of a class", {"far.py": Replace("class Scaler:", 'class Scaler:\n    """Words."""\n')}
    ),
    _edit("an unused function beside it", {"job.py": Replace("    return x\n\n", "    return x + 1\n\n")}),
    _edit("an unused function beside a helper", {"far.py": Replace("    return x\n", "    return x + 1\n")}),
    _edit("a new constant that nothing reads", {"far.py": Replace("FACTOR = 2", "FACTOR = 2\nOTHER = 1")}),
    _edit("an import added", {"job.py": Replace("import far", "import os  # noqa: F401\n\nimport far")}),
    _edit("a module that is not used", {"aside.py": Replace("return x", "return x + 1")}),
    _edit(
        "two helpers change places",
        {
            "far.py": f"{_FAR.partition('def unused')[0]}".replace(
                "class Scaler", "def unused(x):\n    return x\n\n\nclass Scaler"
            )
        },
    ),
    Edit("another folder", HARMLESS, _PROGRAM, move=True),
    Edit("another working directory", HARMLESS, _PROGRAM, elsewhere=True),
    Edit(
        "another seed of hashes, for a set",
        HARMLESS,
        {
            "job.py": "KNOWN = frozenset({'a', 'b', 'c', 'd', 'e'})\n\n\n@cached\n"
            "def f(x: int) -> bool:\n    return 'abcde'[x] in KNOWN and x in {1, 2, 3}\n"
        },
        environment={"PYTHONHASHSEED": "2"},
    ),
    _edit(
        "another order of a dictionary that is an argument",
        {"job.py": Replace("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}")},
        {
            "job.py": "VALUES = [{'a': 1, 'b': 2}]\n\n\n@cached\ndef f(x: dict) -> int:\n"
            "    return x['a'] - x['b']\n"
        },
    ),
    _edit(
        "results that the caller changed in the run before",
        {"start.py": ""},
        {"job.py": _LISTS, "start.py": _CHANGES},
    ),
    _edit(
        "results that the caller changes between two calls",
        {"start.py": _CHANGES},
        {"job.py": _LISTS, "start.py": ""},
    ),
)
