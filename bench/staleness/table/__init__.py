"""The table of edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.staleness.table import functions, harmless, outside, state

if TYPE_CHECKING:
    from bench.staleness.programs import Edit

EDITS: tuple[Edit, ...] = (*functions.EDITS, *state.EDITS, *outside.EDITS, *harmless.EDITS)
