"""The preview without an account: what it prints is what would be made."""

from __future__ import annotations

import pytest

from infra.preview_offline import label, main, tree
from tests.infra.engine import Run


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


def test_estate_and_tenant_are_printed_for_accounts_that_nobody_has_chosen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--env", "prod", "--tenant", "acme"]) == 0, "no account is needed"
    printed = capsys.readouterr().out
    assert "prod: " in printed, "the estate"
    assert "prod.acme: " in printed, "and a tenant"
    assert "aws:eks:Cluster  cluster-cluster" in printed, "AWS by type and name"
    assert "Namespace  tenant-acme" in printed, "Kubernetes by kind and name"


def test_a_tenant_that_is_not_in_the_environment_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--env", "staging", "--tenant", "globex"]) == 2, "globex has not been asked into staging"
    assert "staging is not among them" in capsys.readouterr().err, "one line that says why"
