"""The command `lightwork-estate`, as typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infra.config.image import DIGEST
from infra.driver import at_hand, charts, cli, processes, quotas, stacks
from infra.driver.engine import Plan
from infra.driver.outcome import Counts
from infra.driver.selection import Choice
from infra.offline import cost
from lightwork.errors import InputError, LightworkError
from tests.estate import files
from tests.infra.driver.pretended import Pretended, step
from tests.infra.engine import ACCOUNT

SCRIPT = Path(sys.executable).parent / "lightwork-estate"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository with an account in its settings."""
    root = files.repository(tmp_path / "copy", ACCOUNT, modules=False)
    monkeypatch.setattr(cli, "ROOT", root)
    monkeypatch.setattr(quotas, "check", lambda *_: [])
    monkeypatch.setattr(processes, "need_aws", lambda: None)
    monkeypatch.setenv(DIGEST, f"sha256:{'0' * 64}")
    monkeypatch.setattr(charts, "bring_all", lambda root, environment, say: None)
    return root


@pytest.fixture
def engine(root: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    """A fake engine in place of Pulumi; its attribute `site` is the site it was created with."""
    engine = Pretended(stacks={"dev": 1, "dev.acme": 1})

    def create(site: stacks.Site) -> Pretended:
        engine.site = site  # type: ignore[attr-defined]
        return engine

    monkeypatch.setattr(stacks, "Stacks", create)
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


def test_the_command_is_installed_and_its_help_needs_no_pulumi() -> None:
    assert SCRIPT.is_file(), "make setup installs it beside python"
    code = (
        "import sys; from infra.driver import cli; cli.execute(['--help']); "
        "print(*({'pulumi', 'pydantic', 'yaml', 'rich', 'grpc'} & set(sys.modules)), file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Deploy an environment" in process.stdout
    assert process.stderr.strip() == "", "slow imports"


def test_the_stacks_are_printed_without_pulumi(root: Path) -> None:
    code = (
        f"import pathlib, sys; from infra.driver import cli; cli.ROOT = pathlib.Path({str(root)!r}); "
        "cli.execute(['stacks', '--env', 'dev', '--all', '--json']); "
        "print('pulumi' in sys.modules, file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(process.stdout) == ["dev", "dev.acme", "dev.globex", "dev.hooli"]
    assert process.stderr.strip() == "False"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("up", "--estate, --tenant NAME, --changed-since REV, --all or --stack STACK; got none"),
        ("up --env dev", "choose the stacks .* got none"),
        ("up --env dev --all --estate", "choose the stacks .* got --estate and --all"),
        ("up --env dev --tenant acme --changed-since HEAD", "got --tenant and --changed-since"),
        ("up --all", "--env is missing.* dev, staging, prod, local"),
        ("up --env def --all", "'def' is not one of 'dev', 'staging', 'prod', 'local'"),
        ("up --stack dve", r"--stack.*no environment 'dve'; did you mean 'dev'\?"),
        ("up --stack dev.", "--stack.*dev.<tenant>"),
        ("up --stack dev.Acme", "--stack.*dev.Acme.*dev.<tenant>.*a-z"),
        ("up --stack=", "--stack is empty.*make up STACK=dev"),
        ("up --stack dev.acme --env prod", "--stack dev.acme: .*--env prod"),
        ("up --env dev --tenant acne", r"--tenant acne: .*did you mean 'acme'\?"),
        ("up --env staging --tenant globex", "globex.yaml: environments: staging"),
        ("up --env dev --changed-since HEAD", "--changed-since: .*not a git repository"),
        ("up --env dev --all --parallel 0", "'--parallel': 0"),
        ("destroy --env dev --tenant acme", "acme.yaml: state: is active.*`state: leaving`"),
        ("destroy --env dev --all", "acme.yaml: state: is active"),
        ("cost --env dev --tenant acne", r"did you mean 'acme'\?"),
        ("upp --env dev", "No such command 'upp'"),
        ("bootstrap", r"'--env'\. Choose from: dev, staging, prod \(lightwork-estate --help\)"),
        ("bootstrap --env local", "'local' is not one of 'dev', 'staging', 'prod'"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(engine, typed, line: str, message: str) -> None:
    code, out, err = typed(line)
    assert (code, out) == (2, ""), err
    assert re.search(message, err), err
    assert all(line.startswith("lightwork-estate: ") for line in err.splitlines())
    assert engine.calls == []


def test_mistakes_in_all_tenants_files_are_reported_with_their_lines(root, engine, typed) -> None:
    edit(root / "tenants" / "acme.yaml", "pods: 40", "pods: none")
    edit(root / "tenants" / "globex.yaml", "name: globex", "name: glob")
    code, _, err = typed("up --env dev --all")
    assert (code, engine.calls) == (2, [])
    assert "acme.yaml:10: quota.pods" in err
    assert "globex.yaml:3: name" in err


def test_settings_without_an_account_are_refused(root, engine, typed) -> None:
    (root / "Pulumi.dev.yaml").write_text(files.settings("dev"))
    code, _, err = typed("up --env dev --estate")
    assert (code, engine.calls) == (2, [])
    assert "Pulumi.dev.yaml" in err
    assert "lightwork:account" in err


def test_tenants_are_not_started_without_an_image(engine, typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIGEST)
    code, _, err = typed("up --env dev --tenant acme")
    assert (code, engine.calls) == (2, [])
    assert f"{DIGEST}: is not set" in err
    assert typed("up --env dev --estate")[0] == 0, "the estate needs no image"


def test_up_deploys_and_prints_and_writes_a_summary(engine, typed, tmp_path: Path) -> None:
    code, out, err = typed(f"up --env dev --all --summary-dir {tmp_path / 'notes'}")
    assert code == 0, err
    assert engine.done("up")[0] == "dev"
    assert set(engine.done("up")) == {"dev", "dev.acme", "dev.globex", "dev.hooli"}
    assert out.splitlines()[-1] == "up dev: 4 done"
    assert "dev.acme: deploying" in err, "progress as lines, as there is no terminal"
    assert json.loads((tmp_path / "notes" / "summary.json").read_text())["good"] is True
    assert "4 done" in (tmp_path / "notes" / "summary.md").read_text()


def test_a_group_of_people_that_two_tenants_name_is_a_warning_and_in_the_summary(
    root: Path, engine: Pretended, typed: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    """Whoever reviews the change sees it in the note of the merge request."""
    path = root / "tenants" / "globex.yaml"
    path.write_text(path.read_text() + "people: {group: example/customers/acme}\n")
    code, _, err = typed(f"up --env dev --tenant acme --summary-dir {tmp_path}")
    assert code == 0, err
    (line,) = [line for line in err.splitlines() if "people.group" in line]
    assert line.startswith("lightwork-estate: tenants/acme.yaml:")
    assert line.endswith("its members see and stop the runs of several tenants: acme, globex")
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written["warnings"] == [line.removeprefix("lightwork-estate: ")]


def test_the_engine_gets_the_address_of_the_states_and_their_key(engine, typed) -> None:
    typed("up --stack dev.acme")
    assert engine.site.backend.startswith("s3://lw-dev-")
    assert engine.site.secrets_provider.startswith("awskms:///alias/lightwork/dev/state?region=")
    assert engine.done("up") == ["dev.acme"]


def test_local_stacks_use_the_backend_of_pulumi_login(engine, typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIGEST)
    monkeypatch.setattr(at_hand, "check", lambda root: (None, "the context kind-lightwork"))
    engine.stacks = {"local": 1}
    code, _, err = typed("up --env local --all")
    assert code == 0, err
    assert "lightwork-estate: local is the context kind-lightwork" in err, "which cluster is it?"
    assert (engine.site.backend, engine.site.secrets_provider) == (None, None)
    assert set(engine.done("up")) == {"local", *(f"local.{name}" for name in files.NAMES)}


def test_a_cluster_that_does_not_answer_is_reported_before_anything_starts(
    engine, typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(root: Path) -> str:
        raise LightworkError("the cluster of the context 'kind-lightwork' cannot be reached")

    monkeypatch.setattr(at_hand, "check", check)
    code, _, err = typed("up --env local --all")
    assert (code, engine.calls) == (1, [])
    assert "cannot be reached" in err


@pytest.mark.parametrize("command", ["preview", "up"])
def test_quotas_are_compared_before_anything_starts(
    engine, typed, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(root: Path, environment: str, choice: Choice) -> list[str]:
        if choice.estate:
            raise LightworkError("the account may have 5 processors of on-demand instances")
        return ["the account may have 1000 IAM roles"]

    monkeypatch.setattr(quotas, "check", check)
    code, _, err = typed(f"{command} --env dev --all")
    assert (code, engine.calls) == (1, [])
    assert err == "lightwork-estate: the account may have 5 processors of on-demand instances\n"
    code, _, err = typed(f"{command} --stack dev.acme")
    assert (code, engine.done(command)) == (0, ["dev.acme"])
    assert err.startswith("lightwork-estate: the account may have 1000 IAM roles\n")


@pytest.mark.parametrize("command", ["preview", "up"])
def test_the_engine_is_told_to_take_over(engine, typed, command: str) -> None:
    for option, take_over in (("", False), ("--take-over", True)):
        assert typed(f"{command} --stack dev.acme {option}")[0] == 0
        assert engine.site.take_over is take_over


def test_old_and_new_values_are_printed_on_demand(engine, typed) -> None:
    changed = replace(step("update"), values=('spec.hard.pods: "20" -> "21"',))
    engine.plans["dev.acme"] = Plan(steps=(changed,), counts=Counts(update=1))
    assert "-> " not in typed("preview --stack dev.acme")[1]
    _, out, _ = typed("preview --stack dev.acme --diff")
    assert '  ~  aws:s3/bucket:Bucket  lake\n       spec.hard.pods: "20" -> "21"\n' in out


def test_a_refusal_is_exit_code_1_and_in_the_summary(engine, typed) -> None:
    engine.plans["dev.acme"] = Plan(steps=(step("delete"),))
    code, out, _ = typed("preview --env dev --tenant acme --json")
    (stack,) = json.loads(out)["stacks"]
    assert (code, stack["result"]) == (1, "refused")
    assert stack["error"].startswith("lake (aws:s3/bucket:Bucket)")
    assert engine.done("up") == []


def test_a_tenant_that_is_leaving_is_destroyed(root, engine, typed) -> None:
    edit(root / "tenants" / "acme.yaml", "name: acme\n", "name: acme\nstate: leaving\n")
    assert typed("destroy --env dev --tenant acme")[0] == 0
    assert engine.done("destroy") == ["dev.acme"]


def commit_all(root: Path) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        subprocess.run(["git", "-C", root, *identity, *words], check=True)


def test_destroy_does_not_accept_changed_since(root, engine, typed) -> None:
    commit_all(root)
    code, _, err = typed("destroy --env dev --changed-since HEAD")
    assert (code, engine.calls) == (2, [])
    assert re.search("--changed-since.*by --tenant or --estate", err), err


def test_no_engine_is_started_if_no_stack_is_affected(
    root, engine, typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(root)

    def never(site: stacks.Site) -> Pretended:
        raise AssertionError("a run without stacks needs no Pulumi")

    monkeypatch.setattr(stacks, "Stacks", never)
    code, out, _ = typed("up --env dev --changed-since HEAD")
    assert (code, out) == (0, "up dev: no stack is touched\n")


def test_a_missing_pulumi_is_reported_in_one_line(
    root, typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = typed("up --env dev --estate")
    assert (code, err.count("\n")) == (2, 1)
    assert re.search("`pulumi`.* PATH.*install", err), err


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("up --env dev --estate", True),
        ("preview --env dev --all", True),
        ("up --env dev --tenant acme", False),
    ],
)
def test_an_estate_is_not_begun_without_the_aws_command(
    engine: Pretended, typed, monkeypatch: pytest.MonkeyPatch, line: str, asked: bool
) -> None:
    def missing() -> None:
        raise InputError("`aws` is not on PATH")

    monkeypatch.setattr(processes, "need_aws", missing)
    code, _, err = typed(line)
    assert (code, "`aws` is not on PATH" in err) == ((2, True) if asked else (0, False))


def test_cost_prints_the_estate_the_tenant_and_a_run(root, typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "ROOT", root)
    code, out, _ = typed("cost --env dev --tenant acme --workers 3")
    assert code == 0
    assert "\ndev\n" in out
    assert "\ndev.acme\n" in out
    assert "3 worker nodes" in out


@pytest.mark.parametrize(
    ("words", "refresh"),
    [("--refresh", True), ("--no-refresh", False), ("", None)],
)
@pytest.mark.parametrize("command", ["up", "preview"])
def test_states_are_compared_with_the_real_resources_as_asked(
    engine: Pretended,
    typed: Callable[[str], tuple[int, str, str]],
    command: str,
    words: str,
    refresh: bool | None,
) -> None:
    assert typed(f"{command} --stack dev.acme {words}")[0] == 0
    assert engine.site.refresh is refresh  # type: ignore[attr-defined]


def test_destroy_takes_no_refresh(typed: Callable[[str], tuple[int, str, str]], root: Path) -> None:
    code, _, error = typed("destroy --stack dev.acme --refresh")
    assert code == 2
    assert "No such option" in error


@pytest.mark.parametrize(
    ("asked", "stack", "refreshes"),
    [
        (None, "dev", False),
        (None, "dev.acme", True),
        (None, "local", True),
        (None, "local.acme", True),
        (True, "dev", True),
        (False, "dev.acme", False),
        (False, "local", False),
    ],
)
def test_tenants_and_local_are_compared_by_default_and_an_estate_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: bool | None, stack: str, refreshes: bool
) -> None:
    given: list[bool] = []

    class Stack:
        def preview(self, *, refresh: bool, **_: object) -> None:
            given.append(refresh)

        up = preview

    monkeypatch.setattr(stacks, "Pulumi", lambda _: None)
    monkeypatch.setattr(stacks.auto.Stack, "select", lambda *_: Stack())
    monkeypatch.setattr(stacks, "_Workspace", lambda **_: None)
    site = stacks.Site(
        root=files.repository(tmp_path / "repository", modules=False),
        environment=stack.partition(".")[0],
        backend=None,
        secrets_provider=None,
        refresh=asked,
    )
    engine = stacks.Stacks(site)
    engine.preview(stack, lambda _: None)
    engine.up(stack, lambda _: None)
    assert given == [refreshes, refreshes]
