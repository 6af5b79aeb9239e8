"""Random programs: templates of many kinds, put into modules and into each other."""

from __future__ import annotations

import re
from random import Random

from tests.programs import templates
from tests.programs.filling import Filling
from tests.programs.program import Module, Program
from tests.programs.templates import Template

FILES = ("values", "functions", "classes", "modules", "computed", "odd")
REACHED = tuple(template for name in FILES for template in templates.load(name))
UNREACHED = tuple(templates.load("unreached"))
ENTRIES = {template.title: template for template in templates.load("entries")}
PLACES = ("pkg.near", "pkg.lib.far", "pkg.lib.deep.end", "tools.text", "single", "pkg.conf", "spaced.part")
DEPTH = 3
_ROLES = ("here", "third", "there", "deep")


def program(seed: str) -> Program:
    """Make the program of a seed, a text `series-number`; a series goes through all templates."""
    series, _, number = seed.rpartition("-")
    order = list(REACHED)
    Random(series).shuffle(order)
    return _Growth(Random(seed)).program(order[int(number) % len(order)])


class _Growth:
    """A program while it grows.

    Attributes:
        random: makes the choices.
        made: the program.
        depth: how many templates enclose the current one.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        start = random.choice(["import", "import", "import", "script", "module"])
        self.made = Program("main" if start == "script" else "pkg.job", start)
        self.depth = 0
        self._names = 0

    def program(self, first: Template) -> Program:
        """Grow a program around a template."""
        entry = self.module(self.made.entry, 0)
        kind = self.random.choice(sorted(ENTRIES))
        terms = [
            self.term(entry, first),
            *(self.term(entry) for _ in range(self.random.choice([0, 0, 1, 2]))),
        ]
        self.fill(ENTRIES[kind], entry, extra={"expression": " + ".join(terms)})
        for module in list(self.made.modules.values()):
            if not module.package:
                for _ in range(self.random.randrange(3)):
                    self.unreached(module)
        return self.made

    # Modules and names

    def module(self, name: str, level: int, *, package: bool = False) -> Module:
        """Return a module by name; it is made, with the packages around it, if there is none yet."""
        if name not in self.made.modules:
            parent = name.rpartition(".")[0]
            if parent and not parent.startswith("spaced"):
                self.module(parent, level, package=True)
            self.made.modules[name] = Module(name, level, package=package)
        return self.made.modules[name]

    def below(self, level: int, *but: Module) -> Module:
        """Return a module of a higher level that is none of `but`."""
        fit = [
            module
            for module in self.made.modules.values()
            if module.level > level and not module.package and module not in but
        ]
        if fit and self.random.random() < 0.5:
            return self.random.choice(fit)
        free = [name for name in PLACES if name not in self.made.modules]
        name = self.random.choice(free) if free else f"pkg.more{self.name('')}"
        return self.module(name, level + 1 + self.random.randrange(2))

    def name(self, stem: str) -> str:
        """Return a name that is new in the program."""
        self._names += 1
        return f"{stem}{self._names}"

    def number(self) -> list[str]:
        """Return the alternatives of a number."""
        return [str(number) for number in self.random.sample(range(2, 10), 2)]

    # Templates

    def term(self, here: Module, template: Template | None = None) -> str:
        """Return an expression of `x` for a module: a template's, or a leaf."""
        if self.depth >= DEPTH or (self.depth and self.random.random() < 0.55):
            return "x"
        self.depth += 1
        result = self.fill(template or self.random.choice(REACHED), here)
        self.depth -= 1
        return self.made.mark("", [f"({result}) % 9973", "x"])

    def unreached(self, here: Module) -> None:
        """Add something to a module that the task does not reach."""
        before = len(here.body)
        self.fill(self.random.choice(UNREACHED), here, dead=True)
        for chunk in here.body[before:]:
            here.body.remove(chunk)
            here.body.insert(self.random.randrange(len(here.body) + 1), chunk)

    def fill(
        self, template: Template, here: Module, *, dead: bool = False, extra: dict[str, str] | None = None
    ) -> str:
        """Put a template's parts into modules and return its expression."""
        roles = {"here": here, **self._roles(template, here)}
        filling = Filling(self, template, roles, dead, extra or {})
        for role, text in template.parts.items():
            if role.startswith("file "):
                *owner, name = role.removeprefix("file ").split()
                module = roles[owner[0] if owner else "here"]
                module.data[filling.text(name, module)] = filling.text(text, module).strip("\n")
        for role in sorted(roles, key=_ROLES.index, reverse=True):
            module = roles[role]
            module.whole = module.whole or template.whole
            text = filling.text(template.parts.get(role, ""), module)
            if text.strip():
                module.body.append(text.strip("\n"))
        return filling.text(template.result, here)

    def _roles(self, template: Template, here: Module) -> dict[str, Module]:
        text = "\n".join((*template.parts, *template.parts.values(), template.result))
        roles: dict[str, Module] = {}
        for role in ("there", "third", "deep"):
            if re.search(rf"\b{role}\b", text):
                level = max((module.level for module in roles.values()), default=here.level)
                roles[role] = self.below(level if role == "deep" else here.level, here, *roles.values())
        return roles
