"""The templates of the kinds of code that random programs are made of.

A file in `kinds/` holds templates. `=== title` begins one, `--- role` the part of it that goes to another
module, `--- file NAME` a data file, and `=> expression` ends it: an integer computed from `x` by what the
template defines. `[whole]` after the title says that it reaches its module by computed names. In the text

    $name                       a name that is unique in the program; `$$` is a dollar
    $:role  $.role              another module's dotted name; that of its package
    <<sub>>                     an expression of `x` from another template, or a leaf
    <<what>>                    a number; an edit changes it
    <<what: a || b>>            alternatives; an edit takes another one
    <<ref role: $a>>            a name of another module, imported in some form
    <<ref role: $a || $b>>      the same; an edit imports the other name
    <<module role>>             another module as an object

Left out are edits of comments that code reads by `inspect.getsource`, as such code has no key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MARK = re.compile(r"<<(.*?)>>")
KINDS = Path(__file__).parent / "kinds"


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of code.

    Attributes:
        title: what it is.
        parts: texts by role: `here`, `there`, `third`, `deep` for modules, `file NAME`, `file ROLE NAME`.
        result: the expression.
        whole: whether it reaches its module by computed names.
    """

    title: str
    parts: dict[str, str]
    result: str
    whole: bool


def load(name: str) -> list[Template]:
    """Read the templates of one file in `kinds/`."""
    text = (KINDS / f"{name}.txt").read_text(encoding="utf-8")
    return [_template(part) for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]]


def edits(template: Template) -> list[str]:
    """Return what the edits of a template change."""
    found = []
    for text in (*template.parts.values(), template.result):
        for what, _, values in (mark.partition(":") for mark in MARK.findall(text)):
            if what.startswith("ref ") and "||" in values:
                found.append("imported name")
            elif what.partition(" ")[0] not in {"sub", "expression", "ref", "module"}:
                found.append(what)
    return found


def _template(text: str) -> Template:
    title, _, rest = text.partition("\n")
    body, _, result = ("\n" + rest).partition("\n=> ")
    role, parts = "here", {"here": ""}
    for line in body.removeprefix("\n").splitlines():
        if line.startswith("--- "):
            role = line[4:].strip().removesuffix(" [whole]")
            parts.setdefault(role, "")
        else:
            parts[role] += line + "\n"
    return Template(title.removesuffix(" [whole]"), parts, result.strip(), title.endswith(" [whole]"))
