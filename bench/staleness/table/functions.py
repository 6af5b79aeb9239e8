"""Edits of the function itself, and of functions that it calls."""

from __future__ import annotations

from bench.staleness.programs import CALLED, ITSELF, Edit, Replace

_FAR = "def grow(x):\n    return x * 10\n\n\ndef shrink(x):\n    return x / 10\n"
_TENFOLD = {"far.py": Replace("x * 10", "x * 20")}


def _calls(kind: str, head: str, body: str, far: str = _FAR, **more: str) -> Edit:
    """A program whose `f` reaches `grow` of another module in some way, which the edit changes."""
    job = f"{head}\n\n\n@cached\ndef f(x: int) -> float:\n    return {body}\n"
    files = {f"{name}.py": text for name, text in more.items()}
    return Edit(kind, CALLED, {"job.py": job, "far.py": far, **files}, _TENFOLD)


EDITS = (
    Edit(
        "its body",
        ITSELF,
        {"job.py": "@cached\ndef f(x: int) -> int:\n    return x + 1\n"},
        {"job.py": Replace("x + 1", "x - 1")},
    ),
    Edit(
        "a number in it",
        ITSELF,
        {"job.py": "@cached\ndef f(x: int) -> float:\n    limit = 3\n    return x + limit\n"},
        {"job.py": Replace("limit = 3", "limit = 3.0")},
    ),
    Edit(
        "a function inside it",
        ITSELF,
        {
            "job.py": "@cached\ndef f(x: int) -> int:\n    def deeper(y):\n        return y * 2\n\n"
            "    return deeper(x)\n"
        },
        {"job.py": Replace("y * 2", "y * 3")},
    ),
    Edit(
        "a default of its own",
        ITSELF,
        {"job.py": "@cached\ndef f(x: int, by: int = 3) -> int:\n    return x * by\n"},
        {"job.py": Replace("by: int = 3", "by: int = 4")},
    ),
    Edit(
        "an earlier step",
        ITSELF,
        {
            "job.py": 'STEPS = ("g", "f")\n\n\n@cached\ndef g(x: int) -> int:\n    return x + 1\n\n\n'
            "@cached\ndef f(g: int) -> int:\n    return g * 10\n"
        },
        {"job.py": Replace("x + 1", "x + 2")},
    ),
    Edit(
        "a helper beside it",
        CALLED,
        {
            "job.py": "def _grow(x):\n    return x * 10\n\n\n@cached\ndef f(x: int) -> int:\n"
            "    return _grow(x)\n"
        },
        {"job.py": Replace("x * 10", "x * 20")},
    ),
    _calls("a helper of another module", "from far import grow", "grow(x)"),
    _calls(
        "a helper of a helper",
        "import near",
        "near.grow(x)",
        near="import far\n\n\ndef grow(x):\n    return far.grow(x)\n",
    ),
    Edit(
        "a helper imported inside",
        CALLED,
        {
            "job.py": "@cached\ndef f(x: int) -> int:\n    from far import grow\n\n    return grow(x)\n",
            "far.py": _FAR,
        },
        _TENFOLD,
    ),
    _calls("a star import", "from far import *  # noqa: F403", "grow(x)"),
    _calls("a table of functions", "from far import grow\n\nTABLE = {'grow': [grow]}", "TABLE['grow'][0](x)"),
    _calls("a lambda", "from far import grow", "grow(x)", "grow = lambda x: x * 10\n"),
    _calls(
        "a partial", "from functools import partial\n\nfrom far import grow\n\nby = partial(grow)", "by(x)"
    ),
    _calls(
        "a memo of functools",
        "from functools import lru_cache\n\nfrom far import grow\n\nby = lru_cache(grow)",
        "by(x)",
    ),
    _calls(
        "a single dispatch",
        "from functools import singledispatch\n\nfrom far import grow\n\n\n@singledispatch\ndef _by(x):\n"
        "    return x\n\n\n_by.register(int)(grow)",
        "_by(x)",
    ),
    _calls(
        "a default of a helper",
        "from far import grow\n\n\ndef _by(x, how=grow):\n    return how(x)",
        "_by(x)",
    ),
    _calls(
        "a decorator of a helper",
        "from far import tenfold\n\n\n@tenfold\ndef _by(x):\n    return x + 1",
        "_by(x)",
        "from functools import wraps\n\n\ndef tenfold(fn):\n    @wraps(fn)\n    def wrapper(x):\n"
        "        return fn(x * 10)\n\n    return wrapper\n",
    ),
    _calls(
        "a context manager",
        "from far import around",
        "around(x).__enter__()",
        "from contextlib import contextmanager\n\n\n@contextmanager\ndef around(x):\n    yield x * 10\n",
    ),
    Edit(
        "an argument of a decorator",
        CALLED,
        {
            "job.py": "from far import times\n\n\n@times(2)\ndef _by(x):\n    return x\n\n\n@cached\n"
            "def f(x: int) -> int:\n    return _by(x)\n",
            "far.py": "from functools import wraps\n\n\ndef times(n):\n    def deco(fn):\n"
            "        @wraps(fn)\n        def wrapper(x):\n            return fn(x) * n\n\n"
            "        return wrapper\n\n    return deco\n",
        },
        {"job.py": Replace("@times(2)", "@times(3)")},
    ),
    Edit(
        "a captured value",
        CALLED,
        {
            "job.py": "from far import by\n\n\n@cached\ndef f(x: int) -> int:\n    return by(x)\n",
            "far.py": "def make(n):\n    return lambda x: x * n\n\n\nby = make(2)\n",
        },
        {"far.py": Replace("make(2)", "make(3)")},
    ),
    Edit(
        "another helper under the same name",
        CALLED,
        {
            "job.py": "from far import grow as by\n\n\n@cached\ndef f(x: int) -> float:\n    return by(x)\n",
            "far.py": _FAR,
        },
        {"job.py": Replace("grow as by", "shrink as by")},
    ),
    Edit(
        "what a package passes on",
        CALLED,
        {
            "job.py": "from tools import grow\n\n\n@cached\ndef f(x: int) -> int:\n    return grow(x)\n",
            "tools/__init__.py": "from tools.one import grow\n",
            "tools/one.py": "def grow(x):\n    return x * 10\n",
            "tools/two.py": "def grow(x):\n    return x * 20\n",
        },
        {"tools/__init__.py": Replace("tools.one", "tools.two")},
    ),
    Edit(
        "a helper in a namespace package",
        CALLED,
        {
            "job.py": "from tools.deep.one import grow\n\n\n@cached\ndef f(x: int) -> int:\n"
            "    return grow(x)\n",
            "tools/deep/one.py": "def grow(x):\n    return x * 10\n",
        },
        {"tools/deep/one.py": Replace("x * 10", "x * 20")},
    ),
)
