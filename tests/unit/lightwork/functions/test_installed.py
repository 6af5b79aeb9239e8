"""Which installed distribution owns a file: an index by what can be imported answers as the records do."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightwork.functions.origins import installed
from lightwork.functions.origins.installed import Owner, owner_of
from tests.unit.lightwork.keys.installed import EDITABLE, FOLDER, install, write

OWN = {"direct_url.json": FOLDER}
FOLDERS: dict[str, list[tuple[str, Mapping[str, str], Mapping[str, str]]]] = {
    "one of another name": [("A.Scaler", {"scaling/__init__.py": "", "_scaling.py": ""}, {})],
    "a namespace": [
        ("acme", {"acme/core.py": ""}, OWN),
        ("acme-lib", {"acme/lib/__init__.py": "", "acme/lib/tool.py": ""}, {}),
        ("other", {"acme/lib/more/tool.py": "", "acme/unlisted/x.py": ""}, {}),
    ],
    "the same file twice": [("b", {"pkg/x.py": ""}, {}), ("a", {"pkg/x.py": ""}, {})],
    "the same file twice, once one's own": [("a", {"pkg/x.py": ""}, {}), ("b", {"pkg/x.py": ""}, OWN)],
    "an editable one": [("edited", {"_editable_impl_edited.pth": "/home/me"}, {"direct_url.json": EDITABLE})],
    "a folder of libraries": [("num", {"num/core.py": "", "num.libs/libx.so": ""}, {})],
    "compiled": [("fast", {"fast.cpython-311-x86_64-linux-gnu.so": "", "fast_more.abi3.so": ""}, {})],
    "names that begin alike": [("yaml", {"yaml/x.py": ""}, {}), ("PyYAML", {"yaml_more/x.py": ""}, {})],
    "scripts": [("tool", {"tool.py": "", "../bin/tool": "", "../etc/tool/x.conf": ""}, {})],
}


def scanned(folder: Path, file: str) -> Owner | None:
    """Find the owner of a file without an index: each record is searched."""
    top = file.partition("/")[0].partition(".")[0]
    holding = [info for info in installed._Folder(folder).infos if _holds(info, top)]
    exact = [info for info in holding if file in info.files]
    likely = [i for i in exact if i.own or installed._plain(i.stem) == installed._plain(top)]
    found = sorted(likely, key=lambda info: not info.own) or exact or installed._nearest(holding, file)
    return installed._joined(found) if found else None


def _holds(info: installed._Info, top: str) -> bool:
    if info.egg:
        return top in (info.read("top_level.txt").split() or [info.stem])
    record = f"\n{info.read('RECORD')}".replace("\r\n", "\n")
    return any(f"\n{quote}{top}{after}" in record for quote in ("", '"') for after in "/.\\")


def agree(folder: Path) -> dict[str, Owner | None]:
    """Return the owner of each file in a folder and of names that begin like it; both ways agree."""
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    asked = {
        *files,
        *(f"{name}x" for name in files),
        *(name.rpartition("/")[0] + "/new.py" for name in files),
    }
    owners = {file: owner_of(folder / file, folder) for file in asked if not file.startswith("/")}
    assert owners == {file: scanned(folder, file) for file in owners}
    return owners


@pytest.mark.parametrize("where", ["site-packages", "target"])
@pytest.mark.parametrize("kind", FOLDERS)
def test_the_index_answers_as_the_records(tmp_path, kind, where):
    folder = tmp_path / where
    for name, files, metadata in FOLDERS[kind]:
        install(folder, files, name=name, metadata=metadata)
    assert any(agree(folder).values())


RECORDS = (
    None,
    "",
    "\n",
    "pkg/x.py,,\r\nmod.py,,\r\n",
    "pkg\\x.py,,\nmod.py,,",
    '"pkg/x.py",,\n"mod.py",,\n"pkg/a,b.py",,\n',
)


@pytest.mark.parametrize("record", RECORDS)
def test_records_that_are_missing_empty_quoted_or_written_on_windows(tmp_path, record):
    folder = install(tmp_path / "site-packages", {"pkg/x.py": "", "mod.py": ""})
    path = folder / "own_pkg-1.0.dist-info/RECORD"
    if record is None:
        path.unlink()
    else:
        path.write_bytes(record.encode())
    names = {file for file, owner in agree(folder).items() if owner and "dist-info" not in file}
    assert ({"pkg/x.py", "mod.py"} <= names) == bool(record and record.strip())


@pytest.mark.parametrize("where", ["site-packages", "target"])
def test_older_metadata_names_its_modules(tmp_path, where):
    old = "Name: old-one\nVersion: 2\n\n"
    folder = write(
        tmp_path / where,
        {
            "old_one-2-py3.11.egg-info/PKG-INFO": old,
            "old_one-2-py3.11.egg-info/top_level.txt": "old\n_old\n",
            "single-1.egg-info": "Name: single\nVersion: 1\n\n",
            "old/x.py": "",
            "_old.py": "",
            "single.py": "",
        },
    )
    owners = agree(folder)
    named = [getattr(owners[file], "name", None) for file in ("old/x.py", "_old.py", "single.py")]
    assert named == (["old-one", "old-one", "single"] if where == "site-packages" else [None] * 3)


def test_a_zip_on_the_path_has_no_owner(tmp_path):
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("pkg/x.py", "")
    assert owner_of(tmp_path / "lib.zip/pkg/x.py", tmp_path / "lib.zip") is None


def test_each_record_is_read_a_few_times_however_many_modules_are_asked_for(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    for number in range(5):
        install(folder, {f"m{number}{letter}.py": "" for letter in "abcdef"}, name=f"dist{number}")
    records = []
    read = installed._Info.read
    monkeypatch.setattr(
        installed._Info, "read", lambda info, name: (records.append((info, name)), read(info, name))[1]
    )
    asked = [f"m{number}{letter}.py" for number, letter in itertools.product(range(5), "abcdef")]
    assert all(owner_of(folder / file, folder) for file in asked)
    assert len([name for _, name in records if name == "RECORD"]) <= 2 * 5


NAMES = st.sampled_from(["a", "b", "ab", "a.libs", "a-b", "_a", "A"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join).map("{}.py".format)
DISTRIBUTIONS = st.tuples(NAMES, st.lists(PATHS, max_size=4), st.sampled_from([{}, OWN]))


@settings(max_examples=25)
@given(st.lists(DISTRIBUTIONS, min_size=1, max_size=4))
def test_the_index_answers_as_the_records_of_any_folder(tmp_path_factory, distributions):
    folder = tmp_path_factory.mktemp("any") / "site-packages"
    for name, files, metadata in distributions:
        install(folder, dict.fromkeys(files, ""), name=name, metadata=metadata)
    agree(folder)
