"""Code that reaches names by a computed name: followed as a whole, or refused with file and line."""

# ruff: noqa: E501 - programs as text

from __future__ import annotations

import re

import pytest

from lightwork.keys import Unkeyable, code_key

pytestmark = pytest.mark.sample(12)

LIB = """
import functools
HIDDEN = [1]

def hidden(x):
    return deeper(x)

def deeper(x):
    return 1

class Hidden:
    n = [1]
    def m(self, x):
        return 1

hidden_partial = functools.partial(deeper, 1)
hidden_lambda = lambda x: 1
"""
EDITS = {
    "data": ("HIDDEN = [1]", "HIDDEN = [2]"),
    "a function": ("def hidden(x):\n    return deeper(x)", "def hidden(x):\n    return deeper(x) + 1"),
    "what a function calls": ("def deeper(x):\n    return 1", "def deeper(x):\n    return 2"),
    "a method": ("    def m(self, x):\n        return 1", "    def m(self, x):\n        return 2"),
    "data of a class": ("    n = [1]", "    n = [2]"),
    "a partial": ("functools.partial(deeper, 1)", "functools.partial(deeper, 2)"),
    "a lambda": ("lambda x: 1", "lambda x: 2"),
}
WHOLE = {
    "globals()": ("{lib}\ndef f(x):\n    return globals()[x]\n", True),
    "globals().get": ("{lib}\ndef f(x):\n    return globals().get('hid' + x)\n", True),
    "globals() under a name": ("{lib}\nnames = globals\ndef f(x):\n    return names()[x]\n", True),
    "globals() kept": ("{lib}\nSPACE = globals()\ndef f(x):\n    return SPACE[x]\n", True),
    "globals() kept inside": ("{lib}\ndef f(x):\n    space = globals()\n    return space[x]\n", True),
    "globals() in a helper": (
        "{lib}\ndef g(x):\n    return globals()[x]\ndef f(x):\n    return g(x)\n",
        True,
    ),
    "globals() in a method": (
        "{lib}\nclass C:\n    def m(self, x):\n        return globals()[x]\ndef f(x):\n    return C().m(x)\n",
        True,
    ),
    "globals() in a nested function": (
        "{lib}\ndef f(x):\n    def g():\n        return globals()[x]\n    return g()\n",
        True,
    ),
    "eval": ("{lib}\ndef f(x):\n    return eval(x)\n", True),
    "eval under a name": ("import builtins\n{lib}\ndef f(x):\n    return builtins.eval(x)\n", True),
    "compile": ("{lib}\ndef f(x):\n    return compile(x, '', 'eval')\n", True),
    "sys.modules of itself": (
        "import sys\n{lib}\ndef f(x):\n    return getattr(sys.modules[__name__], x)\n",
        True,
    ),
    "vars": ("from pkg import lib\ndef f(x):\n    return vars(lib)[x]\n", False),
    "__dict__": ("from pkg import lib\ndef f(x):\n    return lib.__dict__[x]\n", False),
    "__dict__.get": ("from pkg import lib\ndef f(x):\n    return lib.__dict__.get(x)\n", False),
    "getattr": ("from pkg import lib\ndef f(x):\n    return getattr(lib, x)\n", False),
    "getattr with a default": (
        "from pkg import lib\ndef f(x):\n    return getattr(lib, 'hid' + x, None)\n",
        False,
    ),
    "getattr of a chain": ("import pkg.lib\ndef f(x):\n    return getattr(pkg.lib, x)\n", False),
    "getattr of an import inside": (
        "def f(x):\n    from pkg import lib\n    return getattr(lib, x)\n",
        False,
    ),
    "getattr of a local name": (
        "from pkg import lib\ndef f(x):\n    m = lib\n    return getattr(m, x)\n",
        False,
    ),
    "getattr of an argument": (
        "from pkg import lib\ndef g(m, x):\n    return getattr(m, x)\ndef f(x):\n    return g(lib, x)\n",
        False,
    ),
    "getattr of a captured module": (
        "from pkg import lib\ndef make(m):\n    def f(x):\n        return getattr(m, x)\n    return f\nf = make(lib)\n",
        False,
    ),
    "getattr of a table": (
        "from pkg import lib\nMODULES = {'a': [lib]}\ndef f(x):\n    return getattr(MODULES['a'][0], x)\n",
        False,
    ),
    "getattr of an attribute": (
        "from pkg import lib\nclass C:\n    m = lib\n    def g(self, x):\n        return getattr(self.m, x)\ndef f(x):\n    return C().g(x)\n",
        False,
    ),
    "getattr of a constant import": (
        "import importlib\ndef f(x):\n    return getattr(importlib.import_module('pkg.lib'), x)\n",
        False,
    ),
    "getattr in a partial": (
        "import functools\nfrom pkg import lib\nread = functools.partial(getattr, lib)\ndef f(x):\n    return read(x)\n",
        False,
    ),
    "getattr of a package's module": (
        "import pkg.lib\ndef f(x):\n    return getattr(getattr(pkg, x), x)\n",
        False,
    ),
    "attrgetter": (
        "import operator\nfrom pkg import lib\ndef f(x):\n    return operator.attrgetter(x)(lib)\n",
        False,
    ),
    "sys.modules": ("import sys, pkg.lib\ndef f(x):\n    return getattr(sys.modules['pkg.lib'], x)\n", False),
    "a function's globals": (
        "from pkg.lib import hidden_lambda\ndef f(x):\n    return hidden_lambda.__globals__[x]\n",
        False,
    ),
    "inspect": (
        "import inspect\nfrom pkg import lib\ndef f(x):\n    return dict(inspect.getmembers(lib))[x]\n",
        False,
    ),
    "dir": ("from pkg import lib\ndef f(x):\n    return [getattr(lib, n) for n in dir(lib)]\n", False),
    "vars of a class": (
        "from pkg.lib import *\nfrom pkg import lib\nTABLE = [vars(lib)]\ndef f(x):\n    return TABLE[0][x]\n",
        False,
    ),
}


def files_of(way: str, lib: str) -> dict[str, str]:
    source, inside = WHOLE[way]
    return {"pkg/job.py": source.format(lib=lib) if inside else source, "pkg/lib.py": lib}


# Each way with two or three of the edits.
CASES = [
    (way, edit)
    for row, way in enumerate(WHOLE)
    for column, edit in enumerate(EDITS)
    if (column - row) % 3 == 0
]


@pytest.mark.parametrize(("way", "edit"), CASES)
def test_all_that_a_computed_name_may_reach_counts(key_of, way, edit):
    old, new = EDITS[edit]
    assert old in LIB
    before = key_of(files_of(way, LIB))
    assert before == key_of(files_of(way, "# moved\n\n" + LIB))
    assert before.digest != key_of(files_of(way, LIB.replace(old, new))).digest


EXACT = {
    "getattr": ("from pkg import lib\ndef f(x):\n    return getattr(lib, 'hidden')(x)\n", True),
    "getattr with a default": (
        "from pkg import lib\ndef f(x):\n    return getattr(lib, 'hidden', None)(x)\n",
        True,
    ),
    "getattr with a name as default": (
        "from pkg import lib\ndef f(x):\n    return getattr(lib, 'hidden', x)(x)\n",
        True,
    ),
    "getattr inside": ("def f(x):\n    from pkg import lib\n    return getattr(lib, 'hidden')(x)\n", True),
    "hasattr": (
        "from pkg import lib\ndef f(x):\n    return hasattr(lib, 'hidden') and lib.hidden(x)\n",
        True,
    ),
    "globals()": (
        "from pkg.lib import *\nfrom pkg import lib\ndef f(x):\n    return globals()['hidden'](x)\n",
        True,
    ),
    "globals().get": (
        "from pkg.lib import *\nfrom pkg import lib\ndef f(x):\n    return globals().get('hidden')(x)\n",
        True,
    ),
    "globals() and an attribute": (
        "from pkg import lib\ndef f(x):\n    return globals()['lib'].hidden(x)\n",
        True,
    ),
    "vars": ("from pkg import lib\ndef f(x):\n    return vars(lib)['hidden'](x)\n", True),
    "__dict__": ("from pkg import lib\ndef f(x):\n    return lib.__dict__['hidden'](x)\n", True),
    "sys.modules": ("import sys, pkg.lib\ndef f(x):\n    return sys.modules['pkg.lib'].hidden(x)\n", True),
    "sys.modules.get": (
        "import sys, pkg.lib\ndef f(x):\n    return sys.modules.get('pkg.lib').hidden(x)\n",
        True,
    ),
    "import_module": (
        "import importlib\ndef f(x):\n    return importlib.import_module('pkg.lib').hidden(x)\n",
        True,
    ),
    "import_module, relative": (
        "import importlib\ndef f(x):\n    return importlib.import_module('.lib', __package__).hidden(x)\n",
        True,
    ),
    "import_module, by keyword": (
        "from importlib import import_module as get\ndef f(x):\n    return get('.lib', package='pkg').hidden(x)\n",
        True,
    ),
    "import_module inside": (
        "def f(x):\n    from importlib import import_module\n    return import_module('pkg.lib').hidden(x)\n",
        True,
    ),
    "__import__": ("def f(x):\n    return __import__('pkg.lib').lib.hidden(x)\n", True),
    "eval of a constant": (
        "from pkg.lib import *\nfrom pkg import lib\ndef f(x):\n    return eval('hidden(x)')\n",
        True,
    ),
    "exec of a constant": (
        "from pkg.lib import *\nfrom pkg import lib\ndef f(x):\n    exec('from pkg.lib import hidden; hidden(x)')\n",
        True,
    ),
    "a query": (
        "from pkg.lib import hidden, unreached\ndef f(x):\n    return x.query('a > @hidden')\n",
        True,
    ),
    "an expression": (
        "from pkg.lib import hidden, unreached\ndef f(x):\n    return x.eval('b = a * hidden')\n",
        True,
    ),
    "a constant attribute": (
        "from pkg import lib\nimport operator\ndef f(x):\n    return operator.attrgetter('a')(x), lib.hidden(x)\n",
        True,
    ),
    "an attribute that is set": (
        "from pkg import lib\ndef f(x):\n    lib.value = 1\n    return lib.hidden(x)\n",
        True,
    ),
}
SMALL = "value = 0\ndef hidden(x):\n    return 1\ndef unreached(x):\n    return 1\nUNREACHED = [1]\n"


@pytest.mark.parametrize("way", EXACT)
def test_a_constant_name_is_followed_and_nothing_else(key_of, way):
    source, _ = EXACT[way]

    def key(old="", new=""):
        return key_of({"pkg/job.py": source, "pkg/lib.py": SMALL.replace(old, new) if old else SMALL}).digest

    before = key()
    assert before != key("hidden(x):\n    return 1", "hidden(x):\n    return 2")
    assert before == key("unreached(x):\n    return 1", "unreached(x):\n    return 2")
    assert before == key("UNREACHED = [1]", "UNREACHED = [2]")


REFUSED = {
    "an import": "import importlib\n\ndef f(x):\n    return importlib.import_module(x)\n",
    "an import with a prefix": "import importlib\n\ndef f(x):\n    return importlib.import_module(f'pkg.{x}')\n",
    "an import under a name": "from importlib import import_module as im\n\ndef f(x):\n    return im('pkg.' + x)\n",
    "an import inside": "\n\ndef f(x):\n    return __import__(x)\n",
    "an import by map": "import importlib\n\ndef f(x):\n    return list(map(importlib.import_module, x))\n",
    "an import imported inside": "\ndef f(x):\n    from importlib import import_module\n    return import_module(x)\n",
    "sys.modules": "import sys\n\ndef f(x):\n    return sys.modules[x]\n",
    "sys.modules under a name": "from sys import modules\n\ndef f(x):\n    return modules[x]\n",
    "all of sys.modules": "import sys\n\ndef f(x):\n    return [m for m in sys.modules.values()]\n",
    "exec": "\n\ndef f(x):\n    exec(x)\n",
    "exec with names": "\n\ndef f(x):\n    exec(x, {})\n",
    "runpy": "import runpy\n\ndef f(x):\n    return runpy.run_path(x)\n",
    "a file's path": "import importlib.util\n\ndef f(x):\n    return importlib.util.spec_from_file_location('a', x)\n",
    "pkgutil": "import pkgutil\n\ndef f(x):\n    return pkgutil.resolve_name(x)\n",
    "entry points": "import importlib.metadata as m\n\ndef f(x):\n    return m.entry_points(group=x)\n",
    "a frame": "import sys\n\ndef f(x):\n    return sys._getframe(1).f_globals[x]\n",
    "globals of a value": "\n\ndef f(x):\n    return x.__globals__['a']\n",
    "globals of a method": "class Z:\n    def m(self): ...\ndef f(x):\n    return Z.m.__globals__[x]\n",
    "a module by its function": "import inspect\n\ndef f(x):\n    return getattr(inspect.getmodule(x), 'a')\n",
    "a module of a value": "import sys\n\ndef f(x):\n    return sys.modules[x.__module__]\n",
    "a module by its specification": "import importlib.util as u\n\ndef f(x):\n    return u.module_from_spec(u.find_spec(x))\n",
    "a module by its loader": "\n\ndef f(x):\n    return x.loader.exec_module(x)\n",
    "a frame by inspect": "import inspect\n\ndef f(x):\n    return inspect.currentframe().f_back.f_locals[x]\n",
}


@pytest.mark.parametrize("way", REFUSED)
@pytest.mark.parametrize("where", ["the task", "a helper", "a method"])
def test_what_cannot_be_followed_is_refused_with_file_and_line(load, way, where):
    source = REFUSED[way]
    if where == "a helper":
        source = source.replace("def f", "def g") + "def f(x):\n    return g(x)\n"
    elif where == "a method":
        head, _, body = source.partition("def f(x):\n")
        source = f"{head}class C:\n  def f(self, x):\n{body}def f(x):\n    return C().f(x)\n"
    fn = load({"pkg/job.py": source})
    with pytest.raises(Unkeyable) as raised:
        code_key(fn)
    line = 5 if where == "a method" else 4
    assert re.search(
        rf"pkg/job\.py:{line}: pkg\.job\.\S+ .*; name it in the code, or give the task a version=",
        raised.value.reason,
    )
    assert "\n" not in raised.value.reason
    assert code_key(fn, version="1")


TABLES = [
    "{'a': importlib.import_module}",
    "[sys.modules]",
    "functools.partial(importlib.import_module)",
    "[exec]",
]


@pytest.mark.parametrize("value", TABLES)
def test_a_value_that_reaches_computed_names_is_refused(load, value):
    fn = load(
        {"pkg/job.py": f"import importlib, sys, functools\nTABLE = {value}\ndef f(x):\n    return TABLE[x]\n"}
    )
    with pytest.raises(Unkeyable, match=r"f reads the global pkg\.job\.TABLE: .*computed name"):
        code_key(fn)


FINE = [
    "getattr(x, y)",
    "getattr(x, 'a')",
    "setattr(x, y, 1)",
    "re.compile(y)",
    "x.eval(y)",
    "x.query(y)",
    "pd.eval('1 + 1')",
    "x.exec(y)",
    "locals()",
    "vars(x)",
    "vars()",
    "x.__dict__[y]",
    "x.__class__.__name__",
    "type(x).__subclasses__()",
    "operator.attrgetter(y)(x)",
    "operator.itemgetter(y)(x)",
    "'numpy' in sys.modules",
    "importlib.metadata.version('numpy')",
    "dir(x)",
    "inspect.signature(x)",
    "pickle.loads(x)",
    "logging.getLogger(__name__)",
    "json.loads(x).get(y)",
    "ast.literal_eval(x)",
]


@pytest.mark.parametrize("expression", FINE)
def test_ordinary_code_has_a_key_and_reaches_nothing_else(key_of, expression):
    modules = "re, operator, sys, importlib.util, importlib.metadata, inspect, pickle, logging, json, ast"
    job = f"import threading, {modules}\nimport pandas as pd\nLOCK = threading.Lock()\nUNREACHED = [1]\ndef f(x, y=None):\n    return {expression}\n"
    before = key_of({"pkg/job.py": job})
    assert before == key_of({"pkg/job.py": job.replace("[1]", "[2]")})
    assert {c.kind for c in before.components} <= {"function", "distribution"}


SUBCLASSES = {
    "a class": "from pkg.lib import B\nimport pkg.plugins\ndef f(x):\n    return [c().m(x) for c in B.__subclasses__()]\n",
    "a class method": "from pkg.lib import B\nimport pkg.plugins\ndef f(x):\n    return B.all(x)\n",
    "a helper": "from pkg.lib import B, under\nimport pkg.plugins\ndef f(x):\n    return [c().m(x) for c in under(B)]\n",
}
PLUGINS = "from pkg.lib import B\nclass C(B):\n    def m(self, x):\n        return 1\nclass D(C):\n    pass\n"


@pytest.mark.parametrize(
    "edit",
    [
        ("return 1", "return 2"),
        ("    pass", "    def m(self, x):\n        return 3"),
        ("class D(C):\n    pass\n", ""),
    ],
)
@pytest.mark.parametrize("way", SUBCLASSES)
def test_subclasses_count_where_code_asks_for_them(key_of, way, edit):
    lib = (
        "class B:\n    @classmethod\n    def all(cls, x):\n        return [c().m(x) for c in under(cls)]\n"
        "def under(c):\n    found = list(c.__subclasses__())\n    return found + [e for d in found for e in under(d)]\n"
    )
    files = {"pkg/job.py": SUBCLASSES[way], "pkg/lib.py": lib, "pkg/plugins.py": PLUGINS}
    before = key_of(files)
    assert before == key_of(files)
    assert before.digest != key_of({**files, "pkg/plugins.py": PLUGINS.replace(*edit)}).digest


@pytest.mark.parametrize("base", ["UserDict", "collections.UserDict"])
def test_subclasses_of_a_librarys_class_count(load, tmp_path, key_elsewhere, base):
    job = f"import collections\nfrom collections import UserDict\nimport pkg.plugins\ndef f(x):\n    return {base}.__subclasses__()\n"
    plugins = "from collections import UserDict\nclass C(UserDict):\n    n = 1\n"
    load({"pkg/job.py": job, "pkg/plugins.py": plugins})
    load({"pkg/job.py": job, "pkg/plugins.py": plugins.replace("n = 1", "n = 2")})
    assert key_elsewhere(tmp_path / "v0").digest != key_elsewhere(tmp_path / "v1").digest


def test_a_whole_module_with_a_value_without_a_key_is_refused(load):
    fn = load({"pkg/job.py": "ROWS = (i for i in [1])\ndef f(x):\n    return globals()[x]\n"})
    with pytest.raises(Unkeyable, match=r"pkg\.job\.ROWS .*a generator has no stable key"):
        code_key(fn)
    assert code_key(
        load({"pkg/job.py": "import threading\nL = threading.Lock()\ndef f(x):\n    return globals()[x]\n"})
    )


def test_a_whole_module_has_one_key_in_every_process_and_folder(load, tmp_path, key_elsewhere):
    files = {
        "pkg/job.py": "from pkg import lib\nimport pkg\ndef f(x):\n    return getattr(lib, x), globals()[x]\n",
        "pkg/lib.py": LIB
        + "import json, os, numpy as np\nfrom pathlib import Path\nHERE = Path(__file__).parent\n",
    }
    here = code_key(load(files))
    load(files)
    assert here == key_elsewhere(tmp_path / "v0", seed="1") == key_elsewhere(tmp_path / "v1", seed="2")


def test_the_warning_of_a_session_names_file_and_line(load, tmp_path, caplog):
    from lightwork import connect, task

    fn = load(
        {
            "pkg/job.py": "import importlib\n\ndef f(x):\n    importlib.import_module('js' + 'on' * x)\n    return x\n"
        }
    )
    with connect(on="serial", lake=tmp_path / "lake", tenant="acme", progress="off"):
        assert list(task(fn).map([1])) == [1]
    assert re.search(r"pkg\.job\.f is not cached: \S*pkg/job\.py:4: ", caplog.text)
