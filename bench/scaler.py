"""The scaler against the design of the talk that it was built from, and against one pod per task.

Needs the tests' cluster: `make cluster-up`, then `make bench ARGS=scaler`. The talk's design is implemented
here from its description: a daemon scheduler whose pod IP is passed on, a Deployment with a fixed number of
workers, cleanup by the exit handler alone, and no encryption. Both sides use the same image, pod sizes and
number of workers, and take turns in the same run.
"""

from __future__ import annotations

import statistics
import time

from bench import talk
from bench.measure import Row

WORKERS = 3
ELEMENTS, SECONDS = 3000, 0.01
PAIRS = 3
"""How often each side is measured, in turns: pod startup varies by seconds."""
MANY = 100_000
PODS = 40
TENANT = "acme"
LEFT_AFTER = 120.0
"""Seconds after a `terminate` at which leftover objects are counted."""


def run() -> list[Row]:
    """Measure every row; if no cluster is up, the only row says what to do."""
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
    # Warm up both sides without measuring.
    _ours(100, 0.0)
    talk.run(100, 0.0, WORKERS)
    pairs = [(_ours(ELEMENTS, SECONDS), talk.run(ELEMENTS, SECONDS, WORKERS)) for _ in range(PAIRS)]
    ours, theirs = (_medians([pair[side] for pair in pairs]) for side in (0, 1))
    rows = [
        Row(
            "submit to the first element / the talk's design",
            "within 1",
            f"{ours['start'] / theirs['start']:.2f}",
            ours["start"] <= theirs["start"],
            f"{ours['start']:.1f} s against {theirs['start']:.1f} s, medians of {PAIRS}",
        ),
        Row(
            "last element to everything deleted",
            "within 30 s",
            f"{ours['gone']:.1f} s",
            ours["gone"] < 30,
            f"the talk's design {theirs['gone']:.1f} s",
        ),
        Row(
            "overhead of the workflow around the computation",
            "within 45 s",
            f"{ours['around']:.1f} s",
            ours["around"] < 45,
            f"the talk's design {theirs['around']:.1f} s",
        ),
    ]
    left, talk_left = _left_after_terminate(), talk.left_after_terminate(WORKERS, LEFT_AFTER)
    detail = f"{', '.join(left) or 'nothing'}; the talk's design: {', '.join(talk_left) or 'nothing'}"
    rows.append(
        Row(
            f"objects left {LEFT_AFTER:.0f} s after a terminate",
            "none",
            str(len(left)),
            not left,
            detail,
        )
    )
    return rows


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}


def _ours(elements: int, seconds: float) -> dict[str, float]:
    """Measure one run by `lightwork submit`; figures as in `talk.run`."""
    from tests.cluster import probes, tenants

    submitted = time.time()
    name = tenants.submit(TENANT, "clock", elements=str(elements), seconds=str(seconds))
    status = tenants.wait_for_end(TENANT, name, seconds=600)
    if status["phase"] != "Succeeded":
        raise RuntimeError(f"{name}: {status['phase']}: {tenants.messages(status)}")
    ended = time.time()
    tenants.wait_until_clear(TENANT, name, seconds=180)
    gone = time.time()
    return talk.figures(submitted, ended, gone, probes.ended_record(TENANT, name)["result"])


def _left_after_terminate() -> list[str]:
    from tests.cluster import tenants
    from tests.cluster.progress import run as command

    name = tenants.submit(TENANT, "clock", elements="1000000", seconds="0.02")
    talk.wait_for_workers(tenants.namespace(TENANT), f"lightwork/run={name},lightwork/role=worker")
    words = [*tenants.LIGHTWORK, "stop", name, "--terminate", *tenants.WHERE, TENANT]
    command(words, env=tenants.environment())
    time.sleep(LEFT_AFTER)
    return tenants.leftovers(TENANT, name)


def _many() -> list[Row]:
    submitted = time.time()
    ours = _ours(MANY, 0.0)
    seconds = time.time() - submitted - ours["gone"]
    pods = talk.one_pod_per_task(PODS)
    scaled = pods * MANY / PODS
    return [
        Row(
            f"{MANY:,} elements against one pod per task",
            "",
            f"{scaled / seconds:,.0f} times faster",
            None,
            f"{seconds:.1f} s from submit to end; {PODS} pods, {talk.AT_ONCE} at once: {pods:.1f} s,"
            f" scaled {scaled / 3600:.1f} h",
        )
    ]
