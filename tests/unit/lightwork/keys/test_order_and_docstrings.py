"""Dicts in code count with their order, and docstrings count where code reads them."""

from __future__ import annotations

import pytest

from lightwork.keys import Unkeyable, code_key
from lightwork.keys.values.canonical import encode

MANY = ", ".join(f"'k{i}': {i}" for i in range(100))
DICTS = {
    "a global": "D = {%s}\ndef f(x):\n    return list(D)\n",
    "a captured value": "def make(d):\n    def f(x):\n        return list(d)\n    return f\nf = make({%s})\n",
    "a class attribute": "class C:\n    d = {%s}\n    def m(self):\n        return list(self.d)\n"
    "def f(x):\n    return C().m()\n",
    "a default of a helper": "def h(x, d={%s}):\n    return list(d)\ndef f(x):\n    return h(x)\n",
    "inside a list": "D = [({%s},)]\ndef f(x):\n    return D\n",
    "a mapping proxy": "from types import MappingProxyType\nD = MappingProxyType({%s})\n"
    "def f(x):\n    return D\n",
    "keywords of a partial": "from functools import partial\ndef g(**kw):\n    return list(kw)\n"
    "D = partial(g, **{%s})\ndef f(x):\n    return D()\n",
    "attributes of an instance": "class C:\n    def __init__(self, d):\n        self.d = d\n"
    "D = C({%s})\ndef f(x):\n    return D.d\n",
    "a whole module": "D = {%s}\ndef f(x):\n    return globals()[x]\n",
}
ORDERS = {
    "two items": ("'a': 1, 'b': 2", "'b': 2, 'a': 1"),
    "values of other types": ("1: 'x', 'b': [2]", "'b': [2], 1: 'x'"),
    "many items": (f"{MANY}, 'a': 1", f"'a': 1, {MANY}"),
}


@pytest.mark.parametrize("where", DICTS)
@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_a_dict_in_code_counts(key_of, where, order):
    if (where, order) == ("keywords of a partial", "values of other types"):
        pytest.skip("keywords are texts")
    before, after = ({"pkg/job.py": DICTS[where] % text} for text in ORDERS[order])
    assert key_of(before) == key_of(before)
    assert key_of(before) != key_of(after)


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_a_dict_in_an_argument_does_not_count(order):
    one, other = (eval(f"{{{text}}}") for text in ORDERS[order])
    assert encode(one) == encode(other)
    assert encode([one, 1]) == encode([other, 1])


def test_a_set_in_code_has_no_order(load, tmp_path, key_elsewhere):
    files = {"pkg/job.py": "D = {'a', 'b', 'c', 'd', 'e'}\ndef f(x):\n    return D\n"}
    key = code_key(load(files))
    assert {key_elsewhere(tmp_path / "v0", seed=seed) for seed in ("1", "2")} == {key}


READS = {
    "of a function": ('def h(x):\n    "<<>>"\n    return x\n', "h.__doc__"),
    "of a class": ('class C:\n    "<<>>"\n', "C.__doc__"),
    "of a method": ('class C:\n    def m(self):\n        "<<>>"\n', "C.m.__doc__"),
    "of an instance": ('class C:\n    "<<>>"\nc = C()\n', "c.__doc__"),
    "by a constant name": ('def h(x):\n    "<<>>"\n', "getattr(h, '__doc__')"),
    "of itself": ("", "f.__doc__"),
}


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize("helper", [False, True])
def test_a_docstring_counts_where_code_reads_one(key_of, what, helper):
    definition, read = READS[what]
    own = '    "<<>>"\n' if what == "of itself" else ""
    task = f"def g(x):\n    return {read}\ndef f(x):\n{own}    return g(x)\n"
    source = definition + (task if helper else f"def f(x):\n{own}    return {read}\n")
    before, after = ({"pkg/job.py": source.replace("<<>>", text)} for text in ("one", "other"))
    assert key_of(before) != key_of(after)
    unread = source.replace("__doc__", "__name__")
    before, after = ({"pkg/job.py": unread.replace("<<>>", text)} for text in ("one", "other"))
    assert key_of(before) == key_of(after)


@pytest.mark.parametrize(
    ("job", "lib"),
    [
        ('"<<>>"\ndef f(x):\n    return __doc__\n', ""),
        ("from pkg import lib\ndef f(x):\n    return lib.__doc__\n", '"<<>>"\n'),
        ("def f(x):\n    from pkg import lib\n    return lib.__doc__\n", '"<<>>"\n'),
    ],
)
def test_a_modules_docstring_counts_where_code_reads_it(key_of, job, lib):
    before, after = (
        {"pkg/job.py": job.replace("<<>>", text), "pkg/lib.py": lib.replace("<<>>", text)}
        for text in ("one", "other")
    )
    assert key_of(before) != key_of(after)


@pytest.mark.parametrize("name", ["getsource", "getsourcelines", "getcomments", "getdoc"])
@pytest.mark.parametrize(
    "job",
    [
        "import inspect\ndef f(x):\n    return inspect.{0}(f)\n",
        "from inspect import {0} as read\ndef f(x):\n    return read(f)\n",
        "def f(x):\n    import inspect\n    return inspect.{0}(f)\n",
    ],
)
def test_code_that_reads_source_text_has_no_key(load, name, job):
    with pytest.raises(Unkeyable, match=rf"job\.py:\d+: pkg\.job\.f calls inspect\.{name}"):
        code_key(load({"pkg/job.py": job.format(name)}))
