"""A tenant's file: what is accepted, how mistakes are reported, its schema, and the tenant's namespace."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from lightwork import tenants
from lightwork.errors import InputError
from lightwork.manifests import namespace
from lightwork.tenants import template
from tests.estate import files

REPOSITORY = Path(__file__).resolve().parents[4]
GOOD = "name: acme\nenvironments: [dev, prod]\ndata_retention_days: 30\n"


def load(folder: Path, text: str, name: str = "acme") -> tenants.Tenant:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return tenants.load(path)


def test_a_valid_file_is_read_into_a_frozen_model(tmp_path: Path) -> None:
    tenant = load(tmp_path, GOOD)
    assert (tenant.name, tenant.environments, tenant.data_retention_days) == ("acme", ("dev", "prod"), 30)
    with pytest.raises(ValidationError, match="frozen"):
        tenant.name = "globex"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", ["1: name: is missing", "1: environments: is missing"]),
        (GOOD + "quotas: 3\n", ["4: quotas: there is no such field; did you mean 'quota'?"]),
        (
            GOOD.replace("environments", "enviroments"),
            ["2: enviroments: there is no such field; did you mean 'environments'?"],
        ),
        (
            GOOD.replace("prod", "prd"),
            ["2: environments.1: found 'prd'; should be 'dev', 'staging' or 'prod'"],
        ),
        (GOOD.replace("[dev, prod]", "\n- dev\n- prd"), ["4: environments.1: found 'prd'"]),
        (GOOD.replace("[dev, prod]", "[]"), ["2: environments: found []; "]),
        (GOOD.replace("30", "0"), ["3: data_retention_days: found 0; should be greater than or equal to 1"]),
        (GOOD.replace("30", "'30'"), ["3: data_retention_days: found '30'; should be a valid integer"]),
        (GOOD.replace("acme", "Acme_1"), ["1: name: found 'Acme_1'; "]),
        (GOOD.replace("acme", "a" * 21), ["1: name: found 'aaaa"]),
        (GOOD.replace("acme", "globex"), ["name: found 'globex'; should be 'acme'"]),
        (GOOD + "name: acme\n", ["4: name: appears twice; keep one"]),
        (GOOD + "  oops: [\n", ["4: this is not YAML: "]),
        ("- acme\n", ["1: found ['acme']; expected a mapping of fields"]),
        ("\x00", ["this is not YAML: "]),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_reason(tmp_path: Path, text: str, messages: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    for line in messages:
        assert line in str(caught.value)
    for line in str(caught.value).splitlines():
        assert line.startswith(str(tmp_path / "acme.yaml")), "each line names the file"


PIPELINE = GOOD + "pipelines:\n  windy-city:\n    "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schedule: 0 6 * * *", "5: pipelines.windy-city.timezone: found None; a schedule needs a time zone"),
        ("schedule: 0 6 * *", "6: pipelines.windy-city.schedule: found '0 6 * *'; should have five fields"),
        (
            "timezone: Europe/Berln",
            "6: pipelines.windy-city.timezone: found 'Europe/Berln'; there is no such time zone;",
        ),
        (
            "worker: {count: 3}",
            "6: pipelines.windy-city.worker: there is no such field; did you mean 'workers'?",
        ),
        (
            "workers: {cuont: 3}",
            "6: pipelines.windy-city.workers.cuont: there is no such field; did you mean 'count'?",
        ),
        (
            "workers: {count: 0}",
            "6: pipelines.windy-city.workers.count: found 0; should be greater than or equal to 1",
        ),
        (
            "workers: {memory: 2GB}",
            "6: pipelines.windy-city.workers.memory: found '2GB'; should be an amount of bytes",
        ),
        (
            "workers:\n      cpu: 0",
            "7: pipelines.windy-city.workers.cpu: found 0; should be greater than 0",
        ),
        (
            "workers: {spot: 'no'}",
            "6: pipelines.windy-city.workers.spot: found 'no'; should be a valid boolean",
        ),
        (
            "workers: {count: 100}",
            "6: pipelines.windy-city.workers: does not fit the quota: cpu: 100 workers of 1",
        ),
        ("image: team/image", "6: pipelines.windy-city.image: found 'team/image'; should name a version"),
        (
            "image: team/image:latest",
            "6: pipelines.windy-city.image: found 'team/image:latest'; should name a version",
        ),
        ("deadline: 8d", "6: pipelines.windy-city.deadline: found '8d'; should be 7d or less"),
        ("deadline: 6", "6: pipelines.windy-city.deadline: found 6; should be a duration"),
        ("{}\n  Windy: {}", "7: pipelines.Windy: found 'Windy'; "),
        ("{}\n  tenant: {}", "7: pipelines.tenant: found 'tenant'; is reserved"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, PIPELINE + text + "\n")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("history: 30", "4: history: found 30; "),
        ("history: {runs_days: 0}", "4: history.runs_days: found 0; should be greater than or equal to 1"),
        (
            "history: {runs_days: 4000}",
            "4: history.runs_days: found 4000; should be less than or equal to 3650",
        ),
        (
            "history:\n  artifacts_kept: ten",
            "5: history.artifacts_kept: found 'ten'; should be a valid integer",
        ),
        ("history: {artifacts_kept: 1.5}", "4: history.artifacts_kept: found 1.5; should be a valid integer"),
        ("history: {runs_kept: 0}", "4: history.runs_kept: found 0; should be greater than or equal to 1"),
        ("history: {run_days: 30}", "4: history.run_days: there is no such field; did you mean 'runs_days'?"),
        ("history_days: 30", "4: history_days: there is no such field; did you mean 'history'?"),
    ],
)
def test_a_wrong_history_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, GOOD + text + "\n")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_nothing_is_deleted_in_the_first_year_unless_the_file_says_so(tmp_path: Path) -> None:
    history = load(tmp_path, GOOD).history
    assert (history.runs_days, history.runs_kept, history.artifacts_kept) == (365, None, None)


def test_amounts_are_stored_in_canonical_form(tmp_path: Path) -> None:
    workers = (
        load(tmp_path, PIPELINE + "workers: {cpu: 2000m, memory: 2048Mi}\n").pipelines["windy-city"].workers
    )
    assert (workers.cpu, workers.memory, workers.slots) == ("2", "2Gi", 2)


def test_a_tenants_file_is_found_by_its_name_from_a_subfolder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants" / "acme.yaml").write_text(GOOD)
    (subfolder := tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(subfolder)
    assert tenants.find("acme") == tmp_path / "tenants" / "acme.yaml"
    with pytest.raises(InputError, match="no tenant 'acne'; did you mean 'acme'"):
        tenants.find("acne")
    assert tenants.find("else/where.yaml") == Path("else/where.yaml"), "a path is returned unchanged"


def test_the_schema_in_the_repository_is_up_to_date() -> None:
    committed = (REPOSITORY / "tenants" / template.SCHEMA_NAME).read_text(encoding="utf-8")
    assert committed == template.json_schema(), (
        "generate it again: lightwork tenant schema > tenants/tenant.schema.json"
    )


@pytest.mark.parametrize("name", files.NAMES)
def test_the_schema_accepts_what_the_model_accepts(name: str) -> None:
    text = (files.HERE / "tenants" / f"{name}.yaml").read_text(encoding="utf-8")
    content = json.loads(json.dumps(yaml.safe_load(text), default=str))
    assert files.load(name).name == name
    jsonschema.Draft202012Validator(json.loads(template.json_schema())).validate(content)


def test_the_schema_refuses_what_the_model_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(template.json_schema()))
    assert not validator.is_valid(yaml.safe_load(GOOD + "quotas: 3\n"))
    assert not validator.is_valid(yaml.safe_load(PIPELINE + "workers: {cuont: 3}\n"))
    assert validator.is_valid(yaml.safe_load(GOOD))


def test_every_mistake_in_a_file_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, "name: 7\nenvironments: dev\ndata_retention_days: soon\n")
    assert len(str(caught.value).splitlines()) == 3


def test_a_missing_file_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nobody\.yaml: there is no such file$"):
        tenants.load(tmp_path / "nobody.yaml")


def test_a_namespace_enforces_the_restricted_level(tmp_path: Path) -> None:
    assert namespace.namespace(load(tmp_path, GOOD)) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "tenant-acme",
            "labels": {
                "app.kubernetes.io/part-of": "lightwork",
                "lightwork/tenant": "acme",
                "pod-security.kubernetes.io/audit": "restricted",
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            },
        },
    }
