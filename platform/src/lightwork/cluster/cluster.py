"""The Dask cluster of a session: started on this machine or by Coiled, or reached at an address."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lightwork.cluster.ends import reported
from lightwork.cluster.fleet import fleet_from
from lightwork.cluster.keeper import Keeper, authority
from lightwork.cluster.local import kill_workers, start_coiled, start_local
from lightwork.cluster.offers import check_offered, fits
from lightwork.cluster.relief import relieve
from lightwork.cluster.versions import check_versions
from lightwork.errors import ClusterAway, InputError, RunFailed, one_line
from lightwork.functions import pickling
from lightwork.kube import contract
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import distributed

    from lightwork.cluster.connection import Connection

_SLOTS_EVERY = 1.0
"""Seconds for which the number of slots is not asked for again."""
_WORKERS = 30.0
"""Seconds for which workers are waited for that commit the results of calls."""
_GRACE = 0.5
"""Seconds for which a worker may go on with what was cancelled before its process is ended."""
_DASHBOARD = 1.0
"""Seconds within which the dashboard responds."""
_RESPONSE = 5.0
"""Seconds within which workers respond."""
_END = 5.0
"""Seconds within which it is known why a worker has ended."""
_LOOK = 0.2
"""Seconds between two looks for that."""


class Lost(Exception):  # noqa: N818 - an event, not a mistake
    """The scheduler is gone, and every future is lost with it."""


class Cluster:
    """A connection to a scheduler, which can be renewed if the scheduler is lost.

    Args:
        on: `local`, `coiled` or the scheduler's address.
        workers: the number of workers to start, for `local` and `coiled`.
        batches: the number of batches to compute at least; workers for them are requested before connecting
            to the scheduler, so that both start at the same time.
        before_kill: is called in each worker process on this machine before busy ones are killed; a text that
            it returns is logged here as a warning.
        dashboard: whether a cluster on this machine serves Dask's dashboard.
        threads: the threads of numerical libraries in its workers; None as their environment says.

    Attributes:
        on: `local`, `coiled` or the scheduler's address.
        client: the current client; a reconnection replaces it.
        local: whether the cluster runs on this machine.
        keeper: sets the number of the run's workers; None if this process does not control it.

    Raises:
        InputError: the address needs certificates, or an environment variable is invalid.
        RunFailed: the scheduler does not respond, or the workers cannot be started.
    """

    def __init__(
        self,
        on: str,
        workers: int,
        batches: int = 0,
        before_kill: Callable[[], object] = time.time,
        *,
        dashboard: bool = False,
        threads: int | None = None,
    ) -> None:
        self._before_kill = before_kill
        self.on = on
        self.local = on == "local"
        self._owned: Any = None
        self._slots = 0
        self._slots_at = -1e9
        self._interrupted = False
        self._packages: set[str] = set()
        self._modules = 0
        self._address: Any = on
        timeout = _seconds(contract.ENV_CONNECT_SECONDS, 10)
        if self.local:
            self._owned = self._address = start_local(workers, dashboard=dashboard, threads=threads)
        elif on == "coiled":
            self._owned = self._address = start_coiled(workers)
        fleet = self._fleet = fleet_from(os.environ) if "://" in on else None
        if fleet is not None:
            if batches:
                fleet.need(batches, ())
            self._address = fleet.resolve(on, timeout)
        try:
            self.client: Connection = self._connect(timeout, first=True)
        except BaseException:
            if self._owned is not None:
                with contextlib.suppress(Exception):
                    self._owned.close()
            raise
        self.keeper = None if fleet is None else Keeper(fleet, lambda: self.client)
        if self.local:
            # So that nothing waits for a result any longer.
            self._owned.revival.on_failure = lambda: self.client.close_quietly()
        self.hold_packages()

    def hold_packages(self) -> None:
        """Pickle first-party code by value for remote workers, which may lack it or have an older version."""
        if not self.local and len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            new = pickling.own_packages() - self._packages
            pickling.hold(new)
            self._packages |= new

    def _connect(self, timeout: float, *, first: bool = False) -> Connection:
        from lightwork.cluster.connection import connect, is_untrusted

        start = time.monotonic()
        try:
            connection = connect(self._address, timeout, self._renew)
        except TypeError as error:
            if not self.on.startswith("tls://"):
                raise
            raise InputError(
                f"{self.on}: TLS needs certificates; set the paths DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
                "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"
            ) from error
        except (OSError, TimeoutError, ValueError, ImportError, RuntimeError) as error:
            if not first:
                raise Lost from error
            reason = one_line(error)
            if "timed out" in reason.lower():  # Dask names the time of its last attempt
                reason = f"timed out after {time.monotonic() - start:.1f} s"
            kind = ClusterAway if self._fleet is not None and is_untrusted(error) else RunFailed
            raise kind(f"no scheduler responds at {self.on}: {reason}") from error
        if first and not self.local:
            try:
                check_versions(connection, self.on)
            except BaseException:
                connection.close_quietly()
                raise
        return connection

    def _renew(self) -> None:
        """Replace a scheduler that does not trust this process, if it is the run's own."""
        if self._fleet is not None:
            self._fleet.renew(authority())

    @property
    def dashboard(self) -> str | None:
        """The address of Dask's dashboard; None if there is none."""
        if self.local:
            return self._owned.dashboard_link or None
        try:
            has_dashboard = "dashboard" in self.client.scheduler_info(n_workers=0)["services"]
            link = str(self.client.dashboard_link)
            return link if has_dashboard and _is_served(link) else None
        except Exception:  # noqa: BLE001 - the link is optional
            return None

    def slots(self) -> int:
        """Return the number of batches that run at once: the threads of all workers, 0 if there are none."""
        now = time.monotonic()
        if now - self._slots_at > _SLOTS_EVERY or not self._slots:
            self._slots_at = now
            try:
                self._slots = sum(self.client.nthreads().values())
            except Exception as error:
                raise Lost from error
        return self._slots

    def need(self, map_name: str, batches: int) -> None:
        """Request as many workers as a map has batches, if this process controls their number.

        Args:
            map_name: the name of the map.
            batches: its batches that run or wait, and those still to be made; 0 when it has ended.

        Raises:
            RunFailed: there are no workers, and never will be.
        """
        if self.keeper is not None:
            self.keeper.need(map_name, batches)
        self.check()

    def check(self) -> None:
        """Raise if there are no workers, and never will be.

        Raises:
            RunFailed: Kubernetes refuses to create any worker for the run, or none can be started on this
                machine.
        """
        if self.keeper is not None:
            self.keeper.check()
        if self.local and self._owned.revival.failure:
            raise RunFailed(self._owned.revival.failure)

    def offers(self, task: str, resources: Mapping[str, float]) -> bool:
        """Check that a worker offers what a task needs; return False if that is not known yet.

        Args:
            task: the task's name.
            resources: numbers by the names of resources.

        Raises:
            InputError: there are workers, and none of them offers it.
            Lost: the scheduler is gone.
        """
        if check_offered(self.on, task, resources):
            return True
        try:
            workers = self.client.scheduler_info(n_workers=-1)["workers"]
        except Exception as error:
            raise Lost from error
        offered = [worker.get("resources") or {} for worker in workers.values()]
        if any(fits(offer, resources) for offer in offered):
            return True
        if not offered or (self.keeper is not None and not self.slots()):
            return False
        needed = " ".join(f"{name}={number:g}" for name, number in resources.items())
        how = "use on='serial'" if self.local else f"start some with --resources {needed!r}"
        raise InputError(f"{task}: resources={dict(resources)}: no worker of {self.on} offers that; {how}")

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        key: str,
        place: float,
        resources: Mapping[str, float] | None = None,
    ) -> distributed.Future:
        """Send a function to a worker.

        Args:
            function: is called on the worker.
            arguments: its arguments; a future stands for its result.
            key: Dask's name for it.
            place: its place in the queue; what has the lowest one runs first.
            resources: what its worker has to offer; None for nothing.

        Raises:
            Lost: the scheduler is gone.
        """
        from distributed import Future

        if self.client.status not in ("running", "newly-created"):
            raise Lost
        if self._interrupted:
            self._interrupted = False
            self._free_workers()
        try:
            if resources or any(isinstance(argument, Future) for argument in arguments):
                return self.client.submit(
                    *(function, *arguments), key=key, pure=False, priority=-place, resources=resources
                )
            return self.client.submit_queued(function, *arguments, key=key, priority=-place)
        except Exception as error:
            if self.client.status != "running":
                raise Lost from error
            raise

    def interrupted(self) -> None:
        """Note that a map or call was interrupted: workers may still compute what nobody waits for."""
        self._interrupted = self.local

    def _free_workers(self) -> None:
        """End worker processes on this machine that still compute what was cancelled; others replace them."""
        self._commit_running()
        deadline = time.monotonic() + _GRACE
        while True:
            try:
                busy = self.client.sync(self.client._run, _busy_process, callback_timeout=_RESPONSE)  # noqa: SLF001
            except TimeoutError:
                # Code that never gives up the interpreter lock; it may be in any of them.
                busy = {name: worker.pid for name, worker in self._owned.workers.items()}
            except Exception:  # noqa: BLE001 - the map or call that comes next notices what is wrong
                return
            processes = [pid for pid in busy.values() if pid]
            if not processes or time.monotonic() > deadline:
                break
            time.sleep(_GRACE / 10)
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._slots_at = -1e9

    def relieve(self) -> None:
        """End worker processes that compute what nobody waits for."""
        is_own = self._owned is not None or self.keeper is not None
        with contextlib.suppress(Exception):  # whoever waits notices what is wrong
            if relieve(self.client, self._before_kill, _GRACE, is_own=is_own):
                self._slots_at = -1e9

    def gather(self, futures: Sequence[distributed.Future]) -> list[Any]:
        """Return the results of finished futures, in one request.

        Raises:
            Lost: the scheduler is gone.
        """
        from distributed.client import FutureCancelledError

        try:
            return list(self.client.gather(list(futures)))
        except (FutureCancelledError, OSError, TimeoutError) as error:
            raise Lost from error

    def end_of(self, address: str) -> str:
        """Return why a worker that was lost has ended, as far as that is seen from here; empty if it is not.

        Args:
            address: the worker's address.
        """
        deadline = time.monotonic() + _END
        while not (reason := self._end_of(address)) and time.monotonic() < deadline:
            time.sleep(_LOOK)  # the connection to a worker is lost before its process has ended
        return reason

    def _end_of(self, address: str) -> str:
        if self.local:
            return str(self._owned.revival.ends.get(address, ""))
        if self.keeper is not None:
            return self.keeper.losses.reasons.get(urlsplit(address).hostname or "", "")
        with contextlib.suppress(Exception):  # the reason is optional
            return reported(self.client, address)
        return ""

    @property
    def renewed(self) -> int:
        """How often the scheduler was replaced because the tenant's certificate authority was."""
        return 0 if self.keeper is None else self.keeper.renewed

    @property
    def blamed(self) -> dict[str, tuple[int, str]]:
        """The keys of tasks that have ended too many workers: how many, and why the last one was lost."""
        return {} if self.keeper is None else self.keeper.losses.blamed

    def reconnect(self, timeout: float | None = None) -> None:
        """Connect to the scheduler again, or to its replacement at the same address.

        Args:
            timeout: seconds to try for; by default `LIGHTWORK_RECONNECT_SECONDS`, else 600.

        Raises:
            RunFailed: no scheduler responded in time, or there will be no workers.
        """
        from lightwork.cluster.connection import is_untrusted

        self.check()
        if timeout is None:
            timeout = _seconds("LIGHTWORK_RECONNECT_SECONDS", 600)
        log = get_logger("lightwork")
        log.warning(f"lost the scheduler at {self.on}; reconnecting for up to {timeout:.0f} s")
        deadline = time.monotonic() + timeout
        self.client.close_quietly()
        while True:
            self.check()
            try:
                self.client = self._connect(max(1.0, min(10.0, deadline - time.monotonic())))
            except Lost as error:
                if time.monotonic() > deadline:
                    is_own = self._fleet is not None and is_untrusted(error.__cause__)
                    raise (ClusterAway if is_own else RunFailed)(
                        f"the scheduler at {self.on} did not return within {timeout:.0f} s; "
                        "finished results are kept, and the next run continues from there"
                    ) from error
                time.sleep(min(1.0, timeout / 10))
            else:
                self._slots_at = -1e9
                log.info(f"reconnected to the scheduler at {self.on}")
                return

    def kill(self) -> None:
        """End the worker processes on this machine at once."""
        if self.local:
            kill_workers(self._owned)

    def _commit_running(self) -> None:
        """Let the workers commit what they have computed of the batches that they still run."""
        with contextlib.suppress(Exception):  # some worker may not respond, as its code holds Python's lock
            told = self.client.sync(self.client._run, self._before_kill, callback_timeout=_GRACE)  # noqa: SLF001
            for text in {text for text in told.values() if text and isinstance(text, str)}:
                get_logger("lightwork").warning(text)

    def on_workers(self, function: Callable[[], Any]) -> None:
        """Call a function on all workers, and warn of what they tell; wait for half a minute at most."""
        try:
            run = self.client._run  # noqa: SLF001
            told = self.client.sync(run, function, on_error="ignore", callback_timeout=_WORKERS)
            for text in {text for text in told.values() if text and isinstance(text, str)}:
                get_logger("lightwork").warning(text)
        except Exception as error:  # noqa: BLE001 - a worker or the scheduler is gone, or does not respond
            get_logger("lightwork").debug("not all workers respond: %s", one_line(error))

    def close(self) -> None:
        """Disconnect from the cluster; stop it if it was started here.

        After an interrupt, workers on this machine are not waited for.
        """
        if self._interrupted:
            self._commit_running()
            self.kill()
        pickling.release(self._packages)
        self._packages = set()
        if self.keeper is not None:
            self.keeper.close()
        self.client.close_quietly()
        if self._owned is not None:
            self._owned.close()


def _is_served(link: str) -> bool:
    """Return whether a dashboard is served there: schedulers name their HTTP server even without one."""
    import urllib.error
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(link, timeout=_DASHBOARD).close()
    except urllib.error.HTTPError as error:
        return error.code != HTTPStatus.NOT_FOUND
    except urllib.error.URLError as error:
        return not isinstance(error.reason, ConnectionRefusedError)
    except OSError:
        pass  # it may be reachable from elsewhere
    return True


def _busy_process(dask_worker: Any) -> int:
    """Return the id of a worker's process if it computes what was cancelled; otherwise 0."""
    cancelled = any(item.state == "cancelled" for item in dask_worker.state.tasks.values())
    return os.getpid() if cancelled else 0


def _seconds(variable: str, default: float) -> float:
    value = os.environ.get(variable) or str(default)
    try:
        return max(0.0, float(value))
    except ValueError:
        raise InputError(f"{variable}: {value!r} is not a number; expected seconds, for example 60") from None
