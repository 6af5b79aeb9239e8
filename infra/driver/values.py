"""The values that a step of the engine's plan changes, one line each. Secrets are masked by the engine."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 80
"""The length to which a value is cut."""
ABSENT = "nothing"
_PART = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)')


def differences(metadata: Any) -> tuple[str, ...]:
    """Return the differences of an event's step: `spec.hard.pods: "20" -> "21"`; none if it has no old state.

    Args:
        metadata: the metadata of one of the Automation API's events.
    """
    if not metadata.old or not metadata.new:
        return ()
    lines = []
    for path, difference in sorted((metadata.detailed_diff or {}).items()):
        old = metadata.old.inputs if difference.input_diff else metadata.old.outputs
        before, after = (_text(_value(state, path)) for state in (old, metadata.new.inputs))
        lines.append(f"{path}: {before} -> {after}")
    return tuple(lines)


_MISSING = object()


def _value(state: Mapping[str, Any] | None, path: str) -> Any:
    value: Any = state
    for quoted, index, name in _PART.findall(path):
        try:
            value = value[int(index)] if index else value[json.loads(f'"{quoted}"') if quoted else name]
        except (KeyError, IndexError, TypeError):
            return _MISSING
    return value


def _text(value: Any) -> str:
    if value is _MISSING:
        return ABSENT
    text = one_line(json.dumps(value, ensure_ascii=False, sort_keys=True))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
