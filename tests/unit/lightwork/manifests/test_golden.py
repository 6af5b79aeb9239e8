"""The reviewed YAML of the objects. A change fails here; an explicit variable updates the files.

LIGHTWORK_UPDATE_GOLDEN=1 python -m pytest tests/unit/lightwork/manifests/test_golden.py
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from lightwork import manifests
from lightwork.manifests import argo_config, gate
from tests.estate import files
from tests.unit.lightwork.manifests import objects

GOLDEN = objects.REPOSITORY / "tests" / "golden"
VARIABLE = "LIGHTWORK_UPDATE_GOLDEN"

FILES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "scaler": lambda: [objects.scaler()],
    "people-policies": gate.policies,
    "argo-config": lambda: [argo_config.config_map(objects.ARGO)],
    **{f"tenant-{name}": functools.partial(objects.of_tenant, name) for name in files.NAMES},
}


@pytest.mark.parametrize("name", FILES)
def test_the_objects_are_as_reviewed(name: str) -> None:
    text, path = manifests.to_yaml(FILES[name]()), GOLDEN / f"{name}.yaml"
    if os.environ.get(VARIABLE) == "1":
        assert "CI" not in os.environ, f"{VARIABLE} is for changes that a person reviews"
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), (
        f"if the change is intended, run with {VARIABLE}=1 and review the difference"
    )


@pytest.mark.parametrize("name", FILES)
def test_the_yaml_is_read_back_as_the_same_objects(name: str) -> None:
    expected = FILES[name]()
    assert list(yaml.safe_load_all(manifests.to_yaml(expected))) == expected


def test_every_golden_file_has_its_objects() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(FILES)
