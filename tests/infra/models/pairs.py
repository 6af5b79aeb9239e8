"""Which arguments of a resource go together, as the docstrings of the pinned pulumi-aws say it.

The provider checks such pairs only when it is called, and a preview with mocks never calls it. A newer
pulumi-aws brings newer docstrings, and so newer pairs.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Inputs: TypeAlias = Mapping[str, Any]
Conditions: TypeAlias = list[tuple[str, str]]
"""Names of arguments, each with the value that it must have; an empty one is any."""

ABOUT_OTHERS = re.compile(
    r"conflict|requires?\b|exactly one|at least one|mutually|one of `|\brequired (if|when)|only applicable"
    r"|(cannot|can only|may not|must|must not|not|only) be (set|specified|used|present|provided)",
    re.IGNORECASE,
)
"""What a sentence about other arguments says."""

SET_TO = r"(?: (?:is|to be|must be) set to| is| as) `([^`]+)`"
ITEM = rf"`[\w.]+`(?: argument)?(?:{SET_TO}| (?:is|to be) (?:set|specified|provided))?"
LIST = rf"{ITEM}(?:(?:,? and an? |,? and |,? or |, ){ITEM})*"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a sentence says about an argument, and whether inputs break it."""

    argument: str
    sentence: str
    is_broken_by: Callable[[Inputs], bool]


def broken(type_: str, inputs: Inputs) -> list[str]:
    """Return a line for each rule that the inputs of a resource break, in nested blocks as well."""
    return list(_broken(_arguments_of(type_), inputs, ""))


def unread(type_: str) -> set[str]:
    """Return the sentences about a type's arguments that name others and that no pattern fits."""

    def of(arguments: type, seen: set[type]) -> Iterator[str]:
        if arguments not in seen:
            seen.add(arguments)
            yield from read(arguments)[1]
            for nested in _blocks(arguments).values():
                yield from of(nested, seen)

    return set(of(_arguments_of(type_), set()))


@functools.cache
def read(arguments: type) -> tuple[list[Rule], list[str]]:
    """Return the rules in the docstring of a class of arguments, and the sentences that no pattern fits."""
    documented = _documentation(arguments)
    rules: list[Rule] = []
    others = []
    for name, text in documented.items():
        for sentence in re.split(r"(?<=[.!])\s+(?=[A-Z>`])", text):
            named = {word for word in re.findall(r"`([\w.]+)`", sentence) if _is_one_of(word, documented)}
            if not named - {name} or not ABOUT_OTHERS.search(sentence):
                continue
            found = list(_rules(name, sentence))
            rules += found
            if not found:
                others.append(f"{arguments.__name__}.{name}: {sentence}")
    return rules, others


def has(inputs: Inputs, name: str, value: str = "") -> bool:
    """Tell whether an argument is given (with a value); docstrings name some lists by their singular."""
    first, _, rest = name.partition(".")
    given = next((inputs[key] for key in _spellings(first) if inputs.get(key) is not None), None)
    if rest:
        parts = given if isinstance(given, list) else [given]
        return any(isinstance(part, Mapping) and has(part, rest, value) for part in parts)
    return given is not None and (not value or str(given).lower() == value.lower())


def _broken(arguments: type, inputs: Inputs, path: str) -> Iterator[str]:
    for rule in read(arguments)[0]:
        if rule.is_broken_by(inputs):
            yield f"{path}{rule.argument}: {rule.sentence}"
    for name, nested in _blocks(arguments).items():
        given = inputs.get(_camel(name))
        for part in given if isinstance(given, list) else [given]:
            if isinstance(part, Mapping):
                yield from _broken(nested, part, f"{path}{name}.")


def _conflict(mine: Conditions, others: Conditions) -> Callable[[Inputs], bool]:
    return lambda inputs: _all(inputs, mine) and _any(inputs, others)


def _need(mine: Conditions, others: Conditions) -> Callable[[Inputs], bool]:
    return lambda inputs: _all(inputs, mine) and not _all(inputs, others)


def _needed(mine: Conditions, others: Conditions) -> Callable[[Inputs], bool]:
    """The others, with all their values, or any of them without values, need this argument."""
    valued = all(value for _, value in others)
    return lambda inputs: (_all if valued else _any)(inputs, others) and not _all(inputs, mine)


def _exactly_one(_: Conditions, others: Conditions) -> Callable[[Inputs], bool]:
    return lambda inputs: sum(has(inputs, *other) for other in others) != 1


def _at_least_one(_: Conditions, others: Conditions) -> Callable[[Inputs], bool]:
    return lambda inputs: not _any(inputs, others)


PATTERNS = (
    (rf"conflicts with {LIST}", _conflict),
    (rf"cannot be (?:set|specified|used) (?:with|if|when) {LIST}", _conflict),
    (rf"must not be set when {LIST}", _conflict),
    (rf"when {LIST}, this must not be set", _conflict),
    (rf"present then {LIST} cannot be present", _conflict),
    (rf"you may not specify an? {LIST}", _conflict),
    (rf"requires (?:the |specifying an? |at least one )?{LIST}", _need),
    (rf"{LIST} arguments? must be specified when", _need),
    (rf"can only be set (?:with|when) {LIST}", _need),
    (rf"in conjunction with {LIST}", _need),
    (rf"only be used when you set the value of {LIST}", _need),
    (rf"{LIST} when this is set", _need),
    (rf"exactly one of {LIST}", _exactly_one),
    (rf"(?<!exactly )one of {LIST} must be", _at_least_one),
    (rf"required (?:if|when)(?: using)? {LIST}", _needed),
    (rf"must be (?:provided|set(?: to `\w+`)?) (?:if|when) {LIST}", _needed),
)
"""The forms of these sentences. The list in each of them is that of the other arguments."""


ONE_OF = (_exactly_one, _at_least_one)


def _rules(name: str, sentence: str) -> Iterator[Rule]:
    value = re.match(r"Must be set to `(\w+)` when", sentence)
    subject = re.search(r"If you specify at least one `([\w.]+)`", sentence)
    mine = [(subject[1] if subject else name, value[1] if value else "")]
    for pattern, check in PATTERNS:
        for clause in re.finditer(pattern, sentence, re.IGNORECASE):
            named = re.findall(rf"`([\w.]+)`(?:{SET_TO})?", clause[0])
            # The value that this argument itself must have stands before the others.
            others = [other for other in named if other[0] not in (name, value and value[1])]
            if others:
                yield Rule(name, sentence, check(mine, named if check in ONE_OF else others))


def _all(inputs: Inputs, conditions: Conditions) -> bool:
    return all(has(inputs, *condition) for condition in conditions)


def _any(inputs: Inputs, conditions: Conditions) -> bool:
    return any(has(inputs, *condition) for condition in conditions)


def _documentation(arguments: type) -> dict[str, str]:
    """Return the text about each argument."""
    pattern = r":param pulumi\.Input\[[^\n]*\] (\w+): (.*?)(?=\n\s*:param|\Z)"
    documented = re.findall(pattern, arguments.__init__.__doc__ or "", re.DOTALL)  # type: ignore[misc]
    return {name: " ".join(text.split()) for name, text in documented}


@functools.cache
def _blocks(arguments: type) -> dict[str, type]:
    """Return the classes of arguments of nested blocks, by the blocks' names."""
    inputs = importlib.import_module(f"{arguments.__module__.rpartition('.')[0]}._inputs")
    found = {}
    for name, annotation in arguments.__init__.__annotations__.items():  # type: ignore[misc]
        nested = re.search(r"\b(\w+Args)\b", str(annotation))
        if nested and hasattr(inputs, nested[1]):
            found[name] = getattr(inputs, nested[1])
    return found


def _arguments_of(type_: str) -> type:
    """Return the class of the arguments of a type such as `aws:rds/instance:Instance`."""
    _, module, kind = type_.split(":")
    file = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
    package = importlib.import_module(f"pulumi_aws.{module.partition('/')[0]}.{file}")
    found: type = getattr(package, f"{kind}Args")
    return found


def _is_one_of(word: str, documented: Mapping[str, str]) -> bool:
    name = word.partition(".")[0]
    return bool({name, f"{name}s", name.removesuffix("s")} & set(documented))


def _spellings(name: str) -> tuple[str, ...]:
    camel = _camel(name)
    return camel, f"{camel}s", f"{camel}es", camel.removesuffix("s")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
