"""CLUSTER=current: the tests in an existing cluster."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import current, kube, settings
from tests.cluster.progress import HarnessError

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLUSTER", "current")
    monkeypatch.setenv("LIGHTWORK_CLUSTER_RUN", str(tmp_path / "run"))
    monkeypatch.delenv(current.LOAD, raising=False)
    folder = settings.run_folder()
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ("kind-kind", ["kind", "load", "image-archive", "/a.tar", "--name", "kind"]),
        ("kind-my-own", ["kind", "load", "image-archive", "/a.tar", "--name", "my-own"]),
        ("k3d-lw", ["k3d", "image", "import", "/a.tar", "--cluster", "lw"]),
    ],
)
def test_kind_and_k3d_are_supported(context: str, expected: list[str]) -> None:
    assert current.loader(context, Path("/a.tar")) == expected


def test_any_other_cluster_needs_a_command_that_loads_images(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match=r"minikube.*LIGHTWORK_CLUSTER_LOAD"):
        current.loader("minikube", Path("/a.tar"))
    monkeypatch.setenv(current.LOAD, "minikube image load '{}' --daemon=false")
    expected = ["minikube", "image", "load", "/a b.tar", "--daemon=false"]
    assert current.loader("minikube", Path("/a b.tar")) == expected
    monkeypatch.setenv(current.LOAD, "minikube image load")
    with pytest.raises(HarnessError, match="archive"):
        current.loader("minikube", Path("/a.tar"))


def fake_kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> Path:
    """Put a kubectl on PATH that records its arguments, and responds by the first of these words in them."""
    note = folder / "calls"
    responses = folder / "responses.json"
    responses.write_text(json.dumps(answers))
    script = folder / "bin" / "kubectl"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport json, sys\nwords = sys.argv[1:]\n"
        "if words[0] == '--kubeconfig':\n    words = words[2:]\n"
        f"open({str(note)!r}, 'a').write(' '.join(words) + '\\n')\n"
        f"for key, response in json.load(open({str(responses)!r})).items():\n"
        "    if key in words:\n"
        "        print(response if isinstance(response, str) else json.dumps(response))\n"
        "        break\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return note


CONFIG = yaml.safe_dump(
    {
        "current-context": "kind-kind",
        "contexts": [{"name": "kind-kind", "context": {"cluster": "kind-kind", "user": "kind-kind"}}],
        "clusters": [{"name": "kind-kind", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "kind-kind", "user": {"token": "t"}}],
    }
)
NODES = {"items": [{"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}]}


def namespaces(*names: str) -> dict[str, Any]:
    return {"items": [{"metadata": {"name": name}} for name in names]}


def test_the_current_context_is_copied_under_the_name_that_lightwork_expects(
    tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_kubectl(
        tmp_path, monkeypatch, {"config": CONFIG, "namespaces": namespaces("default"), "nodes": NODES}
    )
    current.find()
    copied = yaml.safe_load(settings.kubeconfig().read_text())
    assert (copied["current-context"], copied["contexts"][0]["name"]) == ("lightwork-dev", "lightwork-dev")
    assert settings.kubeconfig().stat().st_mode & 0o777 == 0o600
    assert current.context_name() == "kind-kind"
    assert settings.host() == "127.0.0.1"


@pytest.mark.parametrize("existing", ["argo", "tenant-acme"])
def test_a_cluster_with_argo_or_tenants_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: str
) -> None:
    note = fake_kubectl(
        tmp_path, monkeypatch, {"config": CONFIG, "namespaces": namespaces("default", existing)}
    )
    with pytest.raises(HarnessError, match=f"kind-kind has {existing} already"):
        current.find()
    assert not [line for line in note.read_text().splitlines() if line.split()[0] not in ("config", "get")]


def test_applied_objects_are_deleted_and_nothing_else(
    tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.kubeconfig().write_text(CONFIG)
    note = fake_kubectl(tmp_path, monkeypatch, {"namespaces": namespaces("default")})

    def item(api: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        return {"apiVersion": api, "kind": kind, "metadata": metadata}

    objects = [
        item("v1", "Namespace", "argo"),
        item("v1", "ConfigMap", "in-argo", "argo"),
        item("rbac.authorization.k8s.io/v1", "ClusterRole", "ours"),
        item("v1", "ConfigMap", "elsewhere", "default"),
        item("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "pod-identity-webhook"),
    ]
    kube.apply(objects)
    kube.apply(objects[:1])
    note.unlink()
    current.clear()
    deleted = [line for line in note.read_text().splitlines() if "delete" in line.split()]
    words = "--ignore-not-found --wait=false"
    assert deleted == [
        "delete MutatingWebhookConfiguration.admissionregistration.k8s.io pod-identity-webhook " + words,
        "delete namespace argo --ignore-not-found --wait --timeout=150s",
        f"-n default delete ConfigMap elsewhere {words}",
        f"delete ClusterRole.rbac.authorization.k8s.io ours {words}",
    ]


def test_any_value_but_current_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [sys.executable, "-m", "tests.cluster", "up"]
    environment = {**os.environ, "CLUSTER": "kind"}
    process = subprocess.run(
        words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert process.stderr.startswith("cluster: CLUSTER is 'kind'")
    assert "current" in process.stderr
    assert process.stderr.count("\n") == 1
