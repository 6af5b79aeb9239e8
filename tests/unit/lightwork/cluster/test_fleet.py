"""How many workers a run in Kubernetes asks for."""

from __future__ import annotations

import pytest

from lightwork import InputError, connect, task
from lightwork.cluster.fleet import IDLE_SECONDS, REFUSED_SECONDS, Fleet, fleet_from
from lightwork.errors import RunFailed
from lightwork.kube import contract
from lightwork.kube.api import RefusedError


class Pods:
    """Stands for the Kubernetes API: remembers what it was asked."""

    def __init__(self, hosts=()):
        self.scaled = []
        self.marked = []
        self.hosts = set(hosts)
        self.refused = ""

    def refusal(self):
        return self.refused

    def replicas(self):
        return self.scaled[-1] if self.scaled else 0

    def scale(self, count):
        self.scaled.append(count)

    def let_go_first(self, hosts):
        found = set(hosts) & self.hosts
        self.marked += sorted(found)
        return len(found)


def fleet(pods, most=10, threads=1):
    return Fleet(pods, most=most, threads=threads)


def test_a_run_starts_with_no_worker_and_asks_for_as_many_as_there_are_batches():
    pods = Pods()
    fleet(pods).need(4, [], now=0)
    assert pods.scaled == [4]


def test_workers_with_several_threads_are_fewer():
    pods = Pods()
    fleet(pods, threads=4).need(9, [], now=0)
    assert pods.scaled == [3]


def test_it_never_asks_for_more_than_the_tenants_file_allows():
    pods = Pods()
    fleet(pods, most=3).need(1000, [], now=0)
    assert pods.scaled == [3]


QUOTA = "exceeded quota: quota, requested: pods=1, used: pods=12, limited: pods=12"


def test_a_run_all_of_whose_workers_are_refused_for_a_while_fails_and_says_why():
    pods = Pods()
    pods.refused = QUOTA
    own = fleet(pods)
    own.need(4, [], now=0, there=0)
    own.need(4, [], now=REFUSED_SECONDS - 2, there=0)
    with pytest.raises(RunFailed, match=QUOTA):
        own.need(4, [], now=REFUSED_SECONDS + 2, there=0)


def test_what_is_refused_for_a_moment_is_waited_for():
    pods = Pods()
    pods.refused = QUOTA
    own = fleet(pods)
    own.need(4, [], now=0, there=0)
    own.need(4, [], now=2, there=0)
    pods.refused = ""
    own.need(4, [], now=20, there=0)
    pods.refused = QUOTA
    own.need(4, [], now=REFUSED_SECONDS, there=0)
    own.need(4, [], now=REFUSED_SECONDS + 20, there=0)


def test_with_some_workers_a_run_goes_on_and_says_once_that_others_are_refused(caplog):
    pods = Pods()
    pods.refused = QUOTA
    own = fleet(pods)
    for now in range(0, 200, 10):
        own.need(4, [], now=now, there=1)
    said = [record for record in caplog.records if QUOTA in record.getMessage()]
    assert len(said) == 1


def test_at_the_end_all_workers_are_given_back():
    pods = Pods()
    own = fleet(pods)
    own.need(4, [], now=0)
    own.release()
    assert pods.scaled == [4, 0]
    own.release()
    assert pods.scaled == [4, 0], "there is nothing left to give back"


def test_nothing_to_do_needs_no_worker():
    pods = Pods()
    fleet(pods).need(0, [], now=0)
    assert pods.scaled == []


def test_it_looks_once_a_second_at_most():
    pods = Pods()
    mine = fleet(pods)
    for now in (0, 0.2, 0.4, 0.6):
        mine.need(int(10 * now) + 1, [], now=now)
    assert pods.scaled == [1]
    mine.need(5, [], now=1.5)
    assert pods.scaled == [1, 5]


def test_a_busy_worker_is_never_given_back():
    pods = Pods({"10.0.0.1", "10.0.0.2"})
    mine = fleet(pods)
    mine.need(2, [], now=0)
    for now in range(1, 60):
        mine.need(1, [], now=now)
    assert (pods.scaled, pods.marked) == ([2], [])


def test_a_worker_that_is_idle_for_a_while_at_the_tail_is_given_back_by_name():
    pods = Pods({"10.0.0.1", "10.0.0.2"})
    mine = fleet(pods)
    mine.need(2, [], now=0)
    mine.need(1, ["10.0.0.2"], now=1)
    assert pods.marked == []
    mine.need(1, ["10.0.0.2"], now=1 + IDLE_SECONDS)
    assert (pods.scaled, pods.marked) == ([2, 1], ["10.0.0.2"])


def test_a_worker_that_was_busy_in_between_starts_its_idle_time_anew():
    pods = Pods({"10.0.0.1", "10.0.0.2"})
    mine = fleet(pods)
    mine.need(2, [], now=0)
    mine.need(1, ["10.0.0.2"], now=1)
    mine.need(1, [], now=5)
    mine.need(1, ["10.0.0.2"], now=6)
    mine.need(1, ["10.0.0.2"], now=1 + IDLE_SECONDS)
    assert pods.marked == []


def test_idle_workers_that_will_be_needed_stay():
    pods = Pods({"10.0.0.1", "10.0.0.2"})
    mine = fleet(pods)
    mine.need(2, [], now=0)
    for now in range(1, 30):
        mine.need(2, ["10.0.0.1", "10.0.0.2"], now=now)
    assert (pods.scaled, pods.marked) == ([2], [])


def test_an_api_that_fails_does_not_stop_the_work(caplog):
    class Broken(Pods):
        def scale(self, count):
            raise OSError("forbidden")

    fleet(Broken()).need(3, [], now=0)
    assert "the number of workers was not changed: forbidden" in caplog.text


def test_a_deployment_that_is_still_on_its_way_is_waited_for(caplog):
    class Late(Pods):
        there = False

        def replicas(self):
            return 0 if self.there else None

    pods = Late()
    mine = fleet(pods)
    mine.need(3, [], now=0)
    assert pods.scaled == []
    pods.there = True
    mine.need(3, [], now=1)
    assert pods.scaled == [3]
    assert not caplog.records


def test_workers_that_somebody_else_took_away_are_asked_for_again():
    pods = Pods()
    mine = fleet(pods)
    mine.need(2, [], now=0)
    pods.scaled.append(0)
    mine.need(2, [], now=1)
    assert pods.scaled == [2, 0, 2]


SCHEDULER = "tls://r1-scheduler.tenant-acme.svc:8786"


@pytest.mark.parametrize(
    ("answers", "address", "found"),
    [
        (["10.96.0.7"], SCHEDULER, "tls://10.96.0.7:8786"),
        ([None, None, "10.96.0.7"], SCHEDULER, "tls://10.96.0.7:8786"),
        (["fd00::7"], SCHEDULER, "tls://[fd00::7]:8786"),
        ([None] * 99, SCHEDULER, SCHEDULER),
        ([RefusedError(403, "Forbidden", "")], SCHEDULER, SCHEDULER),
        ([], "tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ([], "tcp://scheduler:8786", "tcp://scheduler:8786"),
    ],
)
def test_the_scheduler_is_reached_by_its_services_number_once_there_is_one(answers, address, found):
    asked = []

    class Services(Pods):
        def service_ip(self, name):
            asked.append(name)
            answer = answers[len(asked) - 1]
            if isinstance(answer, Exception):
                raise answer
            return answer

    assert fleet(Services()).reach(address, patience=0.5) == found
    assert set(asked) <= {"r1-scheduler"}


def test_a_session_outside_kubernetes_has_no_fleet():
    assert fleet_from({}) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"LIGHTWORK_WORKERS": "many"}, "LIGHTWORK_WORKERS: 'many'"),
        ({"LIGHTWORK_WORKERS": "0"}, "LIGHTWORK_WORKERS: '0'"),
        ({"LIGHTWORK_WORKER_THREADS": ""}, "LIGHTWORK_WORKER_THREADS: ''"),
        ({"LIGHTWORK_NAMESPACE": ""}, "LIGHTWORK_NAMESPACE is not set"),
    ],
)
def test_an_environment_that_cannot_be_is_refused_in_one_line(wrong, words):
    environment = {
        contract.ENV_WORKERS_DEPLOYMENT: "run-workers",
        "LIGHTWORK_WORKERS": "3",
        "LIGHTWORK_WORKER_THREADS": "1",
        "LIGHTWORK_NAMESPACE": "tenant-acme",
        **wrong,
    }
    with pytest.raises(InputError, match=words):
        fleet_from(environment)


def test_a_map_asks_for_workers_only_for_what_is_not_cached(scheduler, tmp_path, monkeypatch):
    pods = Pods()
    monkeypatch.setattr("lightwork.cluster.cluster.fleet_from", lambda _: fleet(pods))

    @task
    def double(x: int) -> int:
        return 2 * x

    with connect(on=scheduler, lake=tmp_path, progress="off"):
        list(double.map(range(3)))
        assert pods.scaled
        asked = len(pods.scaled)
        list(double.map(range(3)))
        assert len(pods.scaled) == asked
