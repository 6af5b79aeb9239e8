"""Code keys and their components, in a form that people can read."""

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
        kind: `function`, `class`, `global`, `closure`, `module`, `data`, `distribution`, `version` or
            `captured`.
        name: as in `pipelines.windy.helper`; of a distribution its name and version.
        digest: the digest of its content, in hexadecimal; no value is stored in any other form.
    """

    kind: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class CodeKey:
    """The key of a task's code.

    Attributes:
        digest: 32 hexadecimal digits; it changes if and only if something that the code reaches changes.
        components: everything that the code depends on, sorted.
    """

    digest: str
    components: tuple[Component, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the key as plain values."""
        return {"digest": self.digest, "components": [[c.kind, c.name, c.digest] for c in self.components]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CodeKey:
        """Return the key from the values of `to_json`."""
        return cls(data["digest"], tuple(Component(*parts) for parts in data["components"]))


def differences(old: CodeKey, new: CodeKey) -> list[str]:
    """Describe each change between two keys in a short sentence; empty if they are equal.

    >>> old = CodeKey("0", (Component("function", "jobs.load", "1"),))
    >>> new = CodeKey("1", (Component("function", "jobs.load", "2"),))
    >>> differences(old, new)
    ['function jobs.load changed']
    """
    if old.digest == new.digest:
        return []
    before, after = _by_name(old), _by_name(new)
    changes: list[str] = []
    for kind, name in sorted(before.keys() | after.keys()):
        was, now = before.get((kind, name)), after.get((kind, name))
        if was == now or (kind == "global" and _function_changed(name, before, after)):
            continue
        if kind == "distribution":
            changes.append(_distribution(name, was, now))
        elif was is None:
            changes.append(f"{kind} {name} added")
        elif now is None:
            changes.append(f"{kind} {name} removed")
        else:
            changes.append(f"{kind} {name} changed")
    return changes or ["the task was renamed, or a name in it refers to another object"]


_Names = dict[tuple[str, str], set[tuple[str, str]]]


def _by_name(key: CodeKey) -> _Names:
    names: _Names = defaultdict(set)
    for component in key.components:
        name, detail = component.name, ""
        if component.kind == "distribution":
            name, _, detail = name.partition(" ")
        names[component.kind, name].add((detail, component.digest))
    return dict(names)


def _function_changed(name: str, before: _Names, after: _Names) -> bool:
    """Tell whether the function of this name changed; the global for its decorated form then changes too."""
    return ("function", name) in before and before[("function", name)] != after.get(("function", name))


def _distribution(name: str, was: set[tuple[str, str]] | None, now: set[tuple[str, str]] | None) -> str:
    if was is None or now is None:
        detail = min(was or now or set())[0]
        return f"distribution {name} {detail} {'added' if was is None else 'removed'}"
    old, new = (", ".join(sorted(detail for detail, _ in side)) for side in (was, now))
    return f"distribution {name} {old} -> {new}" if old != new else f"distribution {name} {new} changed"


class Unkeyable(LightworkError, TypeError):  # noqa: N818 - the name describes the value
    """A value has no stable key: the same value could have another key in another process.

    Attributes:
        what: a description, such as `a generator`.
        where: its location inside the value, such as `[0]['rows'].source`; empty for the value itself.
        context: a format string with its owner and advice; None if unknown.
        reason: all of this in one line.
    """

    def __init__(self, what: str, where: str = "", context: str | None = None) -> None:
        super().__init__(what, where, context)
        self.what = what
        self.where = where
        self.context = context

    def under(self, step: str) -> Unkeyable:
        """Return the error as seen from the container that holds the value at `step`."""
        return self if self.context else Unkeyable(self.what, step + self.where)

    @property
    def reason(self) -> str:
        """What has no stable key, where, and what to do, in one line."""
        location = f" (at {self.where})" if self.where else ""
        line = f"{self.what}{location} has no stable key"
        return self.context.format(line) if self.context else line

    def __str__(self) -> str:
        return self.reason
