"""Edits of values and classes that the function uses, and of what the running program changes."""

from __future__ import annotations

from bench.staleness.programs import CLASSES, COMPUTED, READ, RUNNING, Edit, Replace


def _reads(kind: str, head: str, body: str, old: str, new: str, returns: str = "float") -> Edit:
    """A program whose `f` reads a value of its own module."""
    job = f"{head}\n\n\n@cached\ndef f(x: int) -> {returns}:\n    return {body}\n"
    return Edit(kind, READ, {"job.py": job}, {"job.py": Replace(old, new)})


def _uses(kind: str, shapes: str, body: str, old: str, new: str) -> Edit:
    """A program whose `f` uses classes of another module."""
    job = f"import shapes\n\n\n@cached\ndef f(x: int) -> int:\n    return {body}\n"
    return Edit(kind, CLASSES, {"job.py": job, "shapes.py": shapes}, {"shapes.py": Replace(old, new)})


def _computes(kind: str, head: str, body: str, far: str = "def grow(x):\n    return x * 10\n") -> Edit:
    """A program whose `f` looks up a name that it computes."""
    job = f"{head}\n\n\n@cached\ndef f(x: int) -> int:\n    return {body}\n"
    return Edit(kind, COMPUTED, {"job.py": job, "far.py": far}, {"far.py": Replace("x * 10", "x * 20")})


def _runs(kind: str, job: str, start: str, **more: str) -> Edit:
    """A program, and a script that changes something of it before or between the calls."""
    files = {"job.py": job, **{f"{name}.py": text for name, text in more.items()}}
    return Edit(kind, RUNNING, {**files, "start.py": ""}, {"start.py": start})


_SCALED = "SCALE = 10\n\n\n@cached\ndef f(x: int) -> int:\n    return x * SCALE\n"

_VALUES = (
    _reads("a constant", "LIMIT = 3", "x + LIMIT", "LIMIT = 3", "LIMIT = 4"),
    _reads("its type alone", "LIMIT = 3", "x + LIMIT", "LIMIT = 3", "LIMIT = 3.0"),
    _reads(
        "an element of a table",
        "TABLE = {1: [10, 11], 2: [20, 21]}",
        "TABLE[x][1]",
        "20, 21",
        "20, 22",
    ),
    _reads(
        "an element of an array",
        "import numpy as np\n\nFACTORS = np.arange(5.0)\nFACTORS[2] = 7",
        "float(FACTORS[x])",
        "= 7",
        "= 8",
    ),
    _reads(
        "a pattern",
        "import re\n\nDIGITS = re.compile('[0-9]')",
        "bool(DIGITS.match(f'a{x}'))",
        "'[0-9]'",
        "'[a-f0-9]'",
        "bool",
    ),
    _reads("a name of its own with two underscores", "__factor__ = 2", "x * __factor__", "= 2", "= 3"),
    _reads(
        "an attribute of a function",
        "def _by(x):\n    return x * _by.factor\n\n\n_by.factor = 2",
        "_by(x)",
        "factor = 2",
        "factor = 3",
    ),
    _reads("a value made on import", "SCALES = [n * 2 for n in range(5)]", "SCALES[x]", "n * 2", "n * 3"),
    Edit(
        "a constant of another module",
        READ,
        {
            "job.py": "import conf\n\n\n@cached\ndef f(x: int) -> str:\n    return f'{x} {conf.UNIT}'\n",
            "conf.py": "UNIT = 'mph'\n",
        },
        {"conf.py": Replace("mph", "kmh")},
    ),
    Edit(
        "a constant that a helper reads",
        READ,
        {
            "job.py": "from far import grow\n\n\n@cached\ndef f(x: int) -> int:\n    return grow(x)\n",
            "far.py": "FACTOR = 2\n\n\ndef grow(x):\n    return x * FACTOR\n",
        },
        {"far.py": Replace("FACTOR = 2", "FACTOR = 3")},
    ),
    Edit(
        "the value of a default",
        READ,
        {"job.py": "N = 2\n\n\n@cached\ndef f(x: int, by: int = N) -> int:\n    return x * by\n"},
        {"job.py": Replace("N = 2", "N = 3")},
    ),
)

_CLASSES = (
    _uses(
        "a method",
        "class Square:\n    def area(self, x):\n        return x * x\n",
        "shapes.Square().area(x)",
        "x * x",
        "x + x",
    ),
    _uses(
        "an inherited method",
        "class Shape:\n    def area(self, x):\n        return x * x\n\n\nclass Square(Shape):\n    pass\n",
        "shapes.Square().area(x)",
        "x * x",
        "x + x + 1",
    ),
    _uses(
        "the order of two bases",
        "class One:\n    n = 1\n\n\nclass Two:\n    n = 2\n\n\nclass Both(One, Two):\n    pass\n",
        "x + shapes.Both.n",
        "Both(One, Two)",
        "Both(Two, One)",
    ),
    _uses(
        "a property",
        "class Square:\n    @property\n    def sides(self):\n        return 4\n",
        "shapes.Square().sides",
        "return 4",
        "return 5",
    ),
    _uses(
        "a class attribute", "class Square:\n    sides = 4\n", "shapes.Square.sides", "sides = 4", "sides = 5"
    ),
    _uses(
        "a class attribute that is a list",
        "class Square:\n    sides = [1, 2, 3]\n\n    def total(self):\n        return sum(self.sides)\n",
        "shapes.Square().total()",
        "[1, 2, 3]",
        "[1, 2, 4]",
    ),
    _uses(
        "a class attribute that is an instance",
        "class Pen:\n    def __init__(self, width):\n        self.width = width\n\n\nclass Square:\n"
        "    pen = Pen(1)\n\n    def wide(self):\n        return self.pen.width\n",
        "shapes.Square().wide()",
        "Pen(1)",
        "Pen(2)",
    ),
    _uses(
        "an instance of a module",
        "class Pen:\n    def __init__(self, width):\n        self.width = width\n\n\nPEN = Pen(1)\n",
        "x * shapes.PEN.width",
        "Pen(1)",
        "Pen(2)",
    ),
    _uses(
        "a default of a dataclass",
        "from dataclasses import dataclass\n\n\n@dataclass\nclass Square:\n    side: int = 2\n",
        "shapes.Square().side",
        "int = 2",
        "int = 3",
    ),
    _uses(
        "an operator",
        "class Money:\n    def __add__(self, x):\n        return x + 1\n",
        "shapes.Money() + x",
        "x + 1",
        "x + 2",
    ),
    _uses(
        "a descriptor",
        "class Lazy:\n    def __get__(self, instance, owner):\n        return 4\n\n\n"
        "class Square:\n    sides = Lazy()\n",
        "shapes.Square().sides",
        "return 4",
        "return 5",
    ),
    _uses(
        "a metaclass",
        "class Meta(type):\n    def __call__(cls, x):\n        return x * 2\n\n\n"
        "class Square(metaclass=Meta):\n    pass\n",
        "shapes.Square(x)",
        "x * 2",
        "x * 3",
    ),
    _uses(
        "a member of an enum",
        "from enum import Enum\n\n\nclass Hue(Enum):\n    RED = 1\n",
        "shapes.Hue.RED.value",
        "RED = 1",
        "RED = 2",
    ),
)

_COMPUTED = (
    _computes("getattr of a module", "import far", "getattr(far, 'gr' + 'ow')(x)"),
    _computes("globals()", "from far import grow", "globals()['gr' + 'ow'](x)"),
    _computes("import_module", "import importlib", "importlib.import_module('f' + 'ar').grow(x)"),
    _computes("eval", "import far", "eval('far.' + 'grow')(x)"),
    _computes("sys.modules", "import sys\n\nimport far", "sys.modules['f' + 'ar'].grow(x)"),
    _computes(
        "subclasses of a class",
        "import far",
        "far.Base.__subclasses__()[0]().grow(x)",
        "class Base:\n    pass\n\n\nclass Only(Base):\n    def grow(self, x):\n        return x * 10\n",
    ),
    _computes(
        "a registry that fills itself",
        "import far",
        "far.KINDS['Only']().grow(x)",
        "KINDS = {}\n\n\nclass Base:\n    def __init_subclass__(cls):\n        KINDS[cls.__name__] = cls\n"
        "\n\n"
        "class Only(Base):\n    def grow(self, x):\n        return x * 10\n",
    ),
    _computes(
        "__getattr__ of a module",
        "import far",
        "far.grow(x)",
        "def __getattr__(name):\n    return lambda x: x * 10\n",
    ),
)

_RUNNING = (
    _runs(
        "a value of a module, set before",
        "import conf\n\n\n@cached\ndef f(x: int) -> str:\n    return f'{x} {conf.UNIT}'\n",
        "import conf\n\nconf.UNIT = 'kmh'\n",
        conf="UNIT = 'mph'\n",
    ),
    _runs("a value of its own module, set before", _SCALED, "import job\n\njob.SCALE = 20\n"),
    _runs(
        "a value of its own module, set between two calls",
        _SCALED,
        "import job\n\n\ndef between(results):\n    job.SCALE = 20\n",
    ),
    _runs(
        "a method replaced on a class",
        "import shapes\n\n\n@cached\ndef f(x: int) -> int:\n    return shapes.Square().area(x)\n",
        "import shapes\n\nshapes.Square.area = lambda self, x: x + x + 1\n",
        shapes="class Square:\n    def area(self, x):\n        return x * x\n",
    ),
    _runs(
        "a helper replaced in its module",
        "import far\n\n\n@cached\ndef f(x: int) -> int:\n    return far.grow(x)\n",
        "import far\n\nfar.grow = lambda x: x * 20\n",
        far="def grow(x):\n    return x * 10\n",
    ),
    _runs(
        "a function of one's own in place of a library's",
        "import numpy as np\n\n\n@cached\ndef f(x: int) -> float:\n    return float(np.sqrt(x + 2))\n",
        "import numpy as np\n\n\ndef mine(x):\n    return x * 100\n\n\nnp.sqrt = mine\n",
    ),
    _runs(
        "a plug-in registered before",
        "import far\n\n\n@cached\ndef f(x: int) -> int:\n    return sum(by(x) for by in far.PLUGINS)\n",
        "import far\n\nfar.PLUGINS.append(lambda x: x * 100)\n",
        far="PLUGINS = [abs]\n",
    ),
)

EDITS = (*_VALUES, *_CLASSES, *_COMPUTED, *_RUNNING)
