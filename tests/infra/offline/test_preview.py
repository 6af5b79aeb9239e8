"""The preview without an account: what it prints is what would be made."""

from __future__ import annotations

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
    """A repository in which nobody has chosen an account, to be previewed."""
    found = files.repository(tmp_path)
    monkeypatch.setattr(preview, "ROOT", found)
    return found


def test_every_resource_is_in_the_tree_once(estate: Run) -> None:
    lines = list(tree(estate))
    made = [resource for resource in estate.resources if not resource.type.startswith("pulumi:")]
    assert len(lines) == len(made), "a resource that is not shown would be a surprise"
    shown = "\n".join(lines)
    for resource in made:
        assert label(resource) in shown, f"{resource.name} is missing"


def test_children_are_below_their_component(estate: Run) -> None:
    lines = list(tree(estate))
    network = next(i for i, line in enumerate(lines) if "lightwork:infra:Network" in line)
    vpc = next(i for i, line in enumerate(lines) if "aws:ec2:Vpc  " in line)
    assert network < vpc, "a child comes after its parent"
    assert lines[vpc].index("aws:") > lines[network].index("lightwork:"), "and further in"


def test_what_is_precious_is_marked(estate: Run) -> None:
    (line,) = [line for line in tree(estate) if "aws:rds:Instance" in line]
    assert line.endswith("[protected, kept]"), "a newcomer sees what cannot be lost"
    (line,) = [line for line in tree(estate) if "Namespace  logging" in line]
    assert line.endswith("[protected, kept; logical name namespace-logging]"), "what a `destroy` entry names"


def test_estate_and_tenant_are_printed_for_accounts_that_nobody_has_chosen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--env", "prod", "--tenant", "acme"]) == 0, "no account is needed"
    printed = capsys.readouterr().out
    assert "prod: " in printed, "the estate"
    assert "prod.acme: " in printed, "and a tenant"
    assert "aws:eks:Cluster  cluster-cluster" in printed, "AWS by type and name"
    assert "Namespace  tenant-acme" in printed, "Kubernetes by kind and name"


def test_a_cluster_at_hand_is_printed_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--env", "local", "--tenant", "globex"]) == 0, "what `pulumi up --stack local` would make"
    printed = capsys.readouterr().out
    assert "local.globex: " in printed, "the tenant"
    assert "aws:" not in printed, "a laptop has no AWS"


@pytest.mark.parametrize(
    ("environment", "tenant", "said"),
    [
        ("prd", "acme", "no environment 'prd'; did you mean 'prod'?"),
        ("", "acme", "no environment ''; available: "),
        ("dev", "acmee", "no tenant 'acmee'; did you mean 'acme'?"),
        ("dev", "umbrella", "no tenant 'umbrella'; available: acme, globex"),
        ("dev", "", "no tenant ''; available: acme, globex"),
        ("dev", "../tenants/acme", "no tenant '../tenants/acme'; available: acme, globex"),
    ],
)
def test_what_there_is_not_is_refused_in_one_line_that_names_what_there_is(
    capsys: pytest.CaptureFixture[str], environment: str, tenant: str, said: str
) -> None:
    assert main(["--env", environment, "--tenant", tenant]) == 2, "nothing is printed of what is not there"
    found = capsys.readouterr()
    assert found.err.startswith(said), f"one says what there is: {found.err}"
    assert found.err.count("\n") == 1, "one line"
    assert not found.out, "half a preview is worse than none"


def test_a_mistake_in_a_file_is_shown_with_the_repositorys_own_path(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("max_parallel_runs", "max_parallel_runz"))
    assert main(["--env", "dev"]) == 2, "a mistake is refused"
    assert capsys.readouterr().err.startswith("tenants/acme.yaml:22: "), (
        "the copy is gone when one looks for it"
    )


def test_a_tenant_that_is_not_in_the_environment_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--env", "staging", "--tenant", "globex"]) == 2, "globex has not been asked into staging"
    assert "staging is not among them" in capsys.readouterr().err, "one line that says why"
