"""The record of a run that an earlier attempt of the same driver has finished.

Argo starts a driver again if its pod is lost, or its log cannot be kept, also after the pipeline has ended.
What has succeeded by then is not run again.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.store.records import record_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.lake import Lake

_SKEW = dt.timedelta(minutes=5)
"""How far the clocks of the cluster's machines may differ."""


def succeeded(lake: Lake, environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the record of the same step of the same Workflow, if it has succeeded; None if not.

    Args:
        lake: the tenant's lake.
        environment: the variables that Argo sets for the driver.

    Raises:
        LakeAway: the lake stayed away.
    """
    uid, created = environment.get(contract.ENV_RUN_UID), environment.get(contract.ENV_RUN_CREATED)
    if environment.get(contract.ENV_ATTEMPT, "0") == "0" or not uid or not created:
        return None
    since = dt.datetime.fromtimestamp(float(created), dt.UTC) - _SKEW
    for folder in sorted(lake.folders("runs"), reverse=True):
        run_id = folder.rsplit("/", 1)[-1]
        if run_id < f"{since:%Y%m%dT%H%M%S}":  # ids begin with the time
            return None
        record = record_of(lake, run_id)
        if (
            record is not None
            and record.get("status") == "succeeded"
            and record.get("workflow_uid") == uid
            and record.get("step") == environment.get(contract.ENV_STEP)
        ):
            return record
    return None
