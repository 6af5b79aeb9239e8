"""What the workers of a run in Kubernetes offer to tasks with `resources`: known before there are any.

Elsewhere each worker says it to the scheduler, see `Cluster.offers`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lightwork.errors import InputError
from lightwork.kube import contract

if TYPE_CHECKING:
    from collections.abc import Mapping


def fits(offered: Mapping[str, float], needed: Mapping[str, float]) -> bool:
    """Return whether what a worker offers is enough for a call."""
    return all(offered.get(name, 0) >= number for name, number in needed.items())


def offered_by_run(on: str) -> dict[str, float] | None:
    """Return what each worker of this process's run offers; None if the process is not a run's driver.

    Args:
        on: the session's place, whose workers these are if it is an address.

    Raises:
        InputError: the environment variable is invalid.
    """
    text = os.environ.get(contract.ENV_WORKER_RESOURCES)
    if text is None or "://" not in on:
        return None
    try:
        return {name: float(number) for name, number in (pair.split("=") for pair in text.split())}
    except ValueError:
        raise InputError(
            f"{contract.ENV_WORKER_RESOURCES}: {text!r} is not of the form GPU=1 LICENSE=2"
        ) from None


def check_offered(on: str, task: str, needed: Mapping[str, float]) -> bool:
    """Check that the workers of this process's run offer what a task needs; return False if that is unknown.

    Args:
        on: the session's place.
        task: the task's name.
        needed: numbers by the names of resources.

    Raises:
        InputError: they do not.
    """
    offered = offered_by_run(on)
    if offered is None:
        return False
    if not fits(offered, needed):
        each = " ".join(f"{name}={number:g}" for name, number in offered.items()) or "nothing"
        raise InputError(
            f"{task}: resources={dict(needed)}: each worker of this run offers {each};"
            " add it to `resources` of its `workers` in the tenant's file"
        )
    return True


def threads_of_a_call(on: str, needed: Mapping[str, float] | None) -> float:
    """Return how many of a worker's threads a call takes; more than one if others lack a resource."""
    offered = offered_by_run(on) if needed else None
    threads = os.environ.get(contract.ENV_WORKER_THREADS, "")
    if not offered or not needed or not threads.isdigit():
        return 1.0
    at_once = min(int(offered.get(name, 0) // number) for name, number in needed.items())
    return max(1.0, int(threads) / max(1, at_once))
