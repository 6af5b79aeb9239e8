"""The order of work: the estate first, then tenants, several at once. A failed tenant stops no other."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from infra.config.stack import StackName
from infra.driver import precious, waiting
from infra.driver.engine import EngineError, Plan
from infra.driver.outcome import GOOD, Command, Outcome, Result
from lightwork.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from infra.driver.engine import Engine
    from infra.driver.outcome import Task
    from infra.driver.precious import Step
    from lightwork.kube.api import KubeApi


EVERY = 0.1
"""Seconds between checks for a stop request."""

KILLED_AT = 2
"""The number of stop requests after which the engine is killed at the next one."""


class View(Protocol):
    """A display of the progress. It is called from several threads."""

    def begin(self, stack: str, phase: str) -> None:
        """Show the phase that a stack enters."""

    def step(self, stack: str, step: Step) -> None:
        """Show that the engine has started on a resource."""

    def end(self, outcome: Outcome) -> None:
        """Show the outcome for a stack."""

    def say(self, text: str) -> None:
        """Show a message about the whole run."""


@dataclass(kw_only=True)
class Work:
    """One run of the driver.

    Attributes:
        command: the operation.
        environment: the environment; also the name of the estate's stack.
        engine: the engine.
        api: returns the cluster's API, to tell why pods do not start; None if there is none.
        view: the display of the progress.
        parallel: the number of tenants to work on at once.
        interrupted: whether the run was asked to stop.
    """

    command: Command
    environment: str
    engine: Engine
    view: View
    api: Callable[[], KubeApi] | None = None
    parallel: int = 4
    interrupted: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _outputs: Mapping[str, Any] | None = None
    _outputs_lock: threading.Lock = field(default_factory=threading.Lock)
    _requests: int = 0
    _killed: bool = False
    _estate_planned: bool = False

    def run(self, estate: Task | None, tenants: Sequence[Task]) -> list[Outcome]:
        """Work on all tasks.

        Returns:
            The outcome for each stack, the estate first. `interrupted` tells whether the run was cut short.
        """
        with self._recorded_signals():
            return self._in_order(estate, tenants)

    def _in_order(self, estate: Task | None, tenants: Sequence[Task]) -> list[Outcome]:
        if self.command is Command.DESTROY:
            destroyed = self._in_parallel(tenants)
            return [*self._destroy_estate(estate, destroyed), *destroyed]
        first = self._in_parallel([estate] if estate else [])
        self._estate_planned = estate is not None and self.command is Command.PREVIEW
        if estate and first[0].result not in GOOD and not self.interrupted:
            verb = "was not deployed" if self.command is Command.UP else "would not be deployed"
            line = f"not started: {self.environment} {verb}, and tenants need its outputs"
            return [*first, *(self._skipped(task, line) for task in tenants)]
        return [*first, *self._in_parallel(tenants)]

    def _destroy_estate(self, estate: Task | None, tenants: Sequence[Outcome]) -> list[Outcome]:
        """Destroy the estate if no tenant's stack is left in it."""
        if not estate:
            return []
        if self.interrupted:
            return [self._left(estate)]
        if any(outcome.result not in GOOD for outcome in tenants):
            return [
                self._skipped(estate, "not started: a tenant's stack was not destroyed and depends on it")
            ]
        try:
            others = [stack for stack in self.engine.inhabited() if stack != estate.stack]
        except EngineError as error:
            return [self._end(Outcome(stack=estate.stack, result=error.result, error=error.lines))]
        if others:
            names = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
            line = f"not started: tenants' stacks still hold resources: {names}; destroy them first"
            return [self._end(Outcome(stack=estate.stack, result=Result.REFUSED, error=(line,)))]
        return self._in_parallel([estate])

    def _in_parallel(self, tasks: Sequence[Task]) -> list[Outcome]:
        if self.interrupted:
            return [self._left(task) for task in tasks]
        if not tasks:
            return []
        with ThreadPoolExecutor(max_workers=self.parallel) as pool:
            futures = [pool.submit(self._work_on, task) for task in tasks]
            self._wait(futures)
        return [future.result() for future in futures]

    def _wait(self, futures: Sequence[Future[Outcome]]) -> None:
        """Wait for all, passing stop requests on: the first two as an interrupt, a third as a kill."""
        passed_on = 0
        pending = set(futures)
        while pending:
            _, pending = wait(pending, timeout=EVERY)
            if self._requests > passed_on:
                passed_on = self._requests
                self._pass_on(passed_on)

    @contextmanager
    def _recorded_signals(self) -> Iterator[None]:
        """Record stop requests instead of raising KeyboardInterrupt."""

        def record(*_: object) -> None:
            self._requests += 1
            self.interrupted = True
            self._stop.set()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, record) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _pass_on(self, requests: int) -> None:
        if requests == 1:
            self.view.say(
                "stopping: resources in progress are finished, no other stack starts; press Ctrl-C again to"
                " end at once"
            )
        else:
            self._killed = True
            self.view.say("ending at once: resources in progress may be left incomplete")
        self.engine.interrupt(kill=requests > KILLED_AT)

    def _work_on(self, task: Task) -> Outcome:
        """Work on one stack, turning any error into its outcome."""
        start = time.monotonic()
        if self._stop.is_set():
            return self._left(task)
        try:
            outcome = self._executed(task)
        except EngineError as error:
            stopped = self._stop.is_set() and error.result is Result.FAILED
            outcome = Outcome(
                stack=task.stack,
                result=Result.STOPPED if stopped else error.result,
                error=(self._why_stopped(task),) if stopped else error.lines,
            )
        except Exception as error:  # noqa: BLE001  (one stack's failure must not stop the others)
            text = one_line(f"{type(error).__name__}: {error}")
            outcome = Outcome(stack=task.stack, result=Result.FAILED, error=(text,))
        return self._end(replace(outcome, seconds=time.monotonic() - start, reason=task.reason))

    def _executed(self, task: Task) -> Outcome:
        engine, stack = self.engine, task.stack

        def watch(step: Step) -> None:
            self.view.step(stack, step)

        self.view.begin(stack, "planning")
        exists = engine.exists(stack)
        if not exists and self.command is Command.DESTROY:
            return Outcome(stack=stack, result=Result.DONE)
        outputs = {} if exists else self._estate(stack)
        if outputs is None:
            return self._without_estate(task)
        try:
            if self.command is Command.DESTROY:
                plan = engine.preview_destroy(stack, watch)
            elif exists:
                plan = engine.preview(stack, watch)
            else:
                plan = engine.preview_new(stack, watch, outputs)
        except EngineError as error:
            # Precious resources are protected too, and the engine may refuse before the plan is complete.
            if lines := tuple(precious.forbidden(error.plan.steps, task.allowed)):
                return self._outcome(task, Result.REFUSED, error.plan, lines)
            raise
        if lines := self._refused(plan, task):
            return self._outcome(task, Result.REFUSED, plan, lines)
        if self.command is Command.PREVIEW:
            return self._outcome(task, Result.DONE, plan)
        if self._stop.is_set():
            return self._outcome(task, Result.LEFT, plan, ("not started: only previewed",))
        if self.command is Command.DESTROY:
            self.view.begin(stack, "destroying")
            return self._outcome(task, Result.DONE, engine.destroy(stack, watch))
        if not exists:
            engine.create(stack)
        self.view.begin(stack, "deploying")
        return self._outcome(task, Result.DONE, self._deployed(stack))

    def _deployed(self, stack: str) -> Plan:
        """Deploy a stack; tell what keeps its pods from starting."""
        with waiting.watched(self.api, lambda text: self.view.say(f"{stack}: {text}")) as look:

            def watch(step: Step) -> None:
                self.view.step(stack, step)
                look.step(step)

            try:
                return self.engine.up(stack, watch)
            except EngineError as error:
                lines = (*look.lines(), *error.lines)
                raise EngineError(*lines, result=error.result, plan=error.plan) from None

    def _refused(self, plan: Plan, task: Task) -> tuple[str, ...]:
        """Return the reasons to refuse a plan, one line each; empty if it may be carried out."""
        if plan.unread:
            steps = ", ".join(plan.unread)
            hint = "is the `pulumi` command newer than the Python package?"
            return (f"the plan has steps that this driver cannot read ({steps}): {hint}",)
        return tuple(precious.forbidden(plan.steps, task.allowed))

    def _estate(self, stack: str) -> Mapping[str, Any] | None:
        """Return the estate's outputs for a new tenant's stack; None if the estate does not exist yet."""
        if not StackName.parse(stack).tenant:
            return {}
        with self._outputs_lock:
            if self._outputs is None and self.engine.exists(self.environment):
                self._outputs = self.engine.outputs(self.environment)
            return self._outputs

    def _without_estate(self, task: Task) -> Outcome:
        if self._estate_planned:
            line = f"not previewed: {self.environment} does not exist yet, and tenants need its outputs"
            return Outcome(stack=task.stack, result=Result.SKIPPED, error=(line,))
        line = (
            f"the estate {self.environment} does not exist yet, and tenants need its outputs; deploy it"
            f" first: lightwork-estate up --env {self.environment} --estate"
        )
        return Outcome(stack=task.stack, result=Result.FAILED, error=(line,))

    @staticmethod
    def _outcome(task: Task, result: Result, plan: Plan, error: tuple[str, ...] = ()) -> Outcome:
        return Outcome(stack=task.stack, result=result, counts=plan.counts, steps=plan.steps, error=error)

    def _why_stopped(self, task: Task) -> str:
        if self._killed:
            return (
                "ended at once: the stack may be incomplete and still locked; `pulumi cancel --stack"
                f" {task.stack} --yes` releases the lock"
            )
        return "interrupted: resources in progress were finished; run the same command again to continue"

    def _left(self, task: Task) -> Outcome:
        return self._end(
            Outcome(stack=task.stack, result=Result.LEFT, reason=task.reason, error=("not started",))
        )

    def _skipped(self, task: Task, line: str) -> Outcome:
        return self._end(Outcome(stack=task.stack, result=Result.SKIPPED, reason=task.reason, error=(line,)))

    def _end(self, outcome: Outcome) -> Outcome:
        self.view.end(outcome)
        return outcome
