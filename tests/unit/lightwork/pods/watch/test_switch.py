"""The dead man's switch: its requests are those that botocore would send, and it stops when alerts do."""

from __future__ import annotations

import datetime as dt
import threading
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from lightwork.pods import signing
from lightwork.pods.watch import switch
from lightwork.pods.watch.__main__ import ALARM_PATH, HEALTH_PATH, PATH, Server, Watch
from lightwork.pods.watch.switch import HEARD_WITHIN, Switch
from tests.unit.lightwork.pods.watch.test_metrics import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = signing.Keys("AKIAEXAMPLE", "secret/+", "session==")
NAMESPACE, CLUSTER, REGION = "lightwork/dev", "lightwork-dev", "eu-central-1"


class CloudWatch(ThreadingHTTPServer):
    """Takes requests, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.requests: list[tuple[dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: CloudWatch

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cloudwatch() -> Iterator[CloudWatch]:
    server = CloudWatch()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def of(server: CloudWatch) -> Switch:
    endpoint = f"http://127.0.0.1:{server.server_address[1]}/"
    return Switch(NAMESPACE, CLUSTER, REGION, endpoint=endpoint, keys=lambda: KEYS)


def test_it_writes_while_the_alert_arrives_and_stops_when_it_does_not(cloudwatch: CloudWatch) -> None:
    own = of(cloudwatch)
    assert not own.beat(0.0), "nothing has arrived yet"
    own.hear(10.0)
    assert own.beat(10.0)
    assert own.beat(10.0 + HEARD_WITHIN)
    assert not own.beat(10.1 + HEARD_WITHIN)
    assert len(cloudwatch.requests) == 2


def test_a_refusal_is_an_error(cloudwatch: CloudWatch) -> None:
    own = of(cloudwatch)
    own.hear(0.0)
    cloudwatch.status = 403
    with pytest.raises(ValueError, match="403"):
        own.beat(1.0)


def test_the_body_is_what_botocore_makes_of_the_service_model() -> None:
    import botocore.session
    from botocore.serialize import QuerySerializer

    model = botocore.session.get_session().get_service_model("cloudwatch")
    parameters = {
        "Namespace": NAMESPACE,
        "MetricData": [
            {
                "MetricName": switch.METRIC,
                "Dimensions": [{"Name": switch.DIMENSION, "Value": CLUSTER}],
                "Value": 1.0,
                "Unit": "Count",
            }
        ],
    }
    request = QuerySerializer().serialize_to_request(parameters, model.operation_model("PutMetricData"))
    ours = dict(urllib.parse.parse_qsl(switch.body(NAMESPACE, CLUSTER).decode()))
    assert ours == {name: str(value) for name, value in request["body"].items()}
    assert "query" in model.metadata["protocols"], "AWS takes this form"


def test_the_signature_is_that_of_botocore(cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    own = of(cloudwatch)
    own.hear(0.0)
    own.beat(1.0)
    headers, body = cloudwatch.requests[0]
    sent = {name.lower(): value for name, value in headers.items()}
    moment = dt.datetime.strptime(sent["x-amz-date"], "%Y%m%dT%H%M%SZ")  # noqa: DTZ007
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: moment)
    url = f"http://127.0.0.1:{cloudwatch.server_address[1]}/"
    kind = {"content-type": sent["content-type"]}
    request = AWSRequest(method="POST", url=url, data=body, headers=kind)
    auth.SigV4Auth(Credentials(KEYS.access, KEYS.secret, KEYS.session), "monitoring", REGION).add_auth(
        request
    )
    assert sent["authorization"] == request.headers["Authorization"]


@pytest.fixture
def served(cloudwatch: CloudWatch) -> Iterator[tuple[str, Switch]]:
    own = of(cloudwatch)
    server = Server(("127.0.0.1", 0), Watch(Api()), own)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", own
    server.shutdown()
    server.server_close()


def test_alertmanagers_message_turns_it_and_nothing_else_does(served: tuple[str, Switch]) -> None:
    url, own = served
    answers: list[Any] = []
    for path, body in ((ALARM_PATH, b"{}"), ("/other", b"{}")):
        request = urllib.request.Request(url + path, data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answers.append(response.status)
        except urllib.error.HTTPError as error:
            answers.append(error.code)
        if path == ALARM_PATH:
            import time

            assert own.beat(time.monotonic())
    assert answers == [200, 404]


def test_it_serves_metrics_and_its_health(served: tuple[str, Switch]) -> None:
    url, _ = served
    with urllib.request.urlopen(url + PATH, timeout=30) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert b"lightwork_pipeline_failing" in response.read()
    with urllib.request.urlopen(url + HEALTH_PATH, timeout=30) as response:
        assert response.status == 200
