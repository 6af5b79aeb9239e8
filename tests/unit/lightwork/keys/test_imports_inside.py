"""A library that a function imports in its body: its key is the same whether this process has loaded it."""

from __future__ import annotations

import importlib
import json
import sys
from types import ModuleType

import pytest

from lightwork.engine.proof import _proven, check, explain, proof_of
from lightwork.keys import Unkeyable, code_key
from lightwork.keys.reached.survey import survey
from tests.unit.lightwork.keys.conftest import forget
from tests.unit.lightwork.keys.installed import install, write

pytestmark = pytest.mark.sample(40)

LIBRARY = {
    "rates/__init__.py": """
import math
from typing import TYPE_CHECKING
from rates import inner
from rates.inner import given, given as alias, NUMBER as OTHER, deep as DEEP
from rates.stars import *
from rates_dep import elsewhere
if TYPE_CHECKING:
    from rates.late import thing
LITERAL = 1.5
NEGATIVE = -2
SUM = 1024 * 64 + NEGATIVE
TEXT = "a"
JOINED = TEXT + "b"
ANNOTATED: int = 3
COMPUTED = len("abc")
FIRST, SECOND = 1, 2
renamed = given
through = inner.given
chosen = None or given
one_of = given if TEXT else alias
try:
    from rates.nowhere import tried
except ImportError:
    from rates.inner import other as tried
def function(x):
    return x
def decorated(fn):
    return given
@decorated
def wrapped(x):
    return x
class Kind:
    data = 3
    table = {"a": 1}
    class Inner:
        data = 4
STATE = 0
def change():
    global STATE
    STATE += 1
def __getattr__(name):
    if name == "late":
        import rates.late
        return rates.late
    if name == "thing":
        from rates.late import thing
        globals()["thing"] = thing
        return thing
    raise AttributeError(name)
""",
    "rates/inner.py": "NUMBER = 7\ndeep = 3.5\ndef given(x):\n    return x\ndef other(x):\n    return -x\n",
    "rates/stars.py": "from rates.inner import given as starred, NUMBER as STAR\n",
    "rates/late.py": "from rates.inner import given as named\nCONSTANT = 5\ndef thing(x):\n    return x\n",
}
DEPENDENCY = {"rates_dep.py": "def elsewhere(x):\n    return x\n"}

NAMES = [
    "LITERAL",
    "NEGATIVE",
    "SUM",
    "TEXT",
    "JOINED",
    "ANNOTATED",
    "OTHER",
    "DEEP",
    "STAR",
    "inner.NUMBER",
    "inner.given",
    "given",
    "alias",
    "renamed",
    "through",
    "chosen",
    "one_of",
    "tried",
    "starred",
    "elsewhere",
    "function",
    "Kind",
    "Kind.data",
    "thing",
]
"""What the library's own source says, or who has made it; other values in these places count."""
UNKNOWN = ["COMPUTED", "FIRST", "SECOND", "STATE", "wrapped", "late.named", "late.CONSTANT"]
"""What the source does not say, or where the library itself may change it."""
FORMS = {
    "a module": "import rates\n    return rates.{0}",
    "a module under a name": "import rates as r\n    return r.{0}",
    "a name": "from rates import {1} as it\n    return it{2}",
    "by a constant text": "import importlib\n    return importlib.import_module('rates').{0}",
    "in a nested function": "def g():\n        import rates\n        return rates.{0}\n    return g()",
}


def source(name: str, form: str) -> str:
    first, dot, rest = name.partition(".")
    return f"def f(x):\n    {FORMS[form].format(name, first, dot + rest)}\n"


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    """Install two libraries as from an index."""
    folder = tmp_path / "site-packages"
    install(folder, LIBRARY, name="rates")
    install(folder, DEPENDENCY, name="rates-dep")
    monkeypatch.syspath_prepend(str(folder))
    yield
    forget(tmp_path)


def loaded() -> ModuleType:
    module = importlib.import_module("rates")
    module.late.named  # noqa: B018 - loads it
    module.thing  # noqa: B018
    return module


def looks(fn) -> tuple[object, object]:
    return code_key(fn), (found := survey(fn)).components, found.holes, found.libraries


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES + UNKNOWN)
def test_a_library_that_is_loaded_meanwhile_does_not_change_the_key(load, libraries, name, form):
    fn = load({"pkg/job.py": source(name, form)})
    before = looks(fn)
    assert "rates" not in sys.modules
    module = loaded()
    assert looks(fn) == before
    module.change()
    assert looks(fn) == before
    assert {c.name for c in before[0].components if c.kind == "distribution"} == {"rates 1.0"}


@pytest.mark.parametrize("form", ["a module", "a module under a name"])
def test_a_look_at_code_loads_no_part_of_a_library(load, libraries, form):
    fn = load({"pkg/job.py": source("late.named", form)})
    importlib.import_module("rates")
    looks(fn)
    assert "rates.late" not in sys.modules


PUT = {
    "a number": 99.5,
    "a text": "other",
    "a function of the user's": lambda x: x,
    "a function of the library": "other",
    "a function of another library": json.loads,
    "a class of another library": json.JSONDecoder,
}


@pytest.mark.parametrize("put", PUT)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_put_into_a_library_counts_also_for_an_import_inside(load, libraries, monkeypatch, name, put):
    fn = load({"pkg/job.py": source(name, "a module")})
    before, module = looks(fn), loaded()
    *path, last = name.split(".")
    owner = module
    for part in path:
        owner = getattr(owner, part)
    value = module.inner.other if put == "a function of the library" else PUT[put]
    if name == "tried" and put == "a function of the library":
        pytest.skip("that is what it is")
    if isinstance(owner, type) and put in {"a function of the library", *list(PUT)[4:]}:
        pytest.skip("methods and classes of libraries in a class of a library count with it")
    monkeypatch.setattr(owner, last, value)
    after = looks(fn)
    assert (after[0] != before[0], after[1] != before[1]) == (True, True)
    monkeypatch.undo()
    assert looks(fn) == before


@pytest.mark.parametrize("name", ["COMPUTED", "wrapped"])
def test_of_an_unknown_name_only_what_is_the_users_counts(load, libraries, monkeypatch, name):
    fn = load({"pkg/job.py": source(name, "a module")})
    before, module = code_key(fn), loaded()
    monkeypatch.setattr(module, name, 4)
    assert code_key(fn) == before
    monkeypatch.setattr(module, name, lambda x: x)
    assert code_key(fn) != before


@pytest.mark.parametrize("put", [5, "a third", None, True, 0.3])
def test_a_constant_of_the_standard_library_that_is_replaced_counts_of_whatever_type(put, monkeypatch):
    import colorsys

    def third():
        from colorsys import ONE_THIRD

        return ONE_THIRD

    before = looks(third)
    monkeypatch.setattr(colorsys, "ONE_THIRD", put)
    after = looks(third)
    assert (after[0] != before[0], after[1] != before[1]) == (True, True)


def test_a_helper_in_a_module_has_the_same_key_whatever_is_loaded(load, libraries):
    files = {
        "pkg/helpers.py": "from functools import cache\n@cache\ndef table():\n    import rates\n"
        "    return rates.alias(rates.LITERAL)\n",
        "pkg/job.py": "def f(x):\n    from pkg.helpers import table\n    return table()\n",
    }
    fn = load(files)
    before = looks(fn)
    loaded()
    assert looks(fn) == before
    sys.modules["pkg.helpers"].table.__wrapped__.__code__ = (lambda: 1).__code__
    assert code_key(fn) != before[0]


REAL = {
    "a function": ("import email.utils", "email.utils.formataddr(x)"),
    "an alias of a library": ("import numpy", "numpy.abs(x)"),
    "a constant": ("from numpy import pi", "pi"),
    "a lazy module": ("import numpy", "numpy.linalg.norm(x)"),
    "a class": ("import pandas", "pandas.DataFrame(x)"),
    "data of a class": ("from pandas import Timestamp", "Timestamp.max"),
    "a singleton": ("import pandas as pd", "pd.NaT"),
    "a version": ("import pandas", "pandas.__version__"),
    "a submodule": ("import pandas.api.types as t", "t.is_list_like(x)"),
    "a compiled module": ("import pyarrow.compute as pc", "pc.add(x, pyarrow.scalar(1))"),
    "a client": ("import boto3", "boto3.resource('s3')"),
    "another distribution's": ("import pydantic", "pydantic.ValidationError"),
    "a constant of the standard library": ("import random", "random.TWOPI"),
    "a compiled module of the standard library": ("import cmath", "cmath.pi"),
    "an alias of the standard library": ("import tempfile", "tempfile.gettempdir()"),
    "data of a class of the standard library": ("import datetime", "datetime.date.max"),
}


@pytest.mark.slow
def test_real_libraries_do_not_change_keys_either(tmp_path, run):
    write(tmp_path, {"pkg/__init__.py": ""})
    for number, (head, read) in enumerate(REAL.values()):
        use = f"def use(x=1):\n    {head}\n    {read.partition('(')[0]}\n"
        job = f"def f(x):\n    {head}\n    return {read}\n\n{use}"
        write(tmp_path, {f"pkg/job_{number}.py": job})
    names = ", ".join(f"job_{number}" for number in range(len(REAL)))
    lines = run(
        f"from lightwork.keys import code_key\nfrom pkg import {names}\njobs = [{names}]\n"
        "print(*[code_key(job.f).digest for job in jobs])\nfor job in jobs: job.use()\n"
        "import boto3, numpy.linalg, pandas.api.types, random, tempfile\n"
        "print(*[code_key(job.f).digest for job in jobs])\n",
        tmp_path,
    ).splitlines()
    before, after = (dict(zip(REAL, line.split(), strict=True)) for line in lines)
    assert before == after


COMPUTED = {
    "runpy": ("import runpy", "runpy.run_path(x)"),
    "pydoc": ("from pydoc import locate", "locate(x)"),
    "entry points": ("from importlib.metadata import entry_points", "entry_points()"),
    "a loader": ("import importlib.util", "importlib.util.spec_from_file_location(x, x)"),
}


@pytest.mark.parametrize("what", COMPUTED)
def test_what_reaches_code_by_a_computed_name_is_refused_before_it_is_loaded(load, monkeypatch, what):
    head, read = COMPUTED[what]
    fn = load({"pkg/job.py": f"def f(x):\n    {head}\n    return {read}\n"})
    for name in ("runpy", "pydoc", "importlib.metadata"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(Unkeyable, match=r"job\.py:3: pkg\.job\.f"):
        code_key(fn)


BROKEN = {
    "raises": ("raise KeyError('TOKEN')", "KeyError: 'TOKEN'"),
    "lacks a library": ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("line", ["from pkg.broken import it", "import pkg.broken", "from pkg import broken"])
def test_a_module_that_cannot_be_imported_here_leaves_the_code_without_a_key(load, line, what):
    text, reason = BROKEN[what]
    fn = load({"pkg/job.py": f"def f(x):\n    {line}\n    return x\n", "pkg/broken.py": f"{text}\n"})
    with pytest.raises(Unkeyable, match=r"imports pkg\.broken, which fails here") as raised:
        code_key(fn)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    assert survey(fn).holes == {("function", "pkg.job.f")}


@pytest.mark.parametrize("line", ["from pkg.absent import it", "import pkg.absent", "from pkg import absent"])
def test_a_module_that_does_not_exist_counts_as_missing(load, line):
    source = f"def f(x):\n    try:\n        {line}\n    except ImportError:\n        return x\n"
    before = code_key(load({"pkg/job.py": source}))
    assert {c.kind for c in before.components} == {"function", "module"}
    assert code_key(load({"pkg/job.py": source, "pkg/absent.py": "def it(x):\n    return x\n"})) != before


def test_a_library_that_is_missing_here_may_not_be_there_on_a_worker(load, tmp_path, monkeypatch):
    fn = load({"pkg/job.py": "def f(x):\n    import rates\n    return rates.LITERAL\n"})
    sent = proof_of([], survey(fn).libraries)
    assert check(sent) is None
    folder = install(tmp_path / "site-packages", LIBRARY, name="rates")
    install(folder, DEPENDENCY, name="rates-dep")
    monkeypatch.syspath_prepend(str(folder))
    _proven.clear()
    difference = check(sent)
    assert difference is not None
    assert "rates is not installed here and 1.0 on a worker" in explain("pkg.job.f", difference)
    monkeypatch.setattr(sys, "path", sys.path[1:])
    forget(tmp_path)
