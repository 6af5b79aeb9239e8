"""A tenant's file: what is read, what is refused and how, and the namespace that follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from lightwork import tenants
from lightwork.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[3]
GOOD = "name: acme\nenvironments: [dev, prod]\ndata_retention_days: 30\n"


def load(folder: Path, text: str, name: str = "acme") -> tenants.Tenant:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return tenants.load(path)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "tenants").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_tenant_of_the_repository_can_be_read_and_is_named_as_its_file(path: Path) -> None:
    assert tenants.load(path).name == path.stem


def test_a_good_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    tenant = load(tmp_path, GOOD)
    assert (tenant.name, tenant.environments, tenant.data_retention_days) == ("acme", ("dev", "prod"), 30)
    with pytest.raises(ValidationError, match="frozen"):
        tenant.name = "globex"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["1: name: is missing", "1: environments: is missing"]),
        (GOOD + "quotas: 3\n", ["4: quotas: there is no such field; there are: data_retention_days,"]),
        (
            GOOD.replace("environments", "enviroments"),
            ["2: enviroments: there is no such field; did you mean"],
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
        (GOOD.replace("acme", "globex"), ["name: found 'globex'; the file's name says 'acme'"]),
        (GOOD + "name: acme\n", ["4: name: is here a second time; keep one"]),
        (GOOD + "  oops: [\n", ["4: this is not YAML: "]),
        ("- acme\n", ["1: found ['acme']; a mapping of fields belongs here"]),
        ("\x00", ["this is not YAML: "]),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_reason(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    for line in said:
        assert line in str(caught.value)
    for line in str(caught.value).splitlines():
        assert line.startswith(str(tmp_path / "acme.yaml")), "each line says which file"


def test_every_mistake_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, "name: 7\nenvironments: dev\ndata_retention_days: soon\n")
    assert len(str(caught.value).splitlines()) == 3


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nobody\.yaml: there is no such file$"):
        tenants.load(tmp_path / "nobody.yaml")


def test_a_namespace_holds_its_pods_to_the_restricted_level(tmp_path: Path) -> None:
    assert tenants.namespace(load(tmp_path, GOOD)) == {
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
