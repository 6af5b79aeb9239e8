"""What `Task.map` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lightwork.engine.mapping import MapCall, Stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

R = TypeVar("R")

__all__ = ["Results", "Stats"]


class Results(Generic[R]):
    """The results of a map, in the order of its input; an iterator, so they can be had once.

    Nothing runs before the first one is asked for. `len()` is the input's, where the input has one.
    """

    def __init__(self, call: MapCall, engine: Callable[[MapCall], Iterator[R]]) -> None:
        self._call = call
        self._engine = engine
        self._results: Iterator[R] | None = None

    @property
    def stats(self) -> Stats:
        """What became of the elements so far: total, cached, computed, failed, batches, seconds."""
        return self._call.stats

    def __iter__(self) -> Iterator[R]:
        if self._results is None:
            self._results = _run(self._call, self._engine)
        return self._results

    def __next__(self) -> R:
        return next(iter(self))

    def __len__(self) -> int:
        if self._call.total is None:
            raise TypeError("the length of the input is not known")
        return self._call.total

    def wait(self) -> Stats:
        """Run the map to its end for what it does, without keeping the results.

        Returns:
            What became of the elements.
        """
        for _ in self:
            pass
        return self.stats

    def __repr__(self) -> str:
        stats: Any = self.stats
        state = "not started" if self._results is None else f"{stats.computed + stats.cached} done"
        return f"<results of {self._call.task.name}, {state}>"


def _run(call: MapCall, engine: Callable[[MapCall], Iterator[R]]) -> Iterator[R]:
    # A generator: nothing of this happens before the first result is asked for. It does not know its
    # `Results`: so a loop that is left early ends the map at once, and not when garbage is collected.
    call.start()
    try:
        yield from engine(call)
    finally:
        call.finish()
