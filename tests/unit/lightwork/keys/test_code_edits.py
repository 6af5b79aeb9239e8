"""Edits that change the key of a task's code, and edits that do not."""

from __future__ import annotations

import pytest

from lightwork.keys import differences

pytestmark = pytest.mark.sample(12)

JOB = """
from lightwork import task
from pkg.near import near

LIMIT = 3

@task
def f(x):
    return near(x) + LIMIT
"""
NEAR = "from pkg.lib import far\n\ndef near(x):\n    return far.scale(x)\n"
FAR = (
    "FACTOR = 2\n\nclass Scaler:\n    def scale(self, x):\n        return x * FACTOR\n\n"
    "def scale(x):\n    return Scaler().scale(x)\n"
)
BASE = {"pkg/job.py": JOB, "pkg/near.py": NEAR, "pkg/lib/far.py": FAR}


def edited(file: str, old: str, new: str, base: dict[str, str] = BASE) -> dict[str, str]:
    assert old in base[file]
    return {**base, file: base[file].replace(old, new)}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pkg/job.py", "LIMIT = 3", "\n\n# a comment\nLIMIT = 3  # another"),
        (
            "pkg/job.py",
            "    return near(x) + LIMIT",
            '    """Words."""\n    # why\n    return (near(x)\n            + LIMIT)',
        ),
        ("pkg/job.py", "@task\n", "@task(retries=2)\n"),
        ("pkg/near.py", "def near(x):", "\n\n\ndef near(x):\n    'Says what.'"),
        ("pkg/lib/far.py", "class Scaler:", "UNUSED = 1\n\nclass Scaler:\n    '''Words.'''"),
        ("pkg/lib/far.py", "def scale(x):", "def unused():\n    pass\n\ndef scale(x):"),
    ],
)
def test_an_edit_without_effect_keeps_the_key(key_of, file, old, new):
    assert key_of(BASE).digest == key_of(edited(file, old, new)).digest


@pytest.mark.parametrize(
    ("file", "old", "new", "change"),
    [
        ("pkg/job.py", "near(x) + LIMIT", "near(x) - LIMIT", "function pkg.job.f changed"),
        ("pkg/job.py", "LIMIT = 3", "LIMIT = 4", "global pkg.job.LIMIT changed"),
        ("pkg/job.py", "LIMIT = 3", "LIMIT = 3.0", "global pkg.job.LIMIT changed"),
        ("pkg/near.py", "far.scale(x)", "far.scale(x + 1)", "function pkg.near.near changed"),
        (
            "pkg/lib/far.py",
            "Scaler().scale(x)",
            "Scaler().scale(x) + 1",
            "function pkg.lib.far.scale changed",
        ),
        ("pkg/lib/far.py", "x * FACTOR", "x / FACTOR", "class pkg.lib.far.Scaler changed"),
        ("pkg/lib/far.py", "FACTOR = 2", "FACTOR = 5", "global pkg.lib.far.FACTOR changed"),
    ],
)
def test_an_edit_of_reached_code_changes_the_key_and_is_named(key_of, file, old, new, change):
    assert differences(key_of(BASE), key_of(edited(file, old, new))) == [change]


REACHED = {
    "an attribute of a module": ("import pkg.lib.far as far", "far.g(x)"),
    "an attribute of a package": ("import pkg.lib.far", "pkg.lib.far.g(x)"),
    "an import inside": (
        "",
        (
            "(lambda: print)() and inside(x)\n\ndef inside(x):\n"
            "    from .lib.far import g as h\n    return h(x)"
        ),
    ),
    "a module imported inside": (
        "",
        "inside(x)\n\ndef inside(x):\n    import pkg.lib.far\n    return pkg.lib.far.g(x)",
    ),
    "a module imported inside under a name": (
        "",
        "inside(x)\n\ndef inside(x):\n    from .lib import far as t\n    return [t.g(i) for i in (x,)]",
    ),
    "a name imported inside and captured": (
        "",
        (
            "inside(x)\n\ndef inside(x):\n    from .lib import far\n    def deeper():\n"
            "        return far.g(x)\n    return deeper()"
        ),
    ),
    "a module as a value": ("import pkg.lib.far as far", "getattr(far, 'g')(x)"),
    "a partial": ("import functools\nfrom pkg.lib.far import g\np = functools.partial(g)", "p(x)"),
    "a table of functions": ("from pkg.lib.far import g\nTABLE = {'g': [g]}", "TABLE['g'][0](x)"),
    "a lambda": ("from pkg.lib.far import g\nh = lambda x: g(x)", "h(x)"),
    "a cached function": ("import functools\nfrom pkg.lib.far import g\nh = functools.lru_cache(g)", "h(x)"),
    "another task": ("from lightwork import task\nfrom pkg.lib.far import g\nh = task(g)", "h(x)"),
    "a static method": (
        "from pkg.lib.far import g\nclass C:\n    @staticmethod\n    def m(x):\n        return g(x)",
        "C.m(x)",
    ),
    "a property": (
        "from pkg.lib.far import g\nclass C:\n    @property\n    def m(self):\n        return g(1)",
        "C().m",
    ),
    "a base class": ("from pkg.lib.far import B\nclass C(B):\n    pass", "C().m(x)"),
    "an instance": ("from pkg.lib.far import B\nOBJECT = B()", "OBJECT.m(x)"),
    "a bound method": ("from pkg.lib.far import B\nm = B().m", "m(x)"),
    "a decorator": ("from pkg.lib.far import deco\n@deco\ndef h(x):\n    return x", "h(x)"),
    "a decorator that returns the function": (
        "from pkg.lib.far import mark\n@mark\ndef h(x):\n    return x",
        "h(x)",
    ),
    "a class decorator": ("from pkg.lib.far import mark\n@mark\nclass C:\n    pass", "C()"),
    "a wrapped function": ("from pkg.lib.far import g\nfrom pkg.near import deco\nh = deco(g)", "h(x)"),
    "a third party's wrapper": (
        (
            "import structlog\nimport contextlib\nfrom pkg.lib.far import gen\n"
            "h = contextlib.contextmanager(gen)"
        ),
        "h(x)",
    ),
    "a callable instance": ("from pkg.lib.far import B\nOBJECT = B()", "OBJECT(x)"),
    "a default of a helper": ("from pkg.lib.far import g\ndef h(x, by=g):\n    return by(x)", "h(x)"),
    "a single dispatch": (
        (
            "import functools\nfrom pkg.lib.far import g\n@functools.singledispatch\ndef h(x):\n"
            "    return x\nh.register(int)(g)"
        ),
        "h(x)",
    ),
    "a dataclass's field": (
        (
            "from dataclasses import dataclass, field\nfrom pkg.lib.far import g\n@dataclass\n"
            "class C:\n    a: int = field(default_factory=lambda: g(1))"
        ),
        "C().a",
    ),
    "a metaclass": ("from pkg.lib.far import Meta\nclass C(metaclass=Meta):\n    pass", "C()"),
    "a decorated function of someone else's kind": (
        "import numpy as np\nfrom pkg.lib.far import g\nh = np.vectorize(g)",
        "h(x)",
    ),
    "a pydantic field's type in quotes": (
        (
            "from __future__ import annotations\nimport pydantic\n"
            "from pkg.lib.far import Checked\nclass C(pydantic.BaseModel):\n"
            "    a: list[Checked]"
        ),
        "C(a=x)",
    ),
    "the annotation of a checked function": (
        (
            "from __future__ import annotations\nimport pydantic\n"
            "from pkg.lib.far import Checked\n@pydantic.validate_call\ndef h(x: Checked):\n"
            "    return x"
        ),
        "h(x)",
    ),
    "a descriptor of its own": ("from pkg.lib.far import Lazy\nclass C:\n    m = Lazy()", "C().m"),
    "an enum": ("from pkg.lib.far import Hue", "Hue.RED.m()"),
    "a method on an instance in a table": (
        "from pkg.lib.far import B\nTABLE = {1: [B().m]}",
        "TABLE[1][0](x)",
    ),
    "a class chosen at run time": ("from pkg.lib.far import B\nKINDS = {'b': B}", "KINDS['b']().m(x)"),
    "a generator expression": ("from pkg.lib import far", "sum(far.g(i) for i in x)"),
    "a nested function's default": ("from pkg.lib import far", "(lambda y=far.g(1): y)()"),
    "a global statement": (
        "from pkg.lib.far import g as shared",
        "inner(x)\ndef inner(x):\n    global shared\n    return shared(x)",
    ),
    "a star import": ("from pkg.lib.far import *", "g(x)"),
    "a module as a value, and what it imports": (
        "from pkg.lib import by_name",
        "getattr(by_name, 'g')(x)",
    ),
    "a dataclass made at run time": (
        "import dataclasses\nfrom pkg.lib.far import g\nC = dataclasses.make_dataclass('C', [('a', int, g)])",
        "C()",
    ),
    "what a function says it wraps": (
        "from functools import wraps\nfrom pkg.lib.far import g\ndef h(x):\n    return 0\nwraps(g)(h)",
        "h.__wrapped__(x)",
    ),
    "a cached property": (
        (
            "import functools\nfrom pkg.lib.far import g\nclass C:\n"
            "    @functools.cached_property\n    def m(self):\n        return g(1)"
        ),
        "C().m",
    ),
}
BY_NAME = "from pkg.lib import far\n\ndef g(x):\n    return far.g(x)\n"
LIB = """
import enum
import functools
import pydantic

VALUE = 1

def g(x):
    return VALUE + x

def gen(x):
    yield g(x)

def deco(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args) + g(1)
    return wrapper

def mark(fn):
    fn.mark = g(1)
    return fn

class B:
    def m(self, x):
        return g(x)
    __call__ = m

class Lazy:
    def __get__(self, instance, owner):
        return g(1)

class Hue(enum.Enum):
    RED = 1
    def m(self):
        return g(1)

class Checked(pydantic.BaseModel):
    a: int
    @pydantic.field_validator("a")
    @classmethod
    def check(cls, value):
        return g(value)

class Meta(type):
    def __call__(cls, *args):
        return g(1)
"""


@pytest.mark.parametrize("way", REACHED)
@pytest.mark.parametrize(("old", "new"), [("VALUE + x", "VALUE - x"), ("VALUE = 1", "VALUE = 2")])
def test_an_edit_of_code_that_is_reached_indirectly_changes_the_key(key_of, way, old, new):
    head, body = REACHED[way]
    near = (
        "import functools\n\ndef deco(fn):\n    @functools.wraps(fn)\n    def wrapper(*a):\n"
        "        return fn(*a)\n    return wrapper\n"
    )
    files = {
        "pkg/job.py": f"{head}\ndef f(x):\n    return {body}\n",
        "pkg/near.py": near,
        "pkg/lib/far.py": LIB,
        "pkg/lib/by_name.py": BY_NAME,
    }
    before = key_of(files)
    assert before.digest == key_of(edited("pkg/lib/far.py", "\nVALUE", "\n# moved\n\nVALUE", files)).digest
    assert before.digest != key_of(edited("pkg/lib/far.py", old, new, files)).digest


def test_swapped_names_count_even_if_the_same_functions_are_reached(key_of):
    far = "def a(x):\n    return x\n\ndef b(x):\n    return -x\n"
    job = "from pkg.far import a as first, b as second\n\ndef f(x):\n    return first(x) * 2 + second(x)\n"
    swapped = job.replace("a as first, b as second", "b as first, a as second")
    assert (
        key_of({"pkg/far.py": far, "pkg/job.py": job}).digest
        != key_of({"pkg/far.py": far, "pkg/job.py": swapped}).digest
    )


@pytest.mark.parametrize(
    "pair", ["make(1), make(2)", "lambda x: x + 1, lambda x: x + 2", "partial(g, 1), partial(g, 2)"]
)
def test_the_order_of_two_functions_of_one_name_counts(key_of, pair):
    job = (
        "from functools import partial\ndef g(n, x): return n + x\n"
        "def make(n):\n    def inner(x):\n        return x + n\n    return inner\n"
        f"one, two = {pair}\ndef f(x):\n    return one(x) * 2 + two(x)\n"
    )
    swapped = job.replace("one, two =", "two, one =")
    assert key_of({"pkg/job.py": job}).digest != key_of({"pkg/job.py": swapped}).digest


def test_a_decorated_helper_counts_with_its_decorator_and_its_own_code(key_of):
    far = "def deco(fn):\n    def wrapper(x):\n        return fn(x) + 1\n    return wrapper\n"
    job = "from pkg.far import deco\n@deco\ndef h(x):\n    return x * 2\ndef f(x):\n    return h(x)\n"
    files = {"pkg/far.py": far, "pkg/job.py": job}
    before = key_of(files)
    assert "function pkg.far.deco.wrapper changed" in differences(
        before, key_of(edited("pkg/far.py", "+ 1", "+ 2", files))
    )
    assert differences(before, key_of(edited("pkg/job.py", "x * 2", "x * 3", files))) == [
        "closure pkg.far.deco.wrapper.fn changed",
        "function pkg.job.h changed",
    ]
    assert before.digest != key_of(edited("pkg/job.py", "@deco\n", "", files)).digest


def test_the_default_of_a_helper_counts_by_its_value(key_of):
    job = "N = 1\ndef h(x, n=N):\n    return x + n\ndef f(x):\n    return h(x)\n"
    before = key_of({"pkg/job.py": job})
    assert before.digest != key_of({"pkg/job.py": job.replace("N = 1", "N = 2")}).digest
    assert before.digest == key_of({"pkg/job.py": job.replace("n=N", "n=1")}).digest


def test_the_defaults_of_the_task_itself_do_not_count_unless_it_calls_itself(key_of):
    job = "def f(x, n=1):\n    return x + n\n"
    assert key_of({"pkg/job.py": job}).digest == key_of({"pkg/job.py": job.replace("n=1", "n=2")}).digest
    job = "def f(x, n=1):\n    return f(x - 1) + n if x else 0\n"
    assert key_of({"pkg/job.py": job}).digest != key_of({"pkg/job.py": job.replace("n=1", "n=2")}).digest


def test_functions_that_call_each_other_have_a_key(key_of):
    job = (
        "def f(x):\n    return g(x)\ndef g(x):\n    return f(x) if x else TABLE\nTABLE = {'f': f, 'g': [g]}\n"
    )
    before = key_of({"pkg/job.py": job})
    assert before.digest == key_of({"pkg/job.py": job + "\n\n"}).digest
    assert before.digest != key_of({"pkg/job.py": job.replace("else TABLE", "else x")}).digest
    assert before.digest != key_of({"pkg/job.py": job}, "pkg.job.g").digest


def test_a_class_attribute_set_at_run_time_counts(load, key_of):
    job = "class C:\n    LIMIT = 1\ndef f(x):\n    return x + C.LIMIT\n"
    from lightwork.keys import code_key

    fn = load({"pkg/job.py": job})
    before = code_key(fn)
    fn.__globals__["C"].LIMIT = 2
    assert "global pkg.job.C.LIMIT changed" in differences(before, code_key(fn))


@pytest.mark.parametrize(
    "job",
    [
        "def f(x):\n    return x + 1\n",
        "class C:\n    def m(self, x):\n        return x + 1\n\ndef f(x):\n    return C().m(x)\n",
    ],
)
def test_an_edit_after_the_import_does_not_change_the_key_of_the_running_code(load, tmp_path, job):
    from lightwork.keys import code_key

    stale = load({"pkg/job.py": job})
    (tmp_path / "v0/pkg/job.py").write_text(job.replace("+ 1", "+ 2"))
    stale_key = code_key(stale)
    fresh = code_key(load({"pkg/job.py": job.replace("+ 1", "+ 2")}))
    assert stale_key.digest != fresh.digest


def test_the_annotation_of_an_ignored_parameter_does_not_count(key_of):
    job = (
        "import threading\nfrom lightwork import task\nLOCK = threading.Lock()\n"
        "class Client:\n    def get(self):\n        with LOCK:\n            return 1\n"
        "@task(ignore=['client'])\ndef f(x, client: Client):\n    return x\n"
    )
    assert [c.name for c in key_of({"pkg/job.py": job}).components] == ["pkg.job.f"]
