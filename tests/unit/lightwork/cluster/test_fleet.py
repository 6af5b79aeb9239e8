"""The number of workers that a run in Kubernetes requests."""

from __future__ import annotations

import pytest

from lightwork import InputError, connect, task
from lightwork.cluster.fleet import GONE_SECONDS, IDLE_SECONDS, REFUSED_SECONDS, Fleet, fleet_from
from lightwork.errors import RunFailed
from lightwork.kube import contract
from lightwork.kube.api import RefusedError


class Pods:
    """A stand-in for the Kubernetes API, which records the requests."""

    def __init__(self, hosts=()):
        self.scaled = []
        self.marked = []
        self.hosts = set(hosts)
        self.refused = ""

        self.exists = True
        self.scheduler_replicas = 1
        self.scheduler_scaled = []

    def refusal(self):
        return self.refused

    def replicas(self):
        if not self.exists:
            return None
        return self.scaled[-1] if self.scaled else 0

    def service_ip(self, name):
        return "10.0.0.9"

    def scheduler(self, name):
        return self.scheduler_replicas

    def scale_scheduler(self, name, count):
        self.scheduler_scaled.append((name, count))

    def scale(self, count):
        self.scaled.append(count)

    def let_go_first(self, hosts):
        marked = set(hosts) & self.hosts
        self.marked += sorted(marked)
        return len(marked)


def fleet(pods, max_workers=10, threads=1):
    return Fleet(pods, max_workers=max_workers, threads=threads)


def test_a_run_starts_without_workers_and_requests_one_for_each_batch():
    pods = Pods()
    fleet(pods).need(4, [], now=0)
    assert pods.scaled == [4]


def test_workers_with_several_threads_compute_several_batches_each():
    pods = Pods()
    fleet(pods, threads=4).need(9, [], now=0)
    assert pods.scaled == [3]


def test_a_run_requests_no_more_workers_than_the_tenants_file_allows():
    pods = Pods()
    fleet(pods, max_workers=3).need(1000, [], now=0)
    assert pods.scaled == [3]


QUOTA = "exceeded quota: quota, requested: pods=1, used: pods=12, limited: pods=12"


def test_a_run_whose_workers_are_all_refused_for_a_while_fails_with_the_reason():
    pods = Pods()
    pods.refused = QUOTA
    run = fleet(pods)
    run.need(4, [], now=0, running=0)
    run.need(4, [], now=REFUSED_SECONDS - 2, running=0)
    with pytest.raises(RunFailed, match=QUOTA):
        run.need(4, [], now=REFUSED_SECONDS + 2, running=0)


def test_a_run_whose_workers_are_refused_for_a_moment_waits():
    pods = Pods()
    pods.refused = QUOTA
    run = fleet(pods)
    run.need(4, [], now=0, running=0)
    run.need(4, [], now=2, running=0)
    pods.refused = ""
    run.need(4, [], now=20, running=0)
    pods.refused = QUOTA
    run.need(4, [], now=REFUSED_SECONDS, running=0)
    run.need(4, [], now=REFUSED_SECONDS + 20, running=0)


def test_a_run_with_some_workers_goes_on_and_reports_once_that_others_are_refused(caplog):
    pods = Pods()
    pods.refused = QUOTA
    run = fleet(pods)
    for now in range(0, 200, 10):
        run.need(4, [], now=now, running=1)
    reports = [record for record in caplog.records if QUOTA in record.getMessage()]
    assert len(reports) == 1


def test_a_run_that_needs_workers_fails_if_their_deployment_was_deleted():
    pods = Pods()
    run = fleet(pods)
    run.need(4, [], now=0)
    pods.exists = False
    run.need(4, [], now=10)
    with pytest.raises(RunFailed, match="the workers' Deployment was deleted during the run"):
        run.need(4, [], now=10 + GONE_SECONDS)


def test_a_run_that_needs_no_workers_goes_on_without_their_deployment():
    pods = Pods()
    run = fleet(pods)
    run.need(4, [], now=0)
    pods.exists = False
    for now in range(10, 100, 10):
        run.need(0, [], now=now)


def test_a_run_waits_for_a_deployment_that_has_yet_to_be_created_but_not_for_ever():
    pods = Pods()
    pods.exists = False
    run = fleet(pods)
    for now in range(0, 180, 10):
        run.need(4, [], now=now)
    with pytest.raises(RunFailed, match="the workers' Deployment does not exist"):
        run.need(4, [], now=180)


def test_a_number_of_workers_that_somebody_else_has_set_is_told_and_corrected(caplog):
    pods = Pods()
    run = fleet(pods)
    run.need(4, [], now=0)
    pods.scaled.append(0)
    run.need(4, [], now=10)
    assert pods.scaled == [4, 0, 4]
    assert "somebody else has set the number of workers" in caplog.text


ADDRESS = "tls://run-scheduler.tenant-acme.svc:8786"


def test_a_run_fails_if_the_schedulers_objects_were_deleted():
    pods = Pods()
    run = fleet(pods)
    run.resolve(ADDRESS, 1)
    run.check(now=0)
    pods.scheduler_replicas = None
    run.check(now=10)
    with pytest.raises(RunFailed, match="the scheduler's Deployment or Service was deleted"):
        run.check(now=10 + GONE_SECONDS)


def test_objects_of_the_scheduler_that_are_back_are_not_missed():
    pods = Pods()
    run = fleet(pods)
    run.resolve(ADDRESS, 1)
    for now in range(0, 200, 10):
        pods.scheduler_replicas = 1 if now % 20 else None
        run.check(now=now)


def test_a_scheduler_that_somebody_else_has_stopped_is_started_again():
    pods = Pods()
    pods.scheduler_replicas = 0
    run = fleet(pods)
    run.resolve(ADDRESS, 1)
    run.check(now=0)
    assert pods.scheduler_scaled == [("run-scheduler", 1)]


def test_a_scheduler_is_replaced_once_for_each_authority():
    pods = Pods()
    run = fleet(pods)
    run.resolve(ADDRESS, 1)
    for authority in (b"a", b"a", b"b"):
        run.renew(authority)
    assert pods.scheduler_scaled == [("run-scheduler", 0), ("run-scheduler", 1)] * 2


def test_all_workers_are_released_at_the_end():
    pods = Pods()
    run = fleet(pods)
    run.need(4, [], now=0)
    run.release()
    assert pods.scaled == [4, 0]
    run.release()
    assert pods.scaled == [4, 0], "there is nothing left to release"


def test_a_run_without_work_requests_no_workers():
    pods = Pods()
    fleet(pods).need(0, [], now=0)
    assert pods.scaled == []


def test_the_number_of_workers_changes_at_most_once_a_second():
    pods = Pods()
    run = fleet(pods)
    for now in (0, 0.2, 0.4, 0.6):
        run.need(int(10 * now) + 1, [], now=now)
    assert pods.scaled == [1]
    run.need(5, [], now=1.5)
    assert pods.scaled == [1, 5]


def test_a_busy_worker_is_never_released():
    pods = Pods({"10.0.0.1", "10.0.0.2"})
    run = fleet(pods)
    run.need(2, [], now=0)
    for now in range(1, 60):
        run.need(1, [], now=now)
    assert (pods.scaled, pods.marked) == ([2], [])


def test_a_worker_that_is_idle_for_a_while_near_the_end_is_released_by_its_address():
    pods = Pods({"10.0.0.1", "10.0.0.2"})
    run = fleet(pods)
    run.need(2, [], now=0)
    run.need(1, ["10.0.0.2"], now=1)
    assert pods.marked == []
    run.need(1, ["10.0.0.2"], now=1 + IDLE_SECONDS)
    assert (pods.scaled, pods.marked) == ([2, 1], ["10.0.0.2"])


def test_a_busy_moment_restarts_the_idle_time_of_a_worker():
    pods = Pods({"10.0.0.1", "10.0.0.2"})
    run = fleet(pods)
    run.need(2, [], now=0)
    run.need(1, ["10.0.0.2"], now=1)
    run.need(1, [], now=5)
    run.need(1, ["10.0.0.2"], now=6)
    run.need(1, ["10.0.0.2"], now=1 + IDLE_SECONDS)
    assert pods.marked == []


def test_idle_workers_that_are_still_needed_stay():
    pods = Pods({"10.0.0.1", "10.0.0.2"})
    run = fleet(pods)
    run.need(2, [], now=0)
    for now in range(1, 30):
        run.need(2, ["10.0.0.1", "10.0.0.2"], now=now)
    assert (pods.scaled, pods.marked) == ([2], [])


def test_an_error_of_the_api_does_not_stop_the_run(caplog):
    class Broken(Pods):
        def scale(self, count):
            raise OSError("forbidden")

    fleet(Broken()).need(3, [], now=0)
    assert "the number of workers could not be changed: forbidden" in caplog.text


def test_a_run_waits_for_a_deployment_that_does_not_exist_yet(caplog):
    pods = Pods()
    pods.exists = False
    run = fleet(pods)
    run.need(3, [], now=0)
    assert pods.scaled == []
    pods.exists = True
    run.need(3, [], now=1)
    assert pods.scaled == [3]
    assert not caplog.records


def test_workers_that_somebody_else_removed_are_requested_again():
    pods = Pods()
    run = fleet(pods)
    run.need(2, [], now=0)
    pods.scaled.append(0)
    run.need(2, [], now=1)
    assert pods.scaled == [2, 0, 2]


SCHEDULER = "tls://r1-scheduler.tenant-acme.svc:8786"


@pytest.mark.parametrize(
    ("responses", "address", "resolved"),
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
def test_a_schedulers_service_is_resolved_to_its_ip_once_it_exists(responses, address, resolved):
    requests = []

    class Services(Pods):
        def service_ip(self, name):
            requests.append(name)
            response = responses[len(requests) - 1]
            if isinstance(response, Exception):
                raise response
            return response

    assert fleet(Services()).resolve(address, timeout=0.5) == resolved
    assert set(requests) <= {"r1-scheduler"}


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
def test_an_invalid_environment_is_refused_with_the_variable_and_its_value(wrong, words):
    environment = {
        contract.ENV_WORKERS_DEPLOYMENT: "run-workers",
        "LIGHTWORK_WORKERS": "3",
        "LIGHTWORK_WORKER_THREADS": "1",
        "LIGHTWORK_NAMESPACE": "tenant-acme",
        **wrong,
    }
    with pytest.raises(InputError, match=words):
        fleet_from(environment)


def test_a_map_requests_workers_only_for_elements_that_are_not_cached(scheduler, tmp_path, monkeypatch):
    pods = Pods()
    monkeypatch.setattr("lightwork.cluster.cluster.fleet_from", lambda _: fleet(pods))

    @task
    def double(x: int) -> int:
        return 2 * x

    with connect(on=scheduler, lake=tmp_path, progress="off"):
        list(double.map(range(3)))
        assert pods.scaled
        requests = len(pods.scaled)
        list(double.map(range(3)))
        assert len(pods.scaled) == requests
