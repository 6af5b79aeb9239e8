"""The key of a task's code: its components, and what does not count."""

from __future__ import annotations

import json
import logging
import threading

import numpy as np
import pandas as pd
import pytest
import structlog

from lightwork import pipeline, task
from lightwork.functions.origins import origin
from lightwork.keys import CodeKey, Component, Unkeyable, code_key, differences, encode


def names(key: CodeKey, kind: str | None = None) -> list[str]:
    return [c.name for c in key.components if kind in {None, c.kind}]


def make(n):
    def inner(x):
        return x + n

    return inner


def test_a_captured_value_counts():
    assert code_key(make(1)).digest == code_key(make(1)).digest != code_key(make(2)).digest
    assert code_key(make(1)).digest != code_key(make(1.0)).digest
    assert [n.rpartition(".")[2] for n in names(code_key(make(1)), "closure")] == ["n"]


def test_a_captured_frame_counts_by_its_content():
    assert code_key(make(pd.Series([1]))).digest == code_key(make(pd.Series([1]))).digest
    assert code_key(make(pd.Series([1]))).digest != code_key(make(pd.Series([2]))).digest


LIMIT = 1
LOG = logging.getLogger(__name__)
STRUCTURED = structlog.get_logger()
MISSING = object()
LOCK = threading.Lock()
TABLE = pd.DataFrame({"a": [1, 2]})


def reads_limit(x):
    return x + LIMIT


def test_globals_are_read_again_each_time(monkeypatch):
    before = code_key(reads_limit)
    monkeypatch.setitem(globals(), "LIMIT", 2)
    after = code_key(reads_limit)
    assert [d.rpartition(".")[2] for d in differences(before, after)] == ["LIMIT changed"]
    monkeypatch.undo()
    assert code_key(reads_limit).digest == before.digest


def test_a_global_frame_counts_by_its_content(monkeypatch):
    def f():
        return TABLE

    before = code_key(f).digest
    monkeypatch.setitem(globals(), "TABLE", pd.DataFrame({"a": [1, 2]}))
    assert code_key(f).digest == before
    monkeypatch.setitem(globals(), "TABLE", pd.DataFrame({"a": [1, 3]}))
    assert code_key(f).digest != before


def test_loggers_and_sentinels_do_not_count(monkeypatch):
    def f(x):
        LOG.info("x")
        STRUCTURED.info("x")
        return x is MISSING

    before = code_key(f)
    assert names(before, "global") == []
    monkeypatch.setitem(globals(), "LOG", logging.getLogger("another"))
    assert code_key(f).digest == before.digest


def test_a_global_without_a_stable_key_is_named_with_advice():
    def f(x):
        with LOCK:
            return x

    with pytest.raises(Unkeyable, match=r"f reads the global \S+\.LOCK: .*_thread.lock .*version=") as raised:
        code_key(f)
    assert "\n" not in raised.value.reason


def test_a_helper_that_reads_a_global_without_a_key_is_named():
    def f(x):
        return locked(x)

    with pytest.raises(Unkeyable, match=r"locked reads the global \S+\.LOCK"):
        code_key(f)


def locked(x):
    return LOCK, x


def test_a_version_replaces_the_code():
    def f(x):
        return LOCK, x

    one = code_key(f, version="1")
    assert one == code_key(task(version="1")(f)) == code_key(task(f), version="1")
    assert [c.kind for c in one.components] == ["version"]
    assert one.digest != code_key(f, version="2").digest != code_key(locked, version="2").digest
    assert [d[:7] for d in differences(one, code_key(f, version="2"))] == ["version"]


@task(version="1")
def versioned(x):
    return LOCK, x


def test_the_version_of_a_called_task_replaces_its_code(monkeypatch):
    def f(x):
        return versioned(x)

    before = code_key(f)
    assert [n.rpartition(".")[2] for n in names(before, "version")] == ["versioned"]
    monkeypatch.setitem(globals(), "versioned", task(version="2")(versioned.fn))
    assert code_key(f).digest != before.digest


def test_a_task_a_pipeline_and_the_function_have_one_key():
    def f(x):
        return x

    assert code_key(f) == code_key(task(f)) == code_key(task(retries=3)(f)) == code_key(pipeline(f))


def test_a_third_party_module_counts_by_its_distribution_and_version():
    def f(x):
        import yaml  # never imported here
        from pandas import DataFrame

        return np.sum(x), DataFrame, yaml, json.dumps(x)

    key = code_key(f)
    assert f"distribution numpy {np.__version__}" in {f"{c.kind} {c.name}" for c in key.components}
    assert f"pandas {pd.__version__}" in names(key, "distribution")
    assert any(name.startswith("PyYAML ") for name in names(key, "distribution"))
    assert names(key, "global") == names(key, "module") == []


def test_lightwork_counts_as_a_distribution():
    def f(x):
        return encode(x)

    assert [n.partition(" ")[0] for n in names(code_key(f), "distribution")] == ["lightwork"]
    assert origin.kind_of_name("lightwork.keys.values.canonical") == "distribution"


def test_another_version_of_a_distribution_is_a_difference(monkeypatch):
    def f(x):
        return np.sum(x)

    before = code_key(f)
    newer = origin.Distribution("numpy", "99.0", "99.0")
    monkeypatch.setattr("lightwork.keys.reached.walk.distribution_of", lambda name: newer)
    assert differences(before, code_key(f)) == [f"distribution numpy {np.__version__} -> 99.0"]


def test_the_standard_library_does_not_count():
    def f(x):
        return json.dumps(x), threading.Thread, len(x)

    assert [c.kind for c in code_key(f).components] == ["function"]


def test_an_installed_module_without_a_distribution_counts_by_its_content(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    (site / "loose_module.py").write_text("X = 1\n")
    import importlib

    importlib.import_module("loose_module")
    first = origin.distribution_of("loose_module")
    (site / "loose_module.py").write_text("X = 2\n")
    origin._distribution.cache_clear()
    assert (first.name, first.version) == ("loose_module", "without a version")
    assert origin.distribution_of("loose_module").identity != first.identity


def test_a_name_that_does_not_exist_yet_is_a_component():
    def f(x):
        return not_yet(x)  # noqa: F821

    before = code_key(f)
    assert [n.rpartition(".")[2] for n in names(before, "global")] == ["not_yet"]
    globals()["not_yet"] = 1
    try:
        assert code_key(f).digest != before.digest
    finally:
        del globals()["not_yet"]


def test_two_lambdas_in_one_line_count_by_their_bodies():
    one, other = (lambda x: x + 1), (lambda x: x + 2)
    same = lambda x: x + 1  # noqa: E731
    keys = [code_key(f).digest for f in (one, other)]
    assert len(set(keys)) == 2
    assert code_key(one).digest == keys[0]
    assert code_key(same).digest


def executed(source: str, **globals_: object):
    namespace: dict[str, object] = {"__name__": "nowhere", **globals_}
    exec(source, namespace)
    return namespace["f"]


def test_functions_without_source_count_by_their_bytecode():
    one = code_key(executed("def f(x):\n    'doc'\n    return x + 1"))
    assert one.digest == code_key(executed("\n\ndef f(x):\n    'words'\n\n    return x + 1  # why")).digest
    assert one.digest == code_key(executed("def f(x):\n    return x + 1")).digest
    assert one.digest != code_key(executed("def f(x):\n    return x + 2")).digest
    assert one.digest != code_key(executed("def f(x):\n    return x + 1.0")).digest
    assert one.digest != code_key(executed("def f(x):\n    return x - 1")).digest
    nested = "def f(x):\n    return [i + {} for i in x]"
    assert code_key(executed(nested.format(1))).digest != code_key(executed(nested.format(2))).digest
    reading = "def f(x):\n    return x + N"
    assert code_key(executed(reading, N=1)).digest != code_key(executed(reading, N=2)).digest
    fixed = "def f(x):\n    return x in {'a', 'b', 'c'}"
    assert code_key(executed(fixed)).digest == code_key(executed(fixed)).digest


def test_a_class_without_source_counts_by_its_attributes():
    source = "class C:\n    n = {}\n    def __call__(self):\n        return 1{}\ndef f(x):\n    return C()()"
    base = code_key(executed(source.format([1], "")))
    assert base.digest == code_key(executed(source.format([1], ""))).digest
    assert base.digest != code_key(executed(source.format([2], ""))).digest
    assert base.digest != code_key(executed(source.format([1], " + 1"))).digest


def test_a_key_survives_json():
    key = code_key(reads_limit)
    assert CodeKey.from_json(json.loads(json.dumps(key.to_json()))) == key
    assert len(key.digest) == 32
    assert list(key.components) == sorted(key.components)


def test_no_component_contains_a_value():
    secret = "hunter2-hunter2"
    assert secret not in json.dumps(code_key(make(secret)).to_json())


def test_differences_name_added_and_removed_components():
    old = CodeKey("0", (Component("function", "a", "1"), Component("distribution", "numpy 1.0", "1")))
    new = CodeKey("1", (Component("function", "b", "1"), Component("global", "a.X", "1")))
    assert differences(old, new) == [
        "distribution numpy 1.0 removed",
        "function a removed",
        "function b added",
        "global a.X added",
    ]
    assert differences(old, old) == []


JOB = {
    "pkg/job.py": (
        "import pathlib\nimport numpy as np\nfrom lightwork import task\nfrom pkg.lib import Thing, NAMES\n"
        "HERE = {'a', 'b', 'c'}\n@task\ndef f(x):\n"
        "    return Thing(x).m(np.sum(x)), HERE, NAMES, __file__, x in {'a', 'b'}\n"
    ),
    "pkg/lib.py": (
        "import enum\nclass Hue(enum.Enum):\n    RED = 1\nNAMES = {Hue.RED: {'x', 'y'}}\n"
        "class Thing:\n    def __init__(self, x):\n        self.x = x\n    def m(self, y):\n"
        "        return helper\n"
        "def helper(a, b={'p', 'q'}):\n    return Thing\n"
    ),
}


def test_a_key_is_the_same_in_every_process_and_folder(load, tmp_path, key_elsewhere):
    here = code_key(load(JOB))
    load(JOB)
    assert here == key_elsewhere(tmp_path / "v0", seed="1") == key_elsewhere(tmp_path / "v1", seed="2")


def test_the_next_process_notices_an_edit_two_modules_away(load, tmp_path, key_elsewhere):
    load(JOB)
    before = key_elsewhere(tmp_path / "v0")
    lib = tmp_path / "v0/pkg/lib.py"
    lib.write_text(JOB["pkg/lib.py"].replace("return helper", "return helper, y"))
    assert differences(before, key_elsewhere(tmp_path / "v0")) == ["class pkg.lib.Thing changed"]


def test_the_class_of_an_argument_counts_with_its_code(load):
    lib = (
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    x: int = 1\n"
        "    def m(self):\n        return self.x + 1\n"
    )
    one = encode(load({"pkg/lib.py": lib}, "pkg.lib.C")())
    assert one == encode(load({"pkg/lib.py": "# moved\n\n" + lib}, "pkg.lib.C")())
    assert one != encode(load({"pkg/lib.py": lib.replace("+ 1", "+ 2")}, "pkg.lib.C")())
    assert one != encode(load({"pkg/lib.py": lib.replace("x: int = 1", "x: int = 2")}, "pkg.lib.C")(1))


def test_a_class_is_analysed_once_for_a_list_of_its_instances(load, monkeypatch):
    from lightwork.keys import code

    kind = load({"pkg/lib.py": "class C:\n    pass\n"}, "pkg.lib.C")
    calls = []
    analyse = code.analyse
    monkeypatch.setattr(code, "analyse", lambda item, **kw: calls.append(item) or analyse(item, **kw))
    encode([kind() for _ in range(50)])
    assert calls == [kind]


PLACES = """
from pathlib import Path
HERE = Path(__file__).parent
DATA = HERE / "data.txt"
ROOT = HERE.parent
def f(x):
    return HERE, DATA.read_text(), [ROOT]
"""


def test_a_path_into_the_own_repository_counts_by_relative_path_and_content(load, tmp_path):
    def key(content: str) -> str:
        return code_key(load({"pkg/job.py": PLACES, "pkg/data.txt": content})).digest

    assert key("one") == key("one") != key("two")


def test_the_folder_of_the_code_does_not_count_by_content(load):
    files = {"pkg/job.py": PLACES, "pkg/data.txt": "x"}
    assert code_key(load(files)) == code_key(load({**files, "pkg/other.py": "X = 1\n"}))


def test_a_path_elsewhere_counts_by_its_text(load):
    job = "from pathlib import Path\nP = Path('/nowhere/a')\ndef f(x):\n    return P\n"
    assert code_key(load({"pkg/job.py": job})) == code_key(load({"pkg/job.py": job}))
    other = load({"pkg/job.py": job.replace("/a", "/b")})
    assert code_key(load({"pkg/job.py": job})) != code_key(other)


def test_code_that_a_library_adds_to_a_class_does_not_count(load):
    head = "import attrs, pydantic\n@attrs.define\nclass A:\n    x: int\n"
    job = head + "class B(pydantic.BaseModel):\n    x: int\n"
    key = code_key(load({"pkg/job.py": job + "def f(x):\n    return A(x), B(x=x)\n"}))
    assert {c.kind for c in key.components} == {"function", "class", "distribution"}


def test_a_script_and_a_module_of_the_same_name_have_one_key(tmp_path, run):
    (tmp_path / "script.py").write_text(
        "from lightwork.keys import code_key\n"
        "class C:\n    pass\ndef f(x):\n    return C\n"
        "if __name__ == '__main__':\n    print(code_key(f).digest)\n"
    )
    imported = run(
        "import script; from lightwork.keys import code_key; print(code_key(script.f).digest)", tmp_path
    )
    as_module = run("import runpy; runpy.run_module('script', run_name='__main__', alter_sys=True)", tmp_path)
    assert imported == as_module


def test_code_that_a_dataclass_generates_does_not_count(load):
    job = "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n    y: object = None\n"
    key = code_key(load({"pkg/job.py": job + "def f(x):\n    return A(x)\n"}))
    assert [c.kind for c in key.components] == ["class", "function"]


def test_a_notebook_cell_counts_by_its_source():
    import linecache

    def f_of(text: str, name: str) -> object:
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        namespace: dict[str, object] = {"__name__": "a_notebook"}
        exec(compile(text, name, "exec"), namespace)
        return namespace["f"]

    cell = "class C:\n    def m(self, x):\n        return x + 1\ndef f(x):\n    return C().m((x))\n"
    one = code_key(f_of(cell, "<cell 1>"))
    assert one == code_key(f_of("# words\n\n" + cell.replace("((x))", "(x)"), "<cell 2>"))
    assert one != code_key(f_of(cell.replace("x + 1", "x + 2"), "<cell 3>"))


def test_pickling_an_instance_does_not_change_the_key_of_its_class():
    class Holder:
        def __init__(self) -> None:
            self.value = 1

    def make() -> object:
        return Holder()

    before = code_key(make)
    Holder().__reduce_ex__(5)  # notes `__slotnames__` in the class
    assert "__slotnames__" in vars(Holder)
    assert code_key(make) == before
