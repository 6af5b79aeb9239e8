"""Argo's configuration: what an operator relies on."""

from __future__ import annotations

import dataclasses
import re

import yaml
from hera.workflows import models as argo

from lightwork.manifests import argo_config
from lightwork.tenants import fit, quantities
from tests.unit.lightwork.manifests import objects


def test_the_configmap_is_the_one_that_the_controller_reads_and_has_one_key() -> None:
    made = argo_config.config_map(objects.ARGO)
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == (
        "workflow-controller-configmap",
        "argo",
    )
    assert yaml.safe_load(made["data"]["config"]) == argo_config.settings(objects.ARGO)
    assert set(made["data"]) == {"config"}, "with the key `config` Argo takes no other"


def test_ended_workflows_are_archived_for_as_long_as_is_said_and_large_ones_offloaded() -> None:
    found = argo_config.settings(dataclasses.replace(objects.ARGO, archive_days=30))["persistence"]
    assert (found["archive"], found["archiveTTL"], found["nodeStatusOffLoad"]) == (True, "30d", True)
    assert "archiveLabelSelector" not in found, "every one is archived"


def test_the_databases_password_is_in_a_secret_and_its_certificate_is_checked() -> None:
    found = argo_config.settings(objects.ARGO)["persistence"]["postgresql"]
    assert found["passwordSecret"] == {"name": "argo-archive", "key": "password"}
    assert (found["ssl"], found["sslMode"]) == (True, "verify-full")
    local = argo_config.Database(host="127.0.0.1", ssl_mode="disable")
    found = argo_config.settings(dataclasses.replace(objects.ARGO, database=local))["persistence"][
        "postgresql"
    ]
    assert (found["ssl"], found["sslMode"]) == (False, "disable")


def test_only_what_is_in_a_template_runs() -> None:
    restrictions = argo_config.settings(objects.ARGO)["workflowRestrictions"]
    assert restrictions == {"templateReferencing": "Strict"}


def test_a_workflow_that_says_nothing_still_ends_and_goes() -> None:
    spec = argo_config.workflow_defaults()["spec"]
    argo.WorkflowSpec.model_validate(spec)
    known = {field.alias or name for name, field in argo.WorkflowSpec.model_fields.items()}
    assert set(spec) <= known
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["ttlStrategy"]["secondsAfterCompletion"] <= 120
    assert spec["podGC"]["deleteDelayDuration"] == "60s", "time to read the logs"
    assert spec["securityContext"]["runAsNonRoot"] is True


def test_argos_own_containers_ask_for_what_the_fit_check_reckons_with() -> None:
    requests = argo_config.settings(objects.ARGO)["executor"]["resources"]["requests"]
    assert quantities.millicores(requests["cpu"]) == fit.ARGO.cpu
    assert quantities.octets(requests["memory"]) == fit.ARGO.memory
    assert quantities.octets(requests["ephemeral-storage"]) == fit.ARGO.storage


def test_everything_is_known_to_argo_3_7_and_to_4() -> None:
    both = {
        *("executor", "mainContainer", "metricsConfig", "namespaceParallelism", "parallelism", "persistence"),
        *("podSpecLogStrategy", "resourceRateLimit", "workflowDefaults", "workflowRestrictions", "links"),
    }
    linked = dataclasses.replace(objects.ARGO, links=({"name": "logs", "scope": "pod", "url": "https://x"},))
    assert set(argo_config.settings(linked)) == both


def test_without_a_database_nothing_is_archived_and_nothing_waits_for_one() -> None:
    found = argo_config.settings(dataclasses.replace(objects.ARGO, database=None))
    assert "persistence" not in found, "the controller does not start without the one that it names"


def test_people_are_who_their_groups_are_and_nobody_without_one() -> None:
    sso = argo_config.SSO(
        issuer="https://id.example",
        redirect="https://argo.example/oauth2/callback",
        groups=("a.b", "a.b/ops"),
        user_info="/userinfo",
    )
    found = argo_config.settings(dataclasses.replace(objects.ARGO, sso=sso))["sso"]
    assert found["rbac"] == {"enabled": True}, "else whoever logs in has the server's own rights"
    assert found["clientSecret"] == {"name": "argo-server-sso", "key": "client-secret"}, "it is in a Secret"
    assert found["userInfoPath"] == "/userinfo", "the groups are not in every provider's token"
    kept = [group for group in ("a.b", "a.b/ops", "axb", "a.b/ops2") if _matches(found, group)]
    assert kept == ["a.b", "a.b/ops"], "a group whose name is alike is another group"
    assert "sso" not in argo_config.settings(objects.ARGO), "nobody knows the people"


def _matches(sso: dict[str, object], group: str) -> bool:
    return any(re.search(str(pattern), group) for pattern in sso["filterGroupsRegex"])  # type: ignore[attr-defined]
