"""The workers of a run in Kubernetes: none at first, then as many as there is work for, and no idle ones.

The scaler's template creates a Deployment of workers, and the driver gets its name from the environment. From
then on the driver controls their number, because only the driver knows how much work is left.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Protocol

from lightwork.cluster.pod_logs import collector_from
from lightwork.cluster.run_objects import KubernetesPods
from lightwork.errors import InputError, RunFailed, one_line
from lightwork.kube import contract
from lightwork.kube.api import InCluster
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from lightwork.cluster.losses import Loss
    from lightwork.cluster.pod_logs import Collector

IDLE_SECONDS = 10.0
"""Seconds for which a worker is idle before it is released: the next map may start at any moment."""
REFUSED_SECONDS = 25.0
"""Seconds for which Kubernetes may refuse every worker's pod: an earlier run may be about to free the quota.

A ReplicaSet doubles its delay with each attempt: the twelfth comes after 20.5 s, the next after 41 s. A run
that is refused therefore fails within a minute, including its start and its exit handler.
"""
_EVERY = 1.0
"""Seconds between two adjustments, at least."""
_SERVICE_EVERY = 0.2
"""Seconds between two requests for a Service that does not exist yet."""
GONE_SECONDS = 15.0
"""Seconds for which an object of the run is gone before the run fails: at a run's end they all go at once."""
_MISSING_SECONDS = 180.0
"""Seconds after which a Deployment of workers that never existed will not come any more."""
_CHECK_EVERY = 5.0
"""Seconds between two looks at the scheduler's objects."""


class Pods(Protocol):
    """The operations on Kubernetes that a fleet needs."""

    def replicas(self) -> int | None:
        """Return the Deployment's number of replicas; None until it exists."""

    def scale(self, count: int) -> None:
        """Set the Deployment's number of replicas."""

    def let_go_first(self, hosts: Collection[str]) -> int:
        """Mark the workers' pods at these addresses as the first to delete; return how many there are."""

    def refusal(self) -> str:
        """Return why Kubernetes does not create the workers' pods; empty if it does."""

    def service_ip(self, name: str) -> str | None:
        """Return the address of a Service; None until it exists."""

    def losses(self) -> list[Loss]:
        """Return the workers that were lost since the last call."""

    def scheduler(self, name: str) -> int | None:
        """Return the replicas of the scheduler's Deployment; None if it or its Service does not exist."""

    def scale_scheduler(self, name: str, count: int) -> None:
        """Set the replicas of the scheduler's Deployment, and wait until no pod is left if it is 0."""


class Fleet:
    """The workers of a run, whose number follows the work.

    Attributes:
        max_workers: the largest number of workers, from the tenant's file.
        threads: the number of batches that one worker runs at once.
        count: the number of workers requested from Kubernetes; None until the Deployment exists.
    """

    def __init__(self, pods: Pods, *, max_workers: int, threads: int, logs: Collector | None = None) -> None:
        self._pods = pods
        self._logs = logs
        self.max_workers = max_workers
        self.threads = threads
        self.count: int | None = None
        self._adjusted_at = -math.inf
        self._idle_since: dict[str, float] = {}
        self._refused_since: float | None = None
        self._warned = False
        self._absent_since: float | None = None
        self._scheduler = ""
        self._checked_at = -math.inf
        self._gone_since: float | None = None
        self._renewed_for: bytes | None = None
        self._renewing = threading.Lock()

    def need(
        self,
        batches: int,
        idle: Iterable[str],
        now: float | None = None,
        *,
        workers: int = 0,
        running: int | None = None,
    ) -> None:
        """Request as many workers as there are batches; release workers that have been idle for a while.

        It does so at most once a second.

        Args:
            batches: batches that run or wait, and those still to be made.
            idle: hosts of the workers that have nothing to do.
            now: the time in seconds, for tests.
            workers: the number of workers needed for other work and for the data that they hold.
            running: the number of workers that run; None if unknown.

        Raises:
            RunFailed: Kubernetes keeps refusing to create any worker, for example because of the quota, or
                the workers' Deployment is gone.
        """
        now = time.monotonic() if now is None else now
        if now - self._adjusted_at < _EVERY:
            return
        self._adjusted_at = now
        wanted = min(self.max_workers, max(workers, math.ceil(batches / self.threads)))
        try:
            # Read each time: a Deployment that is created again starts with no workers.
            count = self._pods.replicas()
            if count is None:
                self._check_absent(wanted, now)
                return
            self._absent_since = None
            if self.count not in (None, count):
                get_logger("lightwork").warning("somebody else has set the number of workers", now=count)
            self.count = count
            if wanted > count:
                self._scale(count, wanted)
            else:
                self._release_idle(count, set(idle), wanted, now)
            if running is not None and running < min(self.count, wanted):
                self._check_refusal(running, now)
            else:
                self._refused_since = None
        except RunFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the run goes on with the workers it has
            get_logger("lightwork").warning(f"the number of workers could not be changed: {one_line(error)}")

    def _check_absent(self, wanted: int, now: float) -> None:
        """Fail a run that needs workers, and whose Deployment of workers does not exist."""
        if self._absent_since is None:
            self._absent_since = now
        if not wanted:
            return
        # All objects of a run are created at once: one that has never existed may exist soon.
        seconds = _MISSING_SECONDS if self.count is None else GONE_SECONDS
        if now - self._absent_since >= seconds:
            what = "does not exist" if self.count is None else "was deleted during the run"
            raise RunFailed(
                f"the workers' Deployment {what}; finished results are kept: submit the run again"
            )

    def check(self, now: float | None = None) -> None:
        """Check the scheduler's objects every few seconds; start the scheduler again if it was stopped.

        Args:
            now: the time in seconds, for tests.

        Raises:
            RunFailed: its Deployment or its Service was deleted.
        """
        now = time.monotonic() if now is None else now
        if not self._scheduler or now - self._checked_at < _CHECK_EVERY or self._renewing.locked():
            return
        self._checked_at = now
        try:
            replicas = self._pods.scheduler(self._scheduler)
            if replicas == 0:
                get_logger("lightwork").warning("somebody else has stopped the scheduler; starting it again")
                self._pods.scale_scheduler(self._scheduler, 1)
        except Exception as error:  # noqa: BLE001 - it is looked at again
            get_logger("lightwork").debug("the scheduler could not be looked at: %s", one_line(error))
            return
        if replicas is not None:
            self._gone_since = None
            return
        self._gone_since = now if self._gone_since is None else self._gone_since
        if now - self._gone_since >= GONE_SECONDS:
            raise RunFailed(
                "the scheduler's Deployment or Service was deleted during the run; "
                "finished results are kept: submit the run again"
            )

    def renew(self, authority: bytes) -> None:
        """Replace the scheduler, which trusts another certificate authority; once for each authority.

        Args:
            authority: the certificates that this process trusts.
        """
        with self._renewing:
            if not self._scheduler or authority == self._renewed_for:
                return
            self._renewed_for = authority
            get_logger("lightwork").warning(
                "the tenant's certificate authority was replaced; replacing the run's scheduler, too"
            )
            try:
                self._pods.scale_scheduler(self._scheduler, 0)
                self._pods.scale_scheduler(self._scheduler, 1)
            except Exception as error:  # noqa: BLE001 - the run fails by the cause of this
                get_logger("lightwork").warning(f"the scheduler could not be replaced: {one_line(error)}")

    def losses(self) -> list[Loss]:
        """Return the workers that were lost since the last call, as far as the API tells it."""
        try:
            return self._pods.losses()
        except Exception as error:  # noqa: BLE001 - they are looked at again
            get_logger("lightwork").debug("the workers' pods could not be read: %s", one_line(error))
            return []

    def _release_idle(self, count: int, idle: set[str], wanted: int, now: float) -> None:
        self._idle_since = {host: self._idle_since.get(host, now) for host in idle}
        long_idle = [host for host, since in self._idle_since.items() if now - since >= IDLE_SECONDS]
        spare = long_idle[: max(0, count - wanted)]
        if spare and (marked := self._pods.let_go_first(spare)):
            if self._logs:
                self._logs.soon()
            self._scale(count, count - marked)
            for host in spare:
                del self._idle_since[host]

    def resolve(self, address: str, timeout: float) -> str:
        """Wait for the scheduler's Service, and return the scheduler's address with the Service's IP.

        A name that is looked up a moment too early stays unknown for seconds, since resolvers cache that.

        Args:
            address: the scheduler's address, such as `tls://run-scheduler.tenant-acme.svc:8786`.
            timeout: seconds to wait for the Service.

        Returns:
            The address with the IP in place of the name; unchanged if it does not name a Service or the IP is
            not available.
        """
        scheme, _, host_and_port = address.partition("://")
        host, _, port = host_and_port.rpartition(":")
        name, dot, domain = host.partition(".")
        if not dot or not domain.endswith(".svc"):
            return address
        self._scheduler = name
        deadline = time.monotonic() + timeout
        try:
            while (ip := self._pods.service_ip(name)) is None:
                if time.monotonic() > deadline:
                    return address
                time.sleep(_SERVICE_EVERY)
        except Exception as error:  # noqa: BLE001 - the name should work too
            get_logger("lightwork").warning(f"the scheduler's Service could not be read: {one_line(error)}")
            return address
        return f"{scheme}://{f'[{ip}]' if ':' in ip else ip}:{port}"

    def release(self) -> None:
        """Release all workers at the end of a run, to make room for its exit handler; keep their logs."""
        if self._logs:
            self._logs.end()
        try:
            if self._pods.replicas():
                self._scale(self.count or 0, 0)
        except Exception as error:  # noqa: BLE001 - the end of the run deletes them anyway
            get_logger("lightwork").warning(f"the workers could not be released: {one_line(error)}")

    def _check_refusal(self, running: int, now: float) -> None:
        """Check whether Kubernetes refuses the missing workers; fail a run that gets none."""
        reason = self._pods.refusal()
        if not reason:
            self._refused_since = None
            return
        if self._refused_since is None:
            self._refused_since = now
        if running:
            if not self._warned:
                self._warned = True
                get_logger("lightwork").warning(f"Kubernetes refuses more workers: {reason}", workers=running)
        elif now - self._refused_since >= REFUSED_SECONDS:
            raise RunFailed(
                f"Kubernetes refuses the run's workers: {reason}; "
                "give the tenant more quota, or the run smaller workers"
            )

    def _scale(self, before: int, count: int) -> None:
        count = max(0, count)
        self._pods.scale(count)
        get_logger("lightwork").info("workers", before=before, now=count)
        self.count = count


def fleet_from(environment: Mapping[str, str]) -> Fleet | None:
    """Return the fleet named in the environment; None if the driver does not control the number of workers.

    Raises:
        InputError: a variable of the fleet is missing or invalid.
    """
    name = environment.get(contract.ENV_WORKERS_DEPLOYMENT)
    if not name:
        return None
    numbers = {}
    for variable in (contract.ENV_WORKERS, contract.ENV_WORKER_THREADS):
        text = environment.get(variable, "")
        if not text.isdigit() or int(text) < 1:
            raise InputError(f"{variable}: {text!r} is not a whole number; expected 1 or more")
        numbers[variable] = int(text)
    namespace = environment.get(contract.ENV_NAMESPACE, "")
    if not namespace:
        raise InputError(f"{contract.ENV_NAMESPACE} is not set; expected the namespace of the run")
    api = InCluster()
    if logs := collector_from(environment, api, namespace):
        logs.start()
    return Fleet(
        KubernetesPods(api, name, namespace),
        max_workers=numbers[contract.ENV_WORKERS],
        threads=numbers[contract.ENV_WORKER_THREADS],
        logs=logs,
    )
