"""The values that a step of the engine's plan changes, one line each, without secrets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST = 80
"""The length to which a value is cut."""
ABSENT = "nothing"
SECRET = "[secret]"  # noqa: S105  (stands for one)
UNKNOWN = "known after the deployment"
CREATING = frozenset({"create", "import"})
_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key by which the engine marks a value that is more than JSON, such as a secret."""
_SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (the mark of a secret)
_UNKNOWN_SIGNATURE = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_KUBERNETES_SECRET = "kubernetes:core/v1:Secret"  # noqa: S105  (a type)
_PART = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)')
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_MISSING = object()


def differences(metadata: Any) -> tuple[str, ...]:
    """Return what a step changes: `spec.hard.pods: "20" -> "21"`, or `spec.hard.pods: "20"` of a new object.

    Args:
        metadata: the metadata of one of the Automation API's events.
    """
    op = str(getattr(metadata.op, "value", metadata.op))
    new = (metadata.new.inputs if metadata.new else None) or {}
    if op in CREATING:
        return tuple(f"{path}: {_shown(metadata, path, value)}" for path, value in sorted(_leaves(new)))
    if not metadata.old or not metadata.new:
        return ()
    if metadata.detailed_diff:
        states = {
            path: metadata.old.inputs if difference.input_diff else metadata.old.outputs
            for path, difference in metadata.detailed_diff.items()
        }
        changed = {path: (_value(old, path), _value(new, path)) for path, old in states.items()}
    else:
        before, after = dict(_leaves(metadata.old.inputs or {})), dict(_leaves(new))
        pairs = {
            path: (before.get(path, _MISSING), after.get(path, _MISSING)) for path in before.keys() | after
        }
        changed = {path: (was, will) for path, (was, will) in pairs.items() if was != will}
    return tuple(
        f"{path}: {_shown(metadata, path, was)} -> {_shown(metadata, path, will)}"
        for path, (was, will) in sorted(changed.items())
    )


def namespace(metadata: Any) -> str:
    """Return the namespace of a step's Kubernetes object or chart; empty for anything else."""
    inputs = (metadata.new.inputs if metadata.new else None) or {}
    found = _value(inputs, "metadata.namespace" if "metadata" in inputs else "namespace")
    return found if metadata.type.startswith("kubernetes:") and isinstance(found, str) else ""


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of everything that is not a filled map or list."""
    if not value and not path:
        return
    if not value or not isinstance(value, (dict, list)) or (isinstance(value, dict) and _SIGNATURE in value):
        yield path, value
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(key, int):
            yield from _leaves(inner, f"{path}[{key}]")
        elif not str(key).startswith("__"):  # the engine's own
            name = key if _PLAIN.fullmatch(key) else f"[{json.dumps(key)}]"
            yield from _leaves(inner, f"{path}.{name}" if path and name == key else f"{path}{name}")


def _value(state: Mapping[str, Any] | None, path: str) -> Any:
    value: Any = state
    for quoted, index, name in _PART.findall(path):
        if isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET_SIGNATURE:
            return value
        try:
            value = value[int(index)] if index else value[json.loads(f'"{quoted}"') if quoted else name]
        except (KeyError, IndexError, TypeError):
            return _MISSING
    return value


def _shown(metadata: Any, path: str, value: Any) -> str:
    """Return a value as it is shown, cut to one line; a secret is not."""
    if value is _MISSING:
        return ABSENT
    if metadata.type == _KUBERNETES_SECRET and re.match(r"(data|stringData)\b", path):
        return SECRET
    text = one_line(json.dumps(_masked(value), ensure_ascii=False, sort_keys=True))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _masked(value: Any) -> Any:
    """Replace secrets in a value, and what only the deployment tells."""
    if value == _UNKNOWN_SIGNATURE:
        return UNKNOWN
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET_SIGNATURE:
            return SECRET
        return {key: _masked(inner) for key, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, list) else value
