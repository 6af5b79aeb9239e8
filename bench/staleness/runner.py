"""Run programs with a tool, in the tool's own environment, each in a new process.

    python -P runner.py TOOL

It reads requests from standard input and answers each on standard output, all as lines of JSON. A request
names the program's folder (`program`), the folder of the cache (`cache`), the working directory (`at`) and a
file for the output (`output`). A new process, forked from this one, runs the program: this one has imported
the tool, which takes seconds, but never a program. The answer is the exit code. The output's last line holds
the `repr` of each result, and how many calls of `f` were computed, not taken from the cache.

It imports nothing of this repository, since a peer's environment lacks it.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

Calls = list[Any]


def serve(tool: str) -> None:
    """Answer requests until standard input ends."""
    for module in IMPORTS.get(tool, ()):
        importlib.import_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _become(tool, request)
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


def _become(tool: str, request: dict[str, str]) -> None:
    """Run a program, and end this process."""
    code = 1
    try:
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, stream in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, stream)
        os.chdir(request["at"])
        paths = [request["program"], os.path.join(request["program"], "libs")]  # noqa: PTH118
        sys.path[:0] = paths
        os.environ.update(PYTHONPATH=os.pathsep.join(paths), STALENESS_CACHE=request["cache"])
        main(tool, request["program"], request["cache"])
        code = 0
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main(tool: str, folder: str, cache: str) -> None:
    """Run the program in `folder`."""
    warnings.simplefilter("ignore")
    job = importlib.import_module("job")
    start = importlib.import_module("start") if importlib.util.find_spec("start") else None
    between = getattr(start, "between", None)
    values = list(getattr(job, "VALUES", [1, 2]))
    results, computed = TOOLS[tool](job, values, between, cache, folder)
    print(json.dumps({"results": [repr(one) for one in results], "computed": computed}))


def plain(
    job: ModuleType, values: Calls, between: Callable[[Calls], None] | None, _cache: str, folder: str
) -> tuple[Calls, int]:
    """Call the functions as they are, or as a decorator of joblib left them."""

    def calls() -> Calls:
        results = values
        for name in steps(job):
            function = getattr(job, name)
            results = [function(value) for value in results]
        return results

    return counted(folder, lambda: twice(calls, between))


def hamilton(
    job: ModuleType, values: Calls, between: Callable[[Calls], None] | None, cache: str, folder: str
) -> tuple[Calls, int]:
    """Execute the node `f` of the module `job` for each value of the input `x`."""
    from hamilton import driver

    # https://hamilton.apache.org/concepts/caching/: "To enable caching, add .with_cache() to your Builder()".
    built = driver.Builder().with_modules(job).with_cache(path=cache).build()

    def calls() -> Calls:
        return [built.execute(["f"], inputs={"x": value})["f"] for value in values]

    return counted(folder, lambda: twice(calls, between))


def prefect(
    job: ModuleType, values: Calls, between: Callable[[Calls], None] | None, cache: str, folder: str
) -> tuple[Calls, int]:
    """Call the tasks in a flow."""
    from prefect import flow
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: cache}):
        result: tuple[Calls, int] = flow(lambda: plain(job, values, between, cache, folder), name="run")()
    return result


def lightwork(
    job: ModuleType, values: Calls, between: Callable[[Calls], None] | None, cache: str, _folder: str
) -> tuple[Calls, int]:
    """Map the tasks over the values, in this process or on two worker processes."""
    from lightwork import connect

    on = os.environ["STALENESS_ON"]
    computed = 0
    with connect(on, 2 if on == "local" else None, lake=cache, progress="off"):

        def calls() -> Calls:
            nonlocal computed
            results = values
            for name in steps(job):
                mapped = getattr(job, name).map(results)
                results = list(mapped)
                computed = mapped.stats.computed
            return results

        return twice(calls, between), computed


def steps(job: ModuleType) -> tuple[str, ...]:
    """The names of the functions to call, each with the result of the one before."""
    return tuple(getattr(job, "STEPS", ("f",)))


def twice(calls: Callable[[], Calls], between: Callable[[Calls], None] | None) -> Calls:
    """Make the calls, and again after `between`, if the program has it."""
    results = calls()
    if between:
        between(results)
        results = calls()
    return results


def counted(folder: str, run: Callable[[], Calls]) -> tuple[Calls, int]:
    """Count how often `f` of the module `job` in a folder runs meanwhile, in any thread."""
    file = os.path.join(os.path.realpath(folder), "job.py")  # noqa: PTH118
    count = 0

    def note(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        code = frame.f_code
        if event == "call" and code.co_name == "f" and os.path.realpath(code.co_filename) == file:
            count += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        return run(), count
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


IMPORTS = {
    "joblib": ["joblib"],
    "hamilton": ["hamilton.driver"],
    "prefect": ["prefect", "prefect.flow_engine"],
    "lightwork": [
        *(
            "lightwork.runs.session",
            "lightwork.runs.tasks",
            "lightwork.engine.serial",
            "lightwork.engine.calls",
        ),
        *("lightwork.cluster.cluster", "lightwork.keys.code", "dask", "structlog"),
    ],
}
"""The modules to import once."""
TOOLS: dict[str, Callable[..., tuple[Calls, int]]] = {
    "plain": plain,
    "joblib": plain,
    "hamilton": hamilton,
    "prefect": prefect,
    "lightwork": lightwork,
}

if __name__ == "__main__":
    serve(sys.argv[1])
