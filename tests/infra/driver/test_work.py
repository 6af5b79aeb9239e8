"""The order of work, and the consequences of failures and interrupts, with a fake engine."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from infra.driver.engine import EngineError, Plan
from infra.driver.outcome import Command, Counts, Outcome, Result, Task
from infra.driver.work import Work
from tests.infra.driver.pretended import Pretended, Silent, step
from tests.waiting import patience

ESTATE = Task(stack="dev")
A, B, C = (Task(stack=f"dev.{name}") for name in "abc")


def work(command: Command, engine: Pretended, parallel: int = 4) -> Work:
    return Work(command=command, environment="dev", engine=engine, view=Silent(), parallel=parallel)


def existing(*stacks: str) -> Pretended:
    return Pretended(stacks=dict.fromkeys(stacks, 1))


def results(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.stack: str(outcome.result) for outcome in outcomes}


def test_the_estate_is_deployed_before_any_tenant() -> None:
    engine = existing("dev", "dev.a", "dev.b")
    outcomes = work(Command.UP, engine).run(ESTATE, [A, B])
    assert results(outcomes) == {"dev": "done", "dev.a": "done", "dev.b": "done"}
    assert engine.calls[:2] == [("preview", "dev"), ("up", "dev")]


def test_no_tenant_is_started_if_the_estate_fails() -> None:
    engine = existing("dev", "dev.a")
    engine.broken["up", "dev"] = EngineError("no room")
    estate, tenant = work(Command.UP, engine).run(ESTATE, [A])
    assert (estate.result, estate.error) == (Result.FAILED, ("no room",))
    assert tenant.result is Result.SKIPPED
    assert "dev was not deployed" in tenant.error[0], "its outputs may be outdated"
    assert "dev.a" not in {stack for _, stack in engine.calls}


@pytest.mark.parametrize("error", [EngineError("no"), KeyError("a bug of ours")])
def test_one_tenants_failure_does_not_stop_the_others(error: Exception) -> None:
    engine = existing("dev", "dev.a", "dev.b", "dev.c")
    engine.broken["preview", "dev.b"] = error
    outcomes = work(Command.UP, engine).run(None, [A, B, C])
    assert results(outcomes) == {"dev.a": "done", "dev.b": "failed", "dev.c": "done"}


def test_several_tenants_are_deployed_at_once() -> None:
    together = threading.Barrier(3, timeout=patience(30))
    engine = existing("dev", "dev.a", "dev.b", "dev.c")
    engine.before = lambda _: together.wait()
    outcomes = work(Command.UP, engine, parallel=3).run(None, [A, B, C])
    assert set(results(outcomes).values()) == {"done"}, "each waited for the others"


def test_parallel_limits_the_number_of_tenants_at_once() -> None:
    lock = threading.Lock()

    def alone(_: str) -> None:
        assert lock.acquire(blocking=False), "another tenant is being deployed"
        lock.release()

    engine = existing("dev", "dev.a", "dev.b")
    engine.before = alone
    assert set(results(work(Command.UP, engine, parallel=1).run(None, [A, B])).values()) == {"done"}


def test_a_preview_changes_nothing() -> None:
    engine = existing("dev")
    work(Command.PREVIEW, engine).run(ESTATE, [A])
    assert {call for call, _ in engine.calls} == {"preview", "preview_new", "outputs"}


def test_a_new_stack_is_previewed_before_it_is_created() -> None:
    engine = existing("dev")
    work(Command.UP, engine).run(None, [A])
    assert engine.calls == [
        ("outputs", "dev"),
        ("preview_new", "dev.a"),
        ("create", "dev.a"),
        ("up", "dev.a"),
    ]
    assert engine.estates == [{"region": "eu-central-1"}], "with its estate's outputs"


def test_a_new_stack_whose_preview_fails_is_not_created() -> None:
    engine = existing("dev")
    engine.broken["preview_new", "dev.a"] = EngineError("a wrong parameter")
    work(Command.UP, engine).run(None, [A])
    assert "dev.a" not in engine.stacks, "an empty stack was left behind"


def test_the_estates_outputs_are_read_once() -> None:
    engine = existing("dev")
    work(Command.PREVIEW, engine).run(None, [A, B, C])
    assert engine.done("outputs") == ["dev"]


def test_a_tenant_without_an_estate_fails_with_the_command_that_deploys_one() -> None:
    (outcome,) = work(Command.UP, Pretended()).run(None, [A])
    assert outcome.result is Result.FAILED
    assert outcome.error[0].endswith("lightwork-estate up --env dev --estate")


def test_the_preview_of_a_new_estate_skips_the_tenants_and_succeeds() -> None:
    estate, tenant = work(Command.PREVIEW, Pretended()).run(ESTATE, [A])
    assert (estate.result, tenant.result) == (Result.DONE, Result.SKIPPED)


def test_a_new_estate_and_its_tenants_are_deployed_in_one_run() -> None:
    outcomes = work(Command.UP, Pretended()).run(ESTATE, [A])
    assert results(outcomes) == {"dev": "done", "dev.a": "done"}


@pytest.mark.parametrize("op", ["delete", "replace", "create-replacement", "delete-replaced", "discard"])
@pytest.mark.parametrize("command", [Command.UP, Command.PREVIEW])
def test_a_plan_that_deletes_something_precious_is_refused_and_nothing_is_changed(
    command: Command, op: str
) -> None:
    engine = existing("dev", "dev.a")
    engine.plans["dev.a"] = Plan(steps=(step(op), step("create", "new")))
    (outcome,) = work(command, engine).run(None, [A])
    assert outcome.result is Result.REFUSED
    assert "lake (aws:s3/bucket:Bucket)" in outcome.error[0]
    assert engine.calls == [("preview", "dev.a")]


def test_the_engines_refusal_to_delete_a_protected_resource_gets_the_drivers_message() -> None:
    engine = existing("dev", "dev.a")
    plan = Plan(steps=(step("delete"),))
    engine.broken["preview", "dev.a"] = EngineError("cannot be deleted because it is protected", plan=plan)
    (outcome,) = work(Command.UP, engine).run(None, [A])
    assert outcome.result is Result.REFUSED
    assert "commit `destroy: {dev: [lake]}`" in outcome.error[0], "the way out"


def test_a_committed_entry_allows_the_deletion() -> None:
    engine = existing("dev", "dev.a")
    engine.plans["dev.a"] = Plan(steps=(step("delete"),))
    (outcome,) = work(Command.UP, engine).run(None, [Task(stack="dev.a", allowed=frozenset({"lake"}))])
    assert outcome.result is Result.DONE


def test_a_plan_with_unreadable_steps_is_refused() -> None:
    engine = existing("dev", "dev.a")
    engine.plans["dev.a"] = Plan(unread=("forget",))
    (outcome,) = work(Command.UP, engine).run(None, [A])
    assert outcome.result is Result.REFUSED
    assert engine.done("up") == []


def test_a_locked_stack_has_the_result_locked() -> None:
    engine = existing("dev", "dev.a")
    engine.broken["up", "dev.a"] = EngineError("is locked by me", result=Result.LOCKED)
    (outcome,) = work(Command.UP, engine).run(None, [A])
    assert outcome.result is Result.LOCKED


def test_an_estate_is_destroyed_after_its_tenants() -> None:
    engine = existing("dev", "dev.a")
    outcomes = work(Command.DESTROY, engine).run(ESTATE, [A])
    assert results(outcomes) == {"dev": "done", "dev.a": "done"}
    assert engine.done("destroy") == ["dev.a", "dev"]


def test_an_estate_with_tenants_is_not_destroyed() -> None:
    engine = existing("dev", "dev.a", "dev.b")
    (outcome,) = work(Command.DESTROY, engine).run(ESTATE, [])
    assert outcome.result is Result.REFUSED
    assert "dev.a, dev.b" in outcome.error[0]
    assert engine.calls == []


def test_an_estate_is_not_destroyed_if_a_tenant_could_not_be() -> None:
    engine = existing("dev", "dev.a")
    engine.plans["dev.a"] = Plan(steps=(step("delete"),))
    estate, tenant = work(Command.DESTROY, engine).run(ESTATE, [A])
    assert (estate.result, tenant.result) == (Result.SKIPPED, Result.REFUSED)
    assert engine.done("destroy") == []


def test_destroying_a_stack_that_does_not_exist_succeeds() -> None:
    (outcome,) = work(Command.DESTROY, Pretended()).run(None, [A])
    assert (outcome.result, outcome.counts) == (Result.DONE, Counts())


def test_an_interrupt_lets_running_stacks_finish_and_starts_no_others() -> None:
    engine = existing("dev", "dev.a", "dev.b")
    passed_on = threading.Event()

    def interrupt(kill: bool = False) -> None:
        engine.interrupts.append(kill)
        engine.broken["up", "dev.a"] = EngineError("update canceled")
        passed_on.set()

    engine.interrupt = interrupt  # type: ignore[method-assign]

    def before(stack: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert passed_on.wait(patience(30))

    engine.before = before
    job = work(Command.UP, engine, parallel=1)
    outcomes = job.run(None, [A, B])
    assert job.interrupted
    assert results(outcomes) == {"dev.a": "stopped", "dev.b": "left"}
    assert engine.interrupts == [False], "interrupted, not killed"
    assert "run the same command again" in outcomes[0].error[0]


def test_a_third_interrupt_kills_and_the_outcome_names_the_command_that_releases_the_lock() -> None:
    engine = existing("dev", "dev.a")
    killed = threading.Event()

    def interrupt(kill: bool = False) -> None:
        engine.interrupts.append(kill)
        if kill:
            engine.broken["up", "dev.a"] = EngineError("killed")
            killed.set()
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    engine.interrupt = interrupt  # type: ignore[method-assign]

    def before(stack: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert killed.wait(patience(30))

    engine.before = before
    (outcome,) = work(Command.UP, engine).run(None, [A])
    assert engine.interrupts == [False, False, True], "interrupted twice, then killed"
    assert "pulumi cancel --stack dev.a --yes" in outcome.error[0]
