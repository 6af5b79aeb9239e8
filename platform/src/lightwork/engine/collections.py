"""Dask's own collections inside a session: they compute where the session's tasks run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lightwork.engine.runner import Runner


class LazyClient:
    """A stand-in for the session's client in Dask's settings; the cluster starts on first use.

    Dask accepts any object that has `get` and whose type's name contains Client. It leaves persisted data on
    the workers only if the object has `persist` too.
    """

    asynchronous = False

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Call the client's own `get`; start the cluster first if there is none yet.

        Raises:
            RunFailed: Kubernetes refuses to create any worker for the run.
        """
        return self._call("get", *args, **kwargs)

    def persist(self, *args: Any, **kwargs: Any) -> Any:
        """Call the client's own `persist`, as `get` does."""
        return self._call("persist", *args, **kwargs)

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        cluster = self._runner.cluster
        try:
            return getattr(cluster.client, method)(*args, **kwargs)
        except BaseException:
            if cluster.keeper is not None:
                cluster.keeper.check()
            raise

    def __reduce__(self) -> Any:
        return _none, ()  # Dask sends its settings to the workers, which have no session


def _none() -> None:
    return None


def collections_on(runner: Runner) -> AbstractContextManager[Any]:
    """Make collections compute where the session's tasks run, while the context is open."""
    import dask

    if runner.on == "serial":
        # Set explicitly: otherwise Dask would use any client that happens to be open.
        settings: dict[str, Any] = {"scheduler": "synchronous", "dataframe.shuffle.method": "tasks"}
    else:
        settings = {"scheduler": LazyClient(runner), "dataframe.shuffle.method": "p2p"}
    context: AbstractContextManager[Any] = dask.config.set(settings)
    return context
