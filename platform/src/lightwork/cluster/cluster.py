"""The Dask cluster of a session: started here, or found at an address, or asked of Coiled."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from lightwork.cluster.fleet import fleet_from
from lightwork.cluster.keeper import Keeper
from lightwork.cluster.local import start_coiled, start_local
from lightwork.errors import InputError, RunFailed
from lightwork.functions import pickling
from lightwork.kube import contract
from lightwork.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distributed import Future

    from lightwork.cluster.connection import Connection

_FRESH = 1.0


class Lost(Exception):  # noqa: N818 - an event, not a mistake
    """The scheduler is gone, and every future with it."""


class Cluster:
    """A connection to a scheduler, which outlives the scheduler's loss.

    Attributes:
        on: where: `local`, an address, or `coiled`.
        client: the client as it is now; another one after a reconnection.
        local: whether the cluster was started here, on this machine.
        keeper: sees to the number of the run's workers, if that is this process's business.

    Args:
        on: as the attribute.
        workers: how many workers to start, where they are started here.
        batches: how many are to be done for certain: workers for them are asked for before the scheduler is
            reached, so that both start at once.
    """

    def __init__(self, on: str, workers: int, batches: int = 0) -> None:
        self.on = on
        self.local = on == "local"
        self._owned: Any = None
        self._slots = 0
        self._looked = -1e9
        self._packages: set[str] = set()
        self._modules = 0
        self._address: Any = on
        if self.local:
            self._owned = self._address = start_local(workers)
        elif on == "coiled":
            self._owned = self._address = start_coiled(workers)
        fleet = fleet_from(os.environ) if "://" in on else None
        patience = _seconds(contract.ENV_CONNECT_SECONDS, 10)
        if fleet is not None:
            if batches:
                fleet.need(batches, ())
            self._address = fleet.reach(on, patience)
        try:
            self.client: Connection = self._connect(patience, first=True)
        except BaseException:
            with contextlib.suppress(Exception):
                self._owned.close()
            raise
        self.keeper = None if fleet is None else Keeper(fleet, lambda: self.client)
        self.hold_packages()

    def hold_packages(self) -> None:
        """Let first-party code go by value to workers elsewhere: they may lack it, or have it older."""
        if not self.local and len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            new = pickling.own_packages() - self._packages
            pickling.hold(new)
            self._packages |= new

    def _connect(self, patience: float, *, first: bool = False) -> Connection:
        from lightwork.cluster.connection import connect

        try:
            return connect(self._address, patience)
        except TypeError as error:
            if not self.on.startswith("tls://"):
                raise
            raise InputError(
                f"{self.on} needs certificates; name their files in DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
                "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"
            ) from error
        except (OSError, TimeoutError, ValueError, ImportError, RuntimeError) as error:
            if not first:
                raise Lost from error
            reason = str(error).split("\n")[0]
            raise RunFailed(f"no scheduler answers at {self.on}: {reason}") from error

    @property
    def dashboard(self) -> str | None:
        """The address of Dask's dashboard, if it has one."""
        try:
            has_one = "dashboard" in self.client.scheduler_info(n_workers=0)["services"]
            return str(self.client.dashboard_link) if has_one else None
        except Exception:  # noqa: BLE001 - a link is a courtesy
            return None

    def slots(self) -> int:
        """How many batches run at once: the threads of all workers now; 0 while there is none."""
        now = time.monotonic()
        if now - self._looked > _FRESH or not self._slots:
            self._looked = now
            try:
                self._slots = sum(self.client.nthreads().values())
            except Exception as error:
                raise Lost from error
        return self._slots

    def need(self, who: str, batches: int) -> None:
        """Have as many workers as there are batches to do, if their number is this process's business.

        Args:
            who: the name of the map that says so.
            batches: batches that run or wait, and those that what is left would make; 0 at its end.

        Raises:
            RunFailed: Kubernetes gives the run no worker.
        """
        if self.keeper is not None:
            self.keeper.need(who, batches)
            self.keeper.check()

    def submit(self, function: Callable[..., Any], *arguments: Any, key: str) -> Future:
        """Start a function on some worker."""
        if self.client.status not in ("running", "newly-created"):
            raise Lost
        try:
            return self.client.submit(function, *arguments, key=key, pure=False)
        except Exception as error:
            if self.client.status != "running":
                raise Lost from error
            raise

    def gather(self, futures: Sequence[Future]) -> list[Any]:
        """The results of finished futures, in one request.

        Raises:
            Lost: the scheduler is gone.
        """
        from distributed.client import FutureCancelledError

        try:
            return list(self.client.gather(list(futures)))
        except (FutureCancelledError, OSError, TimeoutError) as error:
            raise Lost from error

    def reconnect(self, patience: float | None = None) -> None:
        """Connect to the scheduler again, or to the one that took its place at the same address.

        Args:
            patience: seconds to try for; `LIGHTWORK_RECONNECT_SECONDS` by default, else 600.

        Raises:
            RunFailed: none answered in that time, or there are no workers to reach.
        """
        if self.keeper is not None:
            self.keeper.check()
        if patience is None:
            patience = _seconds("LIGHTWORK_RECONNECT_SECONDS", 600)
        log = get_logger("lightwork")
        log.warning(f"lost the scheduler at {self.on}; trying to reach it again for {patience:.0f} s")
        deadline = time.monotonic() + patience
        self.client.close_quietly()
        while True:
            try:
                self.client = self._connect(max(1.0, min(10.0, deadline - time.monotonic())))
            except Lost as error:
                if time.monotonic() > deadline:
                    raise RunFailed(
                        f"the scheduler at {self.on} did not come back in {patience:.0f} s; "
                        "what is done is kept, and the next run goes on from there"
                    ) from error
                time.sleep(min(1.0, patience / 10))
            else:
                self._looked = -1e9
                log.info(f"reached the scheduler at {self.on} again")
                return

    def close(self) -> None:
        """Leave the cluster; stop it if it was started here."""
        pickling.release(self._packages)
        self._packages = set()
        if self.keeper is not None:
            self.keeper.close()
        self.client.close_quietly()
        if self._owned is not None:
            self._owned.close()


def _seconds(variable: str, default: float) -> float:
    value = os.environ.get(variable) or str(default)
    try:
        return max(0.0, float(value))
    except ValueError:
        raise InputError(f"{variable}: {value!r} is not a number of seconds") from None
