"""Run a plain Python function, decorated, over hundreds of workers.

`__all__` is the whole public interface. Each name is loaded when first used, so importing lightwork costs
almost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightwork.version import __version__ as __version__

if TYPE_CHECKING:
    from lightwork.engine.mapping import Results
    from lightwork.errors import (
        ElementError,
        InputError,
        LakeAway,
        LightworkError,
        RunFailed,
        TaskTimeoutError,
    )
    from lightwork.functions.options import backoff
    from lightwork.logs import get_logger
    from lightwork.runs.history import runs as runs
    from lightwork.runs.outcome import Run
    from lightwork.runs.pipelines import Pipeline, pipeline
    from lightwork.runs.session import Session, connect, current_session
    from lightwork.runs.tasks import Task, task
    from lightwork.store.artifacts import Artifact, Artifacts

_HOMES = {
    "Artifact": "store.artifacts",
    "Artifacts": "store.artifacts",
    "ElementError": "errors",
    "InputError": "errors",
    "LakeAway": "errors",
    "LightworkError": "errors",
    "Pipeline": "runs.pipelines",
    "Results": "engine.mapping",
    "Run": "runs.outcome",
    "RunFailed": "errors",
    "Session": "runs.session",
    "Task": "runs.tasks",
    "TaskTimeoutError": "errors",
    "backoff": "functions.options",
    "connect": "runs.session",
    "current_session": "runs.session",
    "get_logger": "logs",
    "pipeline": "runs.pipelines",
    "task": "runs.tasks",
}

__all__ = [
    "Artifact",
    "Artifacts",
    "ElementError",
    "InputError",
    "LakeAway",
    "LightworkError",
    "Pipeline",
    "Results",
    "Run",
    "RunFailed",
    "Session",
    "Task",
    "TaskTimeoutError",
    "backoff",
    "connect",
    "current_session",
    "get_logger",
    "pipeline",
    "runs",
    "task",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "runs":  # the folder, which can be called
        return import_module("lightwork.runs")
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'lightwork' has no attribute {name!r}") from None
    value = getattr(import_module(f"lightwork.{home}"), name)
    globals()[name] = value
    return value
