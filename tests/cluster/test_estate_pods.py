"""The pods of an estate's cluster are asked for as the estate's provider does: with a token of `aws`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from infra.driver import waiting
from infra.driver.engine import Engine
from lightwork.kube.api import RefusedError
from tests.cluster.kube import cluster, kubectl

AWS = """\
#!{python}
import json, sys
from pathlib import Path

Path({asked!r}).write_text(" ".join(sys.argv[1:]))
status = {{"token": {token!r}}}
api = "client.authentication.k8s.io/v1"
print(json.dumps({{"apiVersion": api, "kind": "ExecCredential", "status": status}}))
"""


class Outputs:
    """An engine whose estate is the cluster of the tests."""

    def outputs(self, stack: str) -> dict[str, Any]:
        entry = cluster()
        return {
            "cluster_name": f"lightwork-{stack}",
            "cluster_endpoint": entry["server"],
            "cluster_ca": entry["certificate-authority-data"],
            "region": "eu-central-1",
        }


def test_an_estates_cluster_is_asked_with_a_token_of_aws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = kubectl("-n", "default", "create", "token", "default", "--duration=10m").strip()
    program, asked = tmp_path / "aws", tmp_path / "asked"
    program.write_text(AWS.format(python=sys.executable, asked=str(asked), token=token))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    api = waiting.of_estate(cast("Engine", Outputs()), "dev")
    with pytest.raises(RefusedError, match="system:serviceaccount:default:default") as refused:
        api.get("/api/v1/namespaces/kube-system/pods")
    assert refused.value.status == 403, "the API knows who asks; that account may not"
    words = asked.read_text()
    assert words == "eks get-token --cluster-name lightwork-dev --region eu-central-1 --output json"
    assert json.loads(kubectl("get", "--raw", "/version")) == api.get("/version")
