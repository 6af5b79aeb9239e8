"""What the driver asks of a Pulumi engine. `infra/driver/stacks.py` is the real one; tests have others."""

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
    """What the engine would do, or has done.

    Attributes:
        steps: all but those that leave a resource as it is.
        counts: their sums.
        unread: harmful operations that are not among the steps, since nobody could read their events.
    """

    steps: tuple[Step, ...] = ()
    counts: Counts = NONE
    unread: tuple[str, ...] = ()


class EngineError(Exception):
    """The engine could not do it.

    Attributes:
        lines: why, one line for each thing.
        result: what that makes of the stack.
        plan: as far as it had come.
    """

    def __init__(self, *lines: str, result: Result = Result.FAILED, plan: Plan | None = None) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines
        self.result = result
        self.plan = plan or Plan()


class Engine(Protocol):
    """Works on the stacks of one environment; on several at once, each from a thread of its own.

    Each method raises EngineError.
    """

    def exists(self, stack: str) -> bool:
        """Whether the backend has a stack."""

    def create(self, stack: str) -> None:
        """Make a stack, empty."""

    def outputs(self, stack: str) -> Mapping[str, Any]:
        """What a stack exports, without its secrets."""

    def inhabited(self) -> list[str]:
        """The stacks of the environment that hold resources, the estate's among them."""

    def preview(self, stack: str, watch: Watch) -> Plan:
        """What `up` would do. Changes nothing."""

    def preview_new(self, stack: str, watch: Watch, estate: Mapping[str, Any]) -> Plan:
        """What `up` would do for a stack that the backend does not have. Changes nothing there.

        Args:
            stack: the stack.
            watch: is told of each step.
            estate: the outputs of the environment's estate.
        """

    def up(self, stack: str, watch: Watch) -> Plan:
        """Deploy."""

    def preview_destroy(self, stack: str, watch: Watch) -> Plan:
        """What `destroy` would do. Changes nothing."""

    def destroy(self, stack: str, watch: Watch) -> Plan:
        """Delete all that the stack holds. The stack stays, empty, with its history."""

    def interrupt(self, *, kill: bool = False) -> None:
        """Ask what runs to finish what it has begun, and no more; when asked again, to end at once.

        Args:
            kill: do not ask.
        """
