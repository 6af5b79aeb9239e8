"""How tests are given to the processes that run them."""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xdist.workermanage import WorkerController

HERE = "tests/unit/lightwork/"
TOGETHER = {
    "recorded stacks": ("tests/infra/",),
    "one cluster": (
        *(f"{HERE}{folder}/" for folder in ("engine", "runs", "cluster")),
        f"{HERE}store/test_order_of_results.py",
    ),
}
"""Tests that share what takes seconds to make, by paths: stacks that are recorded once, Dask workers."""
LONG = ("tests/unit/lightwork/cli/test_backfill.py",)
"""Files of few tests that take minutes: last, as xdist would run them, all processes but one would wait."""


class Scheduler(LoadFileScheduling):
    """Give a file's tests to one process, and those of several files where they share something dear.

    When a process dies, the test that it ran has failed, and its others run elsewhere. xdist's own class
    would run that test again in each new process. Where the last process is a new one, it would wait for
    ever for what has nothing left to run, and for a single test, which a process keeps until it knows the
    next. It would break where a process dies while a new one collects.
    """

    def _split_scope(self, nodeid: str) -> str:
        units = (unit for unit, paths in TOGETHER.items() if nodeid.startswith(paths))
        return next(units, None) or super()._split_scope(nodeid)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Register what a process has collected, which must be what the others have.

        Raises:
            RuntimeError: a process that takes the place of another has collected other tests.
        """
        super().add_node_collection(node, collection)
        if node not in self.registered_collections:
            raise RuntimeError(
                f"{node.gateway.id} has not collected the tests of the process that it replaces"
            )

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test that a process ran when it died, if any; its others wait for another process."""
        units = self.assigned_work.pop(node)
        if self.collection is None:
            self.registered_collections.pop(node, None)
        left = {scope: [name for name, done in unit.items() if not done] for scope, unit in units.items()}
        pending = [name for names in left.values() for name in names]
        crashed = pending[0] if pending else None
        for scope, names in left.items():
            if rest := dict.fromkeys((name for name in names if name != crashed), False):
                self.workqueue[scope] = rest
        for other in self.nodes:
            self._reschedule(other)
        return crashed

    def _reschedule(self, node: WorkerController) -> None:
        if node not in self.registered_collections:
            return
        super()._reschedule(node)
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)

    def _pending_of(self, workload: Mapping[str, Mapping[str, bool]]) -> int:
        """Return how many tests of a process are left, three if there are more.

        xdist counts all that it was ever given, twice for each that ends. What is left was given last.
        """
        tests = (done for unit in reversed(workload.values()) for done in reversed(unit.values()))
        return sum(1 for _ in islice((done for done in tests if not done), 3))

    def _assign_work_unit(self, node: WorkerController) -> None:
        for scope in LONG:
            if scope in self.workqueue:
                self.workqueue.move_to_end(scope, last=False)
        with contextlib.suppress(OSError):  # it has died, and is about to be removed
            super()._assign_work_unit(node)
