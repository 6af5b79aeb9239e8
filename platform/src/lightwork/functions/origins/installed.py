"""Which installed distribution owns a file, from the metadata beside it, and whether it is the user's own.

`importlib.metadata` reads the record of every distribution for such a question. Here a folder is listed once,
a record is read only if it may hold the answer, and all of them at most once, for an index by what can be
imported.
"""

from __future__ import annotations

import csv
import functools
import os
import re
import sys
import sysconfig
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

GROUP = "lightwork.pipelines"
"""The entry point group that names packages of pipelines."""

_NAMED = frozenset({"site-packages", "dist-packages"})
# What precedes the first of these in a line of a record can be imported; a line may begin with a quote.
_TOP = re.compile(r'\n"?([^/.\\\n]*)[/.\\]')
# Packages of these installers come from a repository of packages, whatever their builder left in them.
_SYSTEMS = frozenset({"conda", "debian", "rpm"})


@dataclass(frozen=True, slots=True)
class Owner:
    """The distributions that own a file, usually one.

    Attributes:
        name: the name, joined by `+` for several.
        version: the version, likewise.
        own: whether it is the user's: editable, installed from a folder, an archive or a repository, or one
            that has the entry points of pipelines.
    """

    name: str
    version: str
    own: bool


class _Info:
    """The metadata of one distribution: a folder `NAME-VERSION.dist-info`, or an older `.egg-info`."""

    def __init__(self, path: str) -> None:
        self.path = path
        stem, _, suffix = path.rpartition(os.sep)[2].rpartition(".")
        self.egg = suffix == "egg-info"
        self.stem, _, rest = stem.partition("-")
        self.stated_version = rest.partition("-")[0]

    def read(self, name: str) -> str:
        """Return the text of one of its files; empty if it has none of that name."""
        file = f"{self.path}{os.sep}{name}"
        if not os.access(file, os.R_OK):  # most have none of the files asked for, and this is fast
            return ""
        return Path(file).read_text(encoding="utf-8", errors="surrogateescape")

    @functools.cached_property
    def owner(self) -> Owner:
        """Its name and version."""
        text = self.read("PKG-INFO" if self.egg else "METADATA")
        if not text and Path(self.path).is_file():
            text = Path(self.path).read_text(encoding="utf-8", errors="replace")
        head = text.partition("\n\n")[0]
        name = re.search(r"^Name: *(.+?)\s*$", head, re.MULTILINE)
        version = re.search(r"^Version: *(.+?)\s*$", head, re.MULTILINE)
        return Owner(
            name[1] if name else self.stem, version[1] if version else self.stated_version, own=self.own
        )

    @functools.cached_property
    def own(self) -> bool:
        """Whether it is the user's own."""
        if self.egg:
            return False
        if self.read("direct_url.json") and self.read("INSTALLER").strip().lower() not in _SYSTEMS:
            return True
        return any(self.pipelines)

    @functools.cached_property
    def pipelines(self) -> tuple[str, ...]:
        """The packages that its entry points name as packages of pipelines."""
        text = self.read("entry_points.txt")
        if GROUP not in text:
            return ()
        section = re.search(rf"^\[\s*{re.escape(GROUP)}\s*\]([^\[]*)", text, re.MULTILINE)
        lines = section[1].splitlines() if section else []
        values = (line.partition("=")[2].partition(":")[0].partition("[")[0].strip() for line in lines)
        return tuple(value for value in values if value)

    def record(self) -> str:
        """Return its record, one file a line, after an empty line; empty if it has none."""
        return "" if self.egg else "\n" + self.read("RECORD").replace("\r\n", "\n")

    @functools.cached_property
    def files(self) -> frozenset[str]:
        """Its files, relative to the folder of packages; empty if it has no record."""
        lines = self.record().splitlines()
        quoted = [row[0] for row in csv.reader(line for line in lines if line.startswith('"')) if row]
        plain = [line.partition(",")[0] for line in lines if not line.startswith('"')]
        return frozenset(name.replace("\\", "/") for name in (*plain, *quoted) if name)

    @functools.cached_property
    def tops(self) -> frozenset[str]:
        """Its top-level modules and packages; this is faster than telling all its files apart."""
        if self.egg:
            return frozenset(self.read("top_level.txt").split() or [self.stem])
        return frozenset(_TOP.findall(self.record()))


class _Folder:
    """The distributions whose metadata lies in one folder."""

    def __init__(self, folder: Path) -> None:
        # An `.egg-info` elsewhere lies in the user's own source tree.
        suffixes = (".dist-info", ".egg-info") if folder.name in _NAMED else (".dist-info",)
        try:
            found = sorted(item.path for item in os.scandir(folder) if item.name.endswith(suffixes))
        except OSError:
            found = []
        self.infos = [_Info(item) for item in found]

    @functools.cached_property
    def own(self) -> list[_Info]:
        """The user's own distributions."""
        return [info for info in self.infos if info.own]

    @functools.cached_property
    def named(self) -> dict[str, list[_Info]]:
        """The distributions by their names in plain form."""
        named: dict[str, list[_Info]] = defaultdict(list)
        for info in self.infos:
            named[_plain(info.stem)].append(info)
        return named

    @functools.cached_property
    def tops(self) -> dict[str, list[_Info]]:
        """The distributions by their top-level modules and packages."""
        tops: dict[str, list[_Info]] = defaultdict(list)
        for info in self.infos:
            for top in info.tops:
                tops[top].append(info)
        return tops

    def owner(self, file: str) -> Owner | None:
        """Return the owner of a file or folder by its path relative to this one."""
        top = file.partition("/")[0].partition(".")[0]
        likely = [*self.own, *(info for info in self.named.get(_plain(top), ()) if not info.own)]
        exact = [i for i in likely if top in i.tops and file in i.files]
        if exact:
            return _joined(exact)
        candidates = self.tops.get(top, [])
        exact = [i for i in candidates if file in i.files]
        return _joined(exact or _nearest(candidates, file)) if candidates else None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _nearest(infos: list[_Info], file: str) -> list[_Info]:
    """Return the distributions with files in the folder of a file, or in the nearest one around it."""
    folder = file
    while (folder := folder.rpartition("/")[0]) and len(infos) > 1:
        beside = [info for info in infos if any(name.startswith(f"{folder}/") for name in info.files)]
        if beside:
            return beside
    return infos


def _joined(infos: list[_Info]) -> Owner:
    owners = [info.owner for info in infos]
    if len(owners) == 1:
        return owners[0]
    return Owner(
        "+".join(owner.name for owner in owners),
        "+".join(owner.version for owner in owners),
        own=any(owner.own for owner in owners),
    )


@functools.cache
def _folder(path: Path) -> _Folder:
    return _Folder(path)


def is_packages_folder(folder: Path) -> bool:
    """Tell whether a folder's name says that it holds installed packages."""
    return folder.name in _NAMED or folder in _installed_folders()


@functools.cache
def _installed_folders() -> frozenset[Path]:
    paths = sysconfig.get_paths()
    return frozenset(Path(paths[key]) for key in ("purelib", "platlib"))


@functools.cache
def _search_path(path: tuple[str, ...]) -> frozenset[Path]:
    return frozenset(Path(entry).absolute() for entry in path if entry)


def owner_of(file: Path, root: Path) -> Owner | None:
    """Return the distribution that owns a module's file or folder; None if no metadata beside it lists it.

    Args:
        file: the file, an absolute path.
        root: the folder that contains the module's top-level package.
    """
    search = _search_path(tuple(sys.path))
    for folder in file.parents:
        if folder != root and folder not in search and not is_packages_folder(folder):
            continue
        if _folder(folder).infos:
            owner = _folder(folder).owner(file.relative_to(folder).as_posix())
            if owner is not None:
                return owner
    return None


def pipeline_packages() -> frozenset[str]:
    """Return the packages that entry points of any installed distribution name as packages of pipelines."""
    return _pipeline_packages(tuple(sys.path))


@functools.cache
def _pipeline_packages(path: tuple[str, ...]) -> frozenset[str]:
    folders = (folder for folder in _search_path(path) if folder.is_dir())
    return frozenset(name for folder in folders for info in _folder(folder).infos for name in info.pipelines)
