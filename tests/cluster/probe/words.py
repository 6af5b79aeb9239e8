"""What texts arrive: a pipeline that returns the digests of its parameters."""

from __future__ import annotations

import hashlib
import uuid

from lightwork import pipeline
from pipelines.probe.pipeline import record


@pipeline
def words(
    a: str = "",
    b: str = "",
    c: str = "",
    d: str = "",
    e: str = "",
    f: str = "",
    g: str = "",
    h: str = "",
    i: str = "",
    j: str = "",
    k: str = "",
    m: str = "",
    label: str = "none",
) -> dict[str, str]:
    """Return a digest of each text, and record that it was run.

    Args:
        a: a text, as are the others up to m.
        label: the folder for the record.
    """
    record(f"probe/{label}/0/{uuid.uuid4().hex}")
    given = {"a": a, "b": b, "c": c, "d": d, "e": e, "f": f, "g": g, "h": h, "i": i, "j": j, "k": k, "m": m}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in given.items()}
