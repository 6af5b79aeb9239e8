"""A file of the user's that a command writes: there complete or not at all, and never replaced unasked."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lightwork.errors import InputError, LightworkError

if TYPE_CHECKING:
    from collections.abc import Iterator


def check(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that cannot become one, before any work is done for it.

    Raises:
        InputError: it exists and may not be overwritten, it is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    if not overwrite and os.path.lexists(path):
        raise _exists(path)


@contextlib.contextmanager
def saved(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a file to write; it gets its name once the `with` block has ended without an error.

    Args:
        path: the file.
        overwrite: whether it may replace another file.

    Raises:
        InputError: see `check`.
        LightworkError: the disk or its folder refuses it.
    """
    check(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:  # noqa: PTH123 - as the umask says
            yield file
            file.flush()
            os.fsync(file.fileno())
        _move(temporary, path, overwrite=overwrite)
    except OSError as error:
        raise LightworkError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _move(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Give a file its name; without `overwrite` not over one that has been created meanwhile."""
    if not overwrite:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise _exists(path) from None
        except OSError:  # the file system has no links
            check(path, overwrite=overwrite)
        else:
            return
    temporary.replace(path)


def _exists(path: Path) -> InputError:
    return InputError(f"{path} exists; --overwrite replaces it")
