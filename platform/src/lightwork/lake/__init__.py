"""The data lake: one tenant's folder of named bytes, on a local disk or in S3."""

from __future__ import annotations

from lightwork.lake.base import Data, Entry, Lake
from lightwork.lake.opening import check_tenant, open_lake

__all__ = ["Data", "Entry", "Lake", "check_tenant", "open_lake"]
