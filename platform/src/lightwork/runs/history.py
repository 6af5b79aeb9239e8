"""The history of runs, for Python and notebooks."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from lightwork import settings
from lightwork.errors import public
from lightwork.functions.checks import FROM_ONE, PATH, TEXT, check, maybe
from lightwork.lake import open_lake
from lightwork.lake.patience import LOOK_SECONDS
from lightwork.runs.outcome import Run
from lightwork.store import records

if TYPE_CHECKING:
    import os

_KINDS = {"pipeline": maybe(TEXT), "last": FROM_ONE, "lake": maybe(PATH), "tenant": maybe(TEXT)}


class Runs(list[Run]):
    """Runs, newest first; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        """Return how a notebook shows them."""
        columns = ("name", "status", "seconds", "elements", "error")
        head = "".join(f"<th>{name}</th>" for name in columns)
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td style='text-align:left'>{html.escape(str(value))}</td>"
                for value in (run.name, run.status, run.seconds, run.elements["total"], run.error or "")
            )
            + "</tr>"
            for run in self
        )
        return f"<table><tr>{head}</tr>{rows}</table>"


@public
def runs(
    pipeline: str | None = None,
    *,
    last: int = 20,
    lake: str | os.PathLike[str] | None = None,
    tenant: str | None = None,
) -> Runs:
    """Return the newest runs in a lake, newest first.

    >>> import lightwork
    >>> from lightwork import pipeline
    >>> @pipeline
    ... def hello(name: str = "you") -> str:
    ...     return f"hello, {name}"
    >>> hello.run(name="me", on="serial").status
    'succeeded'
    >>> [(run.pipeline, run.result) for run in lightwork.runs("hello", last=1)]
    [('hello', 'hello, me')]

    Args:
        pipeline: the name of a pipeline, for its runs alone.
        last: how many.
        lake: a folder or `s3://bucket/prefix`; by default as for `connect`.
        tenant: the tenant whose runs they are; by default as for `connect`.

    Raises:
        InputError: an argument is wrong.
        LightworkError: the lake cannot be read.
    """
    check("runs", locals(), _KINDS)
    settings.load_env()
    opened = open_lake(
        settings.resolve_lake(lake),
        tenant=settings.resolve_tenant(tenant),
        patience=settings.resolve_patience(LOOK_SECONDS),
    )
    return Runs(Run(record, opened) for record in records.recent(opened, last, pipeline))
