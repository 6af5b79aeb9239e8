"""Lakes whose files can be made older: in a folder, and on the S3 server of the cluster tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lightwork.lake import Lake

DAY = 86400.0


@dataclass(frozen=True)
class Place:
    """A lake, and the folder in which its files can be made older."""

    lake: Lake
    url: str
    folder: Path

    def age(self, days: float, prefix: str = "") -> None:
        """Let all files below a folder have been written some days earlier."""
        start = self.folder / prefix
        for file in [start, *start.rglob("*")]:
            status = file.lstat()
            os.utime(file, (status.st_atime, status.st_mtime - days * DAY), follow_symlinks=False)
