"""Connecting to a scheduler that may still be starting."""

from __future__ import annotations

import time

import dask
import pytest

from lightwork.cluster import connection
from lightwork.errors import ClusterAway, RunFailed
from tests.waiting import patience


class FakeClients:
    """Clients that fail to connect, each after its whole timeout, until one succeeds."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, failures: int, error: type[Exception] = OSError
    ) -> None:
        self.now, self.failures, self.error = 0.0, failures, error
        self.timeouts: list[float] = []
        monkeypatch.setattr(connection, "Connection", self)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def __call__(self, address: str, *, timeout: float, **settings: object) -> str:
        assert settings == {"set_as_default": False, "name": "lightwork"}
        self.timeouts.append(timeout)
        if len(self.timeouts) > self.failures:
            return f"a client of {address}"
        self.now += timeout
        raise self.error


def test_a_failed_attempt_takes_a_second_and_is_followed_by_another(monkeypatch):
    clients = FakeClients(monkeypatch, failures=2)
    assert connection.connect("tls://there", 180) == "a client of tls://there"
    assert clients.timeouts == [1, 1, 1]
    assert clients.now == 2


def test_connecting_stops_exactly_at_the_timeout(monkeypatch):
    clients = FakeClients(monkeypatch, failures=99, error=TimeoutError)
    with pytest.raises(TimeoutError):
        connection.connect("tls://there", 45)
    assert clients.timeouts == [1] * 15 + [2, 5, 10, 10, 3]
    assert clients.now == 45


def test_an_error_that_a_retry_would_not_fix_is_raised_at_once(monkeypatch):
    clients = FakeClients(monkeypatch, failures=99, error=ValueError)
    with pytest.raises(ValueError):
        connection.connect("there", 180)
    assert len(clients.timeouts) == 1


def test_a_scheduler_whose_certificate_is_not_trusted_is_told_after_each_attempt(monkeypatch):
    from distributed.comm.core import FatalCommClosedError

    clients = FakeClients(monkeypatch, failures=3, error=FatalCommClosedError)
    monkeypatch.setattr(connection, "_PAUSE", 0.0)
    told: list[float] = []
    assert connection.connect("tls://there", 180, lambda: told.append(clients.now))
    assert told == [1, 2, 3]


def test_certificates_of_another_authority_are_not_trusted():
    """What Dask raises for it, on real connections."""
    from distributed import LocalCluster

    from lightwork.cluster import private

    with (
        LocalCluster(
            n_workers=0, security=private.credentials(), protocol="tls://", dashboard_address=None
        ) as cluster,
        pytest.raises(OSError) as caught,
    ):
        connection.Connection(cluster.scheduler_address, security=private.credentials(), timeout=patience(5))
    assert connection.is_untrusted(caught.value)


@pytest.mark.parametrize(("own", "expected"), [(True, ClusterAway), (False, RunFailed)])
def test_only_a_run_with_a_scheduler_of_its_own_is_tried_again_for_another_authority(
    monkeypatch, own: bool, expected: type[RunFailed]
):
    from distributed import LocalCluster

    from lightwork.cluster import cluster, private

    class Fleet:
        def resolve(self, address: str, timeout: float) -> str:
            return address

        def renew(self, authority: str) -> None:
            """Kubernetes may take longer than the run waits."""

    trusted = private.credentials()
    settings = {
        "distributed.comm.tls.ca-file": trusted.tls_ca_file,
        "distributed.comm.tls.client.cert": trusted.tls_client_cert,
        "distributed.comm.tls.client.key": trusted.tls_client_key,
    }
    monkeypatch.setattr(cluster, "fleet_from", lambda environment: Fleet() if own else None)
    monkeypatch.setattr(cluster, "authority", lambda: "another")
    monkeypatch.setenv("LIGHTWORK_CONNECT_SECONDS", "2")
    with (
        LocalCluster(
            n_workers=0, security=private.credentials(), protocol="tls://", dashboard_address=None
        ) as other,
        dask.config.set(settings),
        pytest.raises(RunFailed, match="no scheduler responds at tls://") as caught,
    ):
        cluster.Cluster(other.scheduler_address, 1)
    assert type(caught.value) is expected
