"""The rights of each of a tenant's accounts at the Kubernetes API, as a table."""

from __future__ import annotations

import pytest

from lightwork.kube import contract
from tests.unit.lightwork.manifests import objects


def may(account: str, verb: str, target: str, name: str = "") -> bool:
    group, _, resource = (
        target.rpartition("/")
        if target.count("/") < 2
        else (target.split("/")[0], "", target.split("/", 1)[1])
    )
    bindings = [i for i in objects.of_tenant("acme") if i["kind"] == "RoleBinding"]
    roles = [b["roleRef"]["name"] for b in bindings if any(s["name"] == account for s in b["subjects"])]
    rules = [rule for role in roles for rule in objects.one("acme", "Role", role)["rules"]]
    return any(
        group in rule["apiGroups"]
        and resource in rule["resources"]
        and verb in rule["verbs"]
        and (not rule.get("resourceNames") or name in rule["resourceNames"])
        for rule in rules
    )


@pytest.mark.parametrize(
    ("account", "verb", "target", "name"),
    [
        *(
            (account, verb, "argoproj.io/workflowtaskresults", "")
            for account in ("scaler", "driver", "step")
            for verb in ("create", "patch")
        ),
        *(
            ("scaler", verb, target, "")
            for target in ("apps/deployments", "/services")
            for verb in ("create", "list", "delete")
        ),
        ("driver", "get", "apps/deployments", ""),
        ("driver", "patch", "apps/deployments/scale", ""),
        ("driver", "patch", "/pods", ""),
        ("controller", "list", "argoproj.io/workflows", ""),
        ("controller", "patch", "argoproj.io/workflows", ""),
        ("controller", "list", "/pods", ""),
        ("controller", "list", "/events", ""),
        ("certificates", "create", "/secrets", ""),
        ("certificates", "patch", "/secrets", "dask-tls"),
        ("certificates", "get", "/secrets", "dask-ca"),
    ],
)
def test_an_account_may_do_its_job(account: str, verb: str, target: str, name: str) -> None:
    assert may(account, verb, target, name)


@pytest.mark.parametrize(
    ("account", "verb", "target", "name"),
    [
        # the tenant's code creates no pods, reads no secrets, starts no workflows
        *(("driver", verb, "/pods", "") for verb in ("create", "delete")),
        *(
            ("driver", verb, "apps/deployments", "")
            for verb in ("create", "patch", "update", "delete", "list")
        ),
        *((account, "get", "/secrets", "dask-tls") for account in ("driver", "worker", "scaler", "default")),
        *((account, "create", "argoproj.io/workflows", "") for account in ("driver", "scaler", "worker")),
        *(
            (account, verb, "/pods/exec", "")
            for account in ("driver", "scaler")
            for verb in ("create", "get")
        ),
        ("certificates", "get", "/secrets", "lightwork-secrets"),
        ("certificates", "list", "/secrets", ""),
        ("scaler", "get", "/configmaps", ""),
        # a plain container only reports how it ended
        *(
            ("step", verb, target, "")
            for verb in ("get", "list", "create", "patch", "delete")
            for target in ("/pods", "/secrets", "/services", "apps/deployments", "apps/deployments/scale")
        ),
        ("step", "create", "argoproj.io/workflows", ""),
        # the controller ends runs; it starts none, and touches neither pods nor what they mount
        *(("controller", verb, "argoproj.io/workflows", "") for verb in ("create", "delete", "update")),
        *(("controller", verb, "/pods", "") for verb in ("create", "patch", "delete")),
        *(
            ("controller", verb, target, "")
            for verb in ("get", "list", "create", "patch", "delete")
            for target in ("/secrets", "/configmaps", "apps/deployments", "/services", "/pods/log")
        ),
        *(
            (account, "patch", "argoproj.io/workflows", "")
            for account in ("driver", "scaler", "worker", "step", "certificates")
        ),
        ("scaler", "patch", "apps/deployments/scale", ""),
    ],
)
def test_an_account_may_do_nothing_else(account: str, verb: str, target: str, name: str) -> None:
    assert not may(account, verb, target, name)


@pytest.mark.parametrize("account", ["default", "worker", "scheduler"])
def test_accounts_that_do_not_use_the_api_have_no_rights_and_no_token(account: str) -> None:
    bindings = [i for i in objects.of_tenant("acme") if i["kind"] == "RoleBinding"]
    assert account not in {s["name"] for b in bindings for s in b["subjects"]}
    assert objects.one("acme", "ServiceAccount", account)["automountServiceAccountToken"] is False


def test_no_right_is_a_wildcard_or_reaches_beyond_the_namespace() -> None:
    manifests = objects.of_tenant("acme")
    assert not [i for i in manifests if i["kind"].startswith("ClusterRole")]
    assert "*" not in repr([i for i in manifests if i["kind"] == "Role"])
    for binding in (i for i in manifests if i["kind"] == "RoleBinding"):
        assert binding["metadata"]["namespace"] == "tenant-acme"
        if binding["metadata"]["name"] == contract.FIGURES:
            continue  # the platform's own account: test_watch.py
        subjects = {s["name"] if s["kind"] == "Group" else s["namespace"] for s in binding["subjects"]}
        assert subjects <= {"tenant-acme", "lightwork:acme:people"}
