"""The command of the pod that packs a tenant's history: once an hour, and writes it as Parquet too.

It gives the tenant's lake the prices of the estate, for `lightwork cost`, and figures of the pipelines, for
the platform's metrics. It renews the `latest.parquet` of the artifacts of those runs whose drivers could not
know yet how the run ends. Once a day it deletes what the tenant's file keeps no longer.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from threading import Event
from typing import TYPE_CHECKING

from lightwork import logs, settings
from lightwork.errors import LightworkError, one_line
from lightwork.history import figures, segments, twin
from lightwork.history.collect import collect
from lightwork.history.sync import ask
from lightwork.kube.contract import ENV_PRICES
from lightwork.lake import open_lake
from lightwork.store import documents, latest
from lightwork.store.collector import Policy
from lightwork.store.documents import OddError
from lightwork.store.upkeep import keep_up

if TYPE_CHECKING:
    from lightwork.lake import Lake

PATIENCE = 60.0
"""Seconds for which a call waits for a lake that is away; the next pod follows in an hour."""


def main() -> None:
    """Pack the history once, and clean up if it is time to; an error is one line."""
    logs.configure("json")
    log = logs.get_logger("lightwork.history")
    done = "packed"
    try:
        lake = open_lake(settings.resolve_lake(None), tenant=settings.resolve_tenant(None), patience=PATIENCE)
        work(lake)
        done = "pruned"
        prune(lake)
    except LightworkError as error:
        log.error(f"the history was not {done}", reason=one_line(error))  # noqa: TRY400 - it says it all
        sys.exit(1)


def work(lake: Lake) -> None:
    """Pack the history once.

    Raises:
        LightworkError: the lake cannot be read or written.
    """
    log = logs.get_logger("lightwork.history")
    packed = collect(lake, settings.resolve_history().seconds)
    tables = twin.write(lake, packed.segments)
    latest.renew_all(lake, sorted(packed.artifacts))
    if (prices := os.environ.get(ENV_PRICES)) and give_prices(lake, prices):
        log.info("the lake has new prices")
    figures.write(lake, ask(lake, lambda history: figures.of(history, dt.datetime.now(dt.UTC))))
    log.info("the history was packed", runs=packed.runs, segments=packed.written, tables=tables)


def prune(lake: Lake) -> None:
    """Delete what is kept no longer, unless a run or an earlier job did so less than a day ago.

    Raises:
        LightworkError: the lake cannot be read or written.
    """
    kept = settings.resolve_history()
    policy = Policy(kept.seconds, kept.runs, kept.artifacts)
    collected = keep_up(lake, policy, Event(), lambda: collect(lake, kept.seconds, look=True))
    if collected is not None:
        latest.renew_every(lake)
        logs.get_logger("lightwork.history").info(
            "the lake was cleaned up",
            deleted={kind: amount.files for kind, amount in collected.kinds.items()},
            bytes=collected.bytes,
        )


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
