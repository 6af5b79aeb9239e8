"""The dump prints every resource of a stack as JSON, without an account."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.driver import cli
from infra.offline.dump import entries
from tests.estate import files
from tests.infra.engine import Run


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository without accounts in its settings."""
    root = files.repository(tmp_path / "repository", modules=False)
    monkeypatch.setattr(cli, "ROOT", root)
    return root


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str, str]]:
    def run(line: str) -> tuple[int, str, str]:
        code = cli.execute(["dump", *line.split()])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


ENTRIES = ("administrator-0", "deployer", "previewer")
"""The access entries of the cluster, by what pulumi-eks adds to its name."""
Typed = Callable[[str], tuple[int, str, str]]


def test_each_resource_of_a_run_is_one_entry_with_its_inputs_and_its_options(estate: Run) -> None:
    dumped = {(entry["type"], entry["name"]): entry for entry in entries(estate)}
    assert len(dumped) == len(estate.resources)
    for resource in estate.resources:
        entry = dumped[resource.type, resource.name]
        assert entry["inputs"] == resource.inputs
        assert entry["options"].get("protect", False) is resource.protect
        assert entry["options"].get("retainOnDelete", False) is resource.retain_on_delete
        assert set(entry["options"].get("dependsOn", ())) == set(resource.depends_on)
        assert set(entry["options"].get("ignoreChanges", ())) == set(resource.ignore_changes)


def test_a_component_of_pulumi_eks_is_followed_by_what_it_is_expected_to_make(estate: Run) -> None:
    dumped = entries(estate)
    names = [(entry["type"], entry["name"]) for entry in dumped]
    place = names.index(("eks:index:Cluster", "cluster"))
    children = dumped[place + 1 : place + 10]
    assert {entry["name"] for entry in children} == {
        *("cluster-eksCluster", "cluster-kube-proxy", "cluster-eks-k8s"),
        *(f"cluster-{who}{part}" for who in ENTRIES for part in ("", "-policy")),
    }, "one of each"
    assert {entry["type"] for entry in children} == {
        "aws:eks/cluster:Cluster",
        "aws:eks/addon:Addon",
        "aws:eks/accessEntry:AccessEntry",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "pulumi:providers:kubernetes",
    }
    assert names[place + 10] == ("eks:index:ManagedNodeGroup", "nodes-drivers")
    assert dumped[place + 11]["name"] == "nodes-drivers"
    expected = [entry for entry in dumped if "expected" in entry]
    assert all(entry["expected"] is True for entry in expected)
    assert [entry for entry in children if entry in expected] == children
    assert len(expected) == len(children) + 5, "the node groups"


@pytest.mark.parametrize("line", ["--env prod", "--env dev --tenant acme", "--env local --tenant acme"])
def test_the_same_files_print_the_same_text(typed: Typed, line: str) -> None:
    (code, first, error), second = typed(line), typed(line)
    assert (code, error) == (0, "")
    assert second[1] == first
    dumped: list[dict[str, Any]] = json.loads(first)
    assert {frozenset(entry) - {"expected"} for entry in dumped} == {
        frozenset({"type", "name", "inputs", "options"})
    }
    assert '"threshold": 80,' in first or "--env dev" not in line, "whole numbers without a point"


def test_a_tenants_stack_is_dumped_instead_of_its_estates(typed: Typed) -> None:
    types = {
        name: {entry["type"] for entry in json.loads(typed(line)[1])}
        for name, line in {
            "estate": "--env dev",
            "tenant": "--env dev --tenant acme",
            "local": "--env local --tenant acme",
        }.items()
    }
    assert "lightwork:infra:Estate" in types["estate"]
    assert "lightwork:infra:Tenant" in types["tenant"]
    assert not any(type_.startswith("aws:") for type_ in types["local"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--env dev --tenant acmee", "no tenant 'acmee'; did you mean 'acme'?"),
        ("--env staging --tenant globex", "tenants/globex.yaml: environments: staging is not in the list"),
        ("--env prd", "Invalid value for '--env'"),
        ("", "Missing option '--env'"),
    ],
)
def test_wrong_input_is_one_line(typed: Typed, line: str, message: str) -> None:
    code, printed, error = typed(line)
    assert (code, printed) == (2, "")
    assert message in error
    assert error.count("\n") == 1


def test_a_mistake_in_a_file_names_the_file_of_the_repository(repository: Path, typed: Typed) -> None:
    path = repository / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("max_parallel_runs", "max_parallel_runz"))
    code, printed, error = typed("--env dev --tenant acme")
    assert (code, printed) == (2, "")
    assert error.startswith("lightwork-estate: tenants/acme.yaml:22: ")
