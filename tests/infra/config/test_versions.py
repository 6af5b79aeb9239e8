"""One file of versions: each says where the newer one is, and nothing is pinned or floats beside it."""

from __future__ import annotations

import ast
import dataclasses
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from infra.config import versions
from tests.infra.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.engine import Run

PLACE = re.compile(r"Newer: .*(?:`aws |https://)", re.DOTALL)
KEYS = {"version", "tag", "engineVersion", "addonVersion", "releaseVersion"}


def described() -> dict[str, str]:
    """Each constant of the file with the text below it."""
    body = ast.parse((REPOSITORY / "infra" / "config" / "versions.py").read_text()).body
    found = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign):
            said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            found[ast.unparse(node.targets[0])] = ast.unparse(after) if said and after else ""
    return found


@pytest.mark.parametrize("name", [name for name in described() if name != "CHARTS"])
def test_a_version_says_where_the_newer_one_is_found(name: str) -> None:
    assert PLACE.search(described()[name]), f"{name}: who upgrades has to look for it"


@pytest.mark.parametrize("chart", versions.CHARTS.values(), ids=versions.CHARTS)
def test_a_chart_says_where_the_newer_one_is_found(chart: versions.Chart) -> None:
    assert chart.newer.startswith("https://"), f"{chart.name}: who upgrades has to look for it"
    assert re.fullmatch(r"\d+\.\d+\.\d+", chart.version), f"{chart.name}: {chart.version} is a range"
    assert chart.image_tag is None or re.fullmatch(r"v\d+\.\d+\.\d+", chart.image_tag), f"{chart.name} floats"


def pinned() -> set[str]:
    found = {versions.KUBERNETES, versions.NODE_IMAGE, versions.POSTGRESQL, versions.OPENSEARCH}
    found |= set(versions.ADDONS.values())
    for chart in versions.CHARTS.values():
        found |= {value for value in dataclasses.asdict(chart).values() if value}
    return found


def told(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text among inputs, with its key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from told(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from told(inner, key)
    elif isinstance(value, str):
        yield key, value


def test_whatever_is_a_version_is_from_that_file(estate: Run) -> None:
    known = pinned()
    for resource in estate.resources:
        if not resource.type.startswith(("aws:", "kubernetes:helm")):
            continue
        for key, value in told(resource.inputs):
            assert value not in {"latest", "$Latest", "LATEST"}, f"{resource.name}: {key} floats"
            # A group names its launch template by number: that is no version of anybody else's.
            if key in KEYS and (resource.type, value) != ("aws:eks/nodeGroup:NodeGroup", "1"):
                assert value in known, f"{resource.name}: {key} {value} belongs into infra/config/versions.py"


def test_what_the_cluster_tests_run_is_what_is_deployed() -> None:
    modules = tomllib.loads((REPOSITORY / "tests" / "cluster" / "versions.toml").read_text())["modules"]
    assert modules["kubernetes"].startswith(f"v{versions.KUBERNETES}."), "another Kubernetes has been proven"
    assert modules["argo"] == versions.CHARTS["argo-workflows"].image_tag, "another Argo has been proven"
