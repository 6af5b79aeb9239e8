from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lightwork.lake import Lake, open_lake
from lightwork.lake.s3_connection import client
from tests.unit.lightwork import gateway
from tests.unit.lightwork.store.places import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["local", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path) -> Lake:
    if request.param == "local":
        return open_lake(tmp_path / "a lake", tenant="acme")
    return open_lake(f"s3://{request.getfixturevalue('bucket')}/some/prefix", tenant="acme")


@pytest.fixture(scope="module")
def s3_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gateway.Gateway]:
    program = gateway.program()
    if program is None:
        pytest.skip("the S3 server of the cluster tests is not built on this machine")
    with gateway.running(program, tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=["folder", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return Place(
            open_lake(tmp_path / "lake", tenant="acme"), str(tmp_path / "lake"), tmp_path / "lake/acme"
        )
    server: gateway.Gateway = request.getfixturevalue("s3_gateway")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"lake-{os.urandom(6).hex()}"
    client().create_bucket(Bucket=bucket)
    url = f"s3://{bucket}/some/prefix"
    folder = server.data / bucket / "some/prefix/acme"
    folder.mkdir(parents=True)
    return Place(open_lake(url, tenant="acme"), url, folder)
