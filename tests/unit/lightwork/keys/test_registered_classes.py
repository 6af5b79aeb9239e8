"""Classes that are registered with an abstract class count where code asks for it."""

from __future__ import annotations

import itertools

import pytest

from tests.unit.lightwork.keys.conftest import write

NUMBERS = itertools.count(1)

FILES = {
    "pkg/base.py": "import abc\n\nclass Sensor(abc.ABC):\n    pass\n",
    "pkg/kinds.py": "class Wind:\n    pass\n\nclass Rain:\n    pass\n",
}
ABSTRACT = {
    "one's own": ("from pkg.base import Sensor", "Sensor"),
    "a library's": ("from collections.abc import Sized", "Sized"),
    "a library's, as a chain": ("import collections.abc", "collections.abc.Sized"),
    "a number's": ("import numbers", "numbers.Number"),
    "one's own, of a library's": (
        "import collections.abc\nclass Own(collections.abc.Sized):\n    pass",
        "Own",
    ),
}
READS = {
    "isinstance": "isinstance(Wind(), {abstract})",
    "issubclass": "issubclass(Wind, {abstract})",
    "a match": (
        "h(Wind())\ndef h(w):\n    match w:\n        case {abstract}():\n            return 1\n    return 2"
    ),
    "a single dispatch": (
        "h(Wind())\nimport functools\n@functools.singledispatch\ndef h(w):\n    return 0\n"
        "@h.register({abstract})\ndef _(w):\n    return 1"
    ),
}


def program(abstract: str, read: str, registered: str, number: int = 0) -> dict[str, str]:
    """Classes have numbers: a library's class keeps what other tests registered in this process."""
    head, name = ABSTRACT[abstract]
    job = (
        f"{head}\nfrom pkg.kinds import Rain, Wind\n{name}.register({registered})\n"
        f"def f(x):\n    return {READS[read].format(abstract=name)}\n"
    )
    files = {**FILES, "pkg/job.py": job}
    return {
        path: text.replace("Wind", f"Wind{number}").replace("Rain", f"Rain{number}")
        for path, text in files.items()
    }


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("abstract", ABSTRACT)
def test_another_class_that_is_registered_changes_the_key(key_of, abstract, read):
    number = next(NUMBERS)
    before = key_of(program(abstract, read, "Wind", number))
    after = key_of(program(abstract, read, "Rain", number))
    assert any(component.name.endswith(".register()") for component in before.components)
    assert before.digest != after.digest


@pytest.mark.slow
@pytest.mark.parametrize("abstract", ABSTRACT)
def test_registrations_count_alike_in_another_process(key_elsewhere, tmp_path, abstract):
    folder = write(tmp_path, program(abstract, "isinstance", "Wind"))
    assert key_elsewhere(folder, "1").digest == key_elsewhere(folder, "2").digest


def test_classes_registered_with_an_abstract_class_that_is_not_read_do_not_count(key_of):
    files = {**FILES, "pkg/job.py": "import pkg.base\nimport pkg.kinds\ndef f(x):\n    return x\n"}
    registering = "import pkg.base\nimport pkg.kinds\npkg.base.Sensor.register(pkg.kinds.Wind)\n"
    edited = {
        **files,
        "pkg/job.py": files["pkg/job.py"].replace("import pkg.base\nimport pkg.kinds\n", registering),
    }
    assert key_of(files).digest == key_of(edited).digest


def test_asking_an_abstract_class_leaves_the_key_as_it_is(load):
    from lightwork.keys import code_key

    fn = load(program("one's own", "isinstance", "Wind"))
    before = code_key(fn)
    fn(1)
    assert isinstance(1, fn.__globals__["Sensor"]) is False
    assert before.digest == code_key(fn).digest
