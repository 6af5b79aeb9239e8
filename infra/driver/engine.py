"""The driver's interface to a Pulumi engine. `infra/driver/stacks.py` implements it; tests have their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from infra.driver.outcome import NONE, Counts, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.driver.precious import Step

    Watch = Callable[[Step], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The changes that the engine would make, or has made.

    Attributes:
        steps: the steps, without those that leave a resource unchanged.
        counts: the number of resources by kind of change.
        unread: destructive operations missing from the steps, because their events could not be read.
    """

    steps: tuple[Step, ...] = ()
    counts: Counts = NONE
    unread: tuple[str, ...] = ()


class EngineError(Exception):
    """An operation of the engine that failed.

    Attributes:
        lines: the reasons, one line each.
        result: the result for the stack.
        plan: the plan up to the failure.
    """

    def __init__(self, *lines: str, result: Result = Result.FAILED, plan: Plan | None = None) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines
        self.result = result
        self.plan = plan or Plan()


class Engine(Protocol):
    """An engine for the stacks of one environment. It is called from several threads, one stack each.

    Every method raises EngineError if it fails.
    """

    def exists(self, stack: str) -> bool:
        """Return whether the backend has a stack."""

    def create(self, stack: str) -> None:
        """Create an empty stack."""

    def outputs(self, stack: str) -> Mapping[str, Any]:
        """Return a stack's outputs, without the secret ones."""

    def inhabited(self) -> list[str]:
        """Return the environment's stacks that hold resources, including the estate's."""

    def preview(self, stack: str, watch: Watch) -> Plan:
        """Preview `up`. Nothing is changed."""

    def preview_new(self, stack: str, watch: Watch, estate: Mapping[str, Any]) -> Plan:
        """Preview `up` for a stack that the backend does not have. The backend is not changed.

        Args:
            stack: the stack's name.
            watch: called with each step.
            estate: the outputs of the environment's estate.
        """

    def up(self, stack: str, watch: Watch) -> Plan:
        """Deploy a stack."""

    def preview_destroy(self, stack: str, watch: Watch) -> Plan:
        """Preview `destroy`. Nothing is changed."""

    def destroy(self, stack: str, watch: Watch) -> Plan:
        """Delete all resources of a stack. The empty stack stays, with its history."""

    def interrupt(self, *, kill: bool = False) -> None:
        """Ask running operations to finish the resources in progress; a second call ends them at once.

        Args:
            kill: kill them instead.
        """
