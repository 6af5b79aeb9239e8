"""Measure the processor time of keys, and print it as a line of JSON: seconds by what was keyed.

    python -P probe.py elements|PIPELINE FOLDER

It imports nothing of `bench`, since it also runs on the `lightwork` of an older commit, which is in FOLDER.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 100_000
MODULES = {
    "windy-city": ("pipelines.windy_city.pipeline",),
    "battery-health": ("pipelines.battery_health.tasks", "pipelines.battery_health.pipeline"),
}


def identity(x: Any) -> Any:
    """The function whose calls are keyed."""
    return x


def elements() -> dict[str, float]:
    """Key a map over 100,000 elements, of each of some kinds."""
    from lightwork.keys import ElementKeys, code_key

    kinds: dict[str, list[Any]] = {
        "numbers": list(range(COUNT)),
        "texts": [f"2026-01-01 {number}" for number in range(COUNT)],
        "tuples": [(number, number / 7, "mph") for number in range(COUNT)],
        "dictionaries": [{"place": "JFK", "speed": number / 7} for number in range(COUNT)],
    }
    code = code_key(identity)
    keyed = ElementKeys(identity, code, varying=1, fixed={})
    keyed(kinds["dictionaries"][:10])
    return {name: spent(functools.partial(keyed, values)) for name, values in kinds.items()}


def first_call(pipeline: str) -> dict[str, float]:
    """Key the code of a pipeline's tasks for the first time, as in its first run, and once more."""
    from lightwork.functions.decorated import TaskFunction
    from lightwork.keys import code_key

    modules = [importlib.import_module(name) for name in MODULES[pipeline]]
    tasks = {
        value.name: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, TaskFunction)
    }

    def keys() -> None:
        for task in tasks.values():
            code_key(task.fn)

    return {"first": spent(keys), "second": spent(keys)}


def spent(function: Callable[[], object]) -> float:
    """Return the processor time of a call, s, of all threads."""
    gc.collect()
    gc.disable()
    begin = time.process_time()
    function()
    seconds = time.process_time() - begin
    gc.enable()
    return seconds


if __name__ == "__main__":
    what, root = sys.argv[1:]
    used = importlib.import_module("lightwork").__file__ or ""
    assert Path(used).is_relative_to(root), f"{used} is not in {root}"
    print(json.dumps(elements() if what == "elements" else first_call(what)))
