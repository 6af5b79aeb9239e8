"""Dask's own collections inside a session: they compute where the session runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lightwork.engine.runner import Runner


class LazyClient:
    """Stands for the session's client in Dask's settings, so that a cluster starts only if it is used.

    Dask takes any object whose type's name says Client and that has `get`.
    """

    asynchronous = False

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """The client's own `get`, which starts the cluster if there is none yet.

        Raises:
            RunFailed: Kubernetes gives the run no worker.
        """
        cluster = self._runner.cluster
        try:
            return cluster.client.get(*args, **kwargs)
        except BaseException:
            if cluster.keeper is not None:
                cluster.keeper.check()
            raise

    def __reduce__(self) -> Any:
        return _nothing, ()  # Dask hands its settings on to the workers, where there is no session


def _nothing() -> None:
    return None


def collections_on(runner: Runner) -> AbstractContextManager[Any]:
    """Let collections compute where the session runs, as long as the context is open."""
    import dask

    if runner.on == "serial":
        # Said outright, or Dask would choose by whether any client happens to be open.
        settings: dict[str, Any] = {"scheduler": "synchronous", "dataframe.shuffle.method": "tasks"}
    else:
        settings = {"scheduler": LazyClient(runner), "dataframe.shuffle.method": "p2p"}
    context: AbstractContextManager[Any] = dask.config.set(settings)
    return context
