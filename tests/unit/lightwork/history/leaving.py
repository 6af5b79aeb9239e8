"""Runs as their processes leave them in a lake, and lakes that count or that break."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from lightwork.lake import Lake
from lightwork.lake.local import LocalLake
from lightwork.store import marks
from lightwork.store.documents import seal

NOW = dt.datetime.now(dt.UTC)


def leave(
    lake: Lake,
    name: str,
    *,
    ended: dt.datetime | None = NOW,
    status: str = "succeeded",
    seconds: float = 60.0,
    marked: bool = True,
    **fields: Any,
) -> None:
    """Leave the record of a run, with its mark unless the run is of before there were any."""
    started = (ended or dt.datetime.now(dt.UTC)) - dt.timedelta(seconds=seconds)
    values = {
        "run_id": name,
        "pipeline": "windy-city",
        "tenant": lake.tenant,
        "on": "local",
        "status": status,
        "parameters": {},
        "started": started.isoformat(timespec="milliseconds"),
        "finished": ended.isoformat(timespec="milliseconds") if ended else None,
        "seconds": seconds if ended else None,
        "elements": {"total": 10, "cached": 1, "computed": 9, "failed": 0},
        "error": None,
        "artifacts": [],
        **fields,
    }
    lake.write(f"runs/{name}/run.json", seal(values))
    if marked:
        marks.mark(lake, name)


class Counting(LocalLake):
    """A lake that counts what is asked of it."""

    def __init__(self, folder: Path, tenant: str, patience: float = 0.0) -> None:
        super().__init__(folder, tenant, patience)
        self.calls: list[tuple[str, str]] = []
        self.bytes = 0

    def read(self, path: str) -> bytes:
        data = super().read(path)
        self.calls.append(("read", path))
        self.bytes += len(data)
        return data

    def entries(self, prefix: str = "") -> Any:
        self.calls.append(("list", prefix))
        return super().entries(prefix)

    def folders(self, prefix: str = "") -> Any:
        self.calls.append(("list", prefix))
        return super().folders(prefix)

    def exists(self, path: str) -> bool:
        self.calls.append(("exists", path))
        return super().exists(path)


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


class Breaking(LocalLake):
    """A lake whose process is killed before its n-th change."""

    left = 0

    def _one_less(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def write(self, path: str, data: Any, *, durable: bool = True) -> None:
        self._one_less()
        super().write(path, data, durable=durable)

    def delete(self, paths: Any) -> None:
        for path in list(paths):
            self._one_less()
            super().delete([path])
