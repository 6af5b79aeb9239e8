"""Data files of one's own packages: each road by which code finds them leads them into the key."""

from __future__ import annotations

import os

import pytest

from lightwork.keys import Unkeyable
from lightwork.keys.values import packages
from tests.unit.lightwork.keys.installed import FOLDER, components, install, write

HEAD = """
import functools, importlib, importlib.resources, importlib.util, inspect, os, os.path, pkgutil, sys
import importlib.resources as res
from importlib import resources
from importlib.resources import files, open_text, read_text
from pathlib import Path
from pkgutil import get_data
import pkg
from pkg import places
from pkg.places import HERE, TEXT
"""
PLACES = """
import os
from pathlib import Path
HERE = Path(__file__).parent
TEXT = os.path.dirname(os.path.abspath(__file__))
NESTED = {"data": [TEXT]}
URL = f"file://{TEXT}/data/x.json"

class Reader:
    def __init__(self, folder):
        self.folder = folder

    def read(self, name):
        return open(os.path.join(self.folder, name)).read()

BY_PATH = Reader(HERE)
BY_TEXT = Reader(TEXT)

def helper(name):
    return open(os.path.join(os.path.dirname(__file__), name)).read()

def default(name, folder=HERE):
    return (folder / name).read_text()
"""
WAYS = {
    "the module's file": "Path(__file__).with_name('x.json').read_text()",
    "the folder of its file": "open(os.path.join(os.path.dirname(__file__), 'data', 'x.json')).read()",
    "a computed name": "open(os.path.join(os.path.dirname(__file__), x)).read()",
    "the package's path": "open(os.path.join(pkg.__path__[0], 'x.json')).read()",
    "the package's file": "(Path(pkg.__file__).parent / 'x.json').read_text()",
    "the spec": "Path(__spec__.origin).with_name('x.json').read_text()",
    "a spec that is found": "Path(importlib.util.find_spec('pkg').origin).with_name('x.json').read_text()",
    "the loader": "__loader__.get_data(__file__)",
    "the file of the code": "Path(inspect.currentframe().f_code.co_filename).parent.joinpath(x).read_text()",
    "the file that inspect tells": "Path(inspect.getfile(places)).with_name('x.json').read_text()",
    "the module by its name": "Path(sys.modules[__name__].__file__).with_name('x.json').read_text()",
    "an attribute by a text": "Path(getattr(pkg, '__file__')).with_name('x.json').read_text()",
    "files of a text": "files('pkg').joinpath('x.json').read_text()",
    "files of the package": "files(__package__).joinpath('x.json').read_text()",
    "files of a module": "files(pkg).joinpath('x.json').read_text()",
    "files by the module": "importlib.resources.files('pkg').joinpath('x.json').read_text()",
    "files by another name": "res.files('pkg').joinpath(x).read_text()",
    "files by an attribute": "resources.files('pkg').joinpath('data/x.json').read_text()",
    "files without a package": "files(__name__.rpartition('.')[0]).joinpath('x.json').read_text()",
    "an imported function": "read_text('pkg', 'x.json') + open_text('pkg', 'x.json').read()",
    "a function of resources": "resources.open_text('pkg', 'x.json').read()",
    "get_data": "pkgutil.get_data(__name__, 'x.json')",
    "get_data by its name": "get_data('pkg', 'data/x.json')",
    "a partial": "PART('x.json')",
    "a table of functions": "TABLE['get']('pkg', 'x.json')",
    "a constant path of a folder": "(HERE / 'x.json').read_text()",
    "a constant text of a folder": "open(os.path.join(TEXT, 'x.json')).read()",
    "a constant of another module": "open(os.path.join(places.TEXT, x)).read()",
    "a nested constant": "open(os.path.join(places.NESTED['data'][0], x)).read()",
    "a URL": "places.URL[7:]",
    "an instance with a path": "places.BY_PATH.read('x.json')",
    "an instance with a text": "places.BY_TEXT.read(x)",
    "a helper": "places.helper('x.json')",
    "a default": "places.default('data/x.json')",
    "a constant file": "FILE.read_text()",
    "a constant file as a text": "open(FILE_TEXT).read()",
    "constant resources": "RESOURCES.joinpath('x.json').read_text()",
    "a method": "Own().read()",
    "a class method": "Own.of_class()",
    "a property": "Own().text",
    "a class attribute": "open(os.path.join(Own.ROOT, 'x.json')).read()",
    "a class attribute by self": "Own().by_self()",
    "a captured value": "captured(x)",
    "an inner function": "(lambda: Path(__file__).with_name('x.json').read_text())()",
    "a cached function": "cached()",
    "a decorated function": "decorated()",
}
TAIL = """
PART = functools.partial(pkgutil.get_data, 'pkg')
TABLE = {'get': pkgutil.get_data}
FILE = Path(__file__).parent / 'x.json'
FILE_TEXT = os.path.join(os.path.dirname(__file__), 'x.json')
RESOURCES = files('pkg')

class Own:
    ROOT = os.path.dirname(__file__)

    def read(self):
        return Path(__file__).with_name('x.json').read_text()

    @classmethod
    def of_class(cls):
        return open(os.path.join(os.path.dirname(__file__), 'x.json')).read()

    @property
    def text(self):
        return files(__package__).joinpath('x.json').read_text()

    def by_self(self):
        return open(os.path.join(self.ROOT, 'x.json')).read()

def make(folder):
    def captured(name):
        return open(os.path.join(folder, name)).read()
    return captured

captured = make(os.path.dirname(__file__))

@functools.cache
def cached():
    return Path(__file__).with_name('x.json').read_text()

def through(fn):
    @functools.wraps(fn)
    def wrapper():
        return fn()
    return wrapper

@through
def decorated():
    return Path(__file__).with_name('x.json').read_text()
"""


def package(way: str = "a helper") -> dict[str, str]:
    return {
        "pkg/__init__.py": "",
        "pkg/places.py": PLACES,
        "pkg/job.py": f"{HEAD}\n\ndef f(x):\n    return {WAYS[way]}\n{TAIL}\n\ndef plain(x):\n    return x\n",
        "pkg/x.json": "1",
        "pkg/data/x.json": "1",
        "pkg/data/deep/er.csv": "1",
        "other/__init__.py": "",
        "other/x.json": "1",
        "README.md": "",
    }


@pytest.mark.parametrize("where", ["src", "site-packages"])
@pytest.mark.parametrize("way", WAYS)
def test_an_edited_data_file_changes_the_key(tmp_path, way, where):
    def put(folder, files):
        if where == "src":
            return write(folder / where, files)
        return install(folder / where, files, metadata={"direct_url.json": FOLDER})

    folder = put(tmp_path, package(way))
    first = components(folder)
    # Another folder, comments, and data of another package change nothing.
    moved = package(way) | {"pkg/places.py": f"# comment\n{PLACES}", "other/x.json": "2"}
    assert components(put(tmp_path / "else/where", moved), cwd=tmp_path) == first
    folder = put(tmp_path, package(way))
    data = ["pkg/x.json", "pkg/data/x.json", "pkg/data/deep/er.csv"]
    for name in data[:1] if "constant file" in way else data:
        write(folder, {name: "2"})
        second = components(folder)
        assert second["digest"] != first["digest"], name
        first = second


def test_what_finds_no_data_does_not_count_it(tmp_path):
    folder = write(tmp_path, package())
    first = components(folder, name="pkg.job.plain")
    assert components(write(folder, {"pkg/x.json": "2"}), name="pkg.job.plain") == first


@pytest.mark.parametrize(
    "name", ["new.json", "data/new.csv", "empty", "libfast.so", "tool.c", "data/.hidden"]
)
def test_a_new_or_deleted_data_file_changes_the_key(tmp_path, name):
    folder = write(tmp_path, package())
    first = components(folder)
    assert components(write(folder, {f"pkg/{name}": ""})) != first
    (folder / "pkg" / name).unlink()
    assert components(folder) == first


@pytest.mark.parametrize(
    "name",
    ["more.py", "more.pyi", "__pycache__/x.pyc", ".git/HEAD", ".venv/x", ".lightwork/lake/a", "_x.abi3.so"],
)
def test_code_and_what_tools_keep_are_not_data(tmp_path, name):
    folder = write(tmp_path, package())
    first = components(folder)
    assert components(write(folder, {f"pkg/{name}": "x"})) == first


def test_data_through_a_link_to_a_folder_counts(tmp_path):
    folder = write(tmp_path / "src", package())
    write(tmp_path / "elsewhere", {"a.csv": "1"})
    (folder / "pkg/linked").symlink_to(tmp_path / "elsewhere")
    (folder / "pkg/round").symlink_to(folder / "pkg")
    first = components(folder)
    assert components(folder) == first
    write(tmp_path / "elsewhere", {"a.csv": "2"})
    assert components(folder) != first


SCRIPT = """
import os
from pathlib import Path
HERE = Path(__file__).parent
TEXT = os.path.dirname(os.path.abspath(__file__))
NAME = "sub"

def f(x):
    return {way}
"""
SCRIPT_WAYS = {
    "a file beside it": "Path(__file__).with_name('zones.json').read_text()",
    "a computed name": "(Path(__file__).parent / f'zones{x}.json').read_text()",
    "a constant folder": "(HERE / 'zones.json').read_text()",
    "a constant text": "open(TEXT + '/zones.json').read()",
}
BELOW = {
    "a folder below it": "open(os.path.join(os.path.dirname(__file__), 'sub', x)).read()",
    "a longer path": "(HERE / 'sub/zones.json').read_text()",
    "a part of a text": "open(f'{TEXT}/sub/{x}.json').read()",
    "a constant name": "(HERE / NAME / x).read_text()",
    "a folder above it": "(HERE / '..' / 'sub' / x).read_text()",
}


@pytest.mark.parametrize("way", {**SCRIPT_WAYS, **BELOW})
def test_data_of_a_script_is_beside_it_or_named_in_it(tmp_path, way):
    above = way == "a folder above it"
    folder = tmp_path / ("project/jobs" if above else "project")
    write(folder, {"job.py": SCRIPT.format(way={**SCRIPT_WAYS, **BELOW}[way]), "zones.json": "1"})
    write(tmp_path / "project", {"pyproject.toml": "", "sub/zones.json": "1", "aside/zones.json": "1"})
    first = components(folder, name="job.f")
    assert "digest" in first
    write(tmp_path / "project", {"aside/zones.json": "2"})
    assert components(folder, name="job.f") == first
    write(
        *(
            (folder, {"zones.json": "2"})
            if way in SCRIPT_WAYS
            else (tmp_path / "project", {"sub/zones.json": "2"})
        )
    )
    assert components(folder, name="job.f") != first


def test_data_around_a_package_counts_if_the_code_names_it(tmp_path):
    head = "from pathlib import Path\nROOT = Path(__file__).parents[2]\n"
    job = f"{head}\n\ndef f(x):\n    return (ROOT / 'data' / x).open()\n"
    files = {"src/pkg/__init__.py": "", "src/pkg/job.py": job, "data/a.csv": "1", "docs/a.csv": "1"}
    first = components(write(tmp_path, files) / "src")
    assert components(write(tmp_path, {"docs/a.csv": "2"}) / "src") == first
    assert components(write(tmp_path, {"data/a.csv": "2"}) / "src") != first


def test_too_many_data_files_are_said(tmp_path, monkeypatch):
    write(tmp_path, {"a": "1", "b": "1", "c/d": "1"})
    packages.files_token(tmp_path, "of x")
    for limit in ("MOST_FILES", "MOST_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(packages, limit, 2)
            with pytest.raises(Unkeyable, match=r"data of x .*version=\)") as raised:
                packages.files_token(tmp_path, "of x")
        assert "\n" not in raised.value.reason


def test_a_large_data_file_counts_by_its_size_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "LARGE", 2)
    write(tmp_path, {"a": "123"})
    os.utime(tmp_path / "a", ns=(1, 1))
    first = packages.files_token(tmp_path, "of x")
    write(tmp_path, {"a": "124"})
    os.utime(tmp_path / "a", ns=(1, 1))
    assert packages.files_token(tmp_path, "of x") == first
    os.utime(tmp_path / "a", ns=(1, 2))
    assert packages.files_token(tmp_path, "of x") != first


def test_a_long_text_of_a_task_is_not_looked_up_as_a_path(tmp_path):
    texts = ["/" * 9, "/", "/api/v1", "/" + "x" * 9000, "/\0", "//host/share", str(tmp_path)]
    job = f"TEXTS = {texts!r}\n\ndef f(x):\n    return TEXTS, __file__\n"
    first = components(write(tmp_path, {"pkg/__init__.py": "", "pkg/job.py": job}))
    assert "digest" in first
