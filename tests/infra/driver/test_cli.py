"""The command `lightwork-estate`, as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.config.image import DIGEST
from infra.driver import cli, stacks
from infra.driver.engine import Plan
from infra.offline import cost
from tests.estate import files
from tests.infra.driver.pretended import Pretended, step
from tests.infra.engine import ACCOUNT

SCRIPT = Path(sys.executable).parent / "lightwork-estate"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository in which an account was chosen."""
    root = files.repository(tmp_path / "copy", ACCOUNT)
    monkeypatch.setattr(cli, "ROOT", root)
    monkeypatch.setenv(DIGEST, f"sha256:{'0' * 64}")
    return root


@pytest.fixture
def engine(root: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    """What is called instead of Pulumi; `site` is what it was told."""
    engine = Pretended(stacks={"dev": 1, "dev.acme": 1})

    def made(site: stacks.Site) -> Pretended:
        engine.site = site  # type: ignore[attr-defined]
        return engine

    monkeypatch.setattr(stacks, "Stacks", made)
    return engine


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str, str]]:
    def run(line: str) -> tuple[int, str, str]:
        code = cli.execute(line.split())
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_script_is_there_and_its_help_needs_no_pulumi() -> None:
    assert SCRIPT.is_file(), "make setup puts it beside python"
    code = (
        "import sys; from infra.driver import cli; cli.execute(['--help']); "
        "print(*({'pulumi', 'pydantic', 'yaml', 'rich', 'grpc'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Deploy an environment" in done.stdout
    assert done.stderr.strip() == "", "it must answer at once"


def test_the_stacks_are_printed_without_pulumi(root: Path) -> None:
    code = (
        f"import pathlib, sys; from infra.driver import cli; cli.ROOT = pathlib.Path({str(root)!r}); "
        "cli.execute(['stacks', '--env', 'dev', '--all', '--json']); "
        "print('pulumi' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["dev", "dev.acme", "dev.globex", "dev.hooli"]
    assert done.stderr.strip() == "False"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("up", "which stacks? Found none of --estate, --tenant NAME, --changed-since REV, --all or --stack"),
        ("up --env dev", "which stacks? Found none of"),
        ("up --env dev --all --estate", "which stacks? Found more than one kind of"),
        ("up --all", "--env is missing: one of dev, staging, prod, local"),
        ("up --env def --all", "'def' is not one of 'dev', 'staging', 'prod', 'local'"),
        ("up --stack dve", "there is no environment 'dve'; did you mean 'dev'?"),
        ("up --stack dev.", "a tenant's stack is named dev.<tenant>"),
        ("up --stack dev.acme --env prod", "is not of the environment prod that --env names"),
        ("up --env dev --tenant acne", "there is no tenants/acne.yaml; did you mean 'acme'?"),
        ("up --env staging --tenant globex", "globex.yaml: environments: staging is not among them"),
        ("up --env dev --changed-since HEAD", "not a git repository"),
        ("up --env dev --all --parallel 0", "0 is not in the range x>=1"),
        (
            "destroy --env dev --tenant acme",
            "acme.yaml: state: is active; a tenant's stack is destroyed once",
        ),
        ("destroy --env dev --all", "acme.yaml: state: is active"),
        ("cost --env dev --tenant acne", "did you mean 'acme'?"),
        ("upp --env dev", "No such command 'upp'"),
        ("bootstrap", "Missing option '--env'. Choose from: dev, staging, prod (lightwork-estate --help)"),
        ("bootstrap --env local", "'local' is not one of 'dev', 'staging', 'prod'"),
        ("up --stack dev.Acme", "a tenant's stack is named dev.<tenant>"),
    ],
)
def test_a_wrong_input_is_refused_before_anything_starts(engine, typed, line: str, said: str) -> None:
    code, out, err = typed(line)
    assert (code, out) == (2, ""), err
    assert said in err
    assert all(one.startswith("lightwork-estate: ") for one in err.splitlines())
    assert engine.calls == []


def test_a_wrong_tenants_file_is_refused_with_its_line_and_so_are_all_others(root, engine, typed) -> None:
    edit(root / "tenants" / "acme.yaml", "pods: 40", "pods: none")
    edit(root / "tenants" / "globex.yaml", "name: globex", "name: glob")
    code, _, err = typed("up --env dev --all")
    assert (code, engine.calls) == (2, [])
    assert "acme.yaml:10: quota.pods" in err
    assert "globex.yaml:3: name" in err


def test_settings_that_nobody_has_filled_in_are_refused(root, engine, typed) -> None:
    (root / "Pulumi.dev.yaml").write_text(files.settings("dev"))
    code, _, err = typed("up --env dev --estate")
    assert (code, engine.calls) == (2, [])
    assert "an account that nobody has chosen yet" in err


def test_tenants_are_not_begun_without_an_image(engine, typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIGEST)
    code, _, err = typed("up --env dev --tenant acme")
    assert (code, engine.calls) == (2, [])
    assert f"{DIGEST}: is not set" in err
    assert typed("up --env dev --estate")[0] == 0, "the estate needs none"


def test_up_deploys_and_sums_up(engine, typed, tmp_path: Path) -> None:
    code, out, err = typed(f"up --env dev --all --summary-dir {tmp_path / 'notes'}")
    assert code == 0, err
    assert engine.done("up")[0] == "dev"
    assert set(engine.done("up")) == {"dev", "dev.acme", "dev.globex", "dev.hooli"}
    assert out.splitlines()[-1] == "up dev: 4 done"
    assert "dev.acme: deploying" in err, "progress, a line each, where there is no terminal"
    assert json.loads((tmp_path / "notes" / "summary.json").read_text())["good"] is True
    assert "4 done" in (tmp_path / "notes" / "summary.md").read_text()


def test_the_engine_is_told_where_the_states_are_and_what_encrypts_them(engine, typed) -> None:
    typed("up --stack dev.acme")
    assert engine.site.backend.startswith("s3://lw-dev-")
    assert engine.site.secrets_provider.startswith("awskms:///alias/lightwork/dev/state?region=")
    assert engine.done("up") == ["dev.acme"]


def test_the_local_stacks_are_where_one_is_logged_in(engine, typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIGEST)
    engine.stacks = {"local": 1}
    code, _, err = typed("up --env local --all")
    assert code == 0, err
    assert (engine.site.backend, engine.site.secrets_provider) == (None, None)
    assert set(engine.done("up")) == {"local", *(f"local.{name}" for name in files.NAMES)}


def test_a_refusal_is_exit_code_1_and_in_the_summary(engine, typed) -> None:
    engine.plans["dev.acme"] = Plan(steps=(step("delete"),))
    code, out, _ = typed("preview --env dev --tenant acme --json")
    (found,) = json.loads(out)["stacks"]
    assert (code, found["result"]) == (1, "refused")
    assert found["error"].startswith("lake (aws:s3/bucket:Bucket)")
    assert engine.done("up") == []


def test_a_tenant_that_is_leaving_is_destroyed(root, engine, typed) -> None:
    edit(root / "tenants" / "acme.yaml", "name: acme\n", "name: acme\nstate: leaving\n")
    assert typed("destroy --env dev --tenant acme")[0] == 0
    assert engine.done("destroy") == ["dev.acme"]


def test_destroy_takes_no_commit(root, engine, typed) -> None:
    for line in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", root, *who, *line], check=True)
    code, _, err = typed("destroy --env dev --changed-since HEAD")
    assert (code, engine.calls) == (2, [])
    assert "name what is to go" in err


def test_nothing_touched_starts_no_engine(root, engine, typed, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", root, *who, *line], check=True)

    def never(site: stacks.Site) -> Pretended:
        raise AssertionError("a pipeline that touches nothing needs no Pulumi")

    monkeypatch.setattr(stacks, "Stacks", never)
    code, out, _ = typed("up --env dev --changed-since HEAD")
    assert (code, out) == (0, "up dev: no stack is touched\n")


def test_without_pulumi_it_is_one_line(root, typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = typed("up --env dev --estate")
    assert (code, err.count("\n")) == (2, 1)
    assert "there is no `pulumi` on PATH" in err


def test_what_a_tenant_costs_is_asked_by_the_environment(
    root, typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "ROOT", root)
    code, out, _ = typed("cost --env dev --tenant acme --workers 3")
    assert code == 0
    assert "dev.acme" in out
    assert "A run on 3 worker nodes" in out
