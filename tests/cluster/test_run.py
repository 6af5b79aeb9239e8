"""A pipeline as a workflow in its tenant's namespace: the right answer, and nothing left."""

from __future__ import annotations

import json
import time

import pytest

from tests.cluster import stores, tenants
from tests.cluster.progress import run, say, wait_for
from tests.cluster.settings import ROOT

HOURS = "2000"


def records(tenant: str) -> dict[str, dict]:
    """The records of a tenant's runs in its lake, by their keys."""
    s3, bucket = stores.client("root"), tenants.bucket(tenant)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{tenant}/runs/").get("Contents", [])
    keys = [item["Key"] for item in listed if item["Key"].endswith("/run.json")]
    return {key: json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys}


def here(tmp_path, *parameters: str) -> dict:
    """What the same pipeline says on this machine, in one process."""
    words = [*tenants.LIGHTWORK, "run", "--json", "--on", "serial", "--lake", str(tmp_path)]
    return json.loads(run([*words, "windy-city", *parameters], cwd=ROOT).splitlines()[-1])["result"]


@pytest.mark.core
def test_windy_city_gives_the_right_answer_and_leaves_nothing(acme, tmp_path):
    expected = here(tmp_path, f"max_timestamps={HOURS}")
    before = set(records(acme))
    begun = time.monotonic()
    name = tenants.submit(acme, "windy-city", max_timestamps=HOURS)
    ended = tenants.wait_for_end(acme, name, seconds=300)
    took = time.monotonic() - begun
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    clear = tenants.wait_until_clear(acme, name, seconds=120)
    say(f"figure: submit to end {took:.1f} s; nothing left {clear:.1f} s later")

    new = {key: value for key, value in records(acme).items() if key not in before}
    assert [(one["status"], one["pipeline"]) for one in new.values()] == [("succeeded", "windy-city")]
    (record,) = new.values()
    assert record["result"] == expected

    archived = f"select phase from argo_archived_workflows where name = '{name}'"
    wait_for("the archive", lambda: stores.sql(archived) == "Succeeded", seconds=60)


@pytest.mark.core
def test_a_wrong_parameter_ends_the_run_with_the_message_of_the_command_line(acme):
    name = tenants.submit(acme, "windy-city", max_timestamps="many")
    ended = tenants.wait_for_end(acme, name, seconds=180)
    assert ended["phase"] == "Failed"
    tenants.wait_until_clear(acme, name, seconds=120)
