"""Compiled modules of one's own: they count by the hash of their file, and of the libraries that it names."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

_RACY_NS = 50_000_000
_CHUNK = 1 << 22
_SHARED = re.compile(rb"(?<![\w.+-])[\w+-][\w.+-]*\.(?:so(?:\.\d+)*|dylib|dll)(?![\w.])")
_MYPYC = re.compile(rb"(?<!\w)\w+__mypyc(?!\w)")


def is_compiled(file: str) -> bool:
    """Tell whether a file is a compiled module.

    >>> is_compiled("fast.so"), is_compiled("fast.py")
    (True, False)
    """
    return file.endswith(tuple(EXTENSION_SUFFIXES))


# Hashes of files, with what tells that a file is still the same.
_Stamp = tuple[int, int, int, int, int]
_digests: dict[Path, tuple[_Stamp, bytes]] = {}
_names: dict[Path, tuple[bytes, tuple[str, ...]]] = {}


def file_digest(path: Path) -> bytes:
    """Return the digest of a file's bytes, 32 bytes; kept while its size, times and inode are the same.

    Raises:
        OSError: the file cannot be read.
    """
    stamp = _stamp(path.stat())
    entry = _digests.get(path)
    if entry is not None and entry[0] == stamp:
        return entry[1]
    state = blake2b(digest_size=32)
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            state.update(data)
        after = _stamp(os.fstat(file.fileno()))
    digest = state.digest()
    # A file that was written a moment ago may be written again within one tick of the file system's clock.
    if after == stamp and time.time_ns() - max(stamp[1:3]) > _RACY_NS:
        _digests[path] = (stamp, digest)
    return digest


def _stamp(status: os.stat_result) -> _Stamp:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled module.

    Attributes:
        identity: the digest of its file and of the user's compiled files that it names, in hexadecimal.
        modules: the user's Python modules that it names.
        replaced: whether its file is no longer the one that this process loaded.
    """

    identity: str
    modules: tuple[str, ...]
    replaced: bool


def compiled(name: str, file: Path) -> Compiled:
    """Describe the compiled module of this name in this file.

    Raises:
        OSError: its file cannot be read.
    """
    top = name.partition(".")[0]
    root = root_of(name, file)
    digests: dict[Path, bytes] = {}
    modules: set[str] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current in digests:
            continue
        digests[current] = file_digest(current)
        for mention in _mentions(current, digests[current], top):
            near = _resolved(mention, current, root, top)
            if near is not None and near.suffix == ".py":
                modules.add(_dotted(root, near))
            elif near is not None:
                waiting.append(near)
    state = blake2b(digest_size=16)
    # Paths count relative to the package, whose folder may be anywhere.
    for path, digest in sorted(digests.items()):
        relative = os.path.relpath(path, root).encode("utf-8", "surrogateescape")
        state.update(b"%d:%b" % (len(relative), relative) + digest)
    return Compiled(state.hexdigest(), tuple(sorted(modules)), replaced=_is_replaced(file))


def root_of(name: str, file: Path) -> Path:
    """Return the folder that contains the top-level package of a module, given its file."""
    levels = name.count(".") + (file.name.partition(".")[0] == "__init__")
    return file.parents[min(levels, len(file.parents) - 1)]


def _mentions(path: Path, digest: bytes, top: str) -> tuple[str, ...]:
    """Return the names in a compiled file that may be the user's modules or shared libraries."""
    entry = _names.get(path)
    if entry is None or entry[0] != digest:
        data = path.read_bytes()
        dotted = re.compile(rb"(?<![\w.])%b(?:\.[A-Za-z_]\w*)+(?![\w.])" % re.escape(top.encode()))
        names = {*dotted.findall(data), *_SHARED.findall(data), *_MYPYC.findall(data)}
        entry = _names[path] = (digest, tuple(sorted(name.decode("utf-8", "replace") for name in names)))
    return entry[1]


def _resolved(mention: str, file: Path, root: Path, top: str) -> Path | None:
    """Return the user's file that a name in a compiled file means; None if it means none."""
    parts = mention.split(".")
    if parts[0] == top or len(parts) == 1:
        for length in range(len(parts), min(len(parts), 2) - 1, -1):
            base = root.joinpath(*parts[:length])
            for suffix in (*EXTENSION_SUFFIXES, ".py", "/__init__.py"):
                if (candidate := Path(f"{base}{suffix}")).is_file():
                    return candidate
    package = root / top
    folders = [file.parent, package, root / f"{top}.libs"]
    folders += [base / inner for base in (file.parent, package) for inner in ("lib", "libs", ".libs")]
    return next((folder / mention for folder in folders if (folder / mention).is_file()), None)


def _dotted(root: Path, file: Path) -> str:
    inner = file.parent if file.name == "__init__.py" else file.with_suffix("")
    return ".".join(inner.relative_to(root).parts)


def _is_replaced(file: Path) -> bool:
    """Tell whether this process has loaded a file of this path that was replaced since, where systems say."""
    try:
        maps = Path("/proc/self/maps").read_bytes()
    except OSError:
        return False
    return b"%b (deleted)\n" % os.fsencode(file.resolve()) in maps
