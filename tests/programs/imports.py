"""The forms in which a module gets at a name of another one."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from tests.programs.program import Module, Program


class Growth(Protocol):
    """What imports need of a program that grows."""

    random: Random
    made: Program

    def name(self, stem: str) -> str:
        """Return a name that is new in the program."""

    def module(self, name: str, level: int, *, package: bool = False) -> Module:
        """Return a module by name."""

    def below(self, level: int, *but: Module) -> Module:
        """Return a module of a higher level."""


Form = Callable[[Growth, Module, Module, str], str | None]


def name(growth: Growth, here: Module, other: Module, target: str) -> tuple[str, str]:
    """Import `target` from another module in a random form; return the form and an expression for it."""
    while True:
        form = growth.random.choice(sorted(FORMS))
        expression = FORMS[form](growth, here, other, target)
        if expression is not None:
            return form, expression


def put(program: Program, target: str, text: str) -> None:
    """Put a text in the place of a target in all modules."""
    for module in program.modules.values():
        module.head = [part.replace(target, text) for part in module.head]
        module.body = [part.replace(target, text) for part in module.body]


def module(growth: Growth, here: Module, other: Module) -> str:
    """Import another module as an object in a random form; return an expression for it."""
    alias = growth.name("m")
    package, _, last = other.name.rpartition(".")
    if package and growth.random.random() < 0.5:
        here.head.append(f"from {package} import {last} as {alias}")
    else:
        here.head.append(f"import {other.name} as {alias}")
    return alias


def _from(growth: Growth, here: Module, other: Module, target: str) -> str:
    here.head.append(f"from {other.name} import {target}")
    return target


def _alias(growth: Growth, here: Module, other: Module, target: str) -> str:
    alias = growth.name("alias")
    here.head.append(f"from {other.name} import {target} as {alias}")
    return alias


def _relative(growth: Growth, here: Module, other: Module, target: str) -> str | None:
    ours, theirs = here.name.split("."), other.name.split(".")
    if len(ours) == 1 or len(theirs) == 1 or ours[0] != theirs[0]:
        return None
    folder = ours[:-1]
    common = 0
    while common < min(len(folder), len(theirs) - 1) and folder[common] == theirs[common]:
        common += 1
    dots = "." * (len(folder) - common + 1)
    alias = growth.name("alias")
    here.head.append(f"from {dots}{'.'.join(theirs[common:])} import {target} as {alias}")
    return alias


def _chain(growth: Growth, here: Module, other: Module, target: str) -> str:
    here.head.append(f"import {other.name}")
    return f"{other.name}.{target}"


def _module_alias(growth: Growth, here: Module, other: Module, target: str) -> str:
    return f"{module(growth, here, other)}.{target}"


def _from_package(growth: Growth, here: Module, other: Module, target: str) -> str | None:
    package, _, last = other.name.rpartition(".")
    if not package:
        return None
    here.head.append(f"from {package} import {last}")
    return f"{last}.{target}"


def _star(growth: Growth, here: Module, other: Module, target: str) -> str:
    here.head.append(f"from {other.name} import *")
    return target


def _export(growth: Growth, here: Module, other: Module, target: str) -> str | None:
    package = growth.made.modules.get(other.name.rpartition(".")[0])
    if package is None or here.name.startswith(package.name + "."):
        return None
    public = growth.name("public")
    package.head.append(f"from .{other.name.rpartition('.')[2]} import {target} as {public}")
    here.head.append(f"from {package.name} import {public}")
    return public


def _export_chain(growth: Growth, here: Module, other: Module, target: str) -> str | None:
    package = growth.made.modules.get(other.name.rpartition(".")[0])
    if package is None or here.name.startswith(package.name + "."):
        return None
    public = growth.name("public")
    package.head.append(f"from {other.name} import {target} as {public}")
    here.head.append(f"import {package.name}")
    return f"{package.name}.{public}"


def _inside(growth: Growth, here: Module, other: Module, target: str) -> str:
    get = growth.name("get")
    here.body.append(f"def {get}():\n    from {other.name} import {target} as found\n    return found")
    return f"{get}()"


def _module_inside(growth: Growth, here: Module, other: Module, target: str) -> str:
    get = growth.name("get")
    here.body.append(f"def {get}():\n    import {other.name} as module\n    return module.{target}")
    return f"{get}()"


def _chain_inside(growth: Growth, here: Module, other: Module, target: str) -> str:
    get = growth.name("get")
    here.body.append(f"def {get}():\n    import {other.name}\n    return {other.name}.{target}")
    return f"{get}()"


def _assigned(growth: Growth, here: Module, other: Module, target: str) -> str:
    alias = growth.name("alias")
    here.head.append(f"import {other.name}")
    here.body.append(f"{alias} = {other.name}.{target}")
    return alias


def _in_class(growth: Growth, here: Module, other: Module, target: str) -> str:
    holder = growth.name("Holder")
    here.body.append(f"class {holder}:\n    from {other.name} import {target} as held\n    held = [held]")
    return f"{holder}.held[0]"


def _facade(growth: Growth, here: Module, other: Module, target: str) -> str | None:
    middle = growth.module(growth.name("facade"), here.level)
    public = growth.name("public")
    middle.head.append(f"from {other.name} import {target} as {public}")
    here.head.append(f"from {middle.name} import {public}")
    return public


def _starred_facade(growth: Growth, here: Module, other: Module, target: str) -> str | None:
    middle = growth.module(growth.name("facade"), here.level)
    middle.head.append(f"from {other.name} import *")
    here.head.append(f"import {middle.name}")
    return f"{middle.name}.{target}"


FORMS: dict[str, Form] = {
    "from": _from,
    "from, renamed": _alias,
    "relative": _relative,
    "chain of modules": _chain,
    "module renamed": _module_alias,
    "module from its package": _from_package,
    "star": _star,
    "export of a package": _export,
    "export of a package by chain": _export_chain,
    "from, inside": _inside,
    "module renamed, inside": _module_inside,
    "chain of modules, inside": _chain_inside,
    "assigned": _assigned,
    "in a class": _in_class,
    "facade": _facade,
    "starred facade": _starred_facade,
}
