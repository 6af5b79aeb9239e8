"""The job that packs a tenant's history, in the tenant's namespace, with its role and its quota."""

from __future__ import annotations

import json
import os
import secrets
import sys
from typing import Any

import pytest

from lightwork.kube import contract
from lightwork.lake import open_lake
from lightwork.manifests import history
from lightwork.store import upkeep
from lightwork.store.documents import seal
from tests.cluster import stores, tenants
from tests.cluster.kube import apply, get, kubectl
from tests.cluster.progress import run, wait_for
from tests.cluster.settings import ROOT, run_folder
from tests.unit.lightwork.history.leaving import leave

PIPELINE = "windy-city"


def ended(tenant: str, name: str) -> bool:
    status = get("-n", tenants.namespace(tenant), "job", name).get("status") or {}
    return any(item["type"] in ("Complete", "Failed") for item in status.get("conditions") or [])


def start(tenant: str, name: str, **variables: str) -> dict[str, Any]:
    """Run the CronJob's job now, with other variables if there are some; return its status."""
    where = ["-n", tenants.namespace(tenant)]
    kubectl(*where, "delete", "job", name, "--ignore-not-found", "--wait")
    created = ["create", "job", name, f"--from=cronjob/{history.NAME}", "--dry-run=client", "-o", "json"]
    job = json.loads(kubectl(*where, *created))
    job["spec"]["backoffLimit"] = 0
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": key, "value": value} for key, value in variables.items()]
    apply([job])
    wait_for(f"the end of the job {name}", lambda: ended(tenant, name), seconds=180, every=2)
    return dict(get(*where, "job", name)["status"])


def log(tenant: str, name: str) -> str:
    return kubectl("-n", tenants.namespace(tenant), "logs", f"job/{name}")


def lightwork(account: str, *words: str) -> str:
    """Run a command with the keys of an account of the S3 server."""
    key = stores.credentials(account)
    environment = {
        **tenants.environment(),
        "AWS_ENDPOINT_URL": stores.s3_url(),
        "AWS_REGION": stores.REGION,
        "AWS_ACCESS_KEY_ID": key["access"],
        "AWS_SECRET_ACCESS_KEY": key["secret"],
    }
    return run([sys.executable, "-m", "lightwork", *words], cwd=ROOT, env=environment)


def test_the_job_packs_what_has_run_and_people_ask_for_it(acme: str) -> None:
    name = tenants.submit(acme, PIPELINE, max_timestamps="300")
    tenants.wait_for_end(acme, name, seconds=300)
    client, bucket = stores.client("root"), tenants.bucket(acme)

    def listed() -> list[str]:
        page = client.list_objects_v2(Bucket=bucket, Prefix=f"{acme}/history/")
        return [item["Key"] for item in page.get("Contents", ())]

    wait_for("the mark of the run's end", lambda: any(f"{name}~" in key for key in listed()), seconds=60)
    assert start(acme, "history-now")["succeeded"] == 1, log(acme, "history-now")
    where = ["--lake", f"s3://{bucket}", "--tenant", acme]

    def packed() -> bool:
        # The controller may have recorded the run's end since: its mark is for the next job.
        if any(f"{name}~" in key for key in listed()):
            start(acme, "history-now")
        return not any(f"{name}~" in key for key in listed())

    wait_for("the run in a segment", packed, seconds=300, every=5)
    assert any(key.endswith(".jsonl.gz") for key in listed())
    assert any(key.endswith(".parquet") for key in listed())
    people = stores.people_of(acme)
    shown = json.loads(lightwork(people, "runs", PIPELINE, "--json", "--where", "max_timestamps=300", *where))
    found = {item["name"]: item for item in shown["runs"]}
    assert found[name]["status"] == "succeeded"
    bill = json.loads(lightwork(people, "cost", "--json", "--pipeline", PIPELINE, *where))
    assert bill["total"]["worker_hours"] > 0, "the run had workers"
    assert bill["prices"] == [], "no estate has given prices"


def test_the_job_deletes_what_the_file_keeps_no_longer_and_packs_it_before(
    acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = stores.credentials("root")
    for name, value in {
        "AWS_ENDPOINT_URL": stores.s3_url(),
        "AWS_REGION": stores.REGION,
        "AWS_ACCESS_KEY_ID": key["access"],
        "AWS_SECRET_ACCESS_KEY": key["secret"],
    }.items():
        monkeypatch.setenv(name, value)
    lake = open_lake(f"s3://{tenants.bucket(acme)}", tenant=acme)
    old, new = f"pruned-{secrets.token_hex(3)}", f"kept-{secrets.token_hex(3)}"
    for name in (old, new):
        leave(lake, name, pipeline="pruned", marked=False)
    folder = run_folder() / "s3" / "data" / tenants.bucket(acme) / acme / "runs" / old
    for file in [folder, *folder.rglob("*")]:
        os.utime(file, (1e9, 1e9))
    marker = upkeep.Marker(lake.now() - 25 * 3600, "the job of yesterday", done=True)
    lake.write(upkeep.MARKER, seal(marker._asdict()))
    assert start(acme, "history-prunes").get("succeeded") == 1, log(acme, "history-prunes")
    assert "the lake was cleaned up" in log(acme, "history-prunes")
    left = {entry.path.split("/")[1] for entry in lake.entries("runs")}
    assert new in left
    assert old not in left
    where = ["--lake", f"s3://{tenants.bucket(acme)}", "--tenant", acme]
    shown = json.loads(lightwork(stores.people_of(acme), "runs", "pruned", "--json", *where))
    assert {old, new} <= {item["name"] for item in shown["runs"]}, "the history has both"


def test_the_job_of_one_tenant_is_refused_the_lake_of_another(acme: str, globex: str) -> None:
    variables = {contract.ENV_LAKE: f"s3://{tenants.bucket(globex)}", contract.ENV_TENANT: globex}
    assert start(acme, "history-of-another", **variables).get("failed") == 1
    assert "access denied" in log(acme, "history-of-another")


def test_its_pods_have_no_token_for_the_kubernetes_api(acme: str) -> None:
    spec = get("-n", tenants.namespace(acme), "cronjob", history.NAME)["spec"]["jobTemplate"]["spec"]
    assert spec["template"]["spec"]["automountServiceAccountToken"] is False
