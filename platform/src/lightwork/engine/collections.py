"""Dask's own collections inside a session: they compute where the session's tasks run."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from lightwork.errors import ClusterAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client

    from lightwork.engine.runner import Runner


class SessionClient:
    """A stand-in for a client in Dask's settings: it computes on the session of the thread that asks.

    Dask's settings belong to the whole process, so that they cannot name one of several sessions. A cluster
    starts on first use. Dask accepts any object that has `get` and whose type's name contains Client. It
    leaves persisted data on the workers only if the object has `persist` too.

    Args:
        current: returns the runner of the current session, or raises an error.
    """

    asynchronous = False

    def __init__(self, current: Callable[[], Runner]) -> None:
        self._current = current

    @property
    def session_client(self) -> Client | None:
        """The client of the session that is current here; None if it is serial."""
        if _on_a_worker():
            from distributed import get_client

            return get_client()
        runner = self._current()
        if runner.on == "serial":
            return None
        if runner.cluster.client.status == "closed":
            runner.cluster.reconnect()
        return runner.cluster.client

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Compute on the session's workers; in this thread if the session is serial.

        Raises:
            InputError: several sessions are open, none of them in this thread or coroutine.
            RunFailed: there are no workers, and never will be.
        """
        from dask.local import get_sync

        return self._call("get", get_sync, *args, **kwargs)

    def persist(self, *args: Any, **kwargs: Any) -> Any:
        """Compute as `get` does, and leave the data on the workers."""
        return self._call("persist", _persist_here, *args, **kwargs)

    def _call(self, method: str, here: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        client = self.session_client
        if client is None:
            return here(*args, **kwargs)
        if _on_a_worker():
            return getattr(client, method)(*args, **kwargs)
        cluster = self._current().cluster
        renewed = cluster.renewed
        try:
            return getattr(client, method)(*args, **kwargs)
        except BaseException as error:
            cluster.check()
            if cluster.renewed != renewed:
                raise ClusterAway(
                    "the run's scheduler was replaced, as the tenant's certificate authority was; "
                    "finished results are kept, and the next run continues from there"
                ) from error
            raise

    def __reduce__(self) -> Any:
        return _none, ()  # Dask sends its settings to the workers, which have no session


def _none() -> None:
    return None


def _on_a_worker() -> bool:
    """Return whether this thread runs a task of a Dask worker, which may be in the same process."""
    if "distributed.worker" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


def _persist_here(collections: Any, **kwargs: Any) -> Any:
    import dask

    return dask.persist(*collections, scheduler="synchronous", **kwargs)


_settings: list[tuple[Runner, Any]] = []
"""The open sessions' runners, each with what restores the settings from before it."""
_lock = threading.Lock()


def open_on(runner: Runner, current: Callable[[], Runner]) -> None:
    """Make collections compute where the current session's tasks run.

    Args:
        runner: the runner of the session that opens.
        current: returns the runner of the current session, or raises an error.
    """
    import dask

    with _lock:
        # With a serial session open, no thread may shuffle in a way that needs workers.
        serial = any(other.on == "serial" for other in [runner, *(other for other, _ in _settings)])
        method = "tasks" if serial else "p2p"
        settings = {"scheduler": SessionClient(current), "dataframe.shuffle.method": method}
        _settings.append((runner, dask.config.set(settings)))


def close_on(runner: Runner) -> None:
    """Restore Dask's settings from before a session opened, in whatever order sessions close."""
    with _lock:
        # Backwards: a session that was entered twice has two entries.
        for index in reversed(range(len(_settings))):
            other, restore = _settings[index]
            if other is not runner:
                continue
            del _settings[index]
            if index == len(_settings):
                restore.__exit__(None, None, None)
            else:
                _settings[index] = (_settings[index][0], restore)
