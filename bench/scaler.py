"""The scaler against the way of the talk that it was built from, and against one pod a task.

Needs the cluster of the tests: `make cluster-up`, then `make bench ARGS=scaler`. The talk's way is written
here from its description: a daemoned scheduler whose pod's IP is handed on, a Deployment of workers of a
fixed number, cleaned up by the exit handler alone, and nothing encrypted. Both use the same image, the same
pods' sizes and the same number of workers, in turns in the same run.
"""

from __future__ import annotations

import statistics
import time

from bench import talk
from bench.measure import Row

WORKERS = 3
ELEMENTS, SECONDS = 3000, 0.01
PAIRS = 3
"""So often are both measured, in turns: pods start sooner or later by seconds."""
MANY = 100_000
PODS = 40
TENANT = "acme"
LEFT_AFTER = 120.0
"""Seconds after a `terminate` at which what is left is counted."""


def run() -> list[Row]:
    """All rows; one that says what to do where no cluster is up."""
    from tests.cluster import tenants
    from tests.cluster.settings import kubeconfig

    if not kubeconfig().exists():
        return [Row("the scaler", "", "not measured", None, "no cluster is up: make cluster-up")]
    tenants.set_up(TENANT)
    talk.set_up()
    try:
        return [*_side_by_side(), *_many()]
    finally:
        talk.remove()


def _side_by_side() -> list[Row]:
    # Once each without measuring, so that everything is warm.
    _ours(100, 0.0)
    talk.run(100, 0.0, WORKERS)
    pairs = [(_ours(ELEMENTS, SECONDS), talk.run(ELEMENTS, SECONDS, WORKERS)) for _ in range(PAIRS)]
    ours, theirs = (_medians([pair[side] for pair in pairs]) for side in (0, 1))
    rows = [
        Row(
            "submit to the first element, over the talk's way",
            "within 1",
            f"{ours['start'] / theirs['start']:.2f}",
            ours["start"] <= theirs["start"],
            f"{ours['start']:.1f} s against {theirs['start']:.1f} s, medians of {PAIRS}",
        ),
        Row(
            "last element to nothing left",
            "within 30 s",
            f"{ours['gone']:.1f} s",
            ours["gone"] < 30,
            f"the talk's way {theirs['gone']:.1f} s",
        ),
        Row(
            "the whole workflow around the computation",
            "within 45 s",
            f"{ours['around']:.1f} s",
            ours["around"] < 45,
            f"the talk's way {theirs['around']:.1f} s",
        ),
    ]
    mine, other = _terminated(), talk.terminated(WORKERS, LEFT_AFTER)
    left = f"{', '.join(mine) or 'nothing'}; the talk's way: {', '.join(other) or 'nothing'}"
    rows.append(
        Row(
            f"objects left {LEFT_AFTER:.0f} s after a terminate",
            "none",
            str(len(mine)),
            not mine,
            left,
        )
    )
    return rows


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}


def _ours(elements: int, seconds: float) -> dict[str, float]:
    """One run by `lightwork submit`; as `talk.run`."""
    from tests.cluster import probes, tenants

    begun = time.time()
    name = tenants.submit(TENANT, "clock", elements=str(elements), seconds=str(seconds))
    ended = tenants.wait_for_end(TENANT, name, seconds=600)
    if ended["phase"] != "Succeeded":
        raise RuntimeError(f"{name}: {ended['phase']}: {tenants.messages(ended)}")
    over = time.time()
    tenants.wait_until_clear(TENANT, name, seconds=180)
    gone = time.time()
    records = [one for one in probes.records(TENANT) if one["pipeline"] == "clock"]
    result = max(records, key=lambda one: one["started"])["result"]
    return talk.figures(begun, over, gone, result)


def _terminated() -> list[str]:
    from tests.cluster import tenants
    from tests.cluster.progress import run as command

    name = tenants.submit(TENANT, "clock", elements="1000000", seconds="0.02")
    talk.wait_for_workers(tenants.namespace(TENANT), f"lightwork/run={name},lightwork/role=worker")
    words = [*tenants.LIGHTWORK, "stop", name, "--terminate", *tenants.WHERE, TENANT]
    command(words, env=tenants.environment())
    time.sleep(LEFT_AFTER)
    return tenants.leftovers(TENANT, name)


def _many() -> list[Row]:
    begun = time.time()
    ours = _ours(MANY, 0.0)
    took = time.time() - begun - ours["gone"]
    pods = talk.one_pod_a_task(PODS)
    scaled = pods * MANY / PODS
    return [
        Row(
            f"{MANY:,} elements against one pod a task",
            "",
            f"{scaled / took:,.0f} times faster",
            None,
            f"{took:.1f} s from submit to end; {PODS} pods, {talk.AT_ONCE} at once: {pods:.1f} s,"
            f" scaled {scaled / 3600:.1f} h",
        )
    ]
