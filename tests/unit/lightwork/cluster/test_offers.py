"""What the workers of a run in Kubernetes offer is known to its driver before there are any."""

from __future__ import annotations

import pytest

from lightwork import InputError, connect, task
from lightwork.cluster.offers import check_offered, offered_by_run, threads_of_a_call
from lightwork.kube import contract

ON = "tls://run-scheduler.tenant-acme.svc:8786"


@pytest.fixture
def run(monkeypatch):
    """Set what each worker offers, and its threads."""

    def offer(text: str, threads: int = 1) -> None:
        monkeypatch.setenv(contract.ENV_WORKER_RESOURCES, text)
        monkeypatch.setenv(contract.ENV_WORKER_THREADS, str(threads))

    return offer


def test_what_a_run_offers_is_read(run, monkeypatch):
    assert offered_by_run(ON) is None, "this is not a driver"
    run("GPU=1 LICENSE=2.5")
    assert offered_by_run(ON) == {"GPU": 1, "LICENSE": 2.5}
    assert offered_by_run("local") is None
    run("")
    assert offered_by_run(ON) == {}
    run("GPU")
    with pytest.raises(InputError, match=r"LIGHTWORK_WORKER_RESOURCES: 'GPU' is not of the form GPU=1"):
        offered_by_run(ON)


@pytest.mark.parametrize(
    ("offered", "needed", "told"),
    [
        ("GPU=1", {"GPU": 1}, None),
        ("GPU=1 LICENSE=2", {"GPU": 0.5, "LICENSE": 2}, None),
        ("GPU=1", {"GPU": 2}, "each worker of this run offers GPU=1; add it to `resources`"),
        ("GPU=1", {"FPGA": 1}, "each worker of this run offers GPU=1"),
        ("", {"GPU": 1}, "each worker of this run offers nothing"),
    ],
)
def test_a_task_that_asks_for_more_is_refused_in_one_line(run, offered, needed, told):
    run(offered)
    if told is None:
        assert check_offered(ON, "embed", needed)
        return
    with pytest.raises(InputError) as error:
        check_offered(ON, "embed", needed)
    assert told in str(error.value)
    assert str(error.value).startswith("embed: resources={")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("offered", "threads", "needed", "expected"),
    [
        ("GPU=1", 4, {"GPU": 1}, 4),
        ("GPU=2", 4, {"GPU": 1}, 2),
        ("GPU=1", 4, {"GPU": 0.25}, 1),
        ("GPU=8", 4, {"GPU": 1}, 1),
        ("GPU=4 LICENSE=1", 4, {"GPU": 1, "LICENSE": 1}, 4),
        ("GPU=1", 4, None, 1),
    ],
)
def test_a_call_takes_the_threads_that_idle_for_lack_of_its_resource(run, offered, threads, needed, expected):
    run(offered, threads)
    assert threads_of_a_call(ON, needed) == expected


def test_a_map_and_a_call_are_refused_before_anything_is_connected_to(run, tmp_path):
    run("GPU=1")
    greedy = task(resources={"GPU": 2}, cache=False)(abs)
    # Nothing listens there: a connection would fail with another error, after seconds.
    with connect("tcp://127.0.0.1:9", lake=tmp_path, progress="off"):
        for use in (lambda: list(greedy.map([1])), lambda: greedy.submit(1)):
            with pytest.raises(InputError, match="each worker of this run offers GPU=1"):
                use()
