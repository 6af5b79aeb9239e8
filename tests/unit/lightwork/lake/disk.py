"""A model of a disk that loses what was not synced: it records what a process does, and replays it cut short.

It knows regular files and folders below one folder. Data count once their file was synced; the name of a
file or a folder counts once the folder that holds it was synced. What was not synced may be lost or kept, in
any combination.
"""

# ruff: noqa: PTH100, PTH116 (the functions of os are what is recorded)
from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class File:
    """A file: what it held whenever it was synced, and what it holds at last."""

    synced: bytes = b""
    last: bytes = b""


@dataclass
class Folder:
    """A folder: the names in it, and the changes of them that were not synced."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[tuple[str, File | Folder | None]] = field(default_factory=list)

    def now(self) -> dict[str, File | Folder]:
        """Return the names as a process sees them."""
        names = dict(self.names)
        for name, item in self.pending:
            names.pop(name, None)
            if item is not None:
                names[name] = item
        return names


class Disk:
    """Records what happens below a folder, which is empty at first and is not the root of a lake's path.

    Attributes:
        cuts: after each change or sync, the model's state is given to each function in this list.
    """

    def __init__(self, top: Path) -> None:
        self.top = os.fspath(top)
        self.root = Folder()
        self.events = 0
        self.files: dict[tuple[int, int], File] = {}
        self.opened: dict[int, str] = {}
        self.cuts: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    def restore(self, target: Path, chance: random.Random, kept: float) -> None:
        """Write what a power cut leaves into a folder; a share `kept` of unsynced changes survives."""
        target.mkdir()
        self._restore(self.root, target, chance, kept)

    def _restore(self, folder: Folder, target: Path, chance: random.Random, kept: float) -> None:
        names = dict(folder.names)
        for name, item in folder.pending:
            if chance.random() < kept:
                names.pop(name, None)
                if item is not None:
                    names[name] = item
        for name, item in names.items():
            if isinstance(item, Folder):
                (target / name).mkdir()
                self._restore(item, target / name, chance, kept)
            else:
                data = item.synced
                if item.last != data and chance.random() < kept:
                    data = item.last[: chance.randint(0, len(item.last))]
                (target / name).write_bytes(data)

    def _find(self, path: str) -> tuple[Folder, str] | None:
        """Return the folder in the model that holds a path, and the name there."""
        path = os.path.abspath(path)
        if not path.startswith(self.top + "/"):
            return None
        parts = path[len(self.top) + 1 :].split("/")
        folder = self.root
        for part in parts[:-1]:
            item = folder.now().get(part)
            assert isinstance(item, Folder), path
            folder = item
        return folder, parts[-1]

    def _set(self, path: str, item: File | Folder | None) -> None:
        if found := self._find(path):
            found[0].pending.append((found[1], item))
            self.event()

    def _file(self, path: str) -> File:
        status = os.stat(path)
        file = self.files.setdefault((status.st_dev, status.st_ino), File())
        file.last = Path(path).read_bytes()
        return file

    def event(self) -> None:
        """Let the power be cut here."""
        self.events += 1
        for cut in self.cuts:
            cut()

    @contextmanager
    def recording(self, patch: pytest.MonkeyPatch) -> Iterator[Disk]:
        """Record what this process does, while the block runs."""
        with patch.context() as inner:
            for name in ("open", "close", "mkdir", "rmdir", "replace", "rename", "link", "unlink"):
                inner.setattr(os, name, self._recorder(name, getattr(os, name)))
            for name in ("fsync", "fdatasync"):
                inner.setattr(os, name, self._sync(getattr(os, name)))
            yield self

    def _recorder(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                return locked(*arguments, **options)

        def locked(*arguments: Any, **options: Any) -> Any:
            file = None
            if name in ("replace", "rename", "link") and self._find(os.fspath(arguments[0])):
                file = self._file(os.fspath(arguments[0]))
            result = real(*arguments, **options)
            getattr(self, f"_{name}", lambda *_: None)(result, file, *arguments)
            return result

        return call

    def _open(self, result: int, _: None, path: Any, flags: int = 0, *_rest: object) -> None:
        self.opened[result] = os.fspath(path)
        if flags & os.O_CREAT and (found := self._find(os.fspath(path))) and found[1] not in found[0].now():
            status = os.fstat(result)
            self.files[status.st_dev, status.st_ino] = file = File()
            self._set(os.fspath(path), file)

    def _close(self, _result: None, _file: None, descriptor: int) -> None:
        self.opened.pop(descriptor, None)

    def _mkdir(self, _result: None, _file: None, path: str, *_: object) -> None:
        self._set(path, Folder())

    def _rmdir(self, _result: None, _file: None, path: str, *_: object) -> None:
        self._set(path, None)

    def _unlink(self, _result: None, _file: None, path: str, *_: object) -> None:
        self._set(path, None)

    def _replace(self, _result: None, file: File, source: str, target: str) -> None:
        # A rename is one change where both names are in one folder, as they are here.
        if (found := self._find(source)) and (onto := self._find(target)):
            assert found[0] is onto[0]
            found[0].pending.append((onto[1], file))
            found[0].pending.append((found[1], None))
            self.event()

    _rename = _replace

    def _link(self, _result: None, file: File, _source: str, target: str) -> None:
        self._set(target, file)

    def _sync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def call(descriptor: int) -> None:
            with self._lock:
                locked(descriptor)

        def locked(descriptor: int) -> None:
            real(descriptor)
            path = self.opened.get(descriptor)
            if path is None:
                return
            if os.path.abspath(path) == self.top:
                folder: Any = self.root
            elif found := self._find(path):
                folder = found[0].now().get(found[1])
            else:
                return
            if isinstance(folder, Folder):
                folder.names, folder.pending = folder.now(), []
            else:
                file = self._file(path)
                file.synced = file.last
            self.event()

        return call
