"""A pipeline in another repository: published by its own script, named by a tenant, run, edited."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.cluster import adding, probes, publishing, tenants
from tests.cluster.progress import run
from tests.cluster.settings import ROOT, of_current_context

TENANT = "helios"
DAYS = 40


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the example, as a clone of a repository of its own."""
    return Path(shutil.copytree(publishing.EXAMPLE, tmp_path / "daylight"))


def name_image(repository: Path, image: str) -> Path:
    """Name a published image, and its description, in the tenant's file."""
    file = repository / "tenants" / f"{TENANT}.yaml"
    document = yaml.safe_load(file.read_text())
    document["pipelines"]["daylight"]["image"] = image
    file.write_text(yaml.safe_dump(document))
    shutil.copy(repository / "daylight.json", repository / "tenants/descriptions/daylight.json")
    return file


def newest() -> dict:
    return max(probes.records(TENANT), key=lambda record: record["started"])


def daylight(*, seconds: float = 300) -> dict:
    """Run the pipeline; return its record."""
    name = tenants.submit(TENANT, "daylight", place="Madrid", days=str(DAYS))
    ended = tenants.wait_for_end(TENANT, name, seconds=seconds)
    assert ended["phase"] == "Succeeded", tenants.describe(TENANT, name)
    return newest()


@pytest.mark.skipif(of_current_context(), reason="the registry is reachable from this machine's node only")
def test_another_repositorys_pipeline_is_published_named_run_and_recomputed_after_an_edit(repository):
    with publishing.registry():
        image = publishing.publish(repository, "1")
        assert image.startswith(f"{publishing.ADDRESS}/daylight@sha256:")
        tenant = adding.add(name_image(repository, image))
        try:
            # The types of its parameters are checked, although its code is not installed here.
            words = [*tenants.LIGHTWORK, "submit", "daylight", "days=none", *tenants.WHERE, tenant]
            with pytest.raises(
                Exception, match="parameter days: 'none' is not a whole number; expected int > 0"
            ):
                run(words, cwd=ROOT, env=tenants.environment())

            first = daylight()
            assert first["result"] == {"place": "Madrid", "days": DAYS, "longest": 10.44, "shortest": 9.34}
            assert first["elements"] == {"total": DAYS, "cached": 0, "computed": DAYS, "failed": 0}
            assert first["git_commit"] is None, (
                "its version is not a commit, and the platform's is not its own"
            )
            (driver,) = tenants.pods(tenant, first["workflow"], "driver")
            (main,) = [item for item in driver["spec"]["containers"] if item["name"] == "main"]
            assert main["image"] == image, "the node took it from the registry"
            again = daylight()
            assert again["elements"] == {"total": DAYS, "cached": DAYS, "computed": 0, "failed": 0}

            code = repository / "src/daylight/pipeline.py"
            code.write_text(code.read_text().replace("/ 3600, 2)", "/ 60)"))
            edited = publishing.publish(repository, "2")
            assert edited != image
            adding.add(name_image(repository, edited))
            minutes = daylight()
            assert minutes["elements"] == {"total": DAYS, "cached": 0, "computed": DAYS, "failed": 0}
            assert 620 < minutes["result"]["longest"] < 635
        finally:
            adding.remove(tenant)
