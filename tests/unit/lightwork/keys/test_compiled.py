"""Compiled modules of one's own: each road to what they hold leads to the hash of their file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lightwork.functions.origins.compiled import file_digest
from tests.unit.lightwork.keys.extension import NEEDED, compiled, library
from tests.unit.lightwork.keys.installed import FOLDER, components, install, write

pytestmark = NEEDED


def edited(path: Path, data: bytes) -> None:
    """Replace a file as installers do: by another one of the same name."""
    path.with_suffix(".new").write_bytes(data)
    path.with_suffix(".new").replace(path)


ROADS = {
    "a function by its name": ("from pkg._fast import scaled", "scaled(x)"),
    "a function of the module": ("from pkg import _fast", "_fast.scaled(x)"),
    "a full path": ("import pkg._fast", "pkg._fast.scaled(x)"),
    "an import in the function": ("", "scaled(x)\n    from pkg._fast import scaled"),
    "an import of the module in it": ("", "_fast.scaled(x)\n    from . import _fast"),
    "a class": ("from pkg._fast import Fast", "Fast().scale(x)"),
    "a subclass": ("from pkg._fast import Fast\n\nclass Own(Fast):\n    pass", "Own().scale(x)"),
    "a method of the class": ("from pkg._fast import Fast\nby = Fast.scale", "by(None, x)"),
    "a static method": ("from pkg._fast import Fast\nby = Fast.fixed", "by(x)"),
    "a class method": ("from pkg._fast import Fast\nby = Fast.of", "by(x)"),
    "an instance of a hidden class": ("from pkg._fast import hidden", "hidden.scale(x)"),
    "a method of an instance": ("from pkg._fast import hidden\nby = hidden.scale", "by(x)"),
    "a function with a capsule": ("from pkg._fast import held", "held(x)"),
    "a table": ("from pkg import _fast\nBY = {'a': [_fast.scaled]}", "BY['a'][0](x)"),
    "a partial": ("import functools\nfrom pkg import _fast\nby = functools.partial(_fast.scaled)", "by(x)"),
    "a default": ("from pkg import _fast\n\ndef g(x, by=_fast.scaled):\n    return by(x)", "g(x)"),
    "a captured value": (
        "from pkg import _fast\n\ndef make(by):\n    return lambda x: by(x)\n\ng = make(_fast.scaled)",
        "g(x)",
    ),
    "what the package passes on": ("import pkg", "(pkg.scaled(x), pkg.Fast)"),
    "a helper": ("from pkg.helper import g", "g(x)"),
    "a constant": ("from pkg import _fast", "_fast.LIMIT * x"),
}


def job(road: str) -> str:
    """Return a module whose function goes a road; a line after the expression comes before it."""
    head, body = ROADS[road]
    expression, _, line = body.partition("\n    ")
    return f"{head}\n\ndef f(x):\n    {line or 'pass'}\n    return {expression}\n"


FILES: dict[str, str | bytes] = {
    "pkg/__init__.py": "from pkg._fast import Fast, scaled\n",
    "pkg/helper.py": "from pkg import _fast\n\ndef g(x):\n    return _fast.scaled(x)\n",
    "pkg/aside.py": "def g(x):\n    return x\n",
}


@pytest.mark.parametrize("home", ["pkg._fast", "pkg", "_fast", "nowhere"])
@pytest.mark.parametrize("road", ROADS)
def test_a_rebuilt_module_changes_the_key(tmp_path, road, home):
    def parts(factor: int, name: str) -> dict[str, str]:
        files = {**FILES, "pkg/job.py": job(road), "pkg/_fast.so": compiled(factor, home=home)}
        return components(write(tmp_path / name, files))

    first = parts(2, "a")
    assert parts(2, "b") == first
    changed = parts(3, "a")
    assert {name for name, part in changed.items() if first.get(name) != part} == {
        "digest",
        "module pkg._fast",
    }


@pytest.mark.parametrize("where", ["site-packages", "vendored"])
def test_a_compiled_module_in_an_installed_package(tmp_path, where):
    files = {**FILES, "pkg/job.py": job("a helper")}
    keys = []
    for factor in (2, 2, 3):
        with_module = {**files, "pkg/_fast.so": compiled(factor)}
        keys.append(components(install(tmp_path / where, with_module, metadata={"direct_url.json": FOLDER})))
    assert keys[0] == keys[1] != keys[2]
    assert not any(name.startswith("distribution") for name in keys[0])
    script = write(tmp_path / "script", {"job.py": job("a function by its name")})
    for factor in (2, 3):
        with_module = {**files, "pkg/_fast.so": compiled(factor)}
        of_others = components(
            script, install(tmp_path / f"others{factor}/{where}", with_module), name="job.f"
        )
        assert of_others["digest"]
        assert "distribution own-pkg 1.0" in of_others


@pytest.mark.parametrize("name", ["job.f", "job.late"])
def test_a_compiled_module_beside_a_script(tmp_path, name):
    late = "def late(x):\n    import _fast\n    return _fast.scaled(x)\n"
    script = {"job.py": f"import _fast\n\ndef f(x):\n    return _fast.scaled(x)\n\n{late}"}
    modules = [compiled(factor, home="_fast") for factor in (2, 2, 3)]
    keys = [components(write(tmp_path, {**script, "_fast.so": module}), name=name) for module in modules]
    assert keys[0] == keys[1] != keys[2]


def test_a_compiled_module_that_is_not_reached_does_not_count(tmp_path):
    files = {**FILES, "pkg/job.py": "from pkg.aside import g\n\ndef f(x):\n    return g(x)\n"}
    first = components(write(tmp_path, {**files, "pkg/_fast.so": compiled(2)}))
    assert components(write(tmp_path, {"pkg/_fast.so": compiled(3)})) == first


def test_what_a_compiled_module_names_counts_with_it(tmp_path):
    def key(helper: str = "A = 1\n", inner: int = 2) -> str:
        files = {"pkg/__init__.py": "", "pkg/job.py": job("a function by its name"), "pkg/named.py": helper}
        files["pkg/_inner.so"] = compiled(inner, module="_inner", home="pkg._inner")
        files["pkg/_fast.so"] = compiled(2, says="pkg.named\\0pkg._inner\\0pkg.named.x")
        return components(write(tmp_path, files))["digest"]

    assert key() == key() != key(helper="A = 2\n")
    assert key() != key(inner=3)


def test_a_library_that_a_compiled_module_is_linked_with_counts_with_it(tmp_path):
    module = compiled(2, linked="libscale.so.1")
    write(tmp_path, {"pkg/__init__.py": "", "pkg/job.py": job("a helper"), **FILES, "pkg/_fast.so": module})
    library(2, tmp_path / "pkg/libscale.so.1")
    first = components(tmp_path)
    assert components(tmp_path) == first
    library(3, tmp_path / "pkg/libscale.so.1")
    assert components(tmp_path) != first


@pytest.mark.parametrize(
    "value", ["hidden", "scaled", "Fast", "held", "hidden.scale", "Fast.scale", "Fast.of"]
)
def test_an_argument_from_a_compiled_module_counts_with_it(tmp_path, value):
    keys = []
    for factor in (2, 2, 3):
        write(tmp_path, {**FILES, "pkg/_fast.so": compiled(factor, home="pkg")})
        keys.append(components(tmp_path, before="import pkg._fast as m", expression=f"[m.{value}]"))
    assert keys[0] == keys[1] != keys[2]


def test_a_module_that_was_replaced_while_it_is_loaded_has_no_key(tmp_path):
    write(tmp_path, {**FILES, "pkg/job.py": job("a helper"), "pkg/_fast.so": compiled(2), "new": compiled(3)})
    replaced = (
        f"import pkg.job, os; os.replace({str(tmp_path / 'new')!r}, {str(tmp_path / 'pkg/_fast.so')!r})"
    )
    reason = components(tmp_path, before=f"import sys; {replaced}")["reason"]
    assert (
        "the compiled module pkg._fast (its file was replaced after this process loaded it: start" in reason
    )
    assert "\n" not in reason


def test_a_value_set_on_a_compiled_module_counts(tmp_path):
    write(tmp_path, {**FILES, "pkg/job.py": job("a helper"), "pkg/_fast.so": compiled(2)})
    first = components(tmp_path)
    assert components(tmp_path, before="import pkg._fast; pkg._fast.LIMIT = 3") == first
    assert components(tmp_path, before="import pkg._fast; pkg._fast.LIMIT = 4") != first


def test_a_digest_is_kept_by_size_times_and_inode(tmp_path):
    path = tmp_path / "a.so"
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))
    first = file_digest(path)
    assert file_digest(path) == first
    edited(path, b"two")
    os.utime(path, ns=(1, 1))
    assert file_digest(path) != first
