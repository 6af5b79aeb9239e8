"""The log shipper: its settings, each with the case that needs it, and its script under LuaJIT.

Fluent Bit itself is not to be had as a package, so the settings rest on what was seen in experiments with it
(docs/decisions/log-streams.md). `tests/cluster/test_log_refusals.py` sends what the script makes to a real
OpenSearch.
"""

from __future__ import annotations

import json
import random
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra.config.streams import CLUSTER, FIELDS, LONGEST_FIELD, LONGEST_LINE
from infra.services.charts import shipper
from infra.tenant.streams import NAMES
from tests import shipper as script
from tests.shipper import Shipper

ARGS = shipper.ShipperValues(endpoint="search.example.com", region="eu-central-1", account="fluent-bit")
VALUES = shipper.values(ARGS)


def sections(text: str) -> dict[str, dict[str, str]]:
    """Return the sections of a part of the settings, by the plugin's name or their own."""
    found: dict[str, dict[str, str]] = {}
    for part in text.split("[")[1:]:
        name, _, body = part.partition("]")
        pairs = dict(line.strip().split(" ", 1) for line in body.strip().splitlines())
        found[pairs.get("Name", name)] = pairs
    return found


SETTINGS = {name: found for part in VALUES["config"].values() for name, found in sections(part).items()}

CASES = [
    ("tail", "Refresh_Interval", "1", "a pod that lives for 15 s is found before its file is gone"),
    ("tail", "Read_from_Head", "On", "lines from before the shipper started, or found the file, are read"),
    ("tail", "Rotate_Wait", "30", "the rest of a file that was rotated in a burst, or deleted, is read"),
    ("tail", "DB", "/buffer/positions.db", "a shipper that was killed goes on where it was"),
    ("tail", "storage.type", "filesystem", "lines that wait for OpenSearch outlive the shipper"),
    ("tail", "Skip_Long_Lines", "On", "one line that is too long does not end the reading of its file"),
    ("tail", "multiline.parser", "cri", "a line of 3 MB, which containerd splits, is one record again"),
    ("tail", "Tag", "kube.*", "the tag has the file's name, and so namespace, pod and container"),
    ("lua", "call", "flatten", "no nested, unknown or long field reaches the mapping"),
    ("opensearch", "Index", "$stream", "the stream is chosen by the namespace"),
    ("opensearch", "Write_Operation", "create", "a data stream takes nothing else"),
    ("opensearch", "Generate_ID", "On", "a chunk that is sent again doubles nothing"),
    ("opensearch", "Time_Key_Nanos", "On", "lines of the same millisecond stay distinct and in order"),
    (
        "opensearch",
        "Retry_Limit",
        "no_limits",
        "OpenSearch may be away for longer than any number of retries",
    ),
    ("opensearch", "Buffer_Size", "8M", "the answer to a bulk of many short lines is read whole"),
    ("opensearch", "storage.total_limit_size", "2G", "waiting lines do not fill the node's disk"),
    ("SERVICE", "scheduler.cap", "60", "lines follow soon once OpenSearch is back, not after half an hour"),
]


@pytest.mark.parametrize(("plugin", "name", "value", "why"), CASES)
def test_each_setting_has_its_reason(plugin: str, name: str, value: str, why: str) -> None:
    assert SETTINGS[plugin].get(name) == value, why


def test_nothing_asks_the_kubernetes_api() -> None:
    assert set(SETTINGS) == {"SERVICE", "tail", "lua", "opensearch"}, (
        "with the API away, the filter `kubernetes` leaves lines without a namespace"
    )
    assert VALUES["rbac"] == {"create": False}
    assert VALUES["serviceAccount"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("pod", "namespace", "excluded"),
    [
        ("fluent-bit-x7k2p", "logging", True),
        ("fluent-bit-x", "tenant-acme", False),
        ("fluent-bit-x-logging", "tenant-logging", False),
        ("log-relay-0", "logging", False),
    ],
)
def test_only_the_shippers_own_lines_are_left_out(pod: str, namespace: str, excluded: bool) -> None:
    file = f"/var/log/containers/{pod}_{namespace}_fluent-bit-{script.CONTAINER}.log"
    assert fnmatchcase(file, SETTINGS["tail"]["Exclude_Path"]) == excluded


@pytest.fixture(scope="module")
def lua() -> Shipper:
    return Shipper()


@pytest.mark.parametrize(
    ("namespace", "stream", "tenant"),
    [
        ("tenant-acme", "logs-tenant-acme", "acme"),
        ("tenant-acme-2", "logs-tenant-acme-2", "acme-2"),
        ("argo", CLUSTER, None),
        ("tenant-", CLUSTER, None),
        ("my-tenant-acme", CLUSTER, None),
    ],
)
def test_a_line_belongs_to_its_namespace_whatever_it_says(
    lua: Shipper, namespace: str, stream: str, tenant: str | None
) -> None:
    forged = {"tenant": "globex", "stream": "logs-tenant-globex", "namespace": "tenant-globex", "pod": "x"}
    record = lua.record(json.dumps({"event": "a", **forged}).encode(), namespace=namespace, pod="a.b-c")
    assert (record["stream"], record.get("tenant")) == (stream, tenant)
    assert (record["namespace"], record["pod"], record["container"]) == (namespace, "a.b-c", "main")


def test_an_odd_tag_or_record_is_of_no_tenant_and_not_lost(lua: Shipper) -> None:
    assert lua.flatten("kube.x", {b"log": b"a"}) == {"log": "a", "stream": CLUSTER}
    for record in ({}, {b"log": 7}, {b"log": {}}):
        assert set(lua.flatten("kube.x", record)) == {"log", "stream"}


def test_a_recorded_event_becomes_fields(lua: Shipper) -> None:
    line = (
        b'{"timestamp": "2026-11-28T07:00:01.234Z", "level": "critical",'
        b' "event": "failed: ValueError: \\u00e4", "tenant": "acme", "pipeline": "wind",'
        b' "run": "wind-20261128t070000-abcde", "task": "wind.read",'
        b' "attempt": 1, "role": "worker", "host": "h", "exception": "Traceback\\n", "worker": 17}\n'
    )
    record = lua.record(line, pod="wind-20261128t070000-abcde-workers-6f7-abcde", container="worker")
    assert record == {
        "stream": "logs-tenant-acme",
        "tenant": "acme",
        "namespace": "tenant-acme",
        "pod": "wind-20261128t070000-abcde-workers-6f7-abcde",
        "container": "worker",
        "level": "critical",
        "event": "failed: ValueError: ä",
        "pipeline": "wind",
        "run": "wind-20261128t070000-abcde",
        "task": "wind.read",
        "role": "worker",
        "worker": "17",
        "log": line.decode().rstrip("\n"),
    }


def test_the_recorded_lines_of_a_run_keep_their_fields(lua: Shipper) -> None:
    """Those of driver, scheduler, nannies and workers of a run in a cluster, with Argo's own."""
    recorded = Path(__file__).with_name("recorded.jsonl").read_text().splitlines()
    assert len(recorded) > 20
    for item in map(json.loads, recorded):
        record = lua.record(item["text"].encode(), pod=item["pod"])
        event = json.loads(item["text"]) if item["text"].startswith("{") else {}
        assert record["log"] == item["text"]
        assert record["pod"] == item["pod"]
        assert {name: record.get(name) for name in FIELDS} == {
            name: None if name not in event else str(event[name]).encode()[:LONGEST_FIELD].decode()
            for name in FIELDS
        }


def expected(value: Any) -> str | None:
    """Return a JSON value as a field."""
    if isinstance(value, str):
        text = value.encode(errors="surrogatepass").decode(errors="replace")
        return text.replace("\ufffd\ufffd\ufffd", "\ufffd")  # Python replaces each byte of a surrogate
    if value is None or isinstance(value, (dict, list)):
        return None
    return json.dumps(value)


def test_fields_are_what_the_json_says(lua: Shipper) -> None:
    source = random.Random(3)
    for _ in range(1000):
        values = {name: script.value(source) for name in source.sample([*FIELDS, "other"], 4)}
        text = json.dumps(values, ensure_ascii=source.random() < 0.5, indent=source.choice([None, 1]))
        record = lua.record(text.encode(errors="surrogatepass"))
        for name in FIELDS:
            wanted = expected(values.get(name))
            if wanted is None or "\ud800" in str(values.get(name)):
                assert wanted or name not in record, (text, name)
            else:
                assert record[name] == wanted.encode()[:LONGEST_FIELD].decode(errors="ignore"), (text, name)


def test_no_line_makes_a_record_that_could_be_refused(lua: Shipper) -> None:
    for line in script.lines(300, seed=5):
        record = lua.record(line)
        assert set(record) <= {"log", "stream", *NAMES}
        assert (record["stream"], record["tenant"], record["pod"]) == ("logs-tenant-acme", "acme", "p")
        assert len(record.pop("log")) <= LONGEST_LINE
        assert record.get("cut", str(len(line.removesuffix(b"\n")))) == str(len(line.removesuffix(b"\n")))
        # A byte that is not UTF-8 becomes three, far below the 32,766 that a term may have.
        assert all(len(value.encode()) <= 3 * LONGEST_FIELD for value in record.values()), record
