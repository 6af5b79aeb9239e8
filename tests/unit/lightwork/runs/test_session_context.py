"""The session is a context variable: threads and coroutines do not see each other's."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import pandas as pd
import pytest
import structlog
from distributed import Client, LocalCluster

from lightwork import InputError, Session, connect, current_session, get_logger, task
from lightwork.engine.feed import PAGE
from lightwork.runs import session
from tests.coroutines import run_coroutine
from tests.dask_workers import dask_workers
from tests.waiting import patience

TENANTS = ("acme", "globex")
FIELDS = ("tenant", "pipeline", "run")


@task
def double(x: int) -> int:
    return 2 * x


@task(cache=False)
def tenant_inside(_: int) -> str:
    return current_session().tenant


@task(cache=False)
def tenant_of_log(_: int) -> str:
    return str(structlog.contextvars.get_contextvars().get("tenant"))


@task(cache=False)
def nested(x: int) -> list[int]:
    return list(double.map([x, x + 1]))


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake for all tenants, which is also that of the default session of the process."""
    monkeypatch.setenv("LIGHTWORK_LAKE", str(tmp_path / "lake"))
    for name in ("LIGHTWORK_ON", "LIGHTWORK_TENANT", "DASK_SCHEDULER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("lightwork.runs.session._default", None)
    return tmp_path / "lake"


@pytest.fixture(scope="module")
def schedulers():
    """The addresses of two schedulers with one worker process each."""
    with dask_workers(1) as first, dask_workers(1) as second:
        yield first, second


def open_for(tenant: str, on: str = "serial") -> Session:
    return connect(on, tenant=tenant, progress="off")


def fields() -> dict[str, object]:
    bound = structlog.contextvars.get_contextvars()
    return {name: bound[name] for name in FIELDS if bound.get(name, ...) is not ...}


def kept(lake: Path, tenant: str) -> bool:
    return (lake / tenant / "results").is_dir()


def in_threads(*calls):
    """Run each call in a thread of its own, all at once; return their results.

    Raises:
        BaseException: the first error of any of them, not that of a barrier where others waited for it.
    """
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
    errors = [error for error in (future.exception() for future in futures) if error is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]


def in_new_thread(call, *arguments):
    """Run a call in a thread that has no session."""
    return in_threads(lambda: call(*arguments))[0]


def refused(call, match: str) -> None:
    with pytest.raises(InputError, match=match) as error:
        call()
    assert "\n" not in str(error.value)


# Threads


def test_two_threads_use_their_own_lake_log_and_artifacts(lake):
    both_open = threading.Barrier(2, timeout=patience(30))

    def work(tenant, number):
        with open_for(tenant) as session:
            both_open.wait()
            assert current_session() is session
            assert list(double.map([number])) == [2 * number]
            assert double.submit(number + 10).result() == 2 * number + 20
            current_session().artifacts.write("table", pd.DataFrame({"tenant": [tenant]}))
            seen = fields()["tenant"]
            both_open.wait()
            return seen, session.elements["total"], list(session.artifacts.read("table").tenant)

    results = in_threads(lambda: work("acme", 1), lambda: work("globex", 2))
    assert results == [(tenant, 2, [tenant]) for tenant in TENANTS]
    assert kept(lake, "acme")
    assert kept(lake, "globex")


def test_a_thread_without_a_session_takes_the_only_open_one(lake):
    with open_for("acme") as session:
        assert in_new_thread(current_session) is session
        assert in_new_thread(lambda: list(double.map([1]))) == [2]
        assert in_new_thread(lambda: double.submit(2).result()) == 4
        assert in_new_thread(lambda: list(nested.map([1]))) == [[2, 4]]
        assert in_new_thread(lambda: list(tenant_of_log.map([1]))) == ["acme"]
    assert kept(lake, "acme")
    assert not kept(lake, "local")


def test_a_thread_without_a_session_is_refused_if_several_are_open(lake):
    with open_for("acme"), open_for("globex"):
        for call in (current_session, lambda: double.map([1]), lambda: double.submit(1)):
            refused(
                lambda call=call: in_new_thread(call),
                r"2 sessions are open \(tenants: acme, globex\).*connect",
            )
        copied = contextvars.copy_context()
        assert in_new_thread(copied.run, lambda: list(tenant_inside.map([1]))) == ["globex"]
    assert not kept(lake, "local")


def test_a_thread_without_a_session_uses_the_default_one_only_if_none_is_open(lake):
    with open_for("acme"):
        assert in_new_thread(lambda: list(double.map([1]))) == [2]
    assert not kept(lake, "local")
    assert in_new_thread(lambda: list(double.map([1]))) == [2]
    assert kept(lake, "local")


def test_two_threads_share_one_default_session(lake, monkeypatch):
    both = threading.Barrier(2, timeout=patience(30))
    opened = []

    def slowly(*arguments, **options):
        opened.append(make(*arguments, **options))
        threading.Event().wait(0.2)
        return opened[-1]

    make = session._session
    monkeypatch.setattr(session, "_session", slowly)

    def work():
        both.wait()
        return list(double.map([1]))

    assert in_threads(work, work) == [[2], [2]]
    assert len(opened) == 1


# Coroutines


def test_two_coroutines_use_their_own_session(lake):
    async def work(tenant, number, barrier):
        with open_for(tenant) as session:
            await barrier()
            results = [double.map([number]), tenant_inside.map([0])]
            await barrier()
            values = [list(result) for result in results]
            current_session().artifacts.write("table", pd.DataFrame({"tenant": [tenant]}))
            await barrier()
            assert current_session() is session
            assert await asyncio.to_thread(current_session) is session
            return values, fields()["tenant"], len(session.artifacts.written)

    async def both():
        arrived, event = 0, asyncio.Event()

        async def barrier():
            nonlocal arrived, event
            arrived += 1
            if arrived % 2 == 0:
                event.set()
                event = asyncio.Event()
            else:
                await event.wait()

        return await asyncio.gather(work("acme", 1, barrier), work("globex", 2, barrier))

    assert run_coroutine(both()) == [([[2], ["acme"]], "acme", 1), ([[4], ["globex"]], "globex", 1)]
    assert kept(lake, "acme")
    assert kept(lake, "globex")


def test_a_session_may_be_entered_in_one_coroutine_and_closed_in_another(lake):
    async def main():
        entered, closed = asyncio.Event(), asyncio.Event()
        session = open_for("acme")

        async def enter():
            session.__enter__()
            entered.set()
            await closed.wait()
            refused(lambda: double.map([1]), "is closed; open another one")
            with open_for("globex"):
                assert list(tenant_inside.map([1])) == ["globex"]
            assert fields() == {}

        async def close():
            await entered.wait()
            assert current_session() is session  # the only open one
            session.close()
            closed.set()
            assert fields() == {}

        await asyncio.gather(enter(), close())

    run_coroutine(main())
    refused(current_session, "no session is open")


def test_a_coroutine_that_outlives_its_session_never_takes_another_tenants(lake):
    async def main():
        closed = asyncio.Event()

        async def late():
            await closed.wait()
            refused(lambda: double.map([1]), "is closed")

        with open_for("acme"):
            child = asyncio.create_task(late())
            await asyncio.sleep(0)
        with open_for("globex"):
            closed.set()
            await child

    run_coroutine(main())
    assert not kept(lake, "globex")
    assert not kept(lake, "local")


# One after the other, and inside each other


def test_the_outer_session_is_current_again_after_the_inner_one(lake):
    with open_for("acme") as outer:
        before = fields()
        with open_for("globex") as inner:
            assert current_session() is inner
            assert fields()["tenant"] == "globex"
        assert current_session() is outer
        assert fields() == before
    assert fields() == {}


def test_sessions_may_be_closed_in_any_order(lake):
    scheduler = dask.config.get("scheduler", None)
    method = dask.config.get("dataframe.shuffle.method", None)
    first, second, third = (open_for(tenant).__enter__() for tenant in ("acme", "globex", "initech"))
    second.close()
    assert current_session() is third
    first.close()
    assert current_session() is third
    assert fields()["tenant"] == "initech"
    third.close()
    refused(current_session, "no session is open")
    assert fields() == {}
    assert dask.config.get("scheduler", None) is scheduler
    assert dask.config.get("dataframe.shuffle.method", None) == method


def test_a_session_that_is_entered_twice_leaves_nothing_behind(lake):
    scheduler = dask.config.get("scheduler", None)
    with open_for("acme") as session:
        with session:
            assert current_session() is session
        refused(current_session, "no session is open")
    assert fields() == {}
    assert dask.config.get("scheduler", None) is scheduler


def test_a_session_that_another_thread_closed_gives_way_to_the_outer_one(lake):
    with open_for("acme") as outer:
        before = fields()
        inner = open_for("globex").__enter__()
        in_new_thread(inner.close)
        assert current_session() is outer
        assert fields() == before


def test_an_inner_session_without_a_pipeline_does_not_log_the_outer_ones(lake):
    with connect("serial", tenant="acme", pipeline="windy", progress="off"), open_for("globex"):
        assert set(fields()) == {"tenant", "run"}


def test_fields_that_were_bound_before_a_session_are_bound_again(lake):
    with structlog.contextvars.bound_contextvars(tenant="mine"):
        with open_for("acme"):
            assert fields()["tenant"] == "acme"
        assert fields() == {"tenant": "mine"}


def test_a_closed_session_cannot_be_entered(lake):
    with open_for("acme") as session:
        pass
    refused(session.__enter__, "the session is closed; open one")
    refused(current_session, "no session is open")


# Results


def test_results_keep_their_session_after_it_ended_and_inside_another_one(lake):
    with open_for("acme"):
        late = [tenant_inside.map([1, 2]), tenant_of_log.map([1, 2])]
        inner = nested.map([1])
    assert [list(results) for results in late] == [["acme"] * 2] * 2
    with open_for("globex"):
        assert list(inner) == [[2, 4]]
        assert current_session().tenant == fields()["tenant"] == "globex"
    assert kept(lake, "acme")
    assert not kept(lake, "globex")
    assert not kept(lake, "local")


def test_results_keep_their_session_while_two_are_read_by_turns(lake):
    with open_for("acme"):
        outer = zip(tenant_inside.map(range(3)), tenant_of_log.map(range(3)), strict=True)
        with open_for("globex"):
            inner = zip(tenant_inside.map(range(3)), tenant_of_log.map(range(3)), strict=True)
            pairs = list(zip(outer, inner, strict=True))
            assert current_session().tenant == fields()["tenant"] == "globex"
        assert current_session().tenant == fields()["tenant"] == "acme"
    assert pairs == [(("acme", "acme"), ("globex", "globex"))] * 3


def test_results_that_are_read_in_another_thread_keep_their_session(lake):
    with open_for("acme"):
        results = tenant_inside.map(tenant for tenant in [1, 2, 3])
        inputs = double.map(double.submit(x).result() for x in [1, 2])
        assert next(results) == "acme"
        with open_for("globex") as other:
            assert in_new_thread(next, results) == "acme"
            assert in_new_thread(list, inputs) == [4, 8]
        assert next(results) == "acme"
    assert other.elements["total"] == 0


def test_a_generator_keeps_its_session_between_steps_in_other_threads(lake):
    def rows():
        with open_for("acme"):
            yield from tenant_inside.map([1, 2, 3])

    generator = rows()
    with open_for("globex"):
        assert [in_new_thread(next, generator) for _ in range(3)] == ["acme"] * 3
        assert current_session().tenant == "globex"
        generator.close()


def test_an_input_that_opens_its_own_session_keeps_it(lake):
    def rows():
        with open_for("globex"):
            for _ in range(PAGE + 1):  # so that it is read in two steps
                yield current_session().tenant

    @task(cache=False)
    def with_mine(other: str) -> str:
        return other

    with open_for("acme"):
        results = with_mine.map(rows())
    with open_for("initech"):
        assert list(results) == ["globex"] * (PAGE + 1)
        assert current_session().tenant == fields()["tenant"] == "initech"


def test_an_explicit_session_runs_its_calls_inside_itself(lake):
    with open_for("acme") as acme, open_for("globex"):
        assert acme.submit(tenant_inside, (1,), {}).result() == "acme"
        assert list(acme.map(tenant_inside, [[1]], {})) == ["acme"]
        assert current_session().tenant == "globex"


def test_log_lines_of_two_threads_carry_their_own_tenant(lake, caplog):
    caplog.set_level(logging.INFO)
    both = threading.Barrier(2, timeout=patience(30))

    @task(cache=False)
    def say(_: int) -> None:
        both.wait()
        get_logger("said").info("here")

    def work(tenant):
        with open_for(tenant):
            list(say.map([1]))

    in_threads(*(lambda tenant=tenant: work(tenant) for tenant in TENANTS))
    lines = [record.msg for record in caplog.records if record.name == "said"]
    assert sorted(line["tenant"] for line in lines) == list(TENANTS)


# Dask's collections


def pids(address: str) -> set[int]:
    with Client(address, set_as_default=False) as client:
        return set(client.run(os.getpid).values())


def pid_of_collection() -> int:
    return dask.delayed(os.getpid)(pure=False).compute()


def test_collections_of_two_threads_compute_on_their_own_workers(lake, schedulers):
    both = threading.Barrier(2, timeout=patience(60))

    def work(tenant, address):
        with open_for(tenant, address) as session:
            first_call_of_the_session = pid_of_collection()
            both.wait()
            assert list(double.map([1])) == [2]
            persisted = dask.delayed(os.getpid)(pure=False).persist()
            both.wait()
            on_client = persisted.compute()
            artifact = session.artifacts.write("pids", frame_of_pids())
            both.wait()
            rows = list(session.artifacts.read("pids").pid)
            assert artifact.rows == len(rows)
            return {first_call_of_the_session, pid_of_collection(), on_client, *rows}

    found = in_threads(*(lambda pair=pair: work(*pair) for pair in zip(TENANTS, schedulers, strict=True)))
    assert found == [pids(address) for address in schedulers]


def frame_of_pids():
    import dask.dataframe as dd

    table = pd.DataFrame({"n": range(4)})
    return dd.from_pandas(table, npartitions=2).map_partitions(
        lambda part: part.assign(pid=os.getpid())[["pid"]], meta={"pid": "int64"}
    )


def test_serial_and_remote_sessions_in_two_threads_compute_and_shuffle_in_their_own_place(lake, schedulers):
    both = threading.Barrier(2, timeout=patience(60))

    def work(tenant, on):
        import dask.dataframe as dd

        with open_for(tenant, on):
            both.wait()
            pid_of_collection()
            both.wait()
            table = pd.DataFrame({"city": [f"c{n % 7}" for n in range(100)], "n": range(100)})
            shuffled = dd.from_pandas(table, npartitions=4).shuffle("city").compute()
            both.wait()
            return len(shuffled), {pid_of_collection()}

    found = in_threads(lambda: work("acme", "serial"), lambda: work("globex", schedulers[1]))
    assert found == [(100, {os.getpid()}), (100, pids(schedulers[1]))]


def test_a_collection_never_computes_on_a_session_that_the_thread_did_not_open(lake, schedulers):
    first, second = schedulers
    with open_for("acme", first) as acme:
        assert in_new_thread(pid_of_collection) in pids(first)
        with open_for("globex", second):
            assert pid_of_collection() in pids(second)
            refused(lambda: in_new_thread(pid_of_collection), "2 sessions are open")
            acme.artifacts.write("pids", frame_of_pids())
            assert set(acme.artifacts.read("pids").pid) == pids(first)
        assert pid_of_collection() in pids(first)


@task(cache=False)
def on_a_worker(x: int) -> tuple[str, list[int], str]:
    """Map, and compute a collection, inside a task."""
    name = dask.delayed(lambda: threading.current_thread().name)(pure=False).compute()
    return threading.current_thread().name, list(double.map([x])), name


def test_a_task_on_a_worker_thread_of_this_process_uses_its_own_worker(lake):
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=":0"
        ) as cluster,
        open_for("acme", cluster.scheduler_address),
    ):
        results = on_a_worker.map([1])
        with open_for("globex"), open_for("initech"):
            ((task_thread, doubled, collection_thread),) = results
    assert doubled == [2]
    assert "Dask" in task_thread
    assert "Dask" in collection_thread


# Sessions without a `with` statement


def test_a_session_without_with_is_current_until_it_is_closed(lake, tmp_path):
    first = connect("serial", lake=tmp_path / "first", tenant="acme", progress="off")
    assert current_session() is first
    assert list(tenant_inside.map([1])) == ["acme"]
    second = connect("serial", lake=tmp_path / "second", tenant="globex", progress="off")
    assert list(tenant_inside.map([1])) == ["globex"]
    second.close()
    assert list(tenant_inside.map([1])) == ["acme"]
    with first as same:
        assert same is first
    with pytest.raises(InputError):
        current_session()


@pytest.mark.slow
def test_a_thread_takes_the_session_that_is_open_without_with(lake):
    session = connect("serial", tenant="acme", progress="off")
    try:
        assert in_new_thread(lambda: list(tenant_inside.map([1]))) == ["acme"]
        other = connect("serial", tenant="globex", progress="off")
        with pytest.raises(InputError, match="2 sessions are open"):
            in_new_thread(lambda: list(tenant_inside.map([1])))
        other.close()
        assert in_new_thread(lambda: list(tenant_inside.map([1]))) == ["acme"]
    finally:
        session.close()


@pytest.mark.slow
def test_a_script_that_does_not_close_its_session_ends_in_peace(tmp_path):
    (tmp_path / "script.py").write_text(
        "from lightwork import connect, task\n"
        "@task\n"
        "def pid(x: int) -> int:\n"
        "    import os\n"
        "    return os.getpid()\n"
        "if __name__ == '__main__':\n"
        "    import os\n"
        "    session = connect(on='local', workers=1, lake='lake', progress='off')\n"
        "    print(list(pid.map([1])) != [os.getpid()])\n"
    )
    process = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True,
        timeout=patience(60), check=True,
    )  # fmt: skip
    assert process.stdout == "True\n"
    assert len(process.stderr.splitlines()) == 1, process.stderr  # where it runs
