"""`lightwork search` and `logs` as a person uses them: through the API and the relay's pod, to a line.

OpenSearch and AWS's front (`signed_front.py`) run on this machine, as database and lake do. STS is moto's, on
this machine too. The people have the Roles that the program makes, and nothing else.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from infra.config.streams import stream
from infra.policies.tenant import search_logs
from infra.services import log_relay
from infra.services.charts.common import Placement
from infra.tenant import people_logs
from lightwork.kube.contract import (
    LOG_SEARCH,
    LOGS_NAMESPACE,
    RELAY,
    RELAY_POD,
    RELAY_PORT,
    people_group,
)
from lightwork.kube.log_store import Place
from lightwork.lake import open_lake
from lightwork.manifests import people as people_objects
from lightwork.store import run_logs
from lightwork.tenants import load
from tests.cluster import dialing, tenants
from tests.cluster.images import platform_image
from tests.cluster.kube import apply, get, kubectl, port_of
from tests.cluster.log_domain import Domain, Line, people
from tests.cluster.progress import HarnessError, wait_for
from tests.cluster.settings import API_PORT, API_SERVICE_IP, NODE_IP, ROOT, S3_PORT, of_current_context
from tests.cluster.signed_front import DOMAIN_ARN, HOST, NAMES, Identity, SignedFront, signed_front
from tests.cluster.test_log_refusals import bulk, refused
from tests.cluster.test_waiting import kubeconfig_of
from tests.estate import files
from tests.shipper import Shipper

pytestmark = pytest.mark.skipif(of_current_context(), reason="the domain is on the bridge of this cluster")

HTTPS = 443
ENGINEERS = {"acme": "log-engineer", "globex": "other-engineer"}
"""A service account in `default` for a person of each tenant."""


def assumed(key: str) -> Identity | None:
    """Return whose an access key of moto's STS is, with what the role may do at the domain."""
    from moto.backends import get_backend

    backend = get_backend("sts")[NAMES.account]["aws"]
    role = backend.get_assumed_role_from_access_key(key)
    if role is None:
        return None
    tenant = role.role_arn.rpartition("-people-")[2]
    grants = [search_logs(domain_arn=DOMAIN_ARN, stream=stream(tenant))]
    return Identity(role=role.role_arn, secret=role.secret_access_key, grants=grants)


@pytest.fixture(scope="module")
def sts() -> Iterator[str]:
    """The address of moto's STS."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def deployed(both_tenants: tuple[str, ...]) -> Iterator[None]:
    """The relay, and the way of both tenants' people to it."""
    relay = log_relay.objects(
        image=platform_image(), endpoint=NODE_IP, inside=f"{NODE_IP}/32", placement=Placement()
    )
    apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LOGS_NAMESPACE}}, *relay])
    for name in both_tenants:
        engineer = {"kind": "ServiceAccount", "name": ENGINEERS[name], "namespace": "default"}
        metadata = {"name": ENGINEERS[name], "namespace": "default"}
        apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}])
        for binding in people_objects.role(load(files.HERE / "tenants" / f"{name}.yaml"))[1:]:
            named = {**binding["metadata"], "name": ENGINEERS[name]}
            apply([{**binding, "metadata": named, "subjects": [engineer]}])
        # A service account cannot be in the group of the tenant's people: it stands beside it.
        for item in way_of(name):
            apply([{**item, "subjects": [*item["subjects"], engineer]} if "subjects" in item else item])
    wait_for("the relay", is_ready, seconds=120)
    yield
    kubectl("-n", "default", "delete", "serviceaccount", *ENGINEERS.values(), "--ignore-not-found")
    for name in both_tenants:
        kubectl("-n", tenants.namespace(name), "delete", "rolebinding", ENGINEERS[name], "--ignore-not-found")
        for item in way_of(name):
            where = ["-n", item["metadata"]["namespace"]]
            kubectl(*where, "delete", item["kind"], item["metadata"]["name"], "--ignore-not-found")
    kubectl("delete", "namespace", LOGS_NAMESPACE, "--wait=false")


def way_of(name: str) -> list[dict[str, Any]]:
    """Return what a tenant's stack makes for its people."""
    place = Place(endpoint=HOST, region=NAMES.region, stream=stream(name))
    return people_logs.objects(load(files.HERE / "tenants" / f"{name}.yaml"), place)


def is_ready() -> bool:
    status = get("statefulset", RELAY, "-n", LOGS_NAMESPACE)["status"]
    return bool(status.get("readyReplicas") == 1)


@pytest.fixture
def front(deployed: None, domain: Domain, tmp_path: Path) -> Iterator[SignedFront]:
    """A domain with lines of three tenants, where the relay connects to."""
    domain.ship(*(Line(name, f"wind of {name}") for name in ("acme", "acme-2", "globex")))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with signed_front(domain.server, assumed, authority, NODE_IP, HTTPS) as front:
        yield front


def person(sts: str, folder: Path) -> dict[str, str]:
    """Return the environment of a person of acme, who has logged in as `lightwork login` keeps it."""
    role = {"account": NAMES.account, "region": NAMES.region, "session": "ann"}
    names = ("acme", "globex")
    kept = {f"dev/{name}": {**role, "role": people(name)} for name in names}
    (folder / "lightwork").mkdir()
    (folder / "lightwork" / "logins.json").write_text(json.dumps(kept))
    rest = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **rest,
        "XDG_CONFIG_HOME": str(folder),
        "KUBECONFIG": kubeconfig_of(ENGINEERS["acme"], folder),
        "AWS_ACCESS_KEY_ID": "AKIAANN",
        "AWS_SECRET_ACCESS_KEY": "of Ann alone",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_STS": sts,
    }


@pytest.fixture
def environment(front: SignedFront, sts: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a person of acme, on whose machine the domain's certificate is valid."""
    return {**person(sts, tmp_path), "SSL_CERT_FILE": str(tmp_path / "authority.pem")}


def search(
    environment: dict[str, str], *words: str, tenant: str = "acme", what: str = "search"
) -> subprocess.CompletedProcess[str]:
    command = [*tenants.LIGHTWORK, what, *words, *tenants.WHERE, tenant]
    return subprocess.run(
        command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False, timeout=120
    )


def test_a_person_finds_their_tenants_lines_and_no_others(
    environment: dict[str, str], front: SignedFront
) -> None:
    done = search(environment, "WIND", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert ([line["text"] for line in found["lines"]], found["total"]) == (["wind of acme"], 1)
    assert front.asked == [("POST", f"{stream('acme')}/_search", people("acme"))], "by the person's own role"
    shown = search(environment, "wind of")
    assert shown.stdout.endswith("  wind of acme\n"), shown


def test_another_tenants_people_are_refused_in_one_line(
    environment: dict[str, str], front: SignedFront
) -> None:
    done = search(environment, "wind", tenant="globex")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "not allowed to search the logs of globex" in line
    assert "lacks the right to get configmaps in namespace tenant-globex" in line
    assert not front.asked


def test_the_relay_comes_back_and_its_log_says_what_is_wrong(environment: dict[str, str]) -> None:
    kubectl("-n", LOGS_NAMESPACE, "delete", "pod", RELAY_POD)
    wait_for("the relay", is_ready, seconds=120)
    assert search(environment, "wind").returncode == 0
    assert f"leads to {NODE_IP}:{HTTPS}" in kubectl("-n", LOGS_NAMESPACE, "logs", RELAY_POD)


def test_a_domain_that_is_away_is_one_line(deployed: None, sts: str, tmp_path: Path) -> None:
    done = search(person(sts, tmp_path), "wind")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"https://{HOST}/{stream('acme')}/_search" in done.stderr
    wait_for("the relay's log", says_that_it_cannot_connect, seconds=30)


def says_that_it_cannot_connect() -> bool:
    return "cannot connect" in kubectl("-n", LOGS_NAMESPACE, "logs", RELAY_POD)


RUN = "windy-city-20261127t201530-x7k2p"
"""A run whose pods are gone; that of another tenant has the same name."""
BEGIN = dt.datetime(2026, 11, 27, 20, 15, 30, tzinfo=dt.UTC)
DRIVER, WORKER = f"{RUN}-driver-1234567890", f"{RUN}-workers-6f7d8-abcde"
COUNT = 12_000
"""Lines of the driver: more than OpenSearch gives at once."""
LATE = 11_990


def event(number: int, **fields: str) -> str:
    """Return an event as a run's process writes it."""
    values = {
        "timestamp": at(number),
        "level": "info",
        "event": f"line {number}",
        "task": "windiest",
        "run": RUN,
    }
    return json.dumps({**values, **fields})


def at(number: int) -> str:
    return f"{BEGIN + dt.timedelta(milliseconds=number):%Y-%m-%dT%H:%M:%S.%f}000Z"


WORKERS = [
    (
        LATE,
        event(LATE, level="error", event="no wind", exception="Traceback\n  x", role="worker", task="other"),
    ),
    (LATE, "Traceback (most recent call last):"),
    (LATE + 1, "a plain line"),
]
"""Lines of a worker, the first two of the same moment."""
OTHERS = [
    ("tenant-acme", DRIVER, "wait", event(1, event="of Argo's container")),
    ("tenant-acme", f"{RUN}-delete-1234567890", "main", "of Argo's pod"),
    ("tenant-acme", "controller-6f7d8-abcde", "controller", event(1, event="names the run")),
    ("tenant-acme", f"{RUN[:-1]}q-driver-1234567890", "main", "of another run"),
    ("tenant-globex", DRIVER, "main", event(1, event="of another tenant", level="error")),
]
"""Lines that are not the run's own: by namespace, pod, container and text."""


@pytest.fixture
def lines(front: SignedFront, domain: Domain) -> list[str]:
    """What the run has logged, in order; shipped as nodes do, by the shipper's script, out of order."""
    lua = Shipper()
    own = [(number, "tenant-acme", DRIVER, "main", event(number)) for number in range(COUNT)]
    of_workers = [(number, "tenant-acme", WORKER, "worker", text) for number, text in WORKERS]
    records = [
        {"@timestamp": at(number), **lua.record(text.encode(), namespace=space, pod=pod, container=name)}
        for number, space, pod, name, text in [*own[::2], *own[1::2], *of_workers, *((1, *x) for x in OTHERS)]
    ]
    for start in range(0, len(records), 1000):
        assert refused(domain, bulk(records[start : start + 1000], 5_000_000 + start)) == []
    domain.server.ask("POST", "logs-*/_refresh")
    in_order = sorted([*own, *of_workers], key=lambda item: item[0])
    return [text for *_, text in in_order]


def logs(environment: dict[str, str], *words: str) -> list[dict[str, str]]:
    done = search(environment, RUN, "--json", *words, what="logs")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_log_of_a_run_whose_pods_are_gone_is_whole_and_in_order(
    environment: dict[str, str], lines: list[str]
) -> None:
    found = logs(environment)
    assert len(found) == COUNT + len(WORKERS)
    assert [line["text"] for line in found] == lines, "nobody else's, none doubled, none lost"
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    assert {line["role"] for line in found} == {"driver", "worker"}

    errors = [text for _, text in WORKERS[:2]]
    assert [line["text"] for line in logs(environment, "--errors")] == errors
    assert [line["text"] for line in logs(environment, "--worker", "abcde")] == [text for _, text in WORKERS]
    assert logs(environment, "--worker", "bcdef") == []
    assert [line["text"] for line in logs(environment, "--task", "other")] == errors[:1]
    assert logs(environment, "--tail", "3") == found[-3:]
    assert logs(environment, "--tail", "1", "--errors") == [
        line for line in found if line["text"] == errors[1]
    ]
    since = (BEGIN + dt.timedelta(seconds=11)).isoformat()
    assert logs(environment, "--since", since) == [line for line in found if line["time"] >= at(11_000)]
    shown = search(environment, RUN, "--errors", what="logs").stdout.splitlines()
    assert f"{WORKER}  20:15:41 [error] no wind task=other" in shown


def test_another_tenants_run_of_the_same_name_is_not_shown(
    environment: dict[str, str], front: SignedFront, lines: list[str]
) -> None:
    done = search(environment, RUN, tenant="globex", what="logs")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "lacks the right to list pods in namespace tenant-globex" in line
    assert not front.asked


def test_while_opensearch_is_away_the_lake_tells_the_log_and_one_line_says_so(
    deployed: None, sts: str, tmp_path: Path
) -> None:
    lake = open_lake(tmp_path / "lake", tenant="acme")
    kept = [run_logs.Kept(at(number), WORKER, text) for number, text in WORKERS]
    run_logs.keep(lake, RUN, DRIVER, 0, kept)
    ann = person(sts, tmp_path)
    done = search(ann, RUN, "--json", "--lake", str(tmp_path / "lake"), what="logs")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [text for _, text in WORKERS]
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"lightwork: OpenSearch is not searched: POST https://{HOST}/{stream('acme')}/_search"
    )
    assert line.endswith("; these lines are those that the lake keeps")
    done = search(ann, RUN, "--lake", str(tmp_path / "empty"), what="logs")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 2, "why there is no line in either"


@pytest.mark.parametrize(
    ("verb", "what", "namespace", "may"),
    [
        ("create", f"pods/{RELAY_POD}", LOGS_NAMESPACE, True),
        ("get", f"pods/{RELAY_POD}", LOGS_NAMESPACE, True),
        ("create", "pods/fluent-bit-x", LOGS_NAMESPACE, False),
        ("create", "pods", LOGS_NAMESPACE, False),
        ("create", "pods/argo-server-x", "argo", False),
        ("create", f"pods/{RELAY_POD}", "tenant-globex", False),
    ],
)
def test_the_group_of_the_tenants_people_forwards_that_pods_port_alone(
    deployed: None, verb: str, what: str, namespace: str, may: bool
) -> None:
    words = ["auth", "can-i", verb, what, "--subresource=portforward", "-n", namespace]
    for group, expected in ((people_group("acme"), may), ("lightwork:stranger:people", False)):
        answer = kubectl(*words, "--as=ann", f"--as-group={group}", check=False).strip()
        assert answer == ("yes" if expected else "no"), (group, words)


@pytest.mark.parametrize(
    ("verb", "what", "namespace", "may"),
    [
        ("get", f"configmaps/{LOG_SEARCH}", "tenant-acme", True),
        ("get", "configmaps/lightwork", "tenant-acme", False),
        ("list", "configmaps", "tenant-acme", False),
        ("get", f"configmaps/{LOG_SEARCH}", "tenant-globex", False),
        ("get", "pods", LOGS_NAMESPACE, False),
        ("get", f"pods/{RELAY_POD}", LOGS_NAMESPACE, False),
        ("delete", f"pods/{RELAY_POD}", LOGS_NAMESPACE, False),
        ("patch", f"statefulsets/{RELAY}", LOGS_NAMESPACE, False),
        ("get", "secrets", LOGS_NAMESPACE, False),
    ],
)
def test_the_group_of_the_tenants_people_reads_one_config_map(
    deployed: None, verb: str, what: str, namespace: str, may: bool
) -> None:
    group = people_group("acme")
    words = ["auth", "can-i", verb, what, "-n", namespace, "--as=ann", f"--as-group={group}"]
    assert kubectl(*words, check=False).strip() == ("yes" if may else "no"), words


def test_a_stranger_forwards_nothing(deployed: None, tmp_path: Path) -> None:
    apply(
        [
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "nobody", "namespace": "default"},
            }
        ]
    )
    context = f"--context=lightwork-{tenants.ENVIRONMENT}"
    words = [context, "-n", LOGS_NAMESPACE, "port-forward", RELAY_POD, f":{RELAY_PORT}"]
    with pytest.raises(HarnessError, match="orbidden"):
        kubectl(*words, config=Path(kubeconfig_of("nobody", tmp_path)))
    kubectl("-n", "default", "delete", "serviceaccount", "nobody")


def test_no_pod_reaches_the_relay_and_it_reaches_the_domain_alone(front: SignedFront) -> None:
    address, dialer = dialing.address(LOGS_NAMESPACE, RELAY_POD), dialing.pod("default", "dialer", {})
    dialing.start([dialer])
    try:
        assert dialing.heard("default", "dialer", [(address, RELAY_PORT)]) == [False]
    finally:
        dialing.end([dialer])
    ends = [(NODE_IP, HTTPS), (NODE_IP, API_PORT), (NODE_IP, S3_PORT), (API_SERVICE_IP, HTTPS)]
    heard = dialing.heard(LOGS_NAMESPACE, RELAY_POD, ends, container="relay")
    assert heard == [True, False, False, False]


def test_a_forwarded_port_leads_to_the_domain_and_shows_its_certificate(front: SignedFront) -> None:
    import ssl

    with port_of(LOGS_NAMESPACE, RELAY_POD, RELAY_PORT) as address:
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port)), 30) as plain:
            context = ssl.create_default_context()
            with pytest.raises(ssl.SSLCertVerificationError):
                context.wrap_socket(plain, server_hostname=HOST)
    assert front.port == HTTPS
