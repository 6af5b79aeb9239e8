"""Run a plain Python function, decorated, over hundreds of workers.

The names below are the whole public interface; each is loaded when first used, so that importing
lightwork costs almost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightwork.artifacts import Artifact, Artifacts
    from lightwork.errors import ElementError, InputError, LightworkError, RunFailed
    from lightwork.logs import get_logger
    from lightwork.pipelines import Pipeline, pipeline
    from lightwork.results import Results
    from lightwork.session import Session, connect, current_session
    from lightwork.tasks import Task, task

__version__ = "0.1.0"

_HOMES = {
    "Artifact": "artifacts",
    "Artifacts": "artifacts",
    "ElementError": "errors",
    "InputError": "errors",
    "LightworkError": "errors",
    "Pipeline": "pipelines",
    "Results": "results",
    "RunFailed": "errors",
    "Session": "session",
    "Task": "tasks",
    "connect": "session",
    "current_session": "session",
    "get_logger": "logs",
    "pipeline": "pipelines",
    "task": "tasks",
}

__all__ = [
    "Artifact",
    "Artifacts",
    "ElementError",
    "InputError",
    "LightworkError",
    "Pipeline",
    "Results",
    "RunFailed",
    "Session",
    "Task",
    "connect",
    "current_session",
    "get_logger",
    "pipeline",
    "task",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'lightwork' has no attribute {name!r}") from None
    value = getattr(import_module(f"lightwork.{home}"), name)
    globals()[name] = value
    return value
