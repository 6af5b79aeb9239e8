"""Which packages are sent by value to the workers of a remote scheduler, and what is sent by name still."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from lightwork.functions import pickling
from tests.unit.lightwork.keys.extension import NEEDED, compiled
from tests.unit.lightwork.keys.installed import FOLDER, install, write

OWN = {"direct_url.json": FOLDER}


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Import modules from a folder; return which of one's own are sent, without those of the tests."""

    def load(*names: str) -> set[str]:
        monkeypatch.syspath_prepend(str(tmp_path))
        before = set(sys.modules)
        for name in names:
            importlib.import_module(name)
        return pickling.own_packages() & (set(sys.modules) - before)

    before = set(sys.modules)
    yield load
    for name in set(sys.modules) - before:
        del sys.modules[name]


def run(script: str, *path: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    completed = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


def test_own_packages_are_sent_and_others_are_not(tmp_path, loaded):
    install(tmp_path, {"sent_own/__init__.py": "", "sent_own/a.py": ""}, name="sent-own", metadata=OWN)
    install(tmp_path, {"sent_other/__init__.py": "", "sent_other/a.py": ""}, name="sent-other")
    write(tmp_path, {"sent_beside.py": ""})
    assert loaded("sent_own.a", "sent_other.a", "sent_beside") == {"sent_own", "sent_beside"}


@pytest.mark.parametrize(("metadata", "sent"), [({}, {"acme.own"}), (OWN, {"acme"})])
def test_of_a_namespace_package_ones_own_parts_are_sent(tmp_path, loaded, metadata, sent):
    install(tmp_path, {"acme/own/__init__.py": "", "acme/own/a.py": ""}, metadata=OWN)
    install(tmp_path, {"acme/lib/__init__.py": "", "acme/lib/a.py": ""}, name="acme-lib", metadata=metadata)
    assert loaded("acme.own.a", "acme.lib.a") == sent
    pickling.hold(sent)
    try:
        assert pickling.is_held("acme.own.a")
        assert pickling.is_held("acme.lib.a") == (sent == {"acme"})
    finally:
        pickling.release(sent)
    assert not pickling.is_held("acme.own.a")


def test_libraries_of_a_folder_on_the_path_are_not_sent(tmp_path):
    for name in ("dask", "distributed", "cloudpickle"):
        installed = distribution(name)
        info = Path(str(installed.locate_file(f"{name}-{installed.version}.dist-info")))
        for source in (info, info.with_name(name)):
            (tmp_path / source.name).symlink_to(source)
    script = (
        "import dask, distributed, cloudpickle; from lightwork.functions import pickling\n"
        "print(dask.__file__, *pickling.own_packages())"
    )
    file, *sent = run(script, tmp_path).split()
    assert file.startswith(str(tmp_path))
    assert sent == []


@NEEDED
def test_a_package_that_is_sent_keeps_its_compiled_modules_by_name(tmp_path):
    job = (
        "from pkg import _fast\nfrom pkg._fast import Fast, scaled\n\nclass Own(Fast):\n    pass\n\n"
        "def f(x):\n    return scaled(x), _fast.scaled(x), Own().scale(x), Fast().scale(x), {}\n"
    )
    for folder, extra in (("driver", "'driver'"), ("worker", "'worker'")):
        files = {"pkg/__init__.py": "", "pkg/job.py": job.format(extra), "pkg/_fast.so": compiled(home="pkg")}
        install(tmp_path / folder / "site-packages", files, metadata=OWN)
    parcel = tmp_path / "parcel"
    send = (
        "import pathlib, pkg.job; from lightwork.functions import pickling as p\n"
        "assert p.own_packages() == {'pkg'}; p.hold(p.own_packages())\n"
        f"pathlib.Path({str(parcel)!r}).write_bytes(p.dump((pkg.job.f, pkg._fast, pkg._fast.hidden)))"
    )
    run(send, tmp_path / "driver/site-packages")
    receive = (
        "import pathlib; from lightwork.functions import pickling as p\n"
        f"f, module, hidden = p.load(pathlib.Path({str(parcel)!r}).read_bytes())\n"
        "import pkg._fast; assert module is pkg._fast and type(hidden) is type(module.hidden); print(f(3))"
    )
    assert run(receive, tmp_path / "worker/site-packages") == "(6, 6, 6, 6, 'driver')"
