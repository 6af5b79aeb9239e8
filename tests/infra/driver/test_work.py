"""The order of the work and what becomes of failures, with an engine that only pretends."""

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


def there(*stacks: str) -> Pretended:
    return Pretended(stacks=dict.fromkeys(stacks, 1))


def results(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.stack: str(outcome.result) for outcome in outcomes}


def test_the_estate_is_deployed_before_any_tenant() -> None:
    engine = there("dev", "dev.a", "dev.b")
    found = work(Command.UP, engine).run(ESTATE, [A, B])
    assert results(found) == {"dev": "done", "dev.a": "done", "dev.b": "done"}
    assert engine.calls[:2] == [("preview", "dev"), ("up", "dev")]


def test_when_the_estate_fails_no_tenant_is_begun() -> None:
    engine = there("dev", "dev.a")
    engine.broken["up", "dev"] = EngineError("no room")
    estate, tenant = work(Command.UP, engine).run(ESTATE, [A])
    assert (estate.result, estate.error) == (Result.FAILED, ("no room",))
    assert tenant.result is Result.SKIPPED
    assert "tenants read what it exports" in tenant.error[0], "they would read what is out of date"
    assert "dev.a" not in {stack for _, stack in engine.calls}


@pytest.mark.parametrize("error", [EngineError("no"), KeyError("a bug of ours")])
def test_one_tenants_failure_stops_nobody_else(error: Exception) -> None:
    engine = there("dev", "dev.a", "dev.b", "dev.c")
    engine.broken["preview", "dev.b"] = error
    found = results(work(Command.UP, engine).run(None, [A, B, C]))
    assert found == {"dev.a": "done", "dev.b": "failed", "dev.c": "done"}


def test_as_many_tenants_as_asked_are_worked_on_at_once() -> None:
    together = threading.Barrier(3, timeout=patience(30))
    engine = there("dev", "dev.a", "dev.b", "dev.c")
    engine.before = lambda _: together.wait()
    found = work(Command.UP, engine, parallel=3).run(None, [A, B, C])
    assert results(found) == {"dev.a": "done", "dev.b": "done", "dev.c": "done"}, "each waited for the others"


def test_no_more_tenants_than_asked_are_worked_on_at_once() -> None:
    lock = threading.Lock()

    def alone(_: str) -> None:
        assert lock.acquire(blocking=False), "somebody else is at work"
        lock.release()

    engine = there("dev", "dev.a", "dev.b")
    engine.before = alone
    assert set(results(work(Command.UP, engine, parallel=1).run(None, [A, B])).values()) == {"done"}


def test_a_preview_changes_nothing() -> None:
    engine = there("dev")
    work(Command.PREVIEW, engine).run(ESTATE, [A])
    assert {call for call, _ in engine.calls} == {"preview", "preview_new", "outputs"}


def test_a_new_stack_is_looked_at_elsewhere_before_it_is_made() -> None:
    engine = there("dev")
    work(Command.UP, engine).run(None, [A])
    assert engine.calls == [
        ("outputs", "dev"),
        ("preview_new", "dev.a"),
        ("create", "dev.a"),
        ("up", "dev.a"),
    ]
    assert engine.estates == [{"region": "eu-central-1"}], "with what its estate exports"


def test_a_new_stack_that_would_fail_is_not_made() -> None:
    engine = there("dev")
    engine.broken["preview_new", "dev.a"] = EngineError("a wrong parameter")
    work(Command.UP, engine).run(None, [A])
    assert "dev.a" not in engine.stacks, "an empty stack would be left behind"


def test_the_estates_outputs_are_asked_for_once() -> None:
    engine = there("dev")
    work(Command.PREVIEW, engine).run(None, [A, B, C])
    assert engine.done("outputs") == ["dev"]


def test_a_tenant_without_an_estate_is_told_what_to_do_first() -> None:
    (found,) = work(Command.UP, Pretended()).run(None, [A])
    assert found.result is Result.FAILED
    assert found.error[0].endswith("lightwork-estate up --env dev --estate")


def test_where_the_estate_itself_is_new_a_preview_leaves_the_tenants_out() -> None:
    estate, tenant = work(Command.PREVIEW, Pretended()).run(ESTATE, [A])
    assert (estate.result, tenant.result) == (Result.DONE, Result.SKIPPED), "a first preview is no failure"


def test_where_the_estate_itself_is_new_a_deployment_goes_through() -> None:
    found = work(Command.UP, Pretended()).run(ESTATE, [A])
    assert results(found) == {"dev": "done", "dev.a": "done"}


@pytest.mark.parametrize("op", ["delete", "replace", "create-replacement", "delete-replaced", "discard"])
@pytest.mark.parametrize("command", [Command.UP, Command.PREVIEW])
def test_nothing_is_changed_where_something_precious_would_end(command: Command, op: str) -> None:
    engine = there("dev", "dev.a")
    engine.plans["dev.a"] = Plan(steps=(step(op), step("create", "new")))
    (found,) = work(command, engine).run(None, [A])
    assert found.result is Result.REFUSED
    assert "lake (aws:s3/bucket:Bucket)" in found.error[0]
    assert engine.calls == [("preview", "dev.a")]


def test_what_the_engine_itself_refuses_since_it_is_protected_gets_our_line_with_the_way_out() -> None:
    engine = there("dev", "dev.a")
    plan = Plan(steps=(step("delete"),))
    engine.broken["preview", "dev.a"] = EngineError("cannot be deleted because it is protected", plan=plan)
    (found,) = work(Command.UP, engine).run(None, [A])
    assert found.result is Result.REFUSED
    assert "if that is meant, commit" in found.error[0]


def test_what_a_committed_entry_permits_may_end() -> None:
    engine = there("dev", "dev.a")
    engine.plans["dev.a"] = Plan(steps=(step("delete"),))
    (found,) = work(Command.UP, engine).run(None, [Task(stack="dev.a", allowed=frozenset({"lake"}))])
    assert found.result is Result.DONE


def test_a_plan_of_which_something_could_not_be_read_is_not_carried_out() -> None:
    engine = there("dev", "dev.a")
    engine.plans["dev.a"] = Plan(unread=("forget",))
    (found,) = work(Command.UP, engine).run(None, [A])
    assert found.result is Result.REFUSED
    assert engine.done("up") == []


def test_a_locked_stack_is_called_so() -> None:
    engine = there("dev", "dev.a")
    engine.broken["up", "dev.a"] = EngineError("is locked by me", result=Result.LOCKED)
    (found,) = work(Command.UP, engine).run(None, [A])
    assert found.result is Result.LOCKED


def test_an_estate_is_destroyed_after_its_tenants() -> None:
    engine = there("dev", "dev.a")
    found = work(Command.DESTROY, engine).run(ESTATE, [A])
    assert results(found) == {"dev": "done", "dev.a": "done"}
    assert engine.done("destroy") == ["dev.a", "dev"]


def test_an_estate_in_which_somebody_lives_is_not_destroyed() -> None:
    engine = there("dev", "dev.a", "dev.b")
    (found,) = work(Command.DESTROY, engine).run(ESTATE, [])
    assert found.result is Result.REFUSED
    assert "dev.a, dev.b" in found.error[0]
    assert engine.calls == [], "they would lose the ground they stand on"


def test_an_estate_stays_where_a_tenant_could_not_be_destroyed() -> None:
    engine = there("dev", "dev.a")
    engine.plans["dev.a"] = Plan(steps=(step("delete"),))
    estate, tenant = work(Command.DESTROY, engine).run(ESTATE, [A])
    assert (estate.result, tenant.result) == (Result.SKIPPED, Result.REFUSED)
    assert engine.done("destroy") == []


def test_what_is_not_there_is_destroyed_already() -> None:
    (found,) = work(Command.DESTROY, Pretended()).run(None, [A])
    assert (found.result, found.counts) == (Result.DONE, Counts())


def test_an_interrupt_lets_what_runs_finish_and_begins_nothing_else() -> None:
    engine = there("dev", "dev.a", "dev.b")
    told = threading.Event()

    def interrupted(kill: bool = False) -> None:
        engine.interrupts.append(kill)
        engine.broken["up", "dev.a"] = EngineError("update canceled")
        told.set()

    engine.interrupt = interrupted  # type: ignore[method-assign]

    def before(stack: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert told.wait(patience(30))

    engine.before = before
    job = work(Command.UP, engine, parallel=1)
    found = job.run(None, [A, B])
    assert job.interrupted
    assert results(found) == {"dev.a": "stopped", "dev.b": "left"}
    assert engine.interrupts == [False], "asked, not killed"
    assert "the same command goes on from there" in found[0].error[0]


def test_asked_again_it_ends_at_once_and_says_that_the_lock_may_have_stayed() -> None:
    engine = there("dev", "dev.a")
    killed = threading.Event()

    def interrupted(kill: bool = False) -> None:
        engine.interrupts.append(kill)
        if kill:
            engine.broken["up", "dev.a"] = EngineError("killed")
            killed.set()
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    engine.interrupt = interrupted  # type: ignore[method-assign]

    def before(stack: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert killed.wait(patience(30))

    engine.before = before
    (found,) = work(Command.UP, engine).run(None, [A])
    assert engine.interrupts == [False, False, True], "asked twice, then killed"
    assert "pulumi cancel --stack dev.a --yes" in found.error[0]
