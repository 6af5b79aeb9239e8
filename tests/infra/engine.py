"""The engine that records each resource and invoke; the program's own previews use it too."""

from __future__ import annotations

from infra.offline.answers import ACCOUNT, REGION
from infra.offline.recording import Resource, Run, record, run_program

__all__ = ["ACCOUNT", "REGION", "Resource", "Run", "record", "run_program"]
