"""`python -m tests.cluster COMMAND`; arguments after `test` and `driver` are passed to pytest."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.progress import HarnessError, phase, say

_USAGE = (
    "usage: python -m tests.cluster"
    " tools|up|kubernetes|down|build|refresh|status|tenant FILE|test|driver [ARGUMENT...]"
)
WITH_ENGINE = tuple(f"tests/cluster/test_{name}.py" for name in ("driver", "node_groups", "components"))
"""The tests that need Pulumi's engine and nothing else."""
_BUILDS = ("up", "kubernetes", "build", "refresh", "test", "driver")
"""The commands that build what is not in the cache."""


def main(arguments: Sequence[str]) -> int:
    """Run the command that the first argument names.

    Returns:
        0 if it succeeded, 1 if it failed, 2 for a wrong argument, 130 if interrupted; for `test` and
        `driver`, pytest's exit code.
    """
    from tests.cluster import binaries, lifecycle

    name, *rest = arguments or [""]
    commands = {
        "up": _up,
        "kubernetes": lifecycle.up_bare,
        "down": lifecycle.down,
        "build": binaries.build_all,
        "refresh": lifecycle.refresh,
        "status": _status,
        "tools": _tools,
    }
    tests = {"test": _test, "driver": _test_driver}
    if name == "tenant" and len(rest) == 1:
        commands["tenant"] = functools.partial(_add_tenant, rest.pop())
    if name not in tests and (name not in commands or rest):
        print(_USAGE, file=sys.stderr)
        return 2
    if (chosen := os.environ.get("CLUSTER")) not in (None, "", "current"):
        print(f"cluster: CLUSTER is {chosen!r}; set it to current, or unset it", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if name in tests:
            return tests[name](rest)
        commands[name]()
    except HarnessError as error:
        print(f"cluster: {error}", file=sys.stderr)
        _say_what_is_kept(name)
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted", file=sys.stderr)
        _say_what_is_kept(name)
        return 130
    return 0


def _say_what_is_kept(name: str) -> None:
    if name in _BUILDS:
        print("cluster: what was built is kept; the same command goes on from there", file=sys.stderr)


def _tools() -> None:
    """Install what the tests of alerts and of pages run; without starting any service."""
    from tests.cluster import machine, settings

    versions = settings.versions()
    machine.install_packages([*versions["alerts"]["debian"], *versions["pages"]["debian"]])


def _up() -> None:
    """Bring the cluster up with a tenant, for people: they can submit runs at once."""
    from tests.cluster import adding, lifecycle, tenants

    lifecycle.up()
    name = tenants.TENANTS[0]
    with phase(f"tenant {name}"):
        tenants.set_up(name)
    adding.say_what_next(name)


def _add_tenant(file: str) -> None:
    from tests.cluster import adding

    adding.say_what_next(adding.add(Path(file)))


def _test(arguments: Sequence[str]) -> int:
    """Bring the cluster up, run the tests, and take it down in any case."""
    import pytest

    from tests.cluster import binaries, lifecycle

    lifecycle.up()
    try:
        binaries.build_pulumi()
        words = ["tests/cluster", "--capture=no", *arguments]
        return int(pytest.main(words, plugins=[_TakeDown()]))
    finally:
        _take_down()


def _test_driver(arguments: Sequence[str]) -> int:
    """Run the driver's tests, which need Pulumi's engine but no cluster."""
    import pytest

    from tests.cluster import binaries

    os.environ.pop("TIER", None)
    binaries.build(binaries.ENGINE)
    return int(pytest.main([*WITH_ENGINE, *arguments]))


class _TakeDown:
    """A pytest plugin that takes the cluster down after the tests, so that pytest's summary comes last."""

    def pytest_sessionfinish(self) -> None:
        _take_down()


def _take_down() -> None:
    from tests.cluster import lifecycle
    from tests.cluster.settings import run_folder

    if run_folder().exists():
        lifecycle.keep_logs()
        lifecycle.down()


def _status() -> None:
    from tests.cluster import processes

    for server in processes.names():
        say(f"{server}: {'up' if processes.alive(server) else 'ended'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
