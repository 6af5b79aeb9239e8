"""The nightly comparison of each environment with what was deployed to it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from infra.ci import drift
from infra.ci.common import ROOT
from infra.ci.deployed import Deployed
from infra.config.image import DIGEST
from lightwork.errors import InputError, RunFailed
from tests.estate import files
from tests.infra.ci.conftest import IMAGE
from tests.infra.engine import ACCOUNT

if TYPE_CHECKING:
    from pathlib import Path

UPDATE = {"op": "update", "type": "aws:s3/bucket:Bucket", "name": "lake"}


def stack(name: str, *changes: dict[str, str], error: str | None = None) -> dict[str, Any]:
    return {"stack": name, "result": "previewed", "error": error, "changes": list(changes)}


def test_unchanged_stacks_have_no_differences() -> None:
    assert drift.differences({"stacks": [stack("dev"), stack("dev.acme")]}) == []


def test_each_difference_and_each_failed_stack_is_a_line() -> None:
    lines = drift.differences({"stacks": [stack("dev", UPDATE), stack("dev.acme", error="is locked")]})
    assert lines == ["dev: update aws:s3/bucket:Bucket lake", "dev.acme: is locked"]


@pytest.mark.parametrize("content", [{}, [], {"stacks": [{"stack": "dev"}]}, {"stacks": None}])
def test_an_invalid_summary_does_not_pass_as_no_difference(content: Any) -> None:
    with pytest.raises(RunFailed, match=r"^summary\.json: not a summary"):
        drift.differences(content)


DRIVER = """#!/bin/sh
echo "$@" >{calls}
git log -1 --format=%H >>{calls}
echo "${digest}" >>{calls}
while [ $# -gt 0 ]; do [ "$1" = --summary-dir ] && out=$2; shift; done
[ -f {answer} ] && mkdir -p "$out" && cp {answer} "$out/summary.json"
echo '### preview' >"$out/summary.md" 2>/dev/null
exit {code}
"""


class Site:
    """A repository of two commits, whose setup installs a fake driver with the test's response."""

    def __init__(self, folder: Path) -> None:
        self.root, self.calls, self.answer = folder / "root", folder / "calls", folder / "answer.json"
        (self.root / "requirements").mkdir(parents=True)
        self.git("init", "--quiet")
        self.driver(0)
        self.deployed = self.git("rev-parse", "HEAD")
        (self.root / "newer").touch()
        self.commit()

    def driver(self, code: int) -> None:
        script = DRIVER.format(calls=self.calls, answer=self.answer, digest=DIGEST, code=code)
        install = f"mkdir -p .venv/bin\ncat >.venv/bin/lightwork-estate <<'END'\n{script}END\n"
        install += "chmod +x .venv/bin/lightwork-estate\n"
        (self.root / "requirements/install.sh").write_text(install)
        self.commit()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        process = subprocess.run(
            ["git", *identity, *words], cwd=self.root, capture_output=True, text=True, check=True
        )
        return process.stdout.strip()

    def record(self, commit: str = "") -> Deployed:
        return Deployed(commit=commit or self.deployed, digest=IMAGE, at="2026-01-01T00:00:00+00:00")


REAL = """#!{python}
import sys
sys.path.insert(0, {repository!r})
from pathlib import Path
from infra.driver import charts, cli, processes, quotas, stacks
from infra.driver.engine import Plan
from tests.infra.driver.pretended import Pretended, step
cli.ROOT = Path({root!r})
stacks_of_dev = ["dev", *(f"dev.{{name}}" for name in ("acme", "globex", "hooli"))]
engine = Pretended(dict.fromkeys(stacks_of_dev, 1), dict.fromkeys(stacks_of_dev, Plan()))
engine.plans["dev.acme"] = Plan(steps=(step("update"), step("refresh")))
def create(site):
    assert site.refresh is True, "without it, the state is compared with the program, not with what is real"
    return engine
stacks.Stacks = create
quotas.check = lambda *_: []
processes.need_aws = lambda: None
charts.bring_all = lambda *_: None
sys.exit(cli.execute())
"""
"""The real command line, with a fake engine in place of Pulumi."""


def test_drift_is_run_by_the_real_command_line(site: Site, tmp_path: Path) -> None:
    root = files.repository(tmp_path / "repository", ACCOUNT)
    script = REAL.format(python=sys.executable, repository=str(ROOT), root=str(root))
    install = f"mkdir -p .venv/bin\ncat >.venv/bin/lightwork-estate <<'END'\n{script}END\n"
    install += "chmod +x .venv/bin/lightwork-estate\n"
    (site.root / "requirements/install.sh").write_text(install)
    site.commit()
    lines = drift.look("dev", site.record(site.git("rev-parse", "HEAD")), tmp_path / "out", site.root)
    assert lines == ["dev.acme: update aws:s3/bucket:Bucket lake"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_deployed_commit_is_compared_and_not_the_newest(site: Site, tmp_path: Path) -> None:
    site.answer.write_text(json.dumps({"stacks": [stack("prod", UPDATE)]}))
    lines = drift.look("prod", site.record(), tmp_path / "out", site.root)
    assert lines == ["prod: update aws:s3/bucket:Bucket lake"]
    words, commit, digest = site.calls.read_text().splitlines()
    assert words == f"preview --env prod --all --refresh --summary-dir {tmp_path / 'out'}", (
        "without a refresh, the state would be compared instead of the real resources"
    )
    assert commit == site.deployed, "a newer commit is not drift"
    assert digest == IMAGE, "a newer image is not drift"
    assert site.git("worktree", "list").count("\n") == 0, "the worktree was left behind"


def test_a_failed_preview_is_a_failure_even_without_a_difference(site: Site, tmp_path: Path) -> None:
    site.driver(1)
    site.answer.write_text(json.dumps({"stacks": [stack("prod")]}))
    (failure,) = drift.look("prod", site.record(site.git("rev-parse", "HEAD")), tmp_path / "out", site.root)
    assert "lightwork-estate preview" in failure
    assert failure.endswith("exit code 1")


def test_a_preview_without_a_summary_is_a_failure(site: Site, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"^prod: the preview wrote no summary"):
        drift.look("prod", site.record(), tmp_path / "out", site.root)


def test_a_missing_commit_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^f{40}.* prod.* cannot be checked out"):
        drift.look("prod", site.record("f" * 40), tmp_path / "out", site.root)


@pytest.mark.parametrize(("lines", "code"), [([], 0), (["dev: update x y"], 1)])
def test_a_difference_fails_the_job_and_shows_the_summary(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    lines: list[str],
    code: int,
) -> None:
    def look(environment: str, record: Deployed, folder: Path) -> list[str]:
        (folder / "summary.md").write_text("### preview dev: the table\n")
        return lines

    monkeypatch.setattr(drift, "settings_and_names", lambda *_: (None, None))
    monkeypatch.setattr(drift.deployed, "client", lambda *_: None)
    record = Deployed(commit="c" * 40, digest=IMAGE, at="2026-01-01T00:00:00+00:00")
    monkeypatch.setattr(drift.deployed, "required", lambda *_: record)
    monkeypatch.setattr(drift, "look", look)
    assert drift.main(["--env", "dev", "--summary-dir", str(tmp_path)]) == code
    printed = capsys.readouterr()
    assert "### preview dev: the table" in printed.out
    assert ("dev: update x y" in printed.err.splitlines()) == bool(lines)
