"""The objects as YAML, as they were looked at; a change shows here, and is written by an explicit variable.

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
from lightwork.manifests import argo_config
from tests.estate import files
from tests.unit.lightwork.manifests import objects

GOLDEN = objects.REPOSITORY / "tests" / "golden"
VARIABLE = "LIGHTWORK_UPDATE_GOLDEN"

FILES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "scaler": lambda: [objects.scaler()],
    "argo-config": lambda: [argo_config.config_map(objects.ARGO)],
    **{f"tenant-{name}": functools.partial(objects.of_tenant, name) for name in files.NAMES},
}


@pytest.mark.parametrize("name", FILES)
def test_the_objects_are_as_they_were_looked_at(name: str) -> None:
    made, path = manifests.to_yaml(FILES[name]()), GOLDEN / f"{name}.yaml"
    if os.environ.get(VARIABLE) == "1":
        assert "CI" not in os.environ, f"{VARIABLE} is for a change that somebody looks at"
        path.write_text(made, encoding="utf-8")
    assert made == path.read_text(encoding="utf-8"), (
        f"if that is meant: {VARIABLE}=1, and look at the difference"
    )


@pytest.mark.parametrize("name", FILES)
def test_the_yaml_says_what_the_objects_say(name: str) -> None:
    made = FILES[name]()
    assert list(yaml.safe_load_all(manifests.to_yaml(made))) == made


def test_no_golden_file_is_without_its_objects() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(FILES)
