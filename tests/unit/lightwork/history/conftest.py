from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lightwork.lake import Lake, open_lake
from tests.unit.lightwork import gateway


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake", tenant="acme", patience=0)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gateway.Gateway]:
    program = gateway.program()
    if program is None:
        pytest.skip("needs the S3 server of the cluster tests: make cluster-up builds it")
    with gateway.running(program, tmp_path_factory.mktemp("s3")) as running:
        yield running
