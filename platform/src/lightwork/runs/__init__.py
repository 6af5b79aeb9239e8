"""One run of a pipeline: its session, the tasks that run in it, its record and its report.

`lightwork.runs()` is the history of runs. This folder has the same name, so the module can be called.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _Callable(types.ModuleType):
    """A module that can be called as `history.runs` is."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from lightwork.runs.history import runs

        return runs(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
