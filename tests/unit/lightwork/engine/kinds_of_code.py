"""Own packages with helpers of every kind, and functions that come to them in every way.

Each helper is a module that has a `thing` to be called with a number; an edit of its `EDIT` changes what that
returns.
"""

# ruff: noqa: E501 - programs as text

from __future__ import annotations

WRAPPERS = {
    "a function": "def thing(x):\n    return x + EDIT\n",
    "cache": "@functools.cache\ndef thing(x):\n    return x + EDIT\n",
    "lru_cache": "@functools.lru_cache(maxsize=7, typed=True)\ndef thing(x):\n    return x + EDIT\n",
    "a cached client of a library": (
        "@functools.cache\ndef client():\n    import rates\n    return rates.alias(EDIT) + rates.OTHER\n"
        "def thing(x):\n    return client() + x\n"
    ),
    "a cached function that loads a library": (
        "@functools.cache\ndef thing(x):\n    import rates.late as late\n    return late.named(EDIT) + x\n"
    ),
    "cached_property": (
        "class C:\n    @functools.cached_property\n    def p(self):\n        return EDIT\n"
        "def thing(x):\n    return x + C().p\n"
    ),
    "an instance with a cached_property": (
        "class C:\n    @functools.cached_property\n    def p(self):\n        return EDIT\nONE = C()\n"
        "def thing(x):\n    return x + ONE.p\n"
    ),
    "partial": "def add(n, x):\n    return n + x\nthing = functools.partial(add, EDIT)\n",
    "partialmethod": (
        "class C:\n    def add(self, n, x):\n        return n + x\n    m = functools.partialmethod(add, EDIT)\n"
        "thing = C().m\n"
    ),
    "singledispatch": (
        "@functools.singledispatch\ndef thing(x):\n    return 0\n"
        "@thing.register\ndef _(x: int):\n    return x + EDIT\n"
    ),
    "singledispatchmethod": (
        "class C:\n    @functools.singledispatchmethod\n    def m(self, x):\n        return 0\n"
        "    @m.register\n    def _(self, x: int):\n        return x + EDIT\ndef thing(x):\n    return C().m(x)\n"
    ),
    "wraps": (
        "def deco(fn):\n    @functools.wraps(fn)\n    def wrapper(*a):\n        return fn(*a) + EDIT\n"
        "    return wrapper\n@deco\ndef thing(x):\n    return x\n"
    ),
    "a cached wrapper of a wrapper": (
        "def deco(fn):\n    @functools.wraps(fn)\n    def wrapper(*a):\n        return fn(*a)\n    return wrapper\n"
        "@functools.cache\n@deco\n@functools.lru_cache\ndef thing(x):\n    return x + EDIT\n"
    ),
    "total_ordering": (
        "@functools.total_ordering\nclass C:\n    def __init__(self, n):\n        self.n = n\n"
        "    def __eq__(self, other):\n        return self.n == other.n\n"
        "    def __lt__(self, other):\n        return self.n < other.n + EDIT\n"
        "def thing(x):\n    return [C(x) >= C(n) for n in range(9)]\n"
    ),
    "reduce": "def thing(x):\n    return functools.reduce(lambda a, b: a + b, [x, EDIT])\n",
    "cmp_to_key": (
        "KEY = functools.cmp_to_key(lambda a, b: (a > b) - (a < b))\n"
        "def thing(x):\n    return sorted([x, EDIT], key=KEY)\n"
    ),
    "contextmanager": (
        "@contextlib.contextmanager\ndef opened():\n    yield EDIT\n"
        "def thing(x):\n    with opened() as n:\n        return n + x\n"
    ),
    "a contextmanager as a decorator": (
        "@contextlib.contextmanager\ndef opened():\n    yield\n@opened()\ndef thing(x):\n    return x + EDIT\n"
    ),
    "ExitStack": (
        "def thing(x):\n    with contextlib.ExitStack() as stack:\n        stack.callback(print, end='')\n"
        "        return x + EDIT\n"
    ),
}
CLASSES = {
    "dataclass": (
        "@dataclasses.dataclass\nclass D:\n    n: int = EDIT\n    many: list = dataclasses.field(default_factory=list)\n"
        "def thing(x):\n    return D().n + x\n"
    ),
    "a frozen dataclass with slots": (
        "@dataclasses.dataclass(frozen=True, slots=True)\nclass D:\n    n: int = EDIT\nONE = D()\n"
        "def thing(x):\n    return ONE.n + x\n"
    ),
    "enum": "class E(enum.Enum):\n    A = EDIT\n    B = 90\ndef thing(x):\n    return E.A.value + x\n",
    "flags": (
        "class E(enum.IntFlag):\n    A = enum.auto()\n    B = EDIT * 8\ndef thing(x):\n    return int(E.A | E.B) + x\n"
    ),
    "a member of an enum": "class E(enum.Enum):\n    A = EDIT\nONE = E.A\ndef thing(x):\n    return ONE.value + x\n",
    "namedtuple": (
        "T = collections.namedtuple('T', 'n', defaults=[EDIT])\ndef thing(x):\n    return T().n + x\n"
    ),
    "NamedTuple": "class T(typing.NamedTuple):\n    n: int = EDIT\nONE = T()\ndef thing(x):\n    return ONE.n + x\n",
    "an abstract class": (
        "class A(abc.ABC):\n    @abc.abstractmethod\n    def m(self, x): ...\n"
        "class B(A):\n    def m(self, x):\n        return x + EDIT\ndef thing(x):\n    return B().m(x)\n"
    ),
    "a registered class": (
        "class A(abc.ABC):\n    pass\n@A.register\nclass B:\n    n = EDIT\n"
        "def thing(x):\n    return x + B.n if isinstance(B(), A) else x\n"
    ),
    "a protocol": (
        "@typing.runtime_checkable\nclass P(typing.Protocol):\n    def m(self): ...\n"
        "class C:\n    def m(self):\n        return EDIT\ndef thing(x):\n    return isinstance(C(), P) + C().m() + x\n"
    ),
    "a generic class": (
        "T = typing.TypeVar('T')\nclass G(typing.Generic[T]):\n    n = EDIT\ndef thing(x):\n    return G[int]().n + x\n"
    ),
    "a typed dict": (
        "class D(typing.TypedDict):\n    n: int\ndef thing(x):\n    return D(n=EDIT)['n'] + x\n"
    ),
    "a new type": "N = typing.NewType('N', int)\ndef thing(x):\n    return N(EDIT) + x\n",
    "a descriptor": (
        "class Scaled:\n    def __init__(self, n):\n        self.n = n\n    def __set_name__(self, owner, name):\n"
        "        self.name = name\n    def __get__(self, instance, owner=None):\n        return self.n\n"
        "class C:\n    d = Scaled(EDIT)\ndef thing(x):\n    return C().d + x\n"
    ),
    "a property": (
        "class C:\n    @property\n    def p(self):\n        return EDIT\ndef thing(x):\n    return C().p + x\n"
    ),
    "a static and a class method": (
        "class C:\n    @staticmethod\n    def s(x):\n        return x\n    @classmethod\n    def c(cls, x):\n"
        "        return cls.s(x) + EDIT\nthing = C.c\n"
    ),
    "a cached method": (
        "class C:\n    @functools.lru_cache\n    def m(self, x):\n        return x + EDIT\nONE = C()\nthing = ONE.m\n"
    ),
    "a metaclass": (
        "class M(type):\n    def n(cls):\n        return EDIT\nclass C(metaclass=M):\n    pass\n"
        "def thing(x):\n    return C.n() + x\n"
    ),
    "a callable object": (
        "class C:\n    def __init__(self, n):\n        self.n = n\n    def __call__(self, x):\n"
        "        return self.n + x\nthing = C(EDIT)\n"
    ),
    "subclasses": (
        "class C:\n    pass\nclass D(C):\n    n = EDIT\ndef thing(x):\n"
        "    return sum(c.n for c in C.__subclasses__()) + x\n"
    ),
}
VALUES = {
    "a closure": "def make(n):\n    def inner(x):\n        return n + x\n    return inner\nthing = make(EDIT)\n",
    "a cached closure": (
        "def make(n):\n    @functools.cache\n    def inner(x):\n        return n + x\n    return inner\n"
        "thing = make(EDIT)\n"
    ),
    "a lambda": "thing = lambda x: x + EDIT\n",
    "a module's __getattr__": (
        "def hidden(x):\n    return x + EDIT\ndef __getattr__(name):\n    if name == 'thing':\n"
        "        return hidden\n    raise AttributeError(name)\n"
    ),
    "a method of a number": "thing = (EDIT).__add__\n",
    "an operator": "import operator\nGET = operator.itemgetter(EDIT)\ndef thing(x):\n    return GET([x, x + 1, x + 2, x + 3])\n",
    "a pattern": "import re\nPATTERN = re.compile('a' * EDIT)\ndef thing(x):\n    return x + len(PATTERN.pattern)\n",
    "a logger": "import logging\nLOG = logging.getLogger(__name__)\ndef thing(x):\n    LOG.debug('x')\n    return x + EDIT\n",
    "a lock": "import threading\nLOCK = threading.Lock()\ndef thing(x):\n    with LOCK:\n        return x + EDIT\n",
    "a thread's own values": (
        "import threading\nLOCAL = threading.local()\ndef thing(x):\n    LOCAL.n = EDIT\n    return x + LOCAL.n\n"
    ),
    "a context variable": (
        "import contextvars\nVAR = contextvars.ContextVar('VAR', default=EDIT)\ndef thing(x):\n    return x + VAR.get()\n"
    ),
    "a ufunc": "import numpy as np\nN = np.int64(EDIT)\ndef thing(x):\n    return int(np.absolute(np.add(x, N)))\n",
    "a vectorized function": (
        "import numpy as np\n@np.vectorize\ndef add(x):\n    return x + EDIT\ndef thing(x):\n    return int(add(x))\n"
    ),
    "an array": "import numpy as np\nA = np.arange(9) * EDIT\ndef thing(x):\n    return int(A[x])\n",
    "a random generator": (
        "import random\ndef thing(x):\n    return x + random.Random(EDIT).randrange(10**9)\n"
    ),
    "a set": "S = {'a', 'b', 'c' * EDIT}\ndef thing(x):\n    return x + max(map(len, S))\n",
    "a table": "T = {'a': {'b': [EDIT]}}\ndef thing(x):\n    return T['a']['b'][0] + x\n",
    "a default table": "T = collections.defaultdict(lambda: EDIT)\ndef thing(x):\n    return T['a'] + x\n",
    "a read-only table": "import types\nT = types.MappingProxyType({'a': EDIT})\ndef thing(x):\n    return T['a'] + x\n",
    "a namespace": "import types\nN = types.SimpleNamespace(n=EDIT)\ndef thing(x):\n    return N.n + x\n",
    "decimals": "import decimal\nD = decimal.Decimal(EDIT)\ndef thing(x):\n    return int(D) + x\n",
    "dates": "import datetime\nD = datetime.date(2020, 1, EDIT)\ndef thing(x):\n    return D.day + x\n",
    "a path beside the code": (
        "from pathlib import Path\nHERE = Path(__file__).parent\ndef thing(x):\n    return x + EDIT + (HERE.name == 'z')\n"
    ),
    "weak references": (
        "import weakref\nclass C:\n    n = EDIT\nONE = C()\nMEMO = weakref.WeakKeyDictionary()\n"
        "def thing(x):\n    MEMO[ONE] = x\n    return x + ONE.n\n"
    ),
    "a memo": (
        "MEMO = {}\ndef thing(x):\n    if x not in MEMO:\n        MEMO[x] = x + EDIT\n    return MEMO[x]\n"
    ),
    "a value made at first use": (
        "_ONE = None\ndef one():\n    global _ONE\n    if _ONE is None:\n        _ONE = [EDIT]\n    return _ONE\n"
        "def thing(x):\n    return one()[0] + x\n"
    ),
    "a table of functions that grows": (
        "def plus(x):\n    return x + EDIT\ndef minus(x):\n    return x - EDIT\nTABLE = {'a': plus}\n"
        "def thing(x):\n    TABLE[x] = minus\n    return TABLE['a'](x)\n"
    ),
    "a function chosen at first use": (
        "_chosen = None\ndef plus(x):\n    return x + EDIT\ndef thing(x):\n    global _chosen\n"
        "    _chosen = _chosen or plus\n    return _chosen(x)\n"
    ),
    "objects that are kept": (
        "class C:\n    n = EDIT\nKEPT = []\ndef thing(x):\n    KEPT.append(C())\n    return x + KEPT[0].n\n"
    ),
    "generators": "def gen(x):\n    yield x + EDIT\ndef thing(x):\n    return next(gen(x))\n",
    "an import inside": "def thing(x):\n    import colorsys, numpy\n    return x + EDIT + int(colorsys.ONE_THIRD)\n",
    "an import of a constant inside": (
        "def thing(x):\n    from rates import DEEP, LITERAL\n    return x + EDIT + int(DEEP + LITERAL)\n"
    ),
    "an optional import": (
        "def thing(x):\n    try:\n        import nowhere\n    except ImportError:\n        return x + EDIT\n"
    ),
}
KINDS = WRAPPERS | CLASSES | VALUES
HEAD = "import abc, collections, contextlib, dataclasses, enum, functools, typing\n\nEDIT = {edit}\n\n"
FORMS = {
    "at the top": "from own.deep.helper_{0} import thing\n\ndef f(x):\n    return thing(x)\n",
    "of a module at the top": "import own.deep.helper_{0} as h\n\ndef f(x):\n    return h.thing(x)\n",
    "relative, at the top": "from .deep.helper_{0} import thing\n\ndef f(x):\n    return thing(x)\n",
    "in the body": "def f(x):\n    from own.deep.helper_{0} import thing\n    return thing(x)\n",
    "relative, in the body": "def f(x):\n    from .deep import helper_{0} as h\n    return h.thing(x)\n",
    "of a module in the body": "def f(x):\n    import own.deep.helper_{0} as c\n    return c.thing(x)\n",
    "of a package in the body": "def f(x):\n    import own.deep.helper_{0}\n    return own.deep.helper_{0}.thing(x)\n",
    "in a helper's body": "from own.through_{0} import g\n\ndef f(x):\n    return g(x)\n",
    "in a method's body": (
        "class C:\n    def m(self, x):\n        from own.deep.helper_{0} import thing\n        return thing(x)\n\n"
        "def f(x):\n    return C().m(x)\n"
    ),
    "in a default": "from own.deep.helper_{0} import thing\n\ndef f(x, by=thing):\n    return by(x)\n",
    "through a lazy module": "def f(x):\n    from own.lazy_{0} import thing\n    return thing(x)\n",
    "through a lazy module at the top": "import own.lazy_{0} as lazy\n\ndef f(x):\n    return lazy.thing(x)\n",
    "by a constant text": (
        "import importlib\n\ndef f(x):\n    return importlib.import_module('own.deep.helper_{0}').thing(x)\n"
    ),
}
THROUGH = "def g(x):\n    from own.deep.helper_{0} import thing\n    return thing(x)\n"
LAZY = (
    "def __getattr__(name):\n    if name == 'thing':\n        from own.deep.helper_{0} import thing\n"
    "        return thing\n    raise AttributeError(name)\n"
)


def cases() -> list[tuple[str, str]]:
    """Return each kind in each form."""
    return [(kind, form) for kind in KINDS for form in FORMS]


def module_of(kind: str, form: str) -> str:
    """Return the name of the module that has the function `f` of a case."""
    return f"own.job_{list(KINDS).index(kind)}_{list(FORMS).index(form)}"


def package(edit: int) -> dict[str, str]:
    """Return the files of the package `own`, as it is before or after an edit."""
    files = {"own/__init__.py": "", "own/deep/__init__.py": ""}
    for number, (kind, code) in enumerate(KINDS.items()):
        files[f"own/deep/helper_{number}.py"] = HEAD.format(edit=edit) + code
        files[f"own/through_{number}.py"] = THROUGH.format(number)
        files[f"own/lazy_{number}.py"] = LAZY.format(number)
        for form, text in FORMS.items():
            name = module_of(kind, form).rpartition(".")[2]
            files[f"own/{name}.py"] = text.format(number)
    return files
