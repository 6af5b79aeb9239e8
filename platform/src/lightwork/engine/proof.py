"""The proof that a worker runs what the driver's key says, for the code that it finds by name.

What is sent as bytes is what runs. What a job only names, the worker imports: a helper from a module, a
class, a constant read as `conf.UNIT`. The driver may have something else under that name: a module was edited
or reloaded, a global set, another version installed. So the driver sends the names with the digest of the
code that they reach. The worker looks at its own before it runs anything, and returns a `Difference` if it
has something else.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import RunFailed
from lightwork.functions import pickling
from lightwork.functions.origins.origin import kind_of_name
from lightwork.keys.reached.survey import (
    ABSENT,
    HOLE,
    Library,
    Name,
    exists,
    library,
    survey,
    survey_names,
    whereabouts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lightwork.keys.reached.survey import Survey

_Place = tuple[str, str]
_Places = dict[_Place, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a worker has to find by name as the driver has it.

    Attributes:
        names: what is imported.
        holes: components that are not compared, as the driver's have no stable key.
        digest: the digest of the code that the names reach.
        libraries: the distributions whose versions are in the code key.
    """

    names: tuple[Name, ...] = ()
    holes: tuple[_Place, ...] = ()
    digest: str = ""
    libraries: tuple[Library, ...] = ()

    def __reduce__(self) -> Any:
        return Proof, (self.names, self.holes, self.digest, self.libraries)


NOTHING = Proof()
"""The proof of a job that names nothing first-party."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a worker has in place of what a proof says.

    Attributes:
        proof: the proof.
        places: the components that the worker found: digests by kind and name.
        libraries: the distributions of another version.
        files: where the worker has each name from.
    """

    proof: Proof
    places: _Places
    libraries: tuple[Library, ...]
    files: dict[str, str]


class Different(RunFailed):
    """A worker has something else under the names that a call uses; the driver sends the call again."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference)
        self.difference = difference

    def __str__(self) -> str:
        return "the worker has other code than this process"


def proof_of(names: Iterable[Name], libraries: tuple[Library, ...] = ()) -> Proof:
    """Return the proof of names as this process has them."""
    names = tuple(sorted(set(names)))
    if not names:
        return Proof(libraries=libraries) if libraries else NOTHING
    found = survey_names(names)
    return Proof(names, tuple(sorted(found.holes)), found.digest, libraries)


def extended(proof: Proof, noted: Iterable[tuple[str, str]]) -> Proof:
    """Return a proof of some more names, as `pickling.noting` notes them."""
    more = {Name(*name) for name in noted if not pickling.is_held(name[0])}
    return proof if more <= set(proof.names) else proof_of(more | set(proof.names), proof.libraries)


def absent_names(difference: Difference) -> set[Name]:
    """Return the names that only an `import` inside a function leads to, in packages that a worker lacks.

    What goes by value needs its package for nothing else. If the import runs, it fails for all to see.
    """
    return {
        name
        for name in difference.proof.names
        if pickling.is_held(name.module) and difference.files.get(str(name)) == ABSENT
    }


def names_of(noted: Iterable[tuple[str, str]], code: Survey | None) -> set[Name]:
    """Return the names that a worker looks up for a job.

    Args:
        noted: what the job's pickle names, as `pickling.dump_code` notes it.
        code: the survey of its function.
    """
    found = {Name(*name) for name in noted}
    if code is None:
        return found
    through = set(code.read) | set(code.imported)
    # A module of which functions read some names counts by these, not as a whole.
    modules = {name.module for name in through if name.names}
    found = {name for name in found if name.names or name.module not in modules}
    # A module that goes by value takes along what is read through it, but not what is imported later.
    found |= {name for name in code.read if not pickling.is_held(name.module)}
    return found | set(code.imported)


# What this worker process has compared. What runs in it may change what it has imported: that is no
# difference to the driver, and is reported by `Changes`.
_lock = threading.RLock()
_proven: set[Proof] = set()
_changed_by_runs: dict[_Place, str] = {}


def check(proof: Proof) -> Difference | None:
    """Compare what this process has with a proof; return the difference, None if there is none."""
    if proof == NOTHING or proof in _proven:
        return None
    with _lock:
        others = tuple(own for item in proof.libraries if (own := library(item.module)) != item)
        found = _look(proof) if proof.names else None
        if others or (found is not None and found.digest != proof.digest):
            places = {} if found is None else found.places()
            files = {str(name): whereabouts(str(name)) for name in proof.names}
            return Difference(proof, places, others, files)
        _proven.add(proof)
        return None


def _look(proof: Proof) -> Survey:
    return survey_names(proof.names, {**_changed_by_runs, **dict.fromkeys(proof.holes, HOLE)})


class Changes:
    """Notices what a job's own runs change of the code that they reach, such as a memo or a counter.

    Args:
        fn: the job's function in this process.
        proof: the job's proof, which this process has checked.
    """

    def __init__(self, fn: Callable[..., Any], proof: Proof) -> None:
        self._fn = fn
        self._proof = proof
        self._runs = 0
        self._code, self._named = self._look()

    def _look(self) -> tuple[_Places, _Places]:
        named = survey_names(self._proof.names).places() if self._proof.names else {}
        return survey(self._fn).places(), named

    def after_run(self) -> list[str]:
        """Look again after the first runs, then ever more rarely; return the names of what has changed."""
        self._runs += 1
        if self._runs & (self._runs - 1):
            return []
        code, named = self._look()
        changed = changed_values(self._code, code)
        with _lock:
            # Only of what is imported: a function that was sent has globals of its own.
            for place in changed_values(self._named, named):
                (digest, *_) = self._named[place]
                _changed_by_runs.setdefault(place, digest)
        self._code, self._named = code, named
        return [name for _, name in changed]


def changed_values(before: _Places, now: _Places) -> list[_Place]:
    """Return the values of the first of two surveys of the same code that the second has otherwise.

    One that is a function or a class by now is no value any more, and counts too.
    """
    kinds = ("global", "closure")
    return sorted(p for p in before if p[0] in kinds and before[p] != now.get(p))


def changes_line(task: str, names: Iterable[str]) -> str:
    """Return the warning that a task's own runs change what it reads."""
    return (
        f"{task} changes {', '.join(names)} while it runs, which its key holds as it was before; if results "
        "do not depend on that, give the task a version= or pass it as an argument that ignore= names"
    )


def differing(difference: Difference) -> list[Name]:
    """Return the names of a proof that reach something that the worker has otherwise."""
    proof = difference.proof
    names = []
    for name in proof.names:
        own = survey_names([name], dict.fromkeys(proof.holes, HOLE)).places()
        if any(difference.places.get(place) != digests for place, digests in own.items()):
            names.append(name)
    return names


def packages_of(names: Iterable[Name]) -> set[str]:
    """Return the top-level packages of all first-party code that some names reach."""
    found: set[str] = set()
    for name in names:
        if exists(name):
            found.add(name.module)
        for item in survey_names([name]).components:
            found |= {item.name} if item.kind in ("function", "class", "global", "module") else set()
    tops = {name.partition(".")[0] for name in found}
    # An optional import may name a module that does not exist.
    return {top for top in tops - {"__main__"} if top in sys.modules and kind_of_name(top) == "source"}


def explain(task: str, difference: Difference, reason: str = "") -> str:
    """Return the line that says what differs, and where each side has it from."""
    if difference.libraries:
        other = difference.libraries[0]
        own = next(item for item in difference.proof.libraries if item.module == other.module)
        return (
            f"{task}: {own.name} is {own.version} here and {other.version} on a worker; install the same "
            "version on both, or give the task a version=, which then replaces its code in the key"
        )
    names = differing(difference) or list(difference.proof.names)
    name, place = _first_place(difference, names)
    here, there = whereabouts(place), difference.files.get(str(name), "")
    detail = f" ({reason})" if reason else ""
    return (
        f"{task}: {place} here ({here}, changed in this process or loaded before an edit) is not what a "
        f"worker has ({there}), and it cannot be sent{detail}; pass it as an argument, or make the change in "
        "the file and start again"
    )


def _first_place(difference: Difference, names: list[Name]) -> tuple[Name, str]:
    """Return a differing name, and the component that says best what differs."""
    found = []
    for name in names:
        own = survey_names([name], dict.fromkeys(difference.proof.holes, HOLE)).places()
        for (kind, place), digests in own.items():
            others = difference.places.get((kind, place))
            if others != digests:
                # What both sides have says more than what one has, and a value more than what reaches it.
                found.append((others is None, _TELLING.get(kind, 3), place or str(name), name))
    if not found:
        return names[0], str(names[0])
    _, _, place, name = min(found)
    return name, place


_TELLING = {"global": 0, "function": 1, "class": 2}
