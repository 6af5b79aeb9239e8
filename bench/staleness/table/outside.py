"""Edits of files, packages and arguments."""

from __future__ import annotations

from bench.staleness.programs import ARGUMENTS, CALLED, CLASSES, FILES, Change, Edit, Extension, Replace, Text

_C = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *grow(PyObject *self, PyObject *x) { return PyLong_FromLong(PyLong_AsLong(x) * 10); }

static PyMethodDef methods[] = {{"grow", grow, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "fast", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
_GROW = "def grow(x):\n    return x * 10\n"
_GROWS = "from {} import grow\n\n\n@cached\ndef f(x: int) -> int:\n    return grow(x)\n"


def _installed(name: str, version: str, code: dict[str, Text], **more: str) -> dict[str, Text]:
    """A package in `libs`, as `pip install --target libs` leaves it; `more` are files of its metadata."""
    info = f"libs/{name}-{version}.dist-info"
    files: dict[str, Text] = {f"libs/{name}/{path}": text for path, text in code.items()}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/INSTALLER"] = "pip\n"
    files[f"{info}/top_level.txt"] = f"{name}\n"
    files |= {f"{info}/{path.replace('_json', '.json')}": text for path, text in more.items()}
    paths = [path.removeprefix("libs/") for path in files]
    files[f"{info}/RECORD"] = "".join(
        f"{path},,\n" for path in [*paths, f"{name}-{version}.dist-info/RECORD"]
    )
    return files


def _upgraded(old: dict[str, Text], new: dict[str, Text]) -> dict[str, Change]:
    """The edit from one installed version of a package to another."""
    return {**{path: None for path in old if path not in new}, **new}


_OLD_LIBRARY = _installed("yard", "1.0", {"__init__.py": _GROW})
_NEW_LIBRARY = _installed("yard", "1.1", {"__init__.py": _GROW.replace("10", "20")})
_OLD_FAST = _installed("yard", "1.0", {"__init__.py": "", "fast.so": Extension(_C)})
_NEW_FAST = _installed("yard", "1.1", {"__init__.py": "", "fast.so": Extension(_C.replace("10)", "20)"))})
_OWN = _installed(
    "own",
    "1.0",
    {"__init__.py": _GROW},
    direct_url_json='{"url": "file:///src/own", "dir_info": {}}',
)
_WHEEL = _installed(
    "own",
    "1.0",
    {"__init__.py": "", "fast.so": Extension(_C)},
    direct_url_json='{"url": "file:///src/own-1.0.whl", "archive_info": {}}',
)

_FILES = (
    Edit(
        "a data file beside the code, by __file__",
        FILES,
        {
            "job.py": "from pathlib import Path\n\n\n@cached\ndef f(x: int) -> int:\n"
            "    return x * int(Path(__file__).with_name('factor.txt').read_text())\n",
            "factor.txt": "10",
        },
        {"factor.txt": "20"},
    ),
    Edit(
        "a data file of a package, by importlib.resources",
        FILES,
        {
            "job.py": "from tools.one import grow\n\n\n@cached\ndef f(x: int) -> int:\n    return grow(x)\n",
            "tools/__init__.py": "",
            "tools/one.py": "from importlib.resources import files\n\n\ndef grow(x):\n"
            "    return x * int(files('tools').joinpath('factor.txt').read_text())\n",
            "tools/factor.txt": "10",
        },
        {"tools/factor.txt": "20"},
    ),
    Edit(
        "a settings file that is read on import",
        FILES,
        {
            "job.py": "import conf\n\n\n@cached\ndef f(x: int) -> int:\n"
            "    return x * conf.SETTINGS['factor']\n",
            "conf.py": "import tomllib\nfrom pathlib import Path\n\n"
            "SETTINGS = tomllib.loads(Path(__file__).with_name('conf.toml').read_text())\n",
            "conf.toml": "factor = 10\n",
        },
        {"conf.toml": Replace("10", "20")},
    ),
    Edit(
        "a module in C of one's own, rebuilt",
        FILES,
        {"job.py": _GROWS.format("fast"), "fast.so": Extension(_C)},
        {"fast.so": Replace("* 10)", "* 20)")},
    ),
    Edit(
        "another version of a library",
        FILES,
        {"job.py": _GROWS.format("yard"), **_OLD_LIBRARY},
        _upgraded(_OLD_LIBRARY, _NEW_LIBRARY),
    ),
    Edit(
        "another version of a library in C",
        FILES,
        {"job.py": _GROWS.format("yard.fast"), **_OLD_FAST},
        _upgraded(_OLD_FAST, _NEW_FAST),
    ),
    Edit(
        "a package of one's own, installed again with the same version",
        FILES,
        {"job.py": _GROWS.format("own"), **_OWN},
        {"libs/own/__init__.py": Replace("10", "20")},
    ),
    Edit(
        "the same in C, from a wheel",
        FILES,
        {"job.py": _GROWS.format("own.fast"), **_WHEEL},
        {"libs/own/fast.so": Replace("* 10)", "* 20)")},
    ),
)


def _takes(
    kind: str, values: str, body: str, old: str, new: str, head: str = "", returns: str = "object"
) -> Edit:
    """A program whose one argument is edited."""
    job = (
        f"from typing import Any\n{head}\nVALUES = {values}\n\n\n@cached\ndef f(x: Any) -> {returns}:\n"
        f"    return {body}\n"
    )
    return Edit(kind, ARGUMENTS, {"job.py": job}, {"job.py": Replace(old, new)})


_FRAME = "import pandas as pd\n\nFRAME = pd.DataFrame({'speed': [10.0, 20.0]})\nFRAME.attrs['unit'] = 'mph'\n"

_ARGUMENTS = (
    _takes("a number's type", "[1]", "x + 1", "[1]", "[1.0]"),
    _takes("a list in place of a tuple", "[(1, 2)]", "type(x).__name__", "(1, 2)", "[1, 2]"),
    _takes("one cell of a frame", "[FRAME]", "float(x['speed'].sum())", "20.0", "30.0", _FRAME),
    _takes("metadata of a frame", "[FRAME]", "x.attrs['unit']", "mph", "kmh", _FRAME),
    _takes(
        "an array's type",
        "[np.array([1, 2])]",
        "str(x.dtype)",
        "[1, 2]",
        "[1, 2], dtype='float32'",
        "import numpy as np\n",
    ),
    Edit(
        "a method of an argument's class",
        CLASSES,
        {
            "job.py": "from shapes import Square\n\nVALUES = [Square(2)]\n\n\n@cached\n"
            "def f(x: Square) -> int:\n    return x.area()\n",
            "shapes.py": "class Square:\n    def __init__(self, side):\n        self.side = side\n\n"
            "    def area(self):\n        return self.side * self.side\n",
        },
        {"shapes.py": Replace("self.side * self.side", "self.side * 10")},
    ),
    Edit(
        "a function that is an argument",
        CALLED,
        {
            "job.py": "from typing import Any\n\nfrom far import grow\n\nVALUES = [grow]\n\n\n@cached\n"
            "def f(x: Any) -> int:\n    return x(1)\n",
            "far.py": _GROW,
        },
        {"far.py": Replace("x * 10", "x * 20")},
    ),
    Edit(
        "the content of a file whose Path is an argument",
        FILES,
        {
            "job.py": "from pathlib import Path\n\nVALUES = [Path(__file__).with_name('data.txt')]\n\n\n"
            "@cached\ndef f(x: Path) -> str:\n    return x.read_text()\n",
            "data.txt": "before",
        },
        {"data.txt": "after it"},
    ),
)

EDITS = (*_FILES, *_ARGUMENTS)
