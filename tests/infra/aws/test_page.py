"""The way to Argo's page and Grafana: who reaches the balancer, and whom the balancer reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from infra.config import pages
from infra.offline import cost
from infra.services.page import SERVERS
from lightwork.manifests.reach import Address, Pod, allowed
from tests.estate import files
from tests.infra.engine import ACCOUNT, run_program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infra.engine import Run

BALANCER = "aws:lb/loadBalancer:LoadBalancer"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
TARGETS = "aws:lb/targetGroup:TargetGroup"
RECORD = "aws:route53/record:Record"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
SERVICE = "kubernetes:core/v1:Service"
RELEASE = "kubernetes:helm.sh/v3:Release"
FIREWALL = "page-firewall-id"
ZONE = "Z0123456789ABCDEFGHIJ"


def changed(root: Path, old: str, new: str, environment: str = "dev") -> Run:
    """Record an estate with another line in its settings."""
    path = root / f"Pulumi.{environment}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    run = run_program(root, environment)
    assert run.error is None, run.error
    return run


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An estate whose pages are reached from inside the VPC alone."""
    root = files.repository(tmp_path_factory.mktemp("inside"), ACCOUNT, modules=False)
    return changed(root, "page_cidrs: [198.51.100.0/24]", "page_cidrs: []")


@pytest.fixture
def closed(root: Path) -> Run:
    """An estate whose pages have no names."""
    path = root / "Pulumi.dev.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("  lightwork:page_cidrs")]
    path.write_text("\n".join(lines) + "\n")
    return changed(root, f"  lightwork:dns_zone: {ZONE}\n", "")


def let_in(run: Run) -> set[tuple[Any, Any]]:
    """Return the ranges that the balancer's group lets in, each with its port."""
    rules = [rule.inputs for rule in run.all(INGRESS) if rule.inputs["securityGroupId"] == FIREWALL]
    return {(rule.get("cidrIpv4"), rule["fromPort"]) for rule in rules}


def test_only_the_named_ranges_reach_the_balancer_and_only_by_https(estate: Run) -> None:
    balancer = estate.one(BALANCER).inputs
    assert balancer["securityGroups"] == [FIREWALL]
    assert balancer["internal"] is False, "the ranges are outside the VPC"
    assert let_in(estate) == {("198.51.100.0/24", 443)}
    listener = estate.one("aws:lb/listener:Listener").inputs
    assert (listener["port"], listener["protocol"]) == (443, "HTTPS"), "there is no other listener"
    assert listener["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-"), "nothing below TLS 1.2"
    (default,) = listener["defaultActions"]
    assert default["fixedResponse"]["statusCode"] == "404", "under any other name there is no page"


def test_without_ranges_the_pages_have_no_public_address(inside: Run) -> None:
    balancer = inside.one(BALANCER).inputs
    assert balancer["internal"] is True
    assert let_in(inside) == {("10.20.0.0/16", 443)}, "the VPC itself"
    public = {f"network-public-{zone}-id" for zone in "abc"}
    assert set(balancer["subnets"]) == public, "a network policy names these, in which no pod is"


def test_a_balancer_that_moves_needs_no_name_or_target_group_of_the_old_one(
    estates: dict[str, Run], inside: Run
) -> None:
    for type_ in (BALANCER, TARGETS):
        names = [{one.inputs["name"] for one in run.all(type_)} for run in (estates["dev"], inside)]
        assert not names[0] & names[1], "the new one is made while the old one has the name"


def test_the_balancer_reaches_the_pages_ports_of_the_nodes_and_nothing_else(estate: Run) -> None:
    ports = {door.port for door in pages.DOORS.values()}
    out = {
        (rule.inputs["referencedSecurityGroupId"], rule.inputs["fromPort"], rule.inputs["toPort"])
        for rule in estate.all(EGRESS)
        if rule.inputs["securityGroupId"] == FIREWALL
    }
    assert out == {("sg-cluster", port, port) for port in ports}
    into = {
        (rule.inputs.get("referencedSecurityGroupId"), rule.inputs["fromPort"], rule.inputs["toPort"])
        for rule in estate.all(INGRESS)
        if rule.inputs["securityGroupId"] == "sg-cluster"
    }
    assert into == {(FIREWALL, port, port) for port in ports}, "the nodes open these ports to nobody else"


def test_argos_own_port_is_reached_by_tls_and_health_is_asked_without_a_login(estate: Run) -> None:
    targets = {group.name: group.inputs for group in estate.all(TARGETS)}
    argo, grafana = targets["page-argo"], targets["page-grafana"]
    assert (argo["protocol"], argo["healthCheck"]["protocol"]) == ("HTTPS", "HTTPS")
    release = estate.named(RELEASE, "argo-workflows").inputs
    assert release["values"]["server"]["secure"] is True, "the server speaks TLS itself"
    assert argo["healthCheck"]["path"] == "/", "Argo's page itself, which is no secret"
    assert grafana["healthCheck"]["path"] == "/api/health"
    for group in targets.values():
        assert group["healthCheck"]["matcher"] == "200", "a redirect to a login is no sign of health"


def test_the_system_nodes_of_every_zone_are_targets(estate: Run) -> None:
    attached = {
        (one.inputs["autoscalingGroupName"], one.inputs["lbTargetGroupArn"].split("/")[1].rpartition("-")[2])
        for one in estate.all("aws:autoscaling/attachment:Attachment")
    }
    assert attached == {(f"eks-system-{zone}", page) for zone in "abc" for page in pages.DOORS}
    placed = {"lightwork/pool": "system"}
    argo = estate.named(RELEASE, "argo-workflows").inputs["values"]["server"]
    grafana = estate.named(RELEASE, "kube-prometheus-stack").inputs["values"]["grafana"]
    assert argo["nodeSelector"] == grafana["nodeSelector"] == placed, "no other node has their pods"


def test_each_page_has_its_name_and_its_proof_in_the_zone(estate: Run) -> None:
    hosts = {f"{page}.{estate.outputs['environment']}.example.com" for page in pages.DOORS}
    records = [record.inputs for record in estate.all(RECORD)]
    assert {record["zoneId"] for record in records} == {ZONE}
    assert {record["name"] for record in records if record["type"] == "A"} == hosts
    assert {record["name"] for record in records if record["type"] == "CNAME"} == {
        f"_proof.{host}." for host in hosts
    }
    certificate = estate.one("aws:acm/certificate:Certificate").inputs
    assert {certificate["domainName"], *certificate["subjectAlternativeNames"]} == hosts
    proven = estate.one("aws:acm/certificateValidation:CertificateValidation")
    assert proven.timeouts == {"create": "20m"}, "without it, a wrong zone is waited for in vain for long"
    routed = {
        (rule.inputs["conditions"][0]["hostHeader"]["values"][0], rule.inputs["actions"][0]["targetGroupArn"])
        for rule in estate.all("aws:lb/listenerRule:ListenerRule")
    }
    assert {(host.partition(".")[0], arn.split("/")[1].rpartition("-")[2]) for host, arn in routed} == {
        ("argo", "argo"),
        ("grafana", "grafana"),
    }


def test_the_identity_provider_sends_people_back_to_the_name_in_the_zone(estate: Run) -> None:
    config = estate.named("kubernetes:core/v1:ConfigMap", "configmap-workflow-controller-configmap").inputs
    redirect = yaml.safe_load(config["data"]["config"])["sso"]["redirectUrl"]
    names = {record.inputs["name"] for record in estate.all(RECORD)}
    assert redirect.split("/")[2] in names
    ini = estate.named(RELEASE, "kube-prometheus-stack").inputs["values"]["grafana"]["grafana.ini"]
    assert ini["server"]["root_url"].split("/")[2] in names


def test_grafana_asks_for_a_login_as_soon_as_it_has_an_address(estate: Run) -> None:
    ini = estate.named(RELEASE, "kube-prometheus-stack").inputs["values"]["grafana"]["grafana.ini"]
    assert ini["auth.anonymous"]["enabled"] is False, "its dashboards show all tenants"
    login = ini["auth.generic_oauth"]
    assert login["allowed_groups"].split(",") == ["example", "example/operators"], "empty means everybody"
    assert login["groups_attribute_path"] == "groups_direct", "`groups` has all groups below as well"
    assert ini["auth"] == {"disable_login_form": True}
    assert login["auto_login"] is True
    assert ini["users"]["auto_assign_org_role"] == "Viewer"
    assert ini["security"]["cookie_secure"] is True


DOCUMENTED = """
enabled name icon client_id client_secret auth_url token_url api_url auth_style scopes empty_scopes
allow_sign_up auto_login login_prompt id_token_attribute_name login_attribute_path
name_attribute_path email_attribute_path email_attribute_name role_attribute_path
role_attribute_strict skip_org_role_sync org_attribute_path org_mapping allow_assign_grafana_admin
groups_attribute_path allowed_groups allowed_organizations allowed_domains team_ids
team_ids_attribute_path teams_url tls_skip_verify_insecure tls_client_cert tls_client_key
tls_client_ca use_pkce use_refresh_token signout_redirect_url
"""
"""The options of `auth.generic_oauth` in Grafana's manual ("Configure Generic OAuth authentication")."""


def test_grafanas_login_is_as_its_manual_says(estate: Run) -> None:
    """Grafana itself is not run: this compares what is rendered with its manual and its source."""
    grafana = estate.named(RELEASE, "kube-prometheus-stack").inputs["values"]["grafana"]
    ini = grafana["grafana.ini"]
    login = ini["auth.generic_oauth"]
    prefix = "GF_AUTH_GENERIC_OAUTH_"
    named = {name.removeprefix(prefix).lower() for name in grafana["envValueFrom"] if name.startswith(prefix)}
    assert named == {"client_id", "client_secret"}, "as variables: GF_SECTION_OPTION, dots become underlines"
    given = {*login, *named}
    assert given <= set(DOCUMENTED.split())
    assert given >= {"client_id", "client_secret", "auth_url", "token_url", "api_url"}, "required"
    assert {"allowed_groups", "groups_attribute_path"} <= given, "the first needs the second"
    groups = login["allowed_groups"].split(",")
    assert not [group for group in groups if " " in group], "commas and spaces both separate groups"
    assert login["scopes"].split() == ["openid", "profile", "email"], "the ID token, which has the groups"
    assert ini["server"]["root_url"].startswith("https://"), "people come back to /login/generic_oauth"
    assert not {"role_attribute_path", "org_mapping", "allow_assign_grafana_admin"} & given, "viewers, all"
    for section, options in ini.items():
        for option, value in options.items():
            assert isinstance(value, bool | int | str), f"[{section}] {option}: one line of an INI file"
            assert "\n" not in str(value)


def test_without_a_zone_there_is_no_way_in_but_the_apis(closed: Run) -> None:
    types = {resource.type for resource in closed.resources}
    assert not {kind for kind in types if kind.startswith(("aws:lb/", "aws:acm/", "aws:route53/"))}
    services = {service.inputs["spec"].get("type", "ClusterIP") for service in closed.all(SERVICE)}
    assert services == {"ClusterIP"}, "no port of the nodes is open"
    ini = closed.named(RELEASE, "kube-prometheus-stack").inputs["values"]["grafana"]["grafana.ini"]
    assert ini["auth.anonymous"]["enabled"] is True, "only `kubectl port-forward` leads there"
    policies = [item.inputs for item in closed.all(POLICY)]
    public = Address("10.20.192.9")
    for server in SERVERS.values():
        end = Pod(server.namespace, dict(server.pods), "10.20.1.9")
        assert not allowed(policies, public, end, server.port)


def ends(run: Run) -> dict[str, Pod | Address]:
    """Return who may and who must not reach the servers, by who they are."""
    subnets = {subnet.name: subnet.inputs["cidrBlock"] for subnet in run.all("aws:ec2/subnet:Subnet")}

    def of(kind: str) -> Address:
        return Address(subnets[f"network-{kind}-b"].rpartition(".")[0] + ".9")

    return {
        "balancer": of("public"),
        "api": Address(subnets["network-control-a"].rpartition(".")[0] + ".9"),
        "node": of("private"),
        "database": of("data"),
        "world": Address("198.51.100.7"),
        "tenant": Pod("tenant-acme", {"lightwork/role": "driver"}, "10.20.1.7"),
        "prometheus": Pod("monitoring", {"app.kubernetes.io/name": "prometheus"}, "10.20.1.8"),
        "false prometheus": Pod("tenant-acme", {"app.kubernetes.io/name": "prometheus"}, "10.20.1.6"),
        "operator": Pod("monitoring", {"app.kubernetes.io/name": "alertmanager"}, "10.20.1.5"),
        "controller": Pod(
            "argo", {"app.kubernetes.io/name": "argo-workflows-workflow-controller"}, "10.20.1.4"
        ),
    }


@pytest.mark.parametrize(
    ("page", "admitted"), [("argo", {"balancer", "api"}), ("grafana", {"balancer", "api", "prometheus"})]
)
def test_nobody_else_in_the_cluster_reaches_the_servers(
    estates: dict[str, Run], page: str, admitted: set[str]
) -> None:
    run, server = estates["dev"], SERVERS[page]
    policies = [item.inputs for item in run.all(POLICY)]
    end = Pod(server.namespace, dict(server.pods), "10.20.1.9")
    reached = {who for who, source in ends(run).items() if allowed(policies, source, end, server.port)}
    assert reached == admitted
    other = {who for who, source in ends(run).items() if allowed(policies, source, end, server.port + 1)}
    assert not other, "another port of the same pods"


def test_the_ports_of_the_nodes_keep_the_balancers_address(estate: Run) -> None:
    services = {
        service.inputs["metadata"]["name"]: service.inputs["spec"]
        for service in estate.all(SERVICE)
        if service.inputs["spec"].get("type", "ClusterIP") != "ClusterIP"
    }
    assert set(services) == {"argo-page", "grafana-page"}
    for page, server in SERVERS.items():
        spec = services[f"{page}-page"]
        assert spec["externalTrafficPolicy"] == "Local", (
            "else the pods would see a node of the private subnets"
        )
        assert spec["selector"] == dict(server.pods)
        (port,) = spec["ports"]
        assert (port["targetPort"], port["nodePort"]) == (server.port, pages.DOORS[page].port)


def test_all_of_it_ends_with_destroy(estate: Run) -> None:
    own = [resource for resource in estate.resources if "lightwork:infra:Page::page" in resource.parent]
    assert len(own) > 20
    kept = [resource.name for resource in own if resource.protect or resource.retain_on_delete]
    assert not kept


def test_a_balancer_inside_the_vpc_costs_no_addresses(estates: dict[str, Run], inside: Run) -> None:
    prices = cost.load()
    month = [dict(cost.table(cost.at_rest(run, prices)))["page"] for run in (estates["dev"], inside)]
    assert month[1] == pytest.approx(730 * 0.0225)
    assert month[0] == pytest.approx(730 * (0.0225 + 3 * 0.005)), "three public addresses"
