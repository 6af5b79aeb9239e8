"""Log lines of Dask's scheduler, nannies and workers as JSON, from the first line on.

Dask sets up logging while it is imported, from `DASK_LOGGING`, which names the handler here
(`manifests.dask.LOGGING`).
"""

from __future__ import annotations

import logging


def handler() -> logging.Handler:
    """Return the handler that writes lightwork's own log lines as JSON; catch what nothing else would log."""
    from lightwork import logs
    from lightwork.cli import fatal

    root = logging.getLogger()
    before = list(root.handlers)
    logs.configure("json")
    (added,) = [item for item in root.handlers if item not in before]
    root.removeHandler(added)  # logging.config attaches it where DASK_LOGGING says
    fatal.catch_all()
    return added
