"""The command of the pod that packs a tenant's history: once an hour, and writes it as Parquet too.

It gives the tenant's lake the prices of the estate, for `lightwork cost`, and figures of the pipelines, for
the platform's metrics.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from typing import TYPE_CHECKING

from lightwork import logs, settings
from lightwork.errors import LightworkError, one_line
from lightwork.history import figures, segments, twin
from lightwork.history.collect import collect
from lightwork.history.sync import ask
from lightwork.kube.contract import ENV_PRICES
from lightwork.lake import open_lake
from lightwork.store import documents
from lightwork.store.documents import OddError

if TYPE_CHECKING:
    from lightwork.lake import Lake

PATIENCE = 60.0
"""Seconds for which a call waits for a lake that is away; the next pod follows in an hour."""


def main() -> None:
    """Pack the history once; an error is one line."""
    logs.configure("json")
    try:
        work()
    except LightworkError as error:
        log = logs.get_logger("lightwork.history")
        log.error("the history was not packed", reason=one_line(error))  # noqa: TRY400 - it says it all
        sys.exit(1)


def work() -> None:
    """Pack the history once.

    Raises:
        LightworkError: the lake cannot be read or written.
    """
    log = logs.get_logger("lightwork.history")
    lake = open_lake(settings.resolve_lake(None), tenant=settings.resolve_tenant(None), patience=PATIENCE)
    keep, _ = settings.resolve_history()
    packed = collect(lake, keep)
    tables = twin.write(lake, packed.segments)
    if (prices := os.environ.get(ENV_PRICES)) and give_prices(lake, prices):
        log.info("the lake has new prices")
    figures.write(lake, ask(lake, lambda history: figures.of(history, dt.datetime.now(dt.UTC))))
    log.info("the history was packed", runs=packed.runs, segments=packed.written, tables=tables)


def give_prices(lake: Lake, prices: str) -> bool:
    """Put prices into a lake, unless it has them; return whether it had others."""
    new = documents.parse(prices.encode())
    if segments.listing(lake).priced:
        try:
            if documents.parse(lake.read(segments.PRICES)) == new:
                return False
        except OddError:
            pass
    lake.write(segments.PRICES, documents.seal(new))
    return True


if __name__ == "__main__":
    main()
