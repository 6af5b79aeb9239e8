"""The jobs of the certificates: their arguments, their access, and that a new image can be applied."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from lightwork.kube import contract
from lightwork.manifests import certificates, dask
from lightwork.pods import certificates as command
from tests.unit.lightwork.manifests import objects


def jobs(image: str = objects.TARGET.image) -> tuple[dict[str, Any], dict[str, Any]]:
    target = dataclasses.replace(objects.TARGET, image=image)
    first, nightly = certificates.objects(objects.tenant("{}"), target)
    return first, nightly


def test_the_same_job_runs_now_and_every_night() -> None:
    first, nightly = jobs()
    assert nightly["spec"]["jobTemplate"]["spec"] == first["spec"]
    assert (nightly["spec"]["schedule"], nightly["spec"]["timeZone"]) == (
        certificates.renewal("acme"),
        "Etc/UTC",
    )


def test_a_thousand_tenants_are_spread_over_the_night() -> None:
    schedules = [certificates.renewal(f"tenant-{number}") for number in range(1000)]
    assert schedules == [certificates.renewal(f"tenant-{number}") for number in range(1000)], (
        "always the same"
    )
    assert max(Counter(schedules).values()) < 16, "on average four a minute"
    for schedule in schedules:
        minute, hour, *rest = schedule.split()
        assert rest == ["*"] * 3
        assert 0 <= int(minute) < 60
        assert 1 <= int(hour) < 5


def test_a_finished_job_is_deleted_soon_since_jobs_are_immutable() -> None:
    assert jobs()[0] != jobs("registry.example/lightwork:2.0.0")[0], "a new image needs a new Job"
    assert jobs()[0]["spec"]["ttlSecondsAfterFinished"] == 600, "otherwise a new image could not be applied"


def test_the_jobs_create_the_secret_that_the_pods_mount() -> None:
    (container,) = jobs()[0]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", command.__name__]
    volume, mount = dask.certificates()
    assert container["args"] == [
        "--authority",
        contract.TLS_AUTHORITY,
        "--secret",
        volume["secret"]["secretName"],
    ]
    assert mount["readOnly"] is True
    assert contract.TLS_AUTHORITY not in repr([objects.scaler(), *objects.of_run()]), (
        "no pod of a run has the authority's key"
    )


def test_a_pod_of_the_jobs_may_reach_the_api() -> None:
    labels = jobs()[0]["spec"]["template"]["metadata"]["labels"]
    assert labels[contract.LABEL_ROLE] == "certificates", "the network policy selects this label"
