"""Objects that pickle by name, and compiled functions: the version of their library is in the key."""

from __future__ import annotations

import math

import numpy as np
import numpy.linalg._umath_linalg as unexported
import pytest

from lightwork.functions.origins import origin
from lightwork.keys import Unkeyable, encode

pytestmark = pytest.mark.sample(8)

OBJECTS = {
    "a ufunc": ("numpy", "from numpy import sqrt as it"),
    "a ufunc that names no module": ("numpy", "from numpy.linalg._umath_linalg import det as it"),
    "a method of a ufunc": ("numpy", "import numpy\nit = numpy.add.reduce"),
    "an array function": ("numpy", "from numpy import concatenate as it"),
    "a builtin of a compiled module": ("numpy", "from numpy import array as it"),
    "a method of a compiled class": ("numpy", "import numpy\nit = numpy.ndarray.sum"),
    "an operator of a compiled class": ("numpy", "import numpy\nit = numpy.ndarray.__add__"),
    "a bound method of an array": ("numpy", "import numpy\nit = numpy.arange(3).searchsorted"),
    "a bound operator of an array": ("numpy", "import numpy\nit = numpy.arange(3).__add__"),
    "a compiled class": ("numpy", "from numpy.random import PCG64 as it"),
    "a Cython function": ("pandas", "from pandas.api.types import infer_dtype as it"),
    "a Cython method": ("pandas", "import pandas\nit = pandas.Timestamp.to_pydatetime"),
    "a Cython class method": ("pyarrow", "import pyarrow\nit = pyarrow.Table.from_pydict"),
    "a Cython factory": ("pyarrow", "from pyarrow import array as it"),
    "a method written in Rust": ("rpds", "import rpds\nit = rpds.HashTrieMap.insert"),
    "a singleton that pickles by name": ("numpy", "import numpy\nit = numpy._NoValue"),
}
USES = {
    "a global": "def f(x):\n    return it(x)\n",
    "a captured value": "def make(it):\n    def f(x):\n        return it(x)\n    return f\nf = make(it)\n",
    "a default": "def g(x, by=it):\n    return by(x)\n\ndef f(x):\n    return g(x)\n",
    "an attribute": "class C:\n    pass\nHELD = C()\nHELD.by = it\n\ndef f(x):\n    return HELD.by(x)\n",
    "a table": "TABLE = {'by': [it]}\n\ndef f(x):\n    return TABLE['by'][0](x)\n",
    "a partial": "import functools\nPART = functools.partial(map, it)\n\ndef f(x):\n    return PART(x)\n",
    "an attribute of an own module": "from pkg import names\n\ndef f(x):\n    return names.it(x)\n",
}


@pytest.fixture
def upgraded(monkeypatch):
    """Give a distribution another version."""

    def upgrade(name: str) -> None:
        real = origin._distribution

        def other(top: str, file: str | None) -> origin.Distribution:
            installed = real(top, file)
            if installed.name != name:
                return installed
            return origin.Distribution(name, "99.0", "99.0")

        monkeypatch.setattr(origin, "_distribution", other)

    return upgrade


def distribution_name(top: str) -> str:
    return {"rpds": "rpds-py"}.get(top, top)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("what", OBJECTS)
def test_another_version_of_the_library_is_another_key(key_of, upgraded, what, use):
    library, head = OBJECTS[what]
    files = {"pkg/job.py": f"{head}\n\n{USES[use]}", "pkg/names.py": head}
    before = key_of(files)
    assert before == key_of(files)
    upgraded("yarl")
    assert before == key_of(files)
    upgraded(distribution_name(library))
    after = key_of(files)
    assert before.digest != after.digest
    assert f"{distribution_name(library)} 99.0" in [
        c.name for c in after.components if c.kind == "distribution"
    ]


@pytest.mark.parametrize("what", OBJECTS)
def test_an_argument_counts_with_the_version_of_its_library(load, upgraded, what):
    library, head = OBJECTS[what]
    value = load({"pkg/job.py": head}, "pkg.job.it")
    before = encode(value), encode([value, {"a": value}])
    assert before == (encode(value), encode([value, {"a": value}]))
    upgraded(distribution_name(library))
    assert before[0] != encode(value)
    assert before[1] != encode([value, {"a": value}])


@pytest.mark.parametrize("value", [str.upper, "a".upper, len, math.sqrt, [].append, (1).__add__])
def test_the_standard_library_adds_no_version(key_of, value):
    assert origin.kind_of_name(origin.holder_of(value)) != "distribution"
    head = "import math\nit = math.sqrt, str.upper, len\n"
    files = {"pkg/job.py": f"{head}\ndef f(x):\n    return it[0](x)\n"}
    assert {c.kind for c in key_of(files).components} == {"function", "global"}


def test_ufuncs_of_one_name_in_two_modules_differ(monkeypatch):
    assert origin.holder_of(np.sqrt) == "numpy"
    assert origin.holder_of(unexported.det) == "numpy.linalg._umath_linalg"
    by_path = encode(unexported.det)
    monkeypatch.setattr(np, "det", unexported.inv, raising=False)
    assert encode(unexported.det) == by_path


def test_a_module_that_only_imports_a_ufunc_does_not_hold_it(load):
    load({"pkg/job.py": "from numpy.linalg._umath_linalg import slogdet as it"}, "pkg.job.it")
    assert origin.holder_of(unexported.slogdet) == "numpy.linalg._umath_linalg"


def test_a_ufunc_made_at_run_time_is_refused():
    with pytest.raises(Unkeyable, match=r"^the ufunc <lambda> \(vectorized\) \(made at run time") as raised:
        encode(np.frompyfunc(lambda x: x, 1, 1))
    assert "\n" not in raised.value.reason


def test_objects_that_pickle_by_name_have_the_same_bytes_in_every_process(run):
    script = (
        "import numpy as np, numpy.linalg._umath_linalg as u, pandas.api.types as t\n"
        "from lightwork.keys import encode\n"
        "print(encode([np.sqrt, u.det, t.infer_dtype, np.concatenate, np.ndarray.sum]).hex())"
    )
    assert run(script, seed="1") == run("import numpy.fft, numpy.random\n" + script, seed="2")
