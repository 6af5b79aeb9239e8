"""The files that people edit, as they are: settings, tenants and pipelines at the root of the repository.

Each test is one case, however many files there are. Everything else is tested with `tests/estate`.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from infra.config import settings
from lightwork import manifests, tenants
from lightwork.functions import discovery
from lightwork.manifests.base import Target
from lightwork.tenants import checks, template
from tests.estate import files
from tests.infra.conftest import ENVIRONMENTS
from tests.infra.engine import ACCOUNT, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root() -> Path:
    """The repository, whose files these tests read."""
    return files.REPOSITORY


@pytest.fixture(autouse=True)
def _pipelines() -> Iterator[None]:
    """The pipelines that are installed: a fixture of the same name gives the other tests their own."""
    discovery.scan.cache_clear()
    yield
    discovery.scan.cache_clear()


def refusals(folder: Path) -> list[str]:
    """Validate and render every tenant of a folder in each of its environments; return what is wrong."""
    found = []
    validator = jsonschema.Draft202012Validator(json.loads(template.json_schema()))
    for path in sorted(folder.glob("*.yaml")):
        try:
            loaded = tenants.read(path)
            checks.check(loaded, discovery.pipelines())
            validator.validate(json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str)))
            for environment in loaded.tenant.environments:
                target = Target(environment=environment, image="r.example/lightwork:1", lake="s3://lake")
                assert manifests.to_yaml(
                    manifests.tenant_objects(loaded.tenant, target, discovery.pipelines())
                )
        except (ValueError, jsonschema.ValidationError) as error:
            found.append(f"{path.name}: {error}")
    return found


def test_every_tenants_file_is_valid_and_renders_in_each_of_its_environments(root: Path) -> None:
    assert refusals(root / "tenants") == []


def test_a_wrong_tenants_file_would_be_refused(tmp_path: Path) -> None:
    for path in (files.HERE / "tenants").glob("*.yaml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "other.yaml").write_text("name: other\nenvironments: [dev]\npipelines: {windy-ctiy: {}}\n")
    with files.own_pipelines():
        (line,) = refusals(tmp_path)
    assert line.startswith("other.yaml: ")
    assert "windy-ctiy" in line


def test_every_environments_settings_deploy_an_estate(root: Path, tmp_path: Path) -> None:
    """An account that nobody has chosen yet counts as chosen."""
    copy = files.repository(tmp_path, ACCOUNT)
    for environment in ENVIRONMENTS:
        text = (root / f"Pulumi.{environment}.yaml").read_text(encoding="utf-8")
        (copy / f"Pulumi.{environment}.yaml").write_text(text.replace(files.UNCHOSEN, ACCOUNT))
        account = settings.load(copy, environment).account
        run = run_program(copy, environment, credentials_of=account)
        assert run.error is None, f"{environment}: {run.error}"


def test_every_installed_pipeline_is_discovered() -> None:
    assert discovery.packages(), "no package is installed that names its pipelines"
    assert discovery.broken() == {}, "a module of pipelines cannot be imported"
    for name, pipeline in discovery.pipelines().items():
        assert discovery.find(name) is pipeline
