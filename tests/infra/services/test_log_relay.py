"""The relay to OpenSearch: what it runs, what it reaches, and who opens its port."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.config import accounts, versions
from infra.rules.versions import image_problem
from infra.services import log_relay
from infra.services.charts.common import Placement
from lightwork.kube import contract
from lightwork.pods import relay

if TYPE_CHECKING:
    from tests.infra.engine import Run

ENDPOINT = "vpc-logs.example"


def built() -> dict[str, dict[str, Any]]:
    objects = log_relay.objects(
        image=versions.PYTHON_IMAGE, endpoint=ENDPOINT, inside="10.20.0.0/16", placement=Placement()
    )
    return {item["kind"]: item for item in objects}


def pod() -> dict[str, Any]:
    return dict(built()["StatefulSet"]["spec"]["template"]["spec"])


def test_it_runs_the_program_and_is_told_the_domain() -> None:
    (container,) = pod()["containers"]
    (mount,) = container["volumeMounts"]
    (volume,) = pod()["volumes"]
    program = built()["ConfigMap"]
    assert volume == {"name": mount["name"], "configMap": {"name": program["metadata"]["name"]}}
    assert container["command"] == ["python3", f"{mount['mountPath']}/{next(iter(program['data']))}"]
    assert list(program["data"].values()) == [Path(relay.__file__).read_text()]
    assert container["args"] == ["--to", f"{ENDPOINT}:443", "--port", str(contract.RELAY_PORT)]
    assert image_problem(container["image"]) is None


def test_a_changed_program_replaces_the_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = built()["StatefulSet"]["spec"]["template"]
    (tmp_path / "changed.py").write_text("x = 1")
    monkeypatch.setattr(relay, "__file__", str(tmp_path / "changed.py"))
    assert built()["StatefulSet"]["spec"]["template"] != before


def test_it_has_no_rights_and_no_credentials(estate: Run) -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert "env" not in pod()["containers"][0] or all(
        "AWS" not in variable["name"] for variable in pod()["containers"][0]["env"]
    )
    associated = {
        (entry.inputs["namespace"], entry.inputs["serviceAccount"])
        for entry in estate.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    }
    assert associated
    assert (contract.LOGS_NAMESPACE, contract.RELAY) not in associated, "nothing of it opens the logs"


def test_its_pod_is_the_one_whose_port_people_may_forward() -> None:
    spec = built()["StatefulSet"]["spec"]
    assert spec["replicas"] == 1
    assert f"{built()['StatefulSet']['metadata']['name']}-0" == contract.RELAY_POD
    (rule,) = built()["Role"]["rules"]
    assert rule["resources"] == ["pods/portforward"]
    assert rule["resourceNames"] == [contract.RELAY_POD], "no other pod of the namespace"


def test_it_reaches_the_domain_and_name_servers_only_and_nobody_reaches_it() -> None:
    spec = built()["NetworkPolicy"]["spec"]
    labels = built()["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    assert (spec["policyTypes"], spec["ingress"]) == (["Ingress", "Egress"], [])
    names, domain = spec["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert domain == {
        "to": [{"ipBlock": {"cidr": "10.20.0.0/16"}}],
        "ports": [{"protocol": "TCP", "port": 443}],
    }


def test_it_is_beside_the_shipper() -> None:
    assert accounts.SHIPPER.namespace == contract.LOGS_NAMESPACE


def test_the_estates_relay_leads_to_its_domain(estate: Run) -> None:
    made = estate.named("kubernetes:apps/v1:StatefulSet", "statefulset-log-relay").inputs
    template = made["spec"]["template"]["spec"]
    assert template["containers"][0]["args"][1] == f"{estate.outputs['search_endpoint']}:443"
    assert template["nodeSelector"] == {"lightwork/pool": "system"}
    policy = estate.named("kubernetes:networking.k8s.io/v1:NetworkPolicy", "networkpolicy-log-relay").inputs
    assert policy["spec"]["egress"][1]["to"] == [{"ipBlock": {"cidr": estate.outputs["vpc_cidr"]}}]
