"""Argo's configuration: the settings that an operator relies on."""

from __future__ import annotations

import dataclasses
import re

import yaml
from hera.workflows import models as argo

from lightwork.manifests import argo_config
from lightwork.tenants import fit, quantities
from tests.unit.lightwork.manifests import objects


def test_the_configmap_has_the_name_and_the_single_key_that_the_controller_reads() -> None:
    config_map = argo_config.config_map(objects.ARGO)
    assert (config_map["metadata"]["name"], config_map["metadata"]["namespace"]) == (
        "workflow-controller-configmap",
        "argo",
    )
    assert yaml.safe_load(config_map["data"]["config"]) == argo_config.settings(objects.ARGO)
    assert set(config_map["data"]) == {"config"}, "beside the key `config`, Argo ignores all others"


def test_ended_workflows_are_archived_for_the_configured_days_and_large_ones_offloaded() -> None:
    persistence = argo_config.settings(dataclasses.replace(objects.ARGO, archive_days=30))["persistence"]
    assert (persistence["archive"], persistence["archiveTTL"], persistence["nodeStatusOffLoad"]) == (
        True,
        "30d",
        True,
    )
    assert "archiveLabelSelector" not in persistence, "all workflows are archived"


def test_the_databases_password_is_in_a_secret_and_its_certificate_is_verified() -> None:
    postgresql = argo_config.settings(objects.ARGO)["persistence"]["postgresql"]
    assert postgresql["passwordSecret"] == {"name": "argo-archive", "key": "password"}
    assert (postgresql["ssl"], postgresql["sslMode"]) == (True, "verify-full")
    local = argo_config.Database(host="127.0.0.1", ssl_mode="disable")
    postgresql = argo_config.settings(dataclasses.replace(objects.ARGO, database=local))["persistence"][
        "postgresql"
    ]
    assert (postgresql["ssl"], postgresql["sslMode"]) == (False, "disable")


def test_only_workflow_templates_may_run() -> None:
    restrictions = argo_config.settings(objects.ARGO)["workflowRestrictions"]
    assert restrictions == {"templateReferencing": "Strict"}


def test_a_workflow_without_settings_still_ends_and_is_deleted() -> None:
    spec = argo_config.workflow_defaults()["spec"]
    argo.WorkflowSpec.model_validate(spec)
    known = {field.alias or name for name, field in argo.WorkflowSpec.model_fields.items()}
    assert set(spec) <= known
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["ttlStrategy"]["secondsAfterCompletion"] <= 120
    assert spec["podGC"]["deleteDelayDuration"] == "60s", "time to read the logs"
    assert spec["securityContext"]["runAsNonRoot"] is True


def test_argos_containers_request_what_the_fit_check_counts() -> None:
    requests = argo_config.settings(objects.ARGO)["executor"]["resources"]["requests"]
    assert quantities.millicores(requests["cpu"]) == fit.ARGO.cpu
    assert quantities.octets(requests["memory"]) == fit.ARGO.memory
    assert quantities.octets(requests["ephemeral-storage"]) == fit.ARGO.storage


def test_argo_3_7_and_4_know_all_settings() -> None:
    both = {
        *("executor", "mainContainer", "metricsConfig", "namespaceParallelism", "parallelism", "persistence"),
        *(
            "podSpecLogStrategy",
            "resourceRateLimit",
            "synchronization",
            "workflowDefaults",
            "workflowRestrictions",
        ),
        "links",
    }
    linked = dataclasses.replace(objects.ARGO, links=({"name": "logs", "scope": "pod", "url": "https://x"},))
    assert set(argo_config.settings(linked)) == both


def test_without_a_database_nothing_is_archived() -> None:
    settings = argo_config.settings(dataclasses.replace(objects.ARGO, database=None))
    assert "persistence" not in settings, (
        "the controller does not start without the database that it is given"
    )


def test_users_get_their_rights_from_their_groups_alone() -> None:
    sso = argo_config.SSO(
        issuer="https://id.example",
        redirect="https://argo.example/oauth2/callback",
        group="a.b",
        claim="groups_direct",
    )
    configured = argo_config.settings(dataclasses.replace(objects.ARGO, sso=sso))["sso"]
    assert configured["rbac"] == {"enabled": True}, "otherwise every user has the server's own rights"
    assert configured["clientSecret"] == {"name": "argo-server-sso", "key": "client-secret"}, (
        "not in the ConfigMap"
    )
    assert configured["customGroupClaimName"] == "groups_direct"
    assert "userInfoPath" not in configured, "its groups would be taken instead"
    groups = ("a.b", "a.b/ops", "a.b/customers/acme", "axb", "a.bc", "x/a.b", "")
    kept = [group for group in groups if _matches(configured, group)]
    assert kept == ["a.b", "a.b/ops", "a.b/customers/acme"], "a similar name is another group"
    assert "sso" not in argo_config.settings(objects.ARGO), "there is no identity provider"


def _matches(sso: dict[str, object], group: str) -> bool:
    return any(re.search(str(pattern), group) for pattern in sso["filterGroupsRegex"])  # type: ignore[attr-defined]
