"""What a driver and a worker do for a proof, each in a process of its own, without a cluster between them.

Such a process calls `main` with `driver` or `worker`, a file, conditions and folders of its path. The driver
writes the jobs of all cases to the file, with the result of each. The worker prints one letter for each: `s`
if it has the same code and the right result, `r` if it refuses, `w` if its result is another one.
"""

from __future__ import annotations

import importlib
import pickle
import sys
import types
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightwork.engine import proof as proofs
from lightwork.engine.job import Job, Parcel, pack, unpack
from lightwork.engine.shared import Shared
from lightwork.functions import pickling
from lightwork.functions.options import TaskOptions
from lightwork.keys import CodeKey, Unkeyable, code_key
from tests.unit.lightwork.engine.kinds_of_code import cases, module_of

X = 3
"""What each function is called with."""
LIBRARIES = ("rates", "rates.late", "colorsys", "numpy", "json", "email.utils")


@dataclass(frozen=True)
class Case:
    """One function as a driver sends it.

    Attributes:
        parcel: its job.
        key: the key of its code; a text if it has none.
        result: what it returns.
    """

    parcel: Parcel
    key: CodeKey | str
    result: Any


def load(conditions: str) -> dict[tuple[str, str], Any]:
    """Import the function of each case, in an order and after things that the conditions name."""
    if "loaded" in conditions:
        for name in LIBRARIES:
            importlib.import_module(name)
        sys.modules["rates"].thing  # noqa: B018 - it is loaded when it is first read
    names = cases()
    modules = {case: importlib.import_module(module_of(*case)) for case in reversed(names)}
    functions = {case: modules[case].f for case in names}
    if "script" in conditions:
        functions = {case: _in_script(modules[case]) for case in names}
    if "used" in conditions:
        for function in functions.values():
            function(X)
    return functions


def _in_script(module: types.ModuleType) -> Any:
    """Return the function `f` of a module as a script has it that was started in the module's folder."""
    source = Path(str(module.__file__)).read_text().replace("from .", "from own.")
    scope: dict[str, Any] = {"__name__": "__main__", "__file__": module.__file__}
    exec(compile(source, str(module.__file__), "exec"), scope)
    return scope["f"]


def parcel_of(function: Any) -> tuple[Parcel, CodeKey | str]:
    """Return a function's job as the engine packs it, and its key; a text if it has none."""
    key: CodeKey | str
    try:
        key = code_key(function)
    except Unkeyable as error:
        key = str(error)
    no_lake: Any = None
    code = key.digest if isinstance(key, CodeKey) else None
    job = Job(function, "f", TaskOptions(), Shared({}), wide=False, lake=no_lake, code=code)
    return pack(job, ""), key


def drive(file: Path, conditions: str) -> None:
    """Write the cases to a file."""
    functions = load(conditions)
    if "held" in conditions:
        pickling.hold(pickling.own_packages())
    packed = [parcel_of(function) for function in functions.values()]
    cases = [Case(*sent, function(X)) for sent, function in zip(packed, functions.values(), strict=True)]
    file.write_bytes(pickle.dumps(cases))


def work(file: Path, conditions: str) -> str:
    """Return a letter for each case in a file."""
    sent: list[Case] = pickle.loads(file.read_bytes())
    if "old" in conditions:
        load(conditions)
    if "unpacked" in conditions:
        for case in sent:
            with suppress(Exception):
                unpack(case.parcel).fn(X)
        proofs._proven.clear()
    letters = [outcome(case) for case in sent]
    if "again" in conditions:
        proofs._proven.clear()
        letters = [outcome(case) for case in sent]
    return "".join(letters)


def outcome(case: Case) -> str:
    """Return what a worker does with a case."""
    if proofs.check(case.parcel.proof) is not None:
        return "r"
    function = unpack(case.parcel).fn
    changes = proofs.Changes(function, case.parcel.proof)
    result = function(X)
    changes.after_run()
    return "s" if result == case.result else "w"


def main() -> None:
    """Be a driver or a worker, as the arguments say."""
    role, target, given, *path = sys.argv[1:]
    sys.path[:0] = path
    if role == "driver":
        drive(Path(target), given)
    else:
        print(work(Path(target), given))
