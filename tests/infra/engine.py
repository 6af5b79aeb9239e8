"""The engine that records each resource and invoke; the program's own previews use it too."""

from __future__ import annotations

from infra.pretending import ACCOUNT, REGION
from infra.recording import Resource, Run, record, run_program

__all__ = ["ACCOUNT", "REGION", "Resource", "Run", "record", "run_program"]
