"""Log lines of Dask's scheduler, nannies and workers as JSON: `dask worker --preload lightwork.pods.logs`."""

from __future__ import annotations

import logging
from typing import Any


def dask_setup(server: Any) -> None:  # noqa: ARG001  (Dask gives each preload its server)
    """Have this process's log lines written as lightwork writes its own."""
    from lightwork import logs

    logs.configure()
    for name in ("distributed", "bokeh", "tornado"):
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.propagate = True
    # Who came, who went, and what was lost: a few lines a run.
    logging.getLogger("distributed").setLevel(logging.INFO)


def dask_teardown(server: Any) -> None:
    """Nothing: the lines go out as they come."""
