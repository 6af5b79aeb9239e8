"""What the tests of the infrastructure program share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.infra.engine import ACCOUNT

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the program and its files, in which each environment has chosen an account."""
    for name in ("infra", "tenants"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in REPOSITORY.glob("Pulumi*.yaml"):
        (tmp_path / path.name).write_text(path.read_text().replace("000000000000", ACCOUNT))
    return tmp_path
