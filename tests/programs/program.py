"""Programs as text with slots: places whose text has alternatives. An edit is another choice at one slot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_MARK = re.compile("\x02(\\d+)\x03")


@dataclass(slots=True)
class Slot:
    """A place in a program.

    Attributes:
        kind: the kind of edit that another choice makes; empty if only shrinking chooses here.
        values: the alternatives, at least two; the first is what the program says before the edit.
        dead: whether the task does not reach this place.
    """

    kind: str
    values: list[str]
    dead: bool = False


@dataclass(slots=True)
class Module:
    """A module of a program.

    Attributes:
        name: its dotted name.
        level: modules import only from modules of higher levels.
        package: whether it is the `__init__` of a package.
        head: import statements.
        body: definitions, in order; each may go alone when a program is shrunk.
        data: data files beside the module, by name.
        whole: whether computed names reach all that is in it.
    """

    name: str
    level: int
    package: bool = False
    head: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    whole: bool = False

    @property
    def path(self) -> str:
        """The module's path in the program's folder."""
        stem = self.name.replace(".", "/")
        return f"{stem}/__init__.py" if self.package else f"{stem}.py"

    @property
    def folder(self) -> str:
        """The folder that holds the module's file, with a slash at its end unless it is the program's."""
        return self.path[: self.path.rfind("/") + 1]


@dataclass(slots=True)
class Program:
    """A random program: `f`, `elements`, `shared` and `before` in its entry module.

    Attributes:
        entry: the name of the entry module.
        start: how the entry runs: `import`, `script` or `module` (`python -m`).
        modules: by dotted name.
        slots: by number; text refers to them by marks.
        gone: `(module, "head" or "body", index)` of text that was taken out while shrinking.
    """

    entry: str
    start: str = "import"
    modules: dict[str, Module] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    gone: set[tuple[str, str, int]] = field(default_factory=set)

    def mark(self, kind: str, values: list[str], *, dead: bool = False) -> str:
        """Add a slot and return the mark that stands for it in the text."""
        self.slots.append(Slot(kind, values, dead))
        return f"\x02{len(self.slots) - 1}\x03"

    def text(self, text: str, choices: Mapping[int, int]) -> str:
        """Put the chosen alternatives in the place of the marks."""
        while "\x02" in text:
            text = _MARK.sub(lambda m: self.slots[int(m[1])].values[choices.get(int(m[1]), 0)], text)
        return text

    def files(self, choices: Mapping[int, int]) -> dict[str, str]:
        """Return the program's files by path, for a choice of alternatives by slot; else the first ones."""
        files = {}
        for module in self.modules.values():
            parts = [
                self.text(part, choices)
                for where, texts in (("head", module.head), ("body", module.body))
                for at, part in enumerate(texts)
                if (module.name, where, at) not in self.gone
            ]
            files[module.path] = "\n".join(part for part in parts if part.strip()) + "\n"
            for name, content in module.data.items():
                files[module.folder + name] = self.text(content, choices)
        return files

    def reached_slots(self) -> list[int]:
        """Return the slots whose mark is in the text, directly or in an alternative that is chosen."""
        pending = [
            part
            for module in self.modules.values()
            for part in (*module.head, *module.body, *module.data.values())
        ]
        numbers: set[int] = set()
        while pending:
            for match in _MARK.finditer(pending.pop()):
                number = int(match[1])
                if number not in numbers:
                    numbers.add(number)
                    pending += self.slots[number].values
        return sorted(numbers)
