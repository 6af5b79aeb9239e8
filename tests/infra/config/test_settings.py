"""The settings in `Pulumi.<environment>.yaml`: each mistake is refused with its line and the reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator

from infra.config import schema, settings
from infra.config.nodes import groups
from infra.config.sizes import DEFAULTS, Sizes
from lightwork.errors import InputError
from lightwork.tenants import Environment

if TYPE_CHECKING:
    from collections.abc import Sequence

WRONG = sorted((Path(__file__).parent / "settings").glob("*.error.*.yaml"))
MARK = "#! "
"""Begins a line of the expected message; ` ... ` in it stands for any words."""


def refusal(path: Path, folder: Path) -> str:
    (folder / "Pulumi.dev.yaml").write_text(path.read_text())
    with pytest.raises(InputError) as caught:
        settings.load(folder, "dev")
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("path", WRONG, ids=[path.name for path in WRONG])
def test_a_mistake_is_refused_with_file_line_and_reason(path: Path, tmp_path: Path) -> None:
    expected: Sequence[str] = [
        line.removeprefix(MARK) for line in path.read_text().splitlines() if line.startswith(MARK)
    ]
    assert expected, f"{path.name} does not say what is expected"
    lines = refusal(path, tmp_path).splitlines()
    assert len(lines) == len(expected), "one line for each mistake"
    for line, pattern in zip(lines, expected, strict=True):
        assert re.match(".*".join(map(re.escape, pattern.split(" ... "))), line), f"{line} is not {pattern}"


@pytest.mark.parametrize("environment", get_args(Environment))
def test_the_settings_as_they_stand_lack_nothing_but_an_account(root: Path, environment: Environment) -> None:
    loaded = settings.load(root, environment)
    assert loaded.environment == environment, "it follows from the file's name"
    assert loaded.sizes == Sizes.model_validate(DEFAULTS[environment]), "the environment's own defaults"


def test_a_size_in_the_file_overrides_its_default_and_no_other(root: Path) -> None:
    path = root / "Pulumi.prod.yaml"
    path.write_text(path.read_text().replace("lightwork:sizes: {}", "lightwork:sizes: {workers_max: 7}"))
    sizes = settings.load(root, "prod").sizes
    assert sizes.workers_max == 7, "the value in the file"
    assert sizes.model_copy(update={"workers_max": 100}) == Sizes.model_validate(DEFAULTS["prod"]), (
        "the defaults"
    )


def test_a_size_reaches_its_node_group(root: Path) -> None:
    path = root / "Pulumi.dev.yaml"
    path.write_text(path.read_text().replace("lightwork:sizes: {}", "lightwork:sizes: {workers_max: 7}"))
    largest = {group.name: group.max_size for group in groups(settings.load(root, "dev").sizes)}
    assert largest["workers"] == 7, "the file's value"


def test_security_cannot_differ_between_environments() -> None:
    words = ("encrypt", "public", "tls", "policy", "protect", "password", "role")
    for field in Sizes.model_fields:
        assert not any(word in field for word in words), f"{field}: security is the same everywhere"


CHECKED_BY_THE_PROGRAM_ALONE = {
    "account.error.not-chosen.yaml",
    "administrators.error.another-account.yaml",
    "administrators.error.none.yaml",
    "administrators.error.of-the-platform.yaml",
    "administrators.error.twice.yaml",
    "api-public-cidrs.error.everybody.yaml",
    "api-public-cidrs.error.half-the-world.yaml",
    "api-public-cidrs.error.host-bits.yaml",
    "api-public-cidrs.error.no-mask.yaml",
    "file.error.not-yaml.yaml",
    "page-cidrs.error.everybody-by-another-protocol.yaml",
    "page-cidrs.error.everybody.yaml",
    "page-cidrs.error.too-many.yaml",
    "page-cidrs.error.twice.yaml",
    "page-cidrs.error.without-a-zone.yaml",
    "region.error.another-partition.yaml",
    "region.error.twice.yaml",
    "sizes.error.graviton.yaml",
    "sizes.error.more-drivers-than-the-most.yaml",
    "sizes.error.one-worker-type.yaml",
    "sizes.error.vpc-no-network.yaml",
    "sizes.error.vpc-of-the-services.yaml",
    "sizes.error.vpc-public.yaml",
    "sizes.error.vpc-too-small.yaml",
    "sizes.error.workers-of-two-families.yaml",
    "sizes.error.workers-of-two-sizes.yaml",
}
"""Mistakes that a schema cannot see: they concern several fields, or the meaning of a text."""


def test_the_committed_schema_is_the_models() -> None:
    committed = (Path(settings.__file__).parent / schema.NAME).read_text()
    assert committed == schema.text(), (
        "regenerate it: python -m infra.config.schema > infra/config/settings.schema.json"
    )


@pytest.mark.parametrize("environment", get_args(Environment))
def test_the_settings_name_the_schema_for_editors_and_conform_to_it(root: Path, environment: str) -> None:
    text = (root / f"Pulumi.{environment}.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=infra/config/settings.schema.json\n"), (
        "an editor's hint"
    )
    Draft202012Validator(schema.schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize("path", WRONG, ids=[path.name for path in WRONG])
def test_the_schema_sees_what_a_schema_can_see(path: Path) -> None:
    if path.name in CHECKED_BY_THE_PROGRAM_ALONE:
        return
    errors = list(Draft202012Validator(schema.schema()).iter_errors(yaml.safe_load(path.read_text())))
    assert errors, "the editor would show no error, only Pulumi would"


def test_every_field_is_described() -> None:
    for model in (settings.Settings, settings.GitLab, Sizes):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}: the descriptions are the documentation"
