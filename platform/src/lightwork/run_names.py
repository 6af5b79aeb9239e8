"""Names of runs: `windy-city-20261124t063518-k3x9q`, the same for a run in a cluster and on a laptop.

Argo names the runs of a schedule itself. So names do not sort by time: the order of runs comes from their
records, and a name only tells about when its run was submitted.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 63
"""Characters of a pod's name, and of a Service's, at most."""
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Characters of the random part; none looks like another one."""
_RANDOM = 5
_STAMP = "%Y%m%dt%H%M%S"
_ADDED = len("-20261124t063518-") + _RANDOM
_OF_DRIVER = len("-driver-1234567890")
"""What Argo adds to the name of a run for its driver's pod; a scheduler's Service has less."""
_OF_STEP = len("-step--1234567890")
"""What Argo adds to the names of a run and of a step for the step's pod."""
_OF_SERVICE = len("--scheduler")
"""What is added to them for the Service of a step, which Kubernetes refuses if its name is longer."""

_TIMES = (
    re.compile(r"(?:^|-)(\d{8}[tT]\d{6})-[0-9a-z]+$"),
    re.compile(r"-(\d{10})$"),
)
"""How the time is written in a name: by this module, also before the pipeline was in it, or by Argo."""


def new(pipeline: str, steps: Iterable[str] = (), now: dt.datetime | None = None) -> str:
    """Return the name of a new run.

    Args:
        pipeline: the pipeline's name; it is shortened so that the names of pods fit.
        steps: the names of its steps, if it has several.
        now: the current time, for tests.

    >>> new("windy-city", now=dt.datetime(2026, 11, 24, 6, 35, 18, tzinfo=dt.UTC))[:-5]
    'windy-city-20261124t063518-'
    """
    longest = max((len(step) for step in steps), default=0)
    room = max(1, LONGEST - _ADDED - max(_OF_DRIVER, _OF_STEP + longest if longest else 0))
    lacking = max(0, 1 + _ADDED + _OF_SERVICE + longest - LONGEST)
    start = re.sub(r"[^a-z0-9]+", "-", pipeline.lower()).strip("-")
    start = (start if start[:1].isalpha() else f"r{start}")[:room].strip("-")
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM - lacking))
    return f"{start}-{now or dt.datetime.now(dt.UTC):{_STAMP}}-{random}"


def time_in(name: str) -> dt.datetime | None:
    """Return about when a run was submitted, as its name tells; None if it does not."""
    for pattern in _TIMES:
        if match := pattern.search(name):
            text = match[1]
            try:
                if text.isdigit():
                    return dt.datetime.fromtimestamp(int(text), dt.UTC)
                return dt.datetime.strptime(text.lower(), _STAMP).replace(tzinfo=dt.UTC)
            except (ValueError, OverflowError):
                return None
    return None
