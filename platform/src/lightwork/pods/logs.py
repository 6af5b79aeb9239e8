"""Log lines of Dask's scheduler, nannies and workers as JSON, from the first one on.

Dask sets up logging while it is imported, by what `DASK_LOGGING` says: `manifests.dask.LOGGING`.
"""

from __future__ import annotations

import logging


def handler() -> logging.Handler:
    """The handler that writes lightwork's own lines."""
    from lightwork import logs

    root = logging.getLogger()
    before = list(root.handlers)
    logs.configure("json")
    (made,) = [item for item in root.handlers if item not in before]
    root.removeHandler(made)  # whoever asked puts it where it belongs
    return made
