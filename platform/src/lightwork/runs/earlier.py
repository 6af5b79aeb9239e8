"""The attempt of the same driver that has finished the run before.

Argo starts a driver again if its pod is lost, or its log cannot be kept, also after the pipeline has ended.
What has succeeded by then is not run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.store import attempts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.lake import Lake


def succeeded(lake: Lake, environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the record of an attempt at the same step of the same run that has succeeded; None if none has.

    Args:
        lake: the tenant's lake.
        environment: the variables that Argo sets for the driver.

    Raises:
        LakeAway: the lake stayed away.
    """
    run, uid = environment.get(contract.ENV_RUN), environment.get(contract.ENV_RUN_UID)
    if environment.get(contract.ENV_ATTEMPT, "0") == "0" or not run or not uid:
        return None
    step = environment.get(contract.ENV_STEP) or None
    return next(
        (
            attempt
            for attempt in reversed(attempts.of_run(lake, run))
            if (attempt["status"], attempt.get("workflow_uid"), attempt.get("step"))
            == ("succeeded", uid, step)
        ),
        None,
    )
