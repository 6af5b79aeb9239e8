"""The Job that makes Argo's login to the archive: its rights, its program, and what it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.config import versions
from infra.manifests import WAIT
from infra.rules.versions import image_problem
from infra.services import archive_login
from infra.services.charts import argo
from infra.services.charts.common import Placement
from lightwork.pods import archive
from lightwork.pods.archive import __main__ as program

if TYPE_CHECKING:
    from tests.infra.engine import Run

LOGIN = archive_login.Login(
    image=versions.PYTHON_IMAGE,
    host="db.example",
    database="argo",
    pods=argo.PODS,
    placement=Placement(),
    master_arn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1",
    region="eu-central-1",
)
OBJECTS = {item["kind"]: item for item in archive_login.objects(LOGIN)}


def container(job: dict[str, Any]) -> dict[str, Any]:
    (only,) = job["template"]["spec"]["containers"]
    return dict(only)


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    """The image has no library of ours: what the ConfigMap holds is imported by a Python without packages."""
    volume = OBJECTS["Job"]["spec"]["template"]["spec"]["volumes"][0]
    for item in volume["configMap"]["items"]:
        file = tmp_path / item["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(OBJECTS["ConfigMap"]["data"][item["key"]])
    code = (
        f"import sys; sys.path[:] = [{str(tmp_path)!r}, *(p for p in sys.path if 'site-packages' not in p)]"
    )
    code += (
        "; sys.argv[0] = ''; import runpy; runpy.run_module('lightwork.pods.archive', run_name='__main__')"
    )
    words = [sys.executable, "-I", "-S", "-c", code, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--master-arn" in done.stdout


def test_every_file_of_the_program_is_in_the_config_map() -> None:
    files = {file.stem for file in Path(archive.__file__).parent.glob("*.py")}
    held = {name.split(".")[-2] for name in archive_login.program() if ".archive." in name}
    assert held == files
    assert len(json.dumps(archive_login.program())) < 500_000, "a ConfigMap holds 1 MiB"


def test_a_changed_program_starts_a_new_job(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {**archive_login.program(), "lightwork.errors.py": "x = 1"}
    monkeypatch.setattr(archive_login, "program", lambda: changed)
    jobs = [item for item in archive_login.objects(LOGIN) if item["kind"] == "Job"]
    assert jobs[0]["spec"]["template"] != OBJECTS["Job"]["spec"]["template"]


def test_its_rights_are_one_secret_and_evictions() -> None:
    assert OBJECTS["Role"]["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [archive_login.SECRET],
            "verbs": ["get", "patch"],
        },
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
    ], "each more would be a way into Argo's controller"
    assert OBJECTS["RoleBinding"]["subjects"] == [
        {"kind": "ServiceAccount", "name": archive_login.NAME, "namespace": "argo"}
    ]


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_it_is_told_what_it_needs_and_no_password(kind: str) -> None:
    spec = OBJECTS[kind]["spec"]
    job = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
    words = container(job)["args"]
    options = program._options().parse_args(words)
    assert (options.host, options.port, options.database) == ("db.example", 5432, "argo")
    assert (options.secret, options.pods) == (archive_login.SECRET, argo.PODS)
    assert (options.master_arn, options.master_folder, options.days) == (LOGIN.master_arn, None, 7)
    assert container(job)["image"] == versions.PYTHON_IMAGE
    assert image_problem(versions.PYTHON_IMAGE) is None
    assert job["template"]["spec"]["restartPolicy"] == "Never", "a restarted container never gets its role"


def test_two_cron_jobs_never_run_at_once_and_each_ends() -> None:
    spec = OBJECTS["CronJob"]["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= 3600
    assert OBJECTS["Job"]["spec"]["activeDeadlineSeconds"] < int(WAIT.removesuffix("m")) * 60, (
        "Pulumi would give up before the Job says why it fails"
    )


def test_the_estates_job_reads_the_masters_secret_by_its_role(estate: Run) -> None:
    job = estate.named("kubernetes:batch/v1:Job", "job-archive-login").inputs["spec"]
    options = program._options().parse_args(container(job)["args"])
    assert options.master_arn == estate.outputs["archive_secret_arn"]
    assert options.region == estate.outputs["region"]
    assert options.host == estate.outputs["archive_host"]
    associations = [r.inputs for r in estate.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")]
    (own,) = [item for item in associations if item["serviceAccount"] == archive_login.NAME]
    assert own["namespace"] == "argo"
    assert job["template"]["spec"]["nodeSelector"] == {"lightwork/pool": "system"}


def test_where_there_is_no_aws_the_master_is_a_mounted_secret() -> None:
    login = archive_login.Login(
        image="x:1.0.0", host="db", database="argo", pods="a=b", placement=Placement(), master_secret="mine"
    )
    (job,) = [item["spec"] for item in archive_login.objects(login) if item["kind"] == "Job"]
    spec = job["template"]["spec"]
    options = program._options().parse_args(container(job)["args"])
    (mount,) = [m for m in container(job)["volumeMounts"] if m["name"] == "master"]
    assert str(options.master_folder) == mount["mountPath"]
    assert {"name": "master", "secret": {"secretName": "mine"}} in spec["volumes"]
