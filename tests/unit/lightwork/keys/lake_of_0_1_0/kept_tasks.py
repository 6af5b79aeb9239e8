"""Tasks whose results lie in the lake beside this file, as lightwork 0.1.0 kept them.

The keys of the results depend on this code: an edit of it makes the lake useless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork import current_session, task

if TYPE_CHECKING:
    from collections.abc import Callable

FACTOR = 7


def half(number: int) -> float:
    """Reached by `plain`, so its code is in the key."""
    return number / 2


def adder(offset: float) -> Callable[[float], float]:
    """Give a function that holds on to a value."""

    def add(number: float) -> float:
        return number + offset

    return add


add = adder(0.25)


@task
def plain(number: int, power: int = 2) -> float:
    """Reach a helper, a constant, a closure and a default, and nothing of lightwork's."""
    return add(half(number) * FACTOR) ** power


@task
def tenant_of(number: int) -> str:
    """Read a public name of lightwork's."""
    return f"{current_session().tenant}-{number}"


@task(ignore=("make",))
def made(name: str, make: Callable[[str], Any]) -> Any:
    """Return what the caller makes, such as objects of lightwork's."""
    return make(name)
