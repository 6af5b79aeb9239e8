from __future__ import annotations

import pytest

from lightwork.lake import Lake, open_lake


@pytest.fixture(params=["local", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path) -> Lake:
    if request.param == "local":
        return open_lake(tmp_path / "a lake", tenant="acme")
    return open_lake(f"s3://{request.getfixturevalue('bucket')}/some/prefix", tenant="acme")
