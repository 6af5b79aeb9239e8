"""Mistakes in `tenants/<name>.yaml`: each is refused with its line and the reason.

A fixture lists the messages it must cause after `#! `. It is checked as `lightwork tenant validate` does,
with the tests' own pipelines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft202012Validator

from lightwork import tenants
from lightwork.errors import InputError
from lightwork.functions import discovery
from lightwork.tenants import checks, template
from tests.infra.engine import run_program

if TYPE_CHECKING:
    from collections.abc import Sequence

WRONG = sorted((Path(__file__).parent / "files").glob("*.error.*.yaml"))
MARK = "#! "


def expected(path: Path) -> Sequence[str]:
    return [line.removeprefix(MARK) for line in path.read_text().splitlines() if line.startswith(MARK)]


@pytest.mark.parametrize("path", WRONG, ids=[path.name for path in WRONG])
def test_a_mistake_is_refused_with_file_line_and_reason(path: Path, tmp_path: Path) -> None:
    assert expected(path), f"{path.name} lists no expected message"
    (tmp_path / "acme.yaml").write_text(path.read_text())
    with pytest.raises(InputError) as caught:
        checks.check(tenants.read(tmp_path / "acme.yaml"), discovery.pipelines())
    lines = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert lines == expected(path), "one line per mistake, as the fixture lists them"


def test_the_program_reports_the_same_before_it_plans_anything(root: Path) -> None:
    (path,) = [path for path in WRONG if path.name == "destroy.error.without-leaving.yaml"]
    (root / "tenants" / "acme.yaml").write_text(path.read_text())
    run = run_program(root, "prod.acme")
    assert str(run.error).replace(f"{root}/tenants/", "") == "\n".join(expected(path)), (
        "the message of `tenant validate`"
    )
    assert not [item for item in run.resources if item.type != "pulumi:pulumi:Stack"], "it planned a resource"


@pytest.mark.parametrize("leaving", ["state: leaving\n", ""])
def test_only_a_leaving_tenant_may_name_resources_to_destroy(tmp_path: Path, leaving: str) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(f"name: acme\nenvironments: [dev, prod]\n{leaving}destroy: {{prod: [lake-bucket]}}\n")
    if leaving:
        assert tenants.load(path).destroy == {"prod": ("lake-bucket",)}
    else:
        with pytest.raises(InputError, match=r"destroy: .*`state: leaving`"):
            tenants.load(path)


CHECKED_BY_THE_PROGRAM_ONLY = {
    "deadline.error.longer-than-certificates",
    "destroy.error.active",
    "destroy.error.another-environment",
    "destroy.error.without-leaving",
    "file.error.a-tab",
    "file.error.not-yaml",
    "fit.error.memory",
    "fit.error.parallel-runs",
    "fit.error.pods",
    "fit.error.steps",
    "fit.error.workers",
    "image.error.latest",
    "image.error.no-tag",
    "name.error.not-the-files",
    "name.error.twice",
    "parameters.error.another-type",
    "parameters.error.no-choice",
    "parameters.error.several",
    "parameters.error.unknown",
    "pipeline.error.capitals",
    "pipeline.error.misspelt",
    "pipeline.error.the-semaphores-name",
    "pipeline.error.unknown-under-another-name",
    "quota.error.decimal-unit",
    "quota.error.negative",
    "quota.error.no-unit",
    "schedule.error.four-fields",
    "schedule.error.never",
    "schedule.error.no-such-hour",
    "schedule.error.six-fields",
    "steps.error.a-circle",
    "steps.error.argos-braces",
    "steps.error.capitals",
    "steps.error.names-too-long",
    "steps.error.no-reference",
    "steps.error.parameter-of-another-type",
    "steps.error.parameter-that-becomes-another-type",
    "steps.error.sizes-of-the-entry",
    "steps.error.under-a-pipelines-name",
    "steps.error.unknown-output",
    "steps.error.unknown-parameter",
    "steps.error.unknown-step",
    "steps.error.waits-for-itself",
    "steps.error.waits-for-nobody",
    "timezone.error.an-offset",
    "timezone.error.missing",
    "timezone.error.misspelt",
    "workers.error.finer-than-a-thousandth",
    "workers.error.no-processor",
    "workers.error.fallback-without-spot",
}
"""Mistakes that a schema cannot express: they concern several fields, the code, or a string's meaning."""


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    """The schema of tenants' files, which takes a hundredth of a second to make."""
    return Draft202012Validator(json.loads(template.json_schema()))


@pytest.mark.parametrize("path", WRONG, ids=[path.name for path in WRONG])
def test_the_schema_refuses_every_mistake_that_it_can_express(
    path: Path, schema: Draft202012Validator
) -> None:
    try:
        content = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))
    except yaml.YAMLError:
        refused = False
    else:
        refused = not schema.is_valid(content)
    program_only = path.name.removesuffix(".yaml") in CHECKED_BY_THE_PROGRAM_ONLY
    assert refused != program_only, "an editor marks it, or it is in the set above"
