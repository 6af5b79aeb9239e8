"""Canonical keys of values, of code, and of calls."""

from lightwork.keys.calls import ElementKeys, call_key
from lightwork.keys.code import code_key
from lightwork.keys.components import CodeKey, Component, Unkeyable, differences
from lightwork.keys.values.canonical import encode

__all__ = [
    "CodeKey",
    "Component",
    "ElementKeys",
    "Unkeyable",
    "call_key",
    "code_key",
    "differences",
    "encode",
]
