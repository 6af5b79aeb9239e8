"""The key follows live objects: what code, classes, functions and modules hold when a map starts."""

# ruff: noqa: E501, ISC004 - programs as text

from __future__ import annotations

import builtins
import json
import math
import sys
import typing

import numpy as np
import pandas as pd
import pytest

from lightwork.keys import Unkeyable, code_key, differences, encode

pytestmark = pytest.mark.sample(30)

VALUES = {
    "a number": ("1", "2"),
    "a list": ("[1, 2]", "[1, 3]"),
    "a dict": ("{'a': [1]}", "{'a': [2]}"),
    "a set": ("{1, 2}", "{1, 3}"),
    "an array": ("np.array([1, 2])", "np.array([1, 3])"),
    "an instance": ("Held(1)", "Held(2)"),
    "a nested instance": ("[Held(Held(1))]", "[Held(Held(2))]"),
    "a function": ("one", "two"),
    "a lambda": ("lambda x: 1", "lambda x: 2"),
    "a lambda's default": ("lambda x, by=1: by", "lambda x, by=2: by"),
    "a lambda's keyword default": ("lambda x, *, by=1: by", "lambda x, *, by=2: by"),
    "a closure": ("make(1)", "make(2)"),
    "a partial": ("functools.partial(one)", "functools.partial(two)"),
    "a bound method": ("Held(1).get", "Held(2).get"),
    "a class": ("Held", "Other"),
    "a pattern": ("re.compile('a')", "re.compile('b')"),
    "None": ("None", "0"),
}
HEAD = """
import functools, re
import numpy as np

class Held:
    def __init__(self, value):
        self.value = value
    def get(self, x=0):
        return self.value
    def __repr__(self):
        return f"Held({self.value!r})"

class Other(Held):
    def __repr__(self):
        return "other"

def one(x):
    return 1

def two(x):
    return 2

def make(n):
    def inner(x):
        return n
    return inner

def show(value):
    return shown(value(1) if callable(value) else value)

def shown(value):
    return repr(value).partition(" at 0x")[0]
"""
PLACES = {
    "a class, by self": (
        "class C:\n    held = {0}\n    def m(self):\n        return show(type(self).__dict__['held'])\n"
        "def f(x):\n    return C().m()\n",
        "C.held = {0}\n",
    ),
    "a class, by cls": (
        "class C:\n    held = {0}\n    @classmethod\n    def m(cls):\n        return show(vars(cls)['held'])\n"
        "def f(x):\n    return C.m()\n",
        "C.held = {0}\n",
    ),
    "a base class": (
        "class B:\n    held = {0}\nclass C(B):\n    def m(self):\n        return show(vars(B)['held'])\n"
        "def f(x):\n    return C().m()\n",
        "B.held = {0}\n",
    ),
    "a metaclass": (
        "class M(type):\n    held = {0}\nclass C(metaclass=M):\n    pass\n"
        "def f(x):\n    return show(vars(type(C))['held'])\n",
        "M.held = {0}\n",
    ),
    "a nested class": (
        "class C:\n    class D:\n        held = {0}\ndef f(x):\n    return show(vars(C.D)['held'])\n",
        "C.D.held = {0}\n",
    ),
    "a dunder of a class": (
        "class C:\n    __held__ = {0}\ndef f(x):\n    return show(vars(C)['__held__'])\n",
        "C.__held__ = {0}\n",
    ),
    "a private name of a class": (
        "class C:\n    _held_ = {0}\ndef f(x):\n    return show(vars(C)['_held_'])\n",
        "C._held_ = {0}\n",
    ),
    "a local class": (
        "def build():\n    class C:\n        held = {0}\n        def m(self):\n"
        "            return show(vars(type(self))['held'])\n    return C\n"
        "C = build()\ndef f(x):\n    return C().m()\n",
        "C.held = {0}\n",
    ),
    "a class without methods": (
        "class C:\n    held = {0}\ndef f(x):\n    return show(vars(C)['held'])\n",
        "C.held = {0}\n",
    ),
    "the class of an instance": (
        "class C:\n    held = {0}\nOBJECT = C()\ndef f(x):\n    return show(vars(type(OBJECT))['held'])\n",
        "C.held = {0}\n",
    ),
    "a slot's default": (
        "class C:\n    __slots__ = ('a',)\n    held = {0}\ndef f(x):\n    return show(vars(C)['held'])\n",
        "C.held = {0}\n",
    ),
    "a function": (
        "def g(x):\n    return show(g.held)\ng.held = {0}\ndef f(x):\n    return g(x)\n",
        "g.held = {0}\n",
    ),
    "the task itself": ("def f(x):\n    return show(f.held)\nf.held = {0}\n", "f.held = {0}\n"),
    "a decorated task": (
        "from lightwork import task\n@task\ndef g(x):\n    return show(g.held)\ng.held = {0}\n"
        "def f(x):\n    return g(x)\n",
        "g.held = {0}\n",
    ),
    "a cached function": (
        "@functools.lru_cache\ndef g(x):\n    return x\ng.held = {0}\ndef f(x):\n    return show(g.held)\n",
        "g.held = {0}\n",
    ),
    "a partial's attribute": (
        "g = functools.partial(one)\ng.held = {0}\ndef f(x):\n    return show(g.held)\n",
        "g.held = {0}\n",
    ),
    "a wrapped function": (
        "def deco(fn):\n    @functools.wraps(fn)\n    def wrapper(x):\n        return show(wrapper.held)\n"
        "    return wrapper\n@deco\ndef g(x):\n    return x\ng.held = {0}\ndef f(x):\n    return g(x)\n",
        "g.held = {0}\n",
    ),
    "a method": (
        "class C:\n    def m(self):\n        return show(C.m.held)\nC.m.held = {0}\ndef f(x):\n    return C().m()\n",
        "C.m.held = {0}\n",
    ),
    "a property's getter": (
        "class C:\n    @property\n    def p(self):\n        return show(vars(C)['p'].fget.held)\n"
        "C.p.fget.held = {0}\ndef f(x):\n    return C().p\n",
        "C.p.fget.held = {0}\n",
    ),
    "a default": (
        "def g(x, by={0}):\n    return show(by)\ndef f(x):\n    return g(x)\n",
        "g.__defaults__ = ({0},)\n",
    ),
    "a keyword default": (
        "def g(x, *, by={0}):\n    return show(by)\ndef f(x):\n    return g(x)\n",
        "g.__kwdefaults__ = dict(by={0})\n",
    ),
    "a method's default": (
        "class C:\n    def m(self, by={0}):\n        return show(by)\ndef f(x):\n    return C().m()\n",
        "C.m.__defaults__ = ({0},)\n",
    ),
    "a static method's default": (
        "class C:\n    @staticmethod\n    def m(*, by={0}):\n        return show(by)\n"
        "def f(x):\n    return C.m()\n",
        "vars(C)['m'].__func__.__kwdefaults__ = dict(by={0})\n",
    ),
    "a dunder global": ("__held__ = {0}\ndef f(x):\n    return show(__held__)\n", "__held__ = {0}\n"),
    "a version": ("__version__ = {0}\ndef f(x):\n    return show(__version__)\n", "__version__ = {0}\n"),
    "a shadowed builtin": ("sum = {0}\ndef f(x):\n    return show(sum)\n", "sum = {0}\n"),
    "a cell": (
        "def build(value):\n    def inner(x):\n        return show(value)\n    return inner\n"
        "g = build({0})\ndef f(x):\n    return g(x)\n",
        "g.__closure__[0].cell_contents = {0}\n",
    ),
    "an attribute of an instance": (
        "OBJECT = Held({0})\ndef f(x):\n    return show(OBJECT.value)\n",
        "OBJECT.value = {0}\n",
    ),
    "a class attribute set at run time": (
        "class C:\n    def m(self):\n        return show(vars(C)['held'])\nC.held = {0}\n"
        "def f(x):\n    return C().m()\n",
        "C.held = {0}\n",
    ),
    "an attribute of an enum's member": (
        "import enum\nclass E(enum.Enum):\n    A = 1\nE.A.held = {0}\ndef f(x):\n    return show(E.A.held)\n",
        "E.A.held = {0}\n",
    ),
    "an attribute of an enum": (
        "import enum\nclass E(enum.Enum):\n    A = 1\nE._held = {0}\ndef f(x):\n    return show(vars(E)['_held'])\n",
        "E._held = {0}\n",
    ),
    "a dataclass's default": (
        "from dataclasses import dataclass\n@dataclass\nclass D:\n    a: int = 1\n    held = {0}\n"
        "def f(x):\n    return show(vars(D)['held'])\n",
        "D.held = {0}\n",
    ),
}


# Each place with six of the values, and each value in twelve of the places.
CASES = [
    (place, value)
    for row, place in enumerate(PLACES)
    for column, value in enumerate(VALUES)
    if (column - row) % 3 == 0
]


@pytest.mark.parametrize(("place", "value"), CASES)
def test_a_value_counts_wherever_it_is_held(load, place, value):
    source, change = PLACES[place]
    old, new = VALUES[value]
    fn = load({"pkg/job.py": HEAD + source.format(old)})
    fn = getattr(fn, "fn", fn)
    before, result = code_key(fn), fn(1)
    assert code_key(fn) == before
    executed = "lambda" in old  # counts by its bytecode, as it has no source
    exec(change.format(old), fn.__globals__)
    assert executed or code_key(fn) == before
    exec(change.format(new), fn.__globals__)
    after = code_key(fn)
    assert (after.digest != before.digest, fn(1) != result) == (True, True)
    exec(change.format(old), fn.__globals__)
    assert executed or code_key(fn) == before


CHANGES = {
    "a method replaced": (
        "class C:\n    def m(self, x):\n        return 1\n",
        "C().m(x)",
        "C.m = lambda self, x: 2",
    ),
    "a method replaced by one of another class": (
        "class A:\n    def m(self, x):\n        return 2\nclass C:\n    def m(self, x):\n        return 1\n",
        "C().m(x)",
        "C.m = A.m",
    ),
    "a method replaced by a module's function": (
        "def other(self, x):\n    return 2\nclass C:\n    def m(self, x):\n        return 1\n",
        "C().m(x)",
        "C.m = other",
    ),
    "a method replaced by a library's": (
        "import operator\nclass C:\n    def __call__(self, x):\n        return 1\n    m = staticmethod(abs)\n",
        "C.m(x)",
        "C.m = staticmethod(operator.neg)",
    ),
    "a method of a base replaced": (
        "class B:\n    def m(self, x):\n        return 1\nclass C(B):\n    pass\n",
        "C().m(x)",
        "B.m = lambda self, x: 2",
    ),
    "a method added over that of a base": (
        "class B:\n    def m(self, x):\n        return 1\nclass C(B):\n    pass\n",
        "C().m(x)",
        "C.m = lambda self, x: 2",
    ),
    "a method deleted": (
        "class B:\n    def m(self, x):\n        return 1\nclass C(B):\n    def m(self, x):\n        return 2\n",
        "C().m(x)",
        "del C.m",
    ),
    "an attribute deleted": (
        "class B:\n    n = 1\nclass C(B):\n    n = [2]\n    def m(self, x):\n        return self.n\n",
        "C().m(x)",
        "del C.n",
    ),
    "a property replaced": (
        "class C:\n    @property\n    def m(self):\n        return 1\n",
        "C().m",
        "C.m = property(lambda self: 2)",
    ),
    "a static method replaced": (
        "class C:\n    @staticmethod\n    def m(x):\n        return 1\n",
        "C.m(x)",
        "C.m = staticmethod(lambda x: 2)",
    ),
    "bases replaced": (
        "class A:\n    def m(self, x):\n        return 1\nclass B:\n    def m(self, x):\n        return 2\n"
        "class C(A):\n    pass\n",
        "C().m(x)",
        "C.__bases__ = (B,)",
    ),
    "the class of an instance replaced": (
        "class A:\n    def m(self, x):\n        return 1\nclass B:\n    def m(self, x):\n        return 2\nO = A()\n",
        "O.m(x)",
        "O.__class__ = B",
    ),
    "the code of a function replaced": (
        "def g(x):\n    return 1\ndef h(x):\n    return 2\n",
        "g(x)",
        "g.__code__ = h.__code__",
    ),
    "a method of the metaclass replaced": (
        "class M(type):\n    def m(cls, x):\n        return 1\nclass C(metaclass=M):\n    pass\n",
        "C.m(x)",
        "M.m = lambda cls, x: 2",
    ),
    "a method of an enum replaced": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    def m(self, x):\n        return 1\n",
        "E.A.m(x)",
        "E.m = lambda self, x: 2",
    ),
    "a method of a dataclass replaced by a generated one's name": (
        "from dataclasses import dataclass\n@dataclass\nclass D:\n    a: int = 1\n",
        "repr(D())",
        "D.__repr__ = lambda self: 'mine'",
    ),
    "a method of a named tuple replaced": (
        "from typing import NamedTuple\nclass T(NamedTuple):\n    a: int = 1\n    def m(self):\n        return 1\n",
        "T().m()",
        "T.m = lambda self: 2",
    ),
    "a method that was executed from a text": (
        "class C:\n    def m(self, x):\n        return 1\nspace = {'__name__': __name__}\n"
        "exec('def m(self, x):\\n    return 1', space)\nC.m = space['m']\n",
        "C().m(x)",
        "exec('def m(self, x):\\n    return 2', space); C.m = space['m']",
    ),
    "a function of a module replaced": (
        "import pkg.lib as lib\n",
        "lib.g(x)",
        "lib.g = lambda x: 2",
    ),
    "a function registered for a type": (
        "import functools\n@functools.singledispatch\ndef g(x):\n    return 1\n",
        "g(x)",
        "g.register(int)(lambda x: 2)",
    ),
    "two lambdas with defaults swapped": (
        "one, two = [lambda x, k=k: k for k in (1, 2)]\n",
        "one(x) * 2 + two(x)",
        "one, two = two, one",
    ),
    "two local classes swapped": (
        "def build(n):\n    class C:\n        held = [n]\n    return C\nA, B = build(1), build(2)\n",
        "A.held * 2 + B.held",
        "A, B = B, A",
    ),
    "two functions executed with other globals swapped": (
        "def build(n):\n    space = {'N': n, '__name__': 'made'}\n    exec('def g(x): return N', space)\n"
        "    return space['g']\nA, B = build(1), build(2)\n",
        "A(x) * 2 + B(x)",
        "A, B = B, A",
    ),
    "two functions with attributes swapped": (
        "def build(n):\n    def g(x):\n        return 0\n    g.n = n\n    return g\nA, B = build(1), build(2)\n",
        "A.n * 2 + B.n",
        "A, B = B, A",
    ),
    "an attribute of a captured class": (
        "def build():\n    class C:\n        n = [1]\n    def g(x):\n        return C.n\n    g.C = C\n    return g\n"
        "g = build()\n",
        "g(x)",
        "g.C.n = [2]",
    ),
    "a default of a slotted dataclass": (
        "from dataclasses import dataclass\nimport os\n@dataclass(slots=True)\nclass D:\n    a: int = 1\n",
        "D.n if hasattr(D, 'n') else 0",
        "D.n = 2",
    ),
    "a module's __getattr__": (
        "import pkg.lib as lib\ndef hook(name):\n    return 1\nlib.__getattr__ = hook\n",
        "lib.n",
        "hook.__code__ = (lambda name: 2).__code__",
    ),
    "the class of a module": (
        "import sys, types, pkg.lib as lib\nclass M(types.ModuleType):\n    @property\n    def n(self):\n"
        "        return 1\nlib.__class__ = M\n",
        "lib.n",
        "M.n = property(lambda self: 2)",
    ),
    "how instances are encoded": (
        "class C:\n    def __init__(self):\n        self.n = 1\nO = C()\n",
        "C.__lightwork_key__(O) if hasattr(C, '__lightwork_key__') else 0",
        "C.__lightwork_key__ = lambda self: self.n",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_at_run_time_counts(load, what):
    head, body, change = CHANGES[what]
    files = {
        "pkg/job.py": f"{head}\ndef f(x):\n    return {body}\n",
        "pkg/lib.py": "def g(x):\n    return 1\n",
    }
    fn = load(files)
    before, result = code_key(fn), fn(1)
    assert code_key(fn) == before
    exec(change, fn.__globals__)
    assert (code_key(fn).digest != before.digest, fn(1) != result) == (True, True)


@pytest.mark.parametrize("what", CHANGES)
def test_a_class_that_was_changed_counts_as_an_argument(load, what):
    head, _, change = CHANGES[what]
    if "class C" not in head or "def build" in head:
        pytest.skip("has no class C")
    kind = load({"pkg/job.py": head, "pkg/lib.py": ""}, "pkg.job.C")
    space = vars(sys.modules["pkg.job"])
    before = encode(kind)
    exec(change, space)
    assert encode(kind) != before


UNREADABLE = [
    "threading.Lock()",
    "threading.RLock()",
    "threading.Condition()",
    "threading.Semaphore(2)",
    "weakref.WeakKeyDictionary()",
    "weakref.WeakValueDictionary()",
    "weakref.WeakSet()",
    "logging.getLogger('a')",
    "__import__('asyncio').Lock()",
]


@pytest.mark.parametrize("value", UNREADABLE)
def test_a_class_that_holds_a_lock_has_a_key(load, value):
    head = "import threading, weakref, logging\n"
    files = {
        "pkg/job.py": f"{head}class C:\n    held = {value}\n    n = 1\n    def m(self):\n        self.held\n"
        "def f(x):\n    return C().m()\n"
    }
    before = code_key(load(files))
    assert before == code_key(load(files))
    fn = load(files)
    fn.__globals__["C"].n = 2
    assert code_key(fn).digest != before.digest


@pytest.mark.parametrize("read", ["self.held", "getattr(self, 'held')", "getattr(self, 'he' + x)"])
def test_a_value_without_a_key_in_a_class_is_refused_if_code_may_read_it(load, read):
    files = {
        "pkg/job.py": "class C:\n    held = (i for i in [1])\n    def m(self, x):\n        return 1\n"
        "    def n(self, x):\n        return 1\ndef f(x):\n    return C().m(x)\n"
    }
    assert code_key(load(files)) == code_key(load(files))
    files["pkg/job.py"] = files["pkg/job.py"].replace("return 1", f"return {read}", 1)
    with pytest.raises(Unkeyable, match=r"the attribute held of pkg\.job\.C: a generator") as raised:
        code_key(load(files))
    assert "\n" not in raised.value.reason


LIBRARIES = {
    "json.dumps": ("import json", "json.dumps(x)"),
    "json.decoder.scanner.make_scanner": ("import json.decoder", "json.decoder.scanner.make_scanner(x)"),
    "numpy.sqrt": ("import numpy as np", "np.sqrt(x)"),
    "numpy.linalg.norm": ("import numpy as np", "np.linalg.norm(x)"),
    "numpy.lib.stride_tricks.as_strided": (
        "import numpy.lib.stride_tricks",
        "numpy.lib.stride_tricks.as_strided(x)",
    ),
    "pandas.DataFrame": ("import pandas", "pandas.DataFrame(x)"),
    "pandas.concat": ("from pandas import concat as c, DataFrame\nimport pandas as p", "p.concat(x)"),
    "math.tau": ("import math", "math.tau"),
    "numpy.pi": ("import numpy", "numpy.pi"),
}
IMPORTS = {
    "a global": "{head}\ndef f(x):\n    return {read}\n",
    "a helper": "{head}\ndef g(x):\n    return {read}\ndef f(x):\n    return g(x)\n",
    "a method": "{head}\nclass C:\n    def m(self, x):\n        return {read}\ndef f(x):\n    return C().m(x)\n",
    "an import inside": "def f(x):\n    {inside}\n    return {read}\n",
    "getattr": "{head}\nmodule = {module}\ndef f(x):\n    return getattr(module, '{name}')(x)\n",
    "getattr by a computed name": "{head}\nmodule = {module}\ndef f(x):\n    return getattr(module, x)(x)\n",
    "an own module": "from pkg import lib\ndef f(x):\n    return lib.{read}\n",
}
PUT = {
    "a function": "lambda *a: 'mine'",
    "a function of an own module": "helpers.mine",
    "a closure": "helpers.make('mine')",
    "a callable instance": "helpers.Mine()",
    "a bound method": "helpers.Mine().__call__",
    "a partial": "functools.partial(helpers.mine, 1)",
    "a vectorized function": "numpy.vectorize(helpers.mine)",
    "a cached function": "functools.lru_cache(helpers.mine)",
    "a class": "helpers.Mine",
}
PUT |= {
    "another function of the library": "json.loads",
    "a function of the standard library": "math.cbrt",
    "a function of another library": "pandas.isna",
    "a ufunc of another library": "numpy.hypot",
}
HELPERS = (
    "def mine(*a):\n    return 'mine'\ndef make(n):\n    def inner(*a):\n        return n\n    return inner\n"
    "class Mine:\n    def __init__(self, *a):\n        pass\n    def __call__(self, *a):\n        return 'mine'\n"
)


# Each target in each way, and each thing in its place in a ninth of those.
PLACED = [
    (target, way, list(PUT)[(row + column) % len(PUT)])
    for row, target in enumerate(LIBRARIES)
    for column, way in enumerate(IMPORTS)
    if way != "getattr by a computed name" or (row + column) % len(PUT) < len(PUT) - 4
]


@pytest.mark.parametrize(("target", "way", "put"), PLACED)
def test_what_the_user_puts_in_place_of_a_librarys_counts(load, monkeypatch, target, way, put):
    import functools
    import importlib

    head, read = LIBRARIES[target]
    if way == "getattr by a computed name" and target in {"math.tau", "numpy.pi"}:
        pytest.skip("a constant of a library that is read by a computed name")
    home, _, name = target.rpartition(".")
    source = IMPORTS[way].format(
        head=head,
        read=read,
        inside=head.replace("\n", "; "),
        module=read.rpartition(f".{name}")[0],
        name=name,
    )
    files = {"pkg/job.py": source, "pkg/lib.py": head, "pkg/helpers.py": HELPERS}
    fn = load(files)
    before = code_key(fn)
    assert code_key(fn) == before
    helpers = importlib.import_module("pkg.helpers")
    scope = {
        "helpers": helpers,
        "functools": functools,
        "numpy": np,
        "pandas": pd,
        "json": json,
        "math": math,
    }
    owner = importlib.import_module(home) if home in sys.modules else None
    for part in [] if owner else home.split("."):
        owner = getattr(owner, part) if owner else importlib.import_module(part)
    monkeypatch.setattr(owner, name, eval(PUT[put], scope))
    after = code_key(fn)
    assert before.digest != after.digest
    if put == "a function of an own module":
        helpers.mine.__code__ = (lambda *a: "other").__code__
        assert code_key(fn).digest not in {before.digest, after.digest}
    monkeypatch.undo()
    assert code_key(fn) == before


CLASSES = {
    "called by name": "import pandas as pd\ndef f(x):\n    return pd.DataFrame(x).mean()\n",
    "imported": "from pandas import DataFrame\ndef f(x):\n    return DataFrame(x).mean()\n",
    "its method by name": "import pandas as pd\ndef f(x):\n    return pd.DataFrame.mean(x)\n",
    "a base": "import pandas as pd\nclass F(pd.DataFrame):\n    pass\ndef f(x):\n    return F(x).mean()\n",
    "a global": "import pandas as pd\nT = pd.DataFrame({'a': [1]})\ndef f(x):\n    return T.mean()\n",
}


@pytest.mark.parametrize("owner", [pd.DataFrame, pd.core.generic.NDFrame])
@pytest.mark.parametrize("way", CLASSES)
def test_a_method_put_on_a_librarys_class_counts(load, monkeypatch, way, owner):
    fn = load({"pkg/job.py": CLASSES[way], "pkg/helpers.py": HELPERS})
    helpers = load({"pkg/job.py": CLASSES[way], "pkg/helpers.py": HELPERS}, "pkg.helpers.mine")
    before = code_key(fn)
    monkeypatch.setattr(owner, "mean", helpers)
    assert code_key(fn).digest != before.digest
    monkeypatch.undo()
    assert code_key(fn) == before


def test_a_library_without_anything_of_the_users_keeps_the_key(load):
    files = {
        "pkg/job.py": "import numpy as np, json\ndef f(x):\n    return np.sqrt(x), json.dumps(x), np.random.rand()\n"
    }
    key = code_key(load(files))
    np.random.rand()
    assert key == code_key(load(files))
    assert {c.kind for c in key.components} == {"function", "distribution"}


@pytest.mark.parametrize(
    "name", ["abs", "open", "sum", "print", "round", "ascii", "IOError", "NotImplemented"]
)
def test_a_builtin_that_is_replaced_counts(load, monkeypatch, name):
    fn = load({"pkg/job.py": f"def f(x):\n    return {name}\n"})
    real = getattr(builtins, name)
    keys = [code_key(fn)]
    assert {c.kind for c in keys[0].components} == {"function"}
    for mine in (lambda *a: real(*a), lambda *a, **k: real(*a, **k)):
        monkeypatch.setattr(builtins, name, mine)
        keys.append(code_key(fn))
        monkeypatch.undo()
    assert code_key(fn) == keys[0]
    fn.__globals__[name] = 1
    keys.append(code_key(fn))
    assert len({key.digest for key in keys}) == 4


def test_a_name_added_to_the_builtins_counts(load, monkeypatch):
    fn = load({"pkg/job.py": "def f(x):\n    return SCALE\n"})
    monkeypatch.setattr(builtins, "SCALE", [1], raising=False)
    before = code_key(fn)
    monkeypatch.setattr(builtins, "SCALE", [2], raising=False)
    assert code_key(fn).digest != before.digest


@pytest.mark.parametrize("name", ["__name__", "__file__", "__doc__", "__spec__", "__loader__", "__package__"])
def test_names_that_the_import_system_sets_do_not_count(load, name):
    files = {
        "pkg/job.py": f"from pkg import lib\ndef f(x):\n    return {name}, lib.{name}\n",
        "pkg/lib.py": "",
    }
    assert code_key(load(files)) == code_key(load(files))


def test_what_the_interpreter_puts_on_a_class_does_not_count(load):
    job = (
        "from abc import ABC, abstractmethod\nfrom typing import Protocol, Generic, TypeVar\nT = TypeVar('T')\n"
        "class P(Protocol):\n    def m(self): ...\nclass A(ABC, Generic[T]):\n    @abstractmethod\n"
        "    def m(self): ...\nclass C(A[int]):\n    def m(self):\n        return 1\nclass Q(P):\n    pass\n"
        "def f(x):\n    return C, P, Q\n"
    )
    fn = load({"pkg/job.py": job})
    before, space = code_key(fn), fn.__globals__
    isinstance(1, space["A"])
    space["Q"]()
    space["C"].__doc__ = "words"
    typing.get_type_hints(space["C"])
    assert differences(before, code_key(fn)) == []
    moved = '"""Words."""\n\n' + job.replace("\nclass", "\n\n\nclass").replace(
        "pass\n", '"""Words."""\n    pass\n'
    )
    assert differences(before, code_key(load({"pkg/job.py": moved}))) == []


def test_a_class_defined_again_counts(load):
    fn = load({"pkg/job.py": "class C:\n    n = [1]\ndef f(x):\n    return C.n\n"})
    before = code_key(fn)
    exec("class C:\n    n = [2]\n", fn.__globals__)
    after = code_key(fn)
    exec("class C:\n    n = [1]\n", fn.__globals__)
    assert before.digest != after.digest != code_key(fn).digest


def test_a_module_that_is_loaded_again_counts(load, tmp_path):
    import importlib

    fn = load(
        {
            "pkg/job.py": "from pkg import lib\ndef f(x):\n    return lib.g(x)\n",
            "pkg/lib.py": "def g(x):\n    return 1\n",
        }
    )
    before = code_key(fn)
    path = tmp_path / "v0/pkg/lib.py"
    path.write_text("def g(x):\n    return 22\n")
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    try:
        importlib.reload(sys.modules["pkg.lib"])
    finally:
        sys.dont_write_bytecode = kept
    assert code_key(fn).digest != before.digest


def test_a_dict_that_is_a_modules_namespace_counts_as_the_module(load):
    files = {
        "pkg/job.py": "from pkg import lib\nSPACE = vars(lib)\ndef f(x):\n    return SPACE[x]\n",
        "pkg/lib.py": "N = [1]\n",
    }
    before = code_key(load(files))
    assert before == code_key(load(files))
    fn = load(files)
    sys.modules["pkg.lib"].N.append(2)
    assert code_key(fn).digest != before.digest


def test_what_a_json_encoder_is_given_counts(load, monkeypatch):
    fn = load({"pkg/job.py": "import json\ndef f(x):\n    return json.JSONEncoder().encode(x)\n"})
    before = code_key(fn)
    monkeypatch.setattr(json.JSONEncoder, "default", load({"pkg/job.py": "def f(self, x):\n    return 1\n"}))
    assert code_key(fn).digest != before.digest


LIBRARY_CLASSES = """
import abc, decimal, enum, functools, logging, pathlib, re, threading, typing
import attrs, numpy as np, pandas as pd, pydantic, structlog
from dataclasses import InitVar, dataclass, field

class Checked(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    a: int = 1
    b: list[int] = pydantic.Field(default_factory=list)
    _p: int = pydantic.PrivateAttr(default=3)
    @pydantic.field_validator("a")
    @classmethod
    def check(cls, x):
        return x
    @pydantic.computed_field
    @property
    def c(self) -> int:
        return self.a

@attrs.define
class Attrs:
    a: int = attrs.field(default=1, validator=attrs.validators.instance_of(int), converter=int)
    b: list = attrs.field(factory=list)
    @a.validator
    def check(self, attribute, value):
        pass

@dataclass(order=True, frozen=True, slots=True, kw_only=True)
class Data:
    a: int = 1
    b: dict = field(default_factory=dict, metadata={"x": 1})
    k: typing.ClassVar[dict] = {"a": 1}
    iv: InitVar[int] = 3
    def __post_init__(self, iv):
        pass

class Bits(enum.Flag):
    A = enum.auto()
    B = enum.auto()
    C = A | B

class Numbers(enum.IntEnum):
    A = 1
    def __new__(cls, value):
        made = int.__new__(cls, value)
        made._value_ = value
        made.extra = [value]
        return made

class Named(typing.NamedTuple):
    a: int = 1
    def m(self):
        return self.a

class Shape(typing.Protocol):
    def m(self): ...

class Square(Shape):
    def m(self):
        return 1

class Base(abc.ABC):
    registry: dict = {}
    def __init_subclass__(cls, **options):
        Base.registry[cls.__name__] = cls
    @abc.abstractmethod
    def m(self): ...

class Many(Base):
    lock = threading.RLock()
    log = logging.getLogger(__name__)
    structured = structlog.get_logger()
    pattern = re.compile("a")
    number = decimal.Decimal("1.1")
    here = pathlib.Path(__file__).parent
    array = np.arange(3)
    frame = pd.DataFrame({"a": [1]})
    part = functools.partialmethod(lambda self, n: n, 3)
    kind = list[int]
    maybe = typing.Optional[int]
    variable = typing.TypeVar("variable")
    root = staticmethod(np.sqrt)
    ufunc = np.sqrt
    @functools.singledispatchmethod
    def by_type(self, x):
        return 1
    @by_type.register
    def _(self, x: int):
        return 2
    @functools.lru_cache(maxsize=3)
    def cached(self):
        return 1
    @functools.cached_property
    def lazy(self):
        return 1
    def m(self):
        return self.part(), self.by_type(1), self.cached(), self.lazy, len(self.array)

def f(x):
    Checked(a=x).model_dump(), Attrs(a=x) == Attrs(), repr(Attrs()), Data(a=x) < Data(a=2)
    return Bits.A | Bits.B, Numbers.A.extra, Named(x).m(), Square().m(), Many().m(), np.abs(-1), np.pi
"""


@pytest.mark.slow
def test_classes_that_libraries_help_to_make_have_one_key_in_every_process(load, tmp_path, key_elsewhere):
    files = {"pkg/job.py": LIBRARY_CLASSES}
    fn = load(files)
    before = code_key(fn)
    fn(1)
    assert differences(before, code_key(fn)) == []
    load(files)
    assert before == key_elsewhere(tmp_path / "v0", seed="1") == key_elsewhere(tmp_path / "v1", seed="2")


DEFAULTS = {
    "a model": "class D(pydantic.BaseModel):\n    a: int = START\n",
    "a field of a model": "class D(pydantic.BaseModel):\n    a: int = pydantic.Field(default=START)\n",
    "attrs": "@attrs.define\nclass D:\n    a: int = START\n",
    "a dataclass": "@dataclass\nclass D:\n    a: int = START\n",
    "a dataclass with slots": "@dataclass(slots=True)\nclass D:\n    a: int = START\n",
    "a field": "@dataclass(slots=True)\nclass D:\n    a: int = field(default=START)\n",
    "a named tuple": "class D(typing.NamedTuple):\n    a: int = START\n",
    "a class made at run time": "D = make_dataclass('D', [('a', int, START)])\n",
}


@pytest.mark.parametrize("kind", DEFAULTS)
def test_a_default_counts_by_what_it_was_when_the_class_was_made(load, monkeypatch, kind):
    job = (
        "import os, typing, attrs, pydantic\nfrom dataclasses import dataclass, field, make_dataclass\n"
        f"START = int(os.environ['START'])\n{DEFAULTS[kind]}START = 0\ndef f(x):\n    return D().a\n"
    )
    keys = []
    for start in ("1", "1", "2"):
        monkeypatch.setenv("START", start)
        fn = load({"pkg/job.py": job})
        assert fn(1) == int(start)
        keys.append(code_key(fn).digest)
    assert keys[0] == keys[1] != keys[2]
