"""Code that is sent by value finds by computed names what it finds where it comes from."""

from __future__ import annotations

import importlib
import sys

import pytest

from lightwork.functions import pickling

LIB = """
import builtins, sys, threading
import pandas as pd

A1, A2, LIMIT = 1, 20, 2
LOCK = threading.Lock()
names = globals

def a_add(x):
    return x + A1

def a_scale(x):
    return x * A2

class A3:
    n = 5

def h(x):
    return x

def f(x):
    {body}
"""
BODIES = {
    "a loop over globals()": "return [globals()[n](x) for n in sorted(globals()) if n.startswith('a_')]",
    "globals() by a computed name": "return globals()['a_' + 'scale'](x)",
    "globals() under another name": "return names()['A' + '1'] + x",
    "builtins.globals": "return builtins.globals()['A' + '1'] + x",
    "eval": "return eval('a_' + 'add(x)', globals(), {'x': x})",
    "eval alone": "return eval('A' + '2')",
    "exec": "space = {}\n    exec('y = A' + '1', globals(), space)\n    return space['y']",
    "the globals of a function": "return h.__globals__['A' + '2']",
    "the globals of a frame": "return sys._getframe().f_globals['A' + '2']",
    "inside a nested function": "return (lambda k: globals()[k])('A1')",
    "inside a comprehension": "return [globals()[f'A{i}'] for i in (1, 2)]",
    "a class": "return globals()['A' + '3'].n",
    "a query": "return pd.DataFrame({'n': [1, 3]}).query('n > @LIMIT').n.tolist()",
    "a frame's eval": "return pd.DataFrame({'n': [1, 3]}).eval('n + @LIMIT').tolist()",
    "its own name": "return globals()['f'].__name__",
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Import `f` with this body from a module that is sent by value."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def loaded(body):
        (tmp_path / "sent_lib.py").write_text(LIB.replace("{body}", body))
        importlib.invalidate_caches()
        pickling.hold({"sent_lib"}) if importlib.import_module("sent_lib") else None
        return sys.modules["sent_lib"].f

    yield loaded
    pickling.release({"sent_lib"})
    del sys.modules["sent_lib"]


@pytest.mark.parametrize("body", BODIES)
def test_what_is_sent_by_value_finds_names_that_it_computes(load, body):
    fn = load(BODIES[body])
    here = fn(3)
    sent = pickling.load(pickling.dump_code(fn, set()))
    assert sent.__globals__ is not fn.__globals__
    assert sent(3) == here


def test_code_that_computes_no_names_takes_no_more_than_it_names(load):
    sent = pickling.load(pickling.dump_code(load("return a_add(x)"), set()))
    assert {"A2", "a_scale", "LOCK"}.isdisjoint(sent.__globals__)
