"""How a worker computes a batch or a call: in a process apart, together in a loop, or one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lightwork.engine.apart import Apart, release
from lightwork.engine.compute import Computed, compute, renewing
from lightwork.engine.limiting import limited, limiter
from lightwork.engine.looping import awaited, together
from lightwork.functions.frozen import freeze

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightwork.engine.job import Job, Parcel
    from lightwork.functions.frozen import Frozen


class Notes:
    """What is noted of a batch or a call.

    Attributes:
        names: the names of values that the function reads and has changed, of calls in a process apart.
        warning: that it has changed shared arguments; usually empty.
        waited: the seconds that elements have waited for the task's limit.
    """

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.warning = ""
        self.waited = 0.0

    def wait(self, seconds: float) -> None:
        """Add a wait for a limit."""
        self.waited += seconds

    def add(self, names: Sequence[str], warning: str) -> None:
        """Add what a call in a process apart has changed."""
        self.names.update(dict.fromkeys(names))
        self.warning = self.warning or warning


def compute_batch(
    job: Job,
    parcel: Parcel,
    elements: Sequence[Any],
    budget: float,
    values: list[Any],
    forward: Callable[[str], object],
) -> tuple[Computed, Notes]:
    """Compute a batch; return the outcome, and notes.

    Args:
        job: the job.
        parcel: the same, packed.
        elements: the batch.
        budget: seconds after which to stop.
        values: an empty list, which gets the outcomes.
        forward: receives the log lines of a process apart.
    """
    options, stop, notes = job.options, job.options.on_error == "raise", Notes()
    if options.timeout is not None:
        apart = Apart(parcel, options.timeout, forward, notes.add)
        # A process apart has no slots of a limit.
        outcome = apart.together(elements, budget) if job.is_async and options.limit is None else None
        if outcome is not None:
            values += outcome.values
            return replace(outcome, values=values), notes
        done = compute(
            *(limited(job, apart.element, notes.wait), elements, options),
            stop_at_failure=stop,
            budget=budget,
            opens=False,
            values=values,
        )
        return done, notes
    release()
    if job.is_async:
        done, notes.warning = job.shared.run(
            lambda loan: together(
                *(job.call(loan), elements, options),
                stop_at_failure=stop,
                budget=budget,
                keep=freeze,
                values=values if loan is None else None,
                limiter=limiter(job, notes.wait),
            )
        )
        return done, notes
    done, notes.warning = job.shared.run(
        lambda loan: compute(
            *(limited(job, job.call(loan), notes.wait), elements, options),
            stop_at_failure=stop,
            budget=budget,
            keep=freeze,
            # What a loan has given counts once the loan is checked.
            values=values if loan is None else None,
        )
    )
    return done, notes


def compute_call(
    job: Job,
    parcel: Parcel,
    sent: tuple[Frozen, tuple[Any, ...]],
    first: Any,
    renew: Callable[[], Any],
    forward: Callable[[str], object],
) -> tuple[Computed, Notes]:
    """Compute a submitted call; return the outcome, and notes.

    Args:
        job: the job.
        parcel: the same, packed.
        sent: the arguments as they were sent, with the results that take the place of their slots.
        first: the arguments of the first attempt.
        renew: returns those of a further one.
        forward: receives the log lines of a process apart.
    """
    notes = Notes()
    if job.options.timeout is not None:
        apart = Apart(parcel, job.options.timeout, forward, notes.add)
        submitted = limited(job, lambda _: apart.submitted(*sent), notes.wait)
        return compute(submitted, [first], job.options, opens=False), notes
    release()
    call = renewing(awaited(lambda given: job.fn(*given[0], **given[1]), is_async=job.is_async), renew)
    return compute(limited(job, call, notes.wait), [first], job.options, keep=freeze), notes
