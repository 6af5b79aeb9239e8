"""A fake engine that records its calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.driver.engine import Plan
from infra.driver.outcome import Counts, Outcome
from infra.driver.precious import Step


def step(op: str, name: str = "lake", type_: str = "aws:s3/bucket:Bucket") -> Step:
    return Step(op=op, urn=f"urn:pulumi:dev.acme::lightwork::{type_}::{name}", type=type_, name=name)


NEW = Plan(steps=(step("create"),), counts=Counts(create=1))


@dataclass
class Pretended:
    """A fake engine that records its calls.

    Attributes:
        stacks: the backend's stacks, and the number of resources in each.
        plans: the plan for each stack.
        broken: the error to raise, by call and stack.
        before: called with the stack when its `up` begins.
        calls: the calls, as `(method, stack)`.
        estates: the estates' outputs that `preview_new` was given.
        interrupts: the value of `kill` of each interrupt.
    """

    stacks: dict[str, int] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    broken: dict[tuple[str, str], Exception] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _: None
    calls: list[tuple[str, str]] = field(default_factory=list)
    estates: list[Mapping[str, Any]] = field(default_factory=list)
    interrupts: list[bool] = field(default_factory=list)

    def _called(self, method: str, stack: str) -> Plan:
        self.calls.append((method, stack))
        if error := self.broken.get((method, stack)):
            raise error
        return self.plans.get(stack, NEW)

    def exists(self, stack: str) -> bool:
        return stack in self.stacks

    def create(self, stack: str) -> None:
        self._called("create", stack)
        self.stacks[stack] = 0

    def outputs(self, stack: str) -> Mapping[str, Any]:
        self._called("outputs", stack)
        return {"region": "eu-central-1"}

    def inhabited(self) -> list[str]:
        return [stack for stack, count in self.stacks.items() if count]

    def preview(self, stack: str, watch: object) -> Plan:
        return self._called("preview", stack)

    def preview_new(self, stack: str, watch: object, estate: Mapping[str, Any]) -> Plan:
        self.estates.append(estate)
        return self._called("preview_new", stack)

    def up(self, stack: str, watch: object) -> Plan:
        self.before(stack)
        plan = self._called("up", stack)
        self.stacks[stack] = 1
        return plan

    def preview_destroy(self, stack: str, watch: object) -> Plan:
        return self._called("preview_destroy", stack)

    def destroy(self, stack: str, watch: object) -> Plan:
        plan = self._called("destroy", stack)
        self.stacks[stack] = 0
        return plan

    def interrupt(self, *, kill: bool = False) -> None:
        self.interrupts.append(kill)

    def done(self, method: str) -> list[str]:
        """Return the stacks for which a method was called, in order."""
        return [stack for called, stack in self.calls if called == method]


class Silent:
    def begin(self, stack: str, phase: str) -> None: ...
    def step(self, stack: str, step: Step) -> None: ...
    def end(self, outcome: Outcome) -> None: ...
    def say(self, text: str) -> None: ...
