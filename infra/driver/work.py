"""The order: the estate first, then tenants, several at once; what fails stops as little as can be."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from infra.config.stack import StackName
from infra.driver import precious
from infra.driver.engine import EngineError, Plan
from infra.driver.outcome import GOOD, Command, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from infra.driver.engine import Engine
    from infra.driver.outcome import Task
    from infra.driver.precious import Step


EVERY = 0.1
"""Seconds between two looks at whether somebody asks to stop."""

KILLED_AT = 2
"""After so many requests to stop nobody is asked any more."""


class View(Protocol):
    """Is told what happens, from several threads."""

    def begin(self, stack: str, phase: str) -> None:
        """A stack has come to a phase."""

    def step(self, stack: str, step: Step) -> None:
        """The engine has begun with a resource."""

    def end(self, outcome: Outcome) -> None:
        """A stack is through."""

    def say(self, text: str) -> None:
        """Something that concerns all."""


@dataclass(kw_only=True)
class Work:
    """One call of the driver.

    Attributes:
        command: what is done.
        environment: where; also the name of the estate's stack.
        engine: what does it.
        view: is told what happens.
        parallel: how many tenants at once.
        interrupted: whether somebody wanted it to stop.
    """

    command: Command
    environment: str
    engine: Engine
    view: View
    parallel: int = 4
    interrupted: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _outputs: Mapping[str, Any] | None = None
    _outputs_lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: int = 0
    _killed: bool = False
    _estate_planned: bool = False

    def run(self, estate: Task | None, tenants: Sequence[Task]) -> list[Outcome]:
        """Work on all of it.

        Returns:
            What became of each stack, the estate first; `interrupted` says whether it went to its end.
        """
        with self._listening():
            return self._in_order(estate, tenants)

    def _in_order(self, estate: Task | None, tenants: Sequence[Task]) -> list[Outcome]:
        if self.command is Command.DESTROY:
            ended = self._several(tenants)
            return [*self._last(estate, ended), *ended]
        first = self._several([estate] if estate else [])
        self._estate_planned = estate is not None and self.command is Command.PREVIEW
        if estate and first[0].result not in GOOD and not self.interrupted:
            word = "was not deployed" if self.command is Command.UP else "would not be deployed"
            line = f"not begun: {self.environment} {word}, and tenants read what it exports"
            return [*first, *(self._skipped(task, line) for task in tenants)]
        return [*first, *self._several(tenants)]

    def _last(self, estate: Task | None, tenants: Sequence[Outcome]) -> list[Outcome]:
        """Destroy the estate, where nobody lives in it any more."""
        if not estate:
            return []
        if self.interrupted:
            return [self._left(estate)]
        if any(outcome.result not in GOOD for outcome in tenants):
            return [self._skipped(estate, "not begun: a tenant's stack was not destroyed, and stands on it")]
        try:
            others = [stack for stack in self.engine.inhabited() if stack != estate.stack]
        except EngineError as error:
            return [self._end(Outcome(stack=estate.stack, result=error.result, error=error.lines))]
        if others:
            named = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
            line = f"not begun: tenants' stacks still hold resources: {named}; destroy them first"
            return [self._end(Outcome(stack=estate.stack, result=Result.REFUSED, error=(line,)))]
        return self._several([estate])

    def _several(self, tasks: Sequence[Task]) -> list[Outcome]:
        if self.interrupted:
            return [self._left(task) for task in tasks]
        if not tasks:
            return []
        with ThreadPoolExecutor(max_workers=self.parallel) as pool:
            futures = [pool.submit(self._one, task) for task in tasks]
            self._wait(futures)
        return [future.result() for future in futures]

    def _wait(self, futures: Sequence[Future[Outcome]]) -> None:
        """Wait for all; an interrupt is passed on, a second one ends what runs, a third kills it."""
        passed_on = 0
        pending = set(futures)
        while pending:
            _, pending = wait(pending, timeout=EVERY)
            if self._asked > passed_on:
                passed_on = self._asked
                self._pass_on(passed_on)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Note who asks to stop, instead of being torn out of whatever is done at that moment."""

        def asked(*_: object) -> None:
            self._asked += 1
            self.interrupted = True
            self._stop.set()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, asked: int) -> None:
        if asked == 1:
            self.view.say(
                "stopping: what has begun is finished, nothing else begins; Ctrl-C again ends at once"
            )
        else:
            self._killed = True
            self.view.say("ending at once: what was in the middle may be half made")
        self.engine.interrupt(kill=asked > KILLED_AT)

    def _one(self, task: Task) -> Outcome:
        """Work on one stack; whatever happens becomes its outcome."""
        begun = time.monotonic()
        if self._stop.is_set():
            return self._left(task)
        try:
            outcome = self._worked(task)
        except EngineError as error:
            stopped = self._stop.is_set() and error.result is Result.FAILED
            outcome = Outcome(
                stack=task.stack,
                result=Result.STOPPED if stopped else error.result,
                error=(self._why_stopped(task),) if stopped else error.lines,
            )
        except Exception as error:  # noqa: BLE001  (one stack's trouble is never the others')
            text = " ".join(f"{type(error).__name__}: {error}".split())
            outcome = Outcome(stack=task.stack, result=Result.FAILED, error=(text,))
        return self._end(replace(outcome, seconds=time.monotonic() - begun, reason=task.reason))

    def _worked(self, task: Task) -> Outcome:
        engine, stack = self.engine, task.stack

        def watch(step: Step) -> None:
            self.view.step(stack, step)

        self.view.begin(stack, "planning")
        there = engine.exists(stack)
        if not there and self.command is Command.DESTROY:
            return Outcome(stack=stack, result=Result.DONE)
        outputs = {} if there else self._estate(stack)
        if outputs is None:
            return self._without_estate(task)
        try:
            if self.command is Command.DESTROY:
                plan = engine.preview_destroy(stack, watch)
            elif there:
                plan = engine.preview(stack, watch)
            else:
                plan = engine.preview_new(stack, watch, outputs)
        except EngineError as error:
            # What is precious is protected too, and the engine refuses it before the plan is whole.
            if lines := tuple(precious.forbidden(error.plan.steps, task.allowed)):
                return self._outcome(task, Result.REFUSED, error.plan, lines)
            raise
        if lines := self._refused(plan, task):
            return self._outcome(task, Result.REFUSED, plan, lines)
        if self.command is Command.PREVIEW:
            return self._outcome(task, Result.DONE, plan)
        if self._stop.is_set():
            return self._outcome(task, Result.LEFT, plan, ("not begun: only looked at",))
        if self.command is Command.DESTROY:
            self.view.begin(stack, "destroying")
            return self._outcome(task, Result.DONE, engine.destroy(stack, watch))
        if not there:
            engine.create(stack)
        self.view.begin(stack, "deploying")
        return self._outcome(task, Result.DONE, engine.up(stack, watch))

    def _refused(self, plan: Plan, task: Task) -> tuple[str, ...]:
        """Why a plan must not be carried out, one line for each thing; nothing if it may."""
        if plan.unread:
            steps = ", ".join(plan.unread)
            newer = "is the `pulumi` command newer than the Python package?"
            return (f"the plan has steps that this driver cannot read ({steps}): {newer}",)
        return tuple(precious.forbidden(plan.steps, task.allowed))

    def _estate(self, stack: str) -> Mapping[str, Any] | None:
        """The outputs of the estate, for a tenant whose stack is new; None if there is no estate yet."""
        if not StackName.parse(stack).tenant:
            return {}
        with self._outputs_lock:
            if self._outputs is None and self.engine.exists(self.environment):
                self._outputs = self.engine.outputs(self.environment)
            return self._outputs

    def _without_estate(self, task: Task) -> Outcome:
        if self._estate_planned:
            line = f"not looked at: {self.environment} is to be made first, and exports what a tenant needs"
            return Outcome(stack=task.stack, result=Result.SKIPPED, error=(line,))
        first = f"lightwork-estate up --env {self.environment} --estate"
        return Outcome(
            stack=task.stack,
            result=Result.FAILED,
            error=(f"there is no stack {self.environment} yet, which exports what a tenant needs: {first}",),
        )

    @staticmethod
    def _outcome(task: Task, result: Result, plan: Plan, error: tuple[str, ...] = ()) -> Outcome:
        return Outcome(stack=task.stack, result=result, counts=plan.counts, steps=plan.steps, error=error)

    def _why_stopped(self, task: Task) -> str:
        if self._killed:
            return (
                "ended in the middle: it may be half made, and its lock may have stayed: `pulumi cancel"
                f" --stack {task.stack} --yes` releases it"
            )
        return "stopped in the middle: what had begun was finished, and the same command goes on from there"

    def _left(self, task: Task) -> Outcome:
        return self._end(
            Outcome(stack=task.stack, result=Result.LEFT, reason=task.reason, error=("not begun",))
        )

    def _skipped(self, task: Task, line: str) -> Outcome:
        return self._end(Outcome(stack=task.stack, result=Result.SKIPPED, reason=task.reason, error=(line,)))

    def _end(self, outcome: Outcome) -> Outcome:
        self.view.end(outcome)
        return outcome
