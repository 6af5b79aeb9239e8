"""`python -m tests.cluster`, and what to do; what follows `test` and `driver` goes to pytest."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from tests.cluster.progress import HarnessError, say

_USAGE = "usage: python -m tests.cluster up|kubernetes|down|build|refresh|status|test|driver [ARGUMENT...]"


def main(arguments: Sequence[str]) -> int:
    """Do what the first argument says.

    Returns:
        0 when done, 1 with a message when not, 2 for a wrong argument, 130 when interrupted; for `test` and
        `driver`, what pytest says.
    """
    from tests.cluster import binaries, lifecycle

    name, *rest = arguments or [""]
    commands = {
        "up": lifecycle.up,
        "kubernetes": lifecycle.up_bare,
        "down": lifecycle.down,
        "build": binaries.build_all,
        "refresh": lifecycle.refresh,
        "status": _status,
    }
    tests = {"test": _test, "driver": _test_driver}
    if name not in tests and (name not in commands or rest):
        print(_USAGE, file=sys.stderr)
        return 2
    if (chosen := os.environ.get("CLUSTER")) not in (None, "", "current"):
        print(f"cluster: CLUSTER is {chosen!r}; it is current, or not set", file=sys.stderr)
        return 2
    for which in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(which, signal.default_int_handler)
    try:
        if name in tests:
            return tests[name](rest)
        commands[name]()
    except HarnessError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted", file=sys.stderr)
        return 130
    return 0


def _test(arguments: Sequence[str]) -> int:
    """Bring the cluster up, run the tests, take it down whatever happened."""
    import pytest

    from tests.cluster import binaries, lifecycle

    lifecycle.up()
    try:
        if os.environ.get("TIER") != "core":
            binaries.build(binaries.ENGINE)
        words = ["tests/cluster", "--capture=no", *arguments]
        return int(pytest.main(words, plugins=[_TakeDown()]))
    finally:
        _take_down()


def _test_driver(arguments: Sequence[str]) -> int:
    """Run the tests of the driver, which need Pulumi's engine and no cluster."""
    import pytest

    from tests.cluster import binaries

    os.environ.pop("TIER", None)
    binaries.build(binaries.ENGINE)
    return int(pytest.main(["tests/cluster/test_driver.py", *arguments]))


class _TakeDown:
    """Takes the cluster down when the tests have run, so that pytest's closing line is the last one."""

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
