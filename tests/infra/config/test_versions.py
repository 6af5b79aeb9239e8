"""The file of versions: each entry names the page of newer ones, and no other file pins a version."""

from __future__ import annotations

import ast
import dataclasses
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from infra.config import versions
from lightwork.kube import releases
from tests.infra.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.engine import Run

NEWER = re.compile(r"Newer: .*(?:`aws |https://)", re.DOTALL)
KEYS = {"version", "tag", "engineVersion", "addonVersion", "releaseVersion"}


def described() -> dict[str, str]:
    """Map each constant of the file to its docstring."""
    body = ast.parse((REPOSITORY / "infra" / "config" / "versions.py").read_text()).body
    docstrings = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign):
            has_docstring = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            docstrings[ast.unparse(node.targets[0])] = ast.unparse(after) if has_docstring and after else ""
    return docstrings


@pytest.mark.parametrize("name", [name for name in described() if name != "CHARTS"])
def test_a_version_names_the_page_of_newer_ones(name: str) -> None:
    assert NEWER.search(described()[name]), f"{name}: an upgrade has to look for it"


@pytest.mark.parametrize("chart", versions.CHARTS.values(), ids=versions.CHARTS)
def test_a_chart_names_the_page_of_newer_ones(chart: versions.Chart) -> None:
    assert chart.newer.startswith("https://"), f"{chart.name}: an upgrade has to look for it"
    assert re.fullmatch(r"\d+\.\d+\.\d+", chart.version), f"{chart.name}: {chart.version} is a range"
    assert chart.image_tag is None or re.fullmatch(r"v\d+\.\d+\.\d+", chart.image_tag), f"{chart.name} floats"


def pinned() -> set[str]:
    texts = {versions.KUBERNETES, versions.NODE_IMAGE, versions.POSTGRESQL, versions.OPENSEARCH}
    texts |= set(versions.ADDONS.values())
    for chart in versions.CHARTS.values():
        texts |= {value for value in dataclasses.asdict(chart).values() if value}
    return texts


def texts_of(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in a resource's inputs, with its key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from texts_of(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner, key)
    elif isinstance(value, str):
        yield key, value


def test_every_version_comes_from_that_file(estate: Run) -> None:
    expected = pinned()
    for resource in estate.resources:
        if not resource.type.startswith(("aws:", "kubernetes:helm")):
            continue
        for key, value in texts_of(resource.inputs):
            assert value not in {"latest", "$Latest", "LATEST"}, f"{resource.name}: {key} floats"
            # A node group refers to its launch template by number; that is not a version of software.
            if key in KEYS and (resource.type, value) != ("aws:eks/nodeGroup:NodeGroup", "1"):
                assert value in expected, f"{resource.name}: move {key} {value} to infra/config/versions.py"


def test_the_cluster_tests_run_the_deployed_versions() -> None:
    modules = tomllib.loads((REPOSITORY / "tests" / "cluster" / "versions.toml").read_text())["modules"]
    assert modules["kubernetes"].startswith(f"v{versions.KUBERNETES}."), "another Kubernetes was tested"
    assert modules["argo"] == versions.CHARTS["argo-workflows"].image_tag, "another Argo was tested"


def test_the_doctor_takes_the_deployed_versions_and_no_newer_ones() -> None:
    kubernetes, argo = (
        releases.parse(text) for text in (versions.KUBERNETES, versions.CHARTS["argo-workflows"].image_tag)
    )
    assert kubernetes == releases.KUBERNETES.newest, "raise it in lightwork.kube.releases too"
    assert argo is not None
    assert releases.problem(releases.ARGO, argo) is None
    assert argo[:2] == releases.ARGO.newest, "raise it in lightwork.kube.releases too"
