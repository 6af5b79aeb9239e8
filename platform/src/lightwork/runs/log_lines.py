"""The lines of a run's log: events and plain text, as people read them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from lightwork.search.lines import ERROR_LEVELS, ERROR_WORDS

_OWN = ("timestamp", "level", "event", "exception")
_SAME = ("tenant", "pipeline", "run", "step", "role", "host", "logger")
"""Fields that all lines of a run, or of a pod, share: they are not shown."""
_ROLE = re.compile(r"-(driver)-\d+$|-(scheduler|worker)s?-[a-z0-9]+-[a-z0-9]{5}$")
"""The end of a pod's name, after the run's: Argo and Kubernetes append the rest."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a run's log.

    Attributes:
        time: when it was written, in ISO 8601; empty if that is not known.
        pod: the pod that wrote it; empty on one machine.
        text: the line.
        event: the fields of a line that is an event; empty for any other line.
    """

    time: str
    pod: str
    text: str
    event: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, when: str, pod: str, text: str) -> Line:
        """Return a line with the fields of its event."""
        if not text.startswith("{"):
            return cls(when, pod, text)
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            return cls(when, pod, text)
        is_event = isinstance(event, dict) and "event" in event
        return cls(when, pod, text, event if is_event else {})

    @property
    def role(self) -> str:
        """The role of what wrote it: driver, scheduler, worker or step."""
        if role := self.event.get("role"):
            return str(role)
        if match := _ROLE.search(self.pod):
            return match[1] or match[2]
        return "step" if self.pod else "worker" if "worker" in self.event else "driver"

    @property
    def is_error(self) -> bool:
        """Whether it tells of an error: an event says so, and Python's own words begin so."""
        if self.event:
            return str(self.event.get("level")).lower() in ERROR_LEVELS
        return self.text.startswith(ERROR_WORDS)

    def shown(self) -> str:
        """Return the line for people: an event as its text and fields, an exception below it."""
        where = f"{self.pod}  " if self.pod else ""
        if not self.event:
            return f"{where}{self.text}"
        level = str(self.event.get("level", "info"))
        more = [f"{key}={value}" for key, value in self.event.items() if key not in (*_OWN, *_SAME)]
        words = [self.time[11:19], f"[{level}]", str(self.event["event"]), *more]
        below = str(self.event.get("exception") or "").rstrip()
        return where + " ".join(filter(None, words)) + "".join(f"\n    {x}" for x in below.split("\n") if x)

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {"time": self.time, "pod": self.pod, "role": self.role, "text": self.text}
