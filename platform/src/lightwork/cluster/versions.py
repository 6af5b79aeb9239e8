"""Whether the processes of a Dask cluster can run lightwork's calls: the same Python, the same lightwork."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lightwork.errors import RunFailed, one_line
from lightwork.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

_RESPONSE = 10.0
"""Seconds within which the scheduler and its workers respond; later, the first call tells what is wrong."""


def check_versions(client: Client, on: str) -> None:
    """Check the processes of a cluster that somebody else has started.

    Args:
        client: a client that is connected to it.
        on: its address, for the message.

    Raises:
        RunFailed: one of them lacks lightwork, or has another version of it or of Python.
    """
    try:
        found: dict[str, Any] = _ask(client, client._get_versions, packages=["lightwork"])  # noqa: SLF001
        on_scheduler = _ask(client, client._run_on_scheduler, find_spec, "lightwork")  # noqa: SLF001
        on_workers: dict[str, Any] = _ask(client, client._run, find_spec, "lightwork")  # noqa: SLF001
    except Exception:  # noqa: BLE001 - another version of Dask, or a slow cluster
        return
    lacking = {address for address, spec in {**on_workers, "": on_scheduler}.items() if spec is None}
    for address, packages in _processes(found):
        if problem := _problem(packages, is_missing=address in lacking):
            where = f"the worker {address} of {on}" if address else f"the scheduler at {on}"
            raise RunFailed(f"{one_line(where)} {problem}")


def _ask(client: Client, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return client.sync(method, *arguments, callback_timeout=_RESPONSE, **options)


def _processes(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each process's address, "" for the scheduler, with the versions of its packages."""
    for address, info in [("", found.get("scheduler")), *(found.get("workers") or {}).items()]:
        packages = info.get("packages") if isinstance(info, dict) else None
        if isinstance(packages, dict):
            yield address, packages


def _problem(packages: dict[str, Any], *, is_missing: bool) -> str:
    """Return what keeps a process from running lightwork's calls, and what to do; empty if nothing does."""
    ours = ".".join(map(str, sys.version_info[:2]))
    python = ".".join(str(packages.get("python") or ours).split(".")[:2])
    if python != ours:
        return f"runs Python {python}, this process Python {ours}, whose code it cannot read; use the same"
    if is_missing:
        return f"lacks lightwork {__version__}; install it there"
    installed = packages.get("lightwork")
    if installed and str(installed) != __version__:
        return f"has lightwork {installed}, this process {__version__}; install the same version in both"
    return ""
