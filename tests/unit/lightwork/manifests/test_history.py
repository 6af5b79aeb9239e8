"""The job that packs the history: its place in the namespace, and what its pods may do."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any

from lightwork.kube import contract
from lightwork.manifests import history, identity
from lightwork.pods import history as command
from tests.unit.lightwork.manifests import objects


def pod(**changes: Any) -> dict[str, Any]:
    target = dataclasses.replace(objects.TARGET, **changes)
    job = history.cron_job(objects.tenant("{}"), target)["spec"]["jobTemplate"]["spec"]
    spec: dict[str, Any] = job["template"]["spec"]
    return spec


def test_two_of_them_never_run_at_once_and_none_runs_into_the_next() -> None:
    spec = history.cron_job(objects.tenant("{}"), objects.TARGET)["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600


def test_a_thousand_tenants_are_spread_over_the_hour() -> None:
    minutes = Counter(history.hourly(f"tenant-{number}") for number in range(1000))
    assert len(minutes) == 60
    assert max(minutes.values()) < 40, "on average 17 a minute"


def test_it_runs_its_command_with_the_tenants_role_and_without_a_token() -> None:
    spec = pod()
    (container,) = spec["containers"]
    assert container["command"] == ["python", "-m", command.__name__]
    assert spec["serviceAccountName"] == contract.ACCOUNT_WORKER
    assert spec["automountServiceAccountToken"] is False, "it does not use the Kubernetes API"
    assert contract.ACCOUNT_WORKER not in identity.RULES, "no Role is bound to it"
    assert contract.ACCOUNT_WORKER in contract.LAKE_ACCOUNTS, "the role of the tenant's own pods"


def test_it_gets_the_prices_and_the_keys_where_there_are_some() -> None:
    prices = json.dumps({"date": "2026-11-24"})
    (container,) = pod(prices=prices, lake_keys="keys")["containers"]
    assert {item["name"]: item.get("value") for item in container["env"]} == {
        contract.ENV_ROLE: "history",
        "AWS_ACCESS_KEY_ID": None,
        "AWS_SECRET_ACCESS_KEY": None,
        contract.ENV_PRICES: prices,
    }
    (container,) = pod(prices="", lake_keys=None)["containers"]
    assert container["env"] == [{"name": contract.ENV_ROLE, "value": "history"}]
