"""`lightwork-estate erase-logs`: a Job for a tenant that has left, and for nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.config.image import DIGEST
from infra.driver import cli, stacks
from infra.offline.answers import estate
from infra.tenant.streams import erase_requests
from tests.estate import files
from tests.infra.driver.pretended import Pretended
from tests.infra.engine import ACCOUNT

Typed = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = files.repository(tmp_path / "copy", ACCOUNT)
    monkeypatch.setattr(cli, "ROOT", root)
    monkeypatch.setenv(DIGEST, f"sha256:{'0' * 64}")
    return root


@pytest.fixture
def engine(root: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    engine = Pretended(stacks={"dev": 1, "dev.acme": 1})
    monkeypatch.setattr(engine, "outputs", lambda _stack: estate("dev"))
    monkeypatch.setattr(stacks, "Stacks", lambda _site: engine)
    return engine


@pytest.fixture
def typed(engine: Pretended, capsys: pytest.CaptureFixture[str]) -> Typed:
    def run(tenant: str) -> tuple[int, str, str]:
        code = cli.execute(["erase-logs", "--env", "dev", "--tenant", tenant])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_job_of_a_tenant_that_has_left_sends_what_erases_its_logs(typed: Typed) -> None:
    code, printed, error = typed("umbrella")
    assert (code, error) == (0, "")
    job = json.loads(printed)
    assert (job["kind"], job["metadata"]["name"]) == ("Job", "erase-logs-umbrella")
    pod = job["spec"]["template"]["spec"]
    assert (job["metadata"]["namespace"], pod["serviceAccountName"]) == ("logging", "search-admin")
    (container,) = pod["containers"]
    endpoint, text = container["args"][1], container["args"][3]
    assert endpoint == f"https://{estate('dev')['search_endpoint']}"
    assert json.loads(text) == erase_requests("umbrella")
    assert container["image"].endswith(f"/platform@sha256:{'0' * 64}")


def test_a_tenant_that_has_not_left_keeps_its_logs(typed: Typed, root: Path) -> None:
    code, printed, error = typed("acme")
    assert (code, printed) == (2, "")
    assert "tenants/acme.yaml: state: is active; only the logs of a tenant that has left" in error
    path = root / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("name: acme", "name: acme\nstate: leaving", 1))
    code, printed, error = typed("acme")
    assert (code, printed) == (2, "")
    assert "dev.acme: still has resources; destroy it first" in error


def test_a_tenant_that_is_destroyed_or_elsewhere_may_still_have_its_file(
    typed: Typed, root: Path, engine: Pretended
) -> None:
    del engine.stacks["dev.acme"]
    path = root / "tenants" / "acme.yaml"
    active = path.read_text()
    path.write_text(active.replace("name: acme", "name: acme\nstate: leaving", 1))
    assert typed("acme")[0] == 0


@pytest.mark.parametrize("name", ["../dev", "Acme", "", "acme*", "acme\n"])
def test_a_name_that_no_tenant_can_have_is_refused(typed: Typed, name: str) -> None:
    code, printed, error = typed(name)
    assert (code, printed) == (2, "")
    assert "--tenant" in error
    assert len(error.splitlines()) == 1
