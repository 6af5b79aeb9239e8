"""A template's text with names, modules, imports and slots in the place of its marks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from tests.programs import imports
from tests.programs.program import Module
from tests.programs.templates import MARK, Template

_NAME = re.compile(r"\$([A-Za-z]+)")
_PATH = re.compile(r"\$([:.])([a-z]+)")
_TARGET = "\x01"


class Growth(imports.Growth, Protocol):
    """What a filling needs of a program that grows."""

    def term(self, here: Module) -> str:
        """Return an expression of `x` for a module."""

    def number(self) -> list[str]:
        """Return the alternatives of a number."""


@dataclass(slots=True)
class Filling:
    """One use of a template.

    Attributes:
        growth: the program that grows.
        template: the template.
        roles: its modules by role.
        dead: whether the task does not reach what it makes.
        extra: texts for marks of these names.
    """

    growth: Growth
    template: Template
    roles: dict[str, Module]
    dead: bool
    extra: dict[str, str]
    _names: dict[str, str] = field(default_factory=dict)

    def text(self, text: str, module: Module) -> str:
        """Fill a text that goes to a module."""
        text = _PATH.sub(self._path, text.replace("$$", "\x00"))
        text = _NAME.sub(self._name, text).replace("\x00", "$")
        return MARK.sub(lambda match: self._mark(match[1], module), text)

    def _name(self, match: re.Match[str]) -> str:
        if match[1] not in self._names:
            self._names[match[1]] = self.growth.name(match[1])
        return self._names[match[1]]

    def _path(self, match: re.Match[str]) -> str:
        name = self.roles[match[2]].name
        return name if match[1] == ":" else name.rpartition(".")[0] or name

    def _mark(self, text: str, module: Module) -> str:
        if text == "sub":
            return self.growth.term(module)
        if text in self.extra:
            return self.extra[text]
        what, _, values = text.partition(":")
        choices = [value.strip(" ").replace("\\n", "\n") for value in values.split("||")] if values else []
        head, _, role = what.partition(" ")
        if head == "module" and role in self.roles:
            return imports.module(self.growth, module, self.roles[role])
        if head == "ref" and role in self.roles:
            return self._reference(module, self.roles[role], choices)
        return self._slot(what.strip(), choices or self.growth.number())

    def _reference(self, here: Module, other: Module, choices: list[str]) -> str:
        """Import one of the names of another module; an edit imports another one."""
        if len(choices) == 1:
            return imports.name(self.growth, here, other, choices[0])[1]
        form, expression = imports.name(self.growth, here, other, _TARGET)
        mark = self.growth.made.mark(f"{self.template.title}: imported name, {form}", choices)
        imports.put(self.growth.made, _TARGET, mark)
        return expression.replace(_TARGET, mark)

    def _slot(self, what: str, choices: list[str]) -> str:
        first = self.growth.random.randrange(len(choices))
        choices = [choices[first], *choices[:first], *choices[first + 1 :]]
        return self.growth.made.mark(f"{self.template.title}: {what}", choices, dead=self.dead)
