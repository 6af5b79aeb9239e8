"""What a code key is made of, in a form that people can read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, order=True)
class Component:
    """One thing that the code of a task depends on.

    Attributes:
        kind: `function`, `class`, `global`, `closure`, `module`, `distribution` or `version`.
        name: as in `pipelines.windy.helper`; of a distribution its name and version.
        digest: hexadecimal; what it holds is not in it in any other form.
    """

    kind: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class CodeKey:
    """The key of a task's code.

    Attributes:
        digest: 32 hexadecimal digits; the same if and only if nothing that the code reaches has changed.
        components: what it was made of, sorted.
    """

    digest: str
    components: tuple[Component, ...]

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {"digest": self.digest, "components": [[c.kind, c.name, c.digest] for c in self.components]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CodeKey:
        """The key that `to_json` wrote."""
        return cls(data["digest"], tuple(Component(*parts) for parts in data["components"]))


def differences(old: CodeKey, new: CodeKey) -> list[str]:
    """What changed between two keys, a short sentence each; empty if they are the same."""
    if old.digest == new.digest:
        return []
    before, after = _by_name(old), _by_name(new)
    said: list[str] = []
    for kind, name in sorted(before.keys() | after.keys()):
        was, now = before.get((kind, name)), after.get((kind, name))
        if was == now or (kind == "global" and _said_already(name, before, after)):
            continue
        if kind == "distribution":
            said.append(_distribution(name, was, now))
        elif was is None:
            said.append(f"{kind} {name} added")
        elif now is None:
            said.append(f"{kind} {name} removed")
        else:
            said.append(f"{kind} {name} changed")
    return said or ["the task has another name, or a name in it stands for something else"]


_Names = dict[tuple[str, str], set[tuple[str, str]]]


def _by_name(key: CodeKey) -> _Names:
    found: _Names = defaultdict(set)
    for component in key.components:
        name, detail = component.name, ""
        if component.kind == "distribution":
            name, _, detail = name.partition(" ")
        found[component.kind, name].add((detail, component.digest))
    return dict(found)


def _said_already(name: str, before: _Names, after: _Names) -> bool:
    """A name that stands for a decorated function changes with it: once is enough."""
    return ("function", name) in before and before[("function", name)] != after.get(("function", name))


def _distribution(name: str, was: set[tuple[str, str]] | None, now: set[tuple[str, str]] | None) -> str:
    if was is None or now is None:
        detail = min(was or now or set())[0]
        return f"distribution {name} {detail} {'added' if was is None else 'removed'}"
    old, new = (", ".join(sorted(detail for detail, _ in side)) for side in (was, now))
    return f"distribution {name} {old} -> {new}" if old != new else f"distribution {name} {new} changed"


class Unkeyable(LightworkError, TypeError):  # noqa: N818 - reads as what it says of the value
    """No stable key: the same value would not give the same key in another process.

    Attributes:
        what: what it is, as `a generator`.
        where: where inside the value, as `[0]['rows'].source`; empty for the value itself.
        context: what holds or reads it, and what to do about it; None when nothing is known.
        reason: all of it in one line.
    """

    def __init__(self, what: str, where: str = "", context: str | None = None) -> None:
        super().__init__(what, where, context)
        self.what = what
        self.where = where
        self.context = context

    def under(self, step: str) -> Unkeyable:
        """The same error, seen from the container that holds the value at `step`."""
        return self if self.context else Unkeyable(self.what, step + self.where)

    @property
    def reason(self) -> str:
        """One line: what has no stable key, where, and what to do."""
        place = f" (at {self.where})" if self.where else ""
        line = f"{self.what}{place} has no stable key"
        return self.context.format(line) if self.context else line

    def __str__(self) -> str:
        return self.reason
