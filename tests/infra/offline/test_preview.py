"""The preview without an account prints the resources that would be created."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from infra.offline import preview
from infra.offline.preview import label, main, tree
from tests.estate import files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infra.engine import Run


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository without accounts in its settings, to be previewed."""
    root = files.repository(tmp_path, modules=False)
    monkeypatch.setattr(preview, "ROOT", root)
    return root


def test_every_resource_is_in_the_tree_once(estate: Run) -> None:
    lines = list(tree(estate))
    resources = [resource for resource in estate.resources if not resource.type.startswith("pulumi:")]
    assert len(lines) == len(resources)
    text = "\n".join(lines)
    for resource in resources:
        assert label(resource) in text, f"{resource.name} is missing"


def test_children_are_indented_below_their_component(estate: Run) -> None:
    lines = list(tree(estate))
    network = next(i for i, line in enumerate(lines) if "lightwork:infra:Network" in line)
    vpc = next(i for i, line in enumerate(lines) if "aws:ec2:Vpc  " in line)
    assert network < vpc
    assert lines[vpc].index("aws:") > lines[network].index("lightwork:")


def test_protected_and_kept_resources_are_marked(estate: Run) -> None:
    (line,) = [line for line in tree(estate) if "aws:rds:Instance" in line]
    assert line.endswith("[protected, kept]")
    (line,) = [line for line in tree(estate) if "Namespace  logging" in line]
    assert line.endswith("[protected, kept; logical name namespace-logging]"), "for a `destroy` entry"


def test_estate_and_tenant_are_printed_without_an_account(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--env", "prod", "--tenant", "acme"]) == 0
    printed = capsys.readouterr().out
    assert "prod: " in printed, "the estate"
    assert "prod.acme: " in printed, "the tenant"
    assert "aws:eks:Cluster  cluster-eksCluster" in printed, "AWS by type and name"
    assert "Namespace  tenant-acme" in printed, "Kubernetes by kind and name"


def test_the_local_environment_is_printed_without_resources_of_aws(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--env", "local", "--tenant", "globex"]) == 0
    printed = capsys.readouterr().out
    assert "local.globex: " in printed, "the tenant"
    assert "aws:" not in printed


@pytest.mark.parametrize(
    ("environment", "tenant", "message"),
    [
        ("prd", "acme", "no environment 'prd'; did you mean 'prod'?"),
        ("", "acme", "no environment ''; available: "),
        ("dev", "acmee", "no tenant 'acmee'; did you mean 'acme'?"),
        ("dev", "umbrella", "no tenant 'umbrella'; available: acme, globex"),
        ("dev", "", "no tenant ''; available: acme, globex"),
        ("dev", "../tenants/acme", "no tenant '../tenants/acme'; available: acme, globex"),
    ],
)
def test_an_unknown_name_is_refused_in_one_line_with_the_existing_ones(
    capsys: pytest.CaptureFixture[str], environment: str, tenant: str, message: str
) -> None:
    assert main(["--env", environment, "--tenant", tenant]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(message), printed.err
    assert printed.err.count("\n") == 1, "one line"
    assert not printed.out, "no half of a preview"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing option '--env'"),
        (["--env", "dev", "--tenants", "acme"], "No such option '--tenants'"),
        (["dev"], "'--env'"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert line.endswith("(python -m infra.offline.preview --help)")


def test_help_explains_both_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "dev, staging, prod, local" in printed
    assert "[default: acme]" in printed


def test_a_mistake_in_a_file_is_reported_with_the_path_in_the_repository(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("max_parallel_runs", "max_parallel_runz"))
    assert main(["--env", "dev"]) == 2
    assert capsys.readouterr().err.startswith("tenants/acme.yaml:22: "), "the path of the deleted copy"


def test_a_tenant_that_is_not_in_the_environment_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--env", "staging", "--tenant", "globex"]) == 2
    assert re.search("globex.*staging", capsys.readouterr().err)
