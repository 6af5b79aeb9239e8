"""A process that has imported lightwork and runs each program in a fork of itself.

A fork is as fresh as a new process, and takes 10 ms instead of half a second. A line of JSON on standard
input asks for a run, on what the second argument of the command says (`serial`, or the address of workers):

    folder, entry, start   where the program is, its entry module, and how it runs
    lake                   the folder of the lake
    edited, how, changed   an edit after the first map, in the same process: the new files, `anew` or
                           `reload`, and the changed modules, those that import others last

and a line on standard output answers with what the last map gave: `cached`, `hits`, and `plain`: what the
same functions gave when they were called without lightwork, in a fork of their own.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import sys
import types
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

SECONDS = 120
"""The most that one program takes."""


def main() -> None:
    """Answer requests until standard input ends."""
    from lightwork import connect, task

    with connect("serial", lake=sys.argv[1], progress="off"):  # imports what a map needs
        list(task(_identity).map([1]))
    if sys.argv[2] != "serial":
        importlib.import_module("distributed")
    for line in sys.stdin:
        print(json.dumps(_forked(partial(_run, json.loads(line)))), flush=True)


def _identity(x: int) -> int:
    return x


def _forked(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a function returns in a fork of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            signal.alarm(SECONDS)
            answer = work()
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        with os.fdopen(writer, "w") as pipe:
            pipe.write(json.dumps(answer))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return dict(json.loads(text)) if text else {"error": "the process died"}


def _run(request: Mapping[str, Any]) -> dict[str, Any]:
    folder = Path(request["folder"])
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    if not os.environ.get("PROGRAMS_SHOW_LOGS"):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    scope = _load(request)
    answer = _both(scope, request)
    if "edited" in request:
        for path, text in request["edited"].items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        importlib.invalidate_caches()
        if request["how"] == "reload":
            for name in request["changed"]:
                if name in sys.modules:
                    importlib.reload(sys.modules[name])
            scope = vars(sys.modules[request["entry"]])
        else:
            _forget(folder)
            scope = _load(request)
        answer = _both(scope, request)
    return answer


def _load(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the entry as the interpreter does; return its globals."""
    name = request["entry"]
    if request["start"] == "import":
        return vars(importlib.import_module(name))
    module = types.ModuleType("__main__")
    if request["start"] == "script":
        file = str(Path(request["folder"]) / f"{name}.py")
    else:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        module.__spec__, module.__package__, file = spec, name.rpartition(".")[0], spec.origin
    module.__file__ = file
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    exec(compile(Path(file).read_text(), file, "exec", dont_inherit=True), module.__dict__)
    return vars(module)


def _forget(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")
        if name == "__main__" or str(file).startswith(str(folder)):
            del sys.modules[name]


def _both(scope: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    from lightwork import connect

    scope["before"]()
    plain = _forked(lambda: {"plain": _plain(scope)})
    answer: dict[str, Any] = {"plain": plain.get("plain"), "plain_error": plain.get("error")}
    try:
        with connect(sys.argv[2], lake=request["lake"], progress="off"):
            results = scope["f"].map(scope["elements"](), shared=scope["shared"]())
            answer["cached"] = [repr(result) for result in results]
            answer["hits"], answer["total"] = results.stats.cached, results.stats.total
    except Exception as error:
        answer["cached_error"] = f"{type(error).__name__}: {error}"
    return answer


def _plain(scope: Mapping[str, Any]) -> list[str]:
    return [repr(scope["f"](element, **scope["shared"]())) for element in scope["elements"]()]


if __name__ == "__main__":
    main()
