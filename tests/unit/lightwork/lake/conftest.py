from __future__ import annotations

import pytest

from lightwork.lake import Lake, open_lake


@pytest.fixture(params=["local", "s3", "s3 without a prefix"])
def lake(request: pytest.FixtureRequest, tmp_path) -> Lake:
    if request.param == "local":
        return open_lake(tmp_path / "a lake", tenant="acme")
    name = request.getfixturevalue("bucket")
    return open_lake(f"s3://{name}/some/prefix" if request.param == "s3" else f"s3://{name}", tenant="acme")
