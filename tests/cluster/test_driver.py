"""The driver with the real Pulumi engine. The tests need no cluster, no account and no provider.

The programs are functions of this module. They run in its process, and the engine in a process of its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime._callbacks import _CallbackServicer

from infra.config.image import DIGEST
from infra.driver import run, stacks
from infra.driver.engine import EngineError
from infra.driver.outcome import Command, Task
from infra.driver.plan import Order
from infra.driver.selection import Choice
from infra.estate.outputs import VARIABLE
from tests.cluster import binaries
from tests.cluster.deployments import REAL, Deployments
from tests.estate import files
from tests.infra.engine import ACCOUNT

BUCKET = "aws:s3/bucket:Bucket"
WAIT = 240
"""Seconds that the parts of a test wait for one another before they give up."""


class Thing(pulumi.ComponentResource):
    """A resource of any type: a component needs no provider."""

    def __init__(
        self, type_: str, name: str, inputs: Mapping[str, object] | None = None, *, protect: bool = False
    ) -> None:
        super().__init__(type_, name, dict(inputs or {}), pulumi.ResourceOptions(protect=protect))
        self.register_outputs({})


@dataclass
class Repository(Deployments):
    """A clone, a backend, and the runs of its stacks.

    Attributes:
        runs: the stacks whose program was run, as `(name, whether the run was not a preview)`.
    """

    runs: list[tuple[str, bool]] = field(default_factory=list)

    def run(self, stack: str, variables: Mapping[str, str]) -> None:
        self.runs.append((stack, not pulumi.runtime.is_dry_run()))
        super().run(stack, variables)

    def execute(self, command: Command, *tasks: Task) -> tuple[int, dict[str, dict[str, object]]]:
        """Run tasks, which carry permissions to delete; return as `typed` does."""
        order = Order(estate=None, tenants=tasks, backend=None, secrets_provider=None)
        site = stacks.Site(root=self.root, environment="dev", backend=None, secrets_provider=None)
        folder = self.backend.parent / "summary"
        code = run.run(
            command,
            Choice(environment="dev"),
            order,
            engine=lambda: self.stacks(site),
            summary_dir=folder,
        )
        return code, self.summary(folder)

    def deployed(self) -> list[str]:
        """Return the stacks whose program was run for a deployment, in order."""
        return [stack for stack, deploy in self.runs if deploy]

    def states(self) -> dict[str, bytes]:
        """Return the backend's files, except for its own metadata."""
        files = (path for path in self.backend.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.backend)): path.read_bytes()
            for path in files
            if "meta.yaml" not in path.name
        }

    def git(self, *words: str) -> str:
        """Run git in the repository."""
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        process = subprocess.run(
            ["git", "-C", self.root, *identity, *words], capture_output=True, text=True, check=True
        )
        return process.stdout.strip()


@pytest.fixture(scope="session")
def engine() -> Path:
    """The folder of the engine, which is built unless it is cached."""
    return binaries.build(binaries.ENGINE)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Path) -> Iterator[Repository]:
    repository = Repository(files.repository(tmp_path / "clone", ACCOUNT), tmp_path / "backend", engine)
    repository.backend.mkdir()
    (repository.root / "tenants" / "hooli.yaml").unlink()
    (repository.root / "tenants" / "initech.yaml").write_text(
        (repository.root / "tenants" / "acme.yaml").read_text().replace("name: acme", "name: initech")
    )
    repository.git("init", "--quiet")
    repository.git("add", ".")
    repository.git("commit", "--quiet", "-m", "one")
    monkeypatch.setenv(DIGEST, f"sha256:{'0' * 64}")
    with repository.in_use():
        yield repository
    # Pulumi's own changes to the settings must never end up in the repository.
    assert repository.git("status", "--porcelain", "--", "Pulumi*.yaml", "infra") == ""


def test_the_estate_comes_first_and_then_several_tenants_at_once(repository: Repository) -> None:
    together = threading.Barrier(3, timeout=WAIT)

    def program(stack: str, variables: Mapping[str, str]) -> None:
        Thing("lightwork:test:Thing", "thing")
        pulumi.export("region", "eu-central-1")
        if stack != "dev":
            assert ("dev", True) in repository.runs, "a tenant was deployed before its estate"
            together.wait()  # passes only if all three tenants run at once

    repository.program = program
    code, summary = repository.typed("up --env dev --all --parallel 3")
    assert (code, {stack["result"] for stack in summary.values()}) == (0, {"done"})
    assert list(summary) == ["dev", "dev.acme", "dev.globex", "dev.initech"]
    assert {stack["create"] for stack in summary.values()} == {2}, "the resource, and the stack itself"
    assert {f".pulumi/stacks/lightwork/{stack}.json" for stack in summary} <= set(repository.states())


def test_a_failed_stack_stops_no_other_and_makes_the_exit_code_1(repository: Repository) -> None:
    def program(stack: str, variables: Mapping[str, str]) -> None:
        Thing("lightwork:test:Thing", "thing")
        if stack == "dev.globex" and not pulumi.runtime.is_dry_run():
            raise pulumi.RunError("globex: its bucket\nis taken")

    repository.program = program
    code, summary = repository.typed("up --env dev --all")
    assert code == 1
    assert {name: stack["result"] for name, stack in summary.items()} == {
        "dev": "done",
        "dev.acme": "done",
        "dev.globex": "failed",
        "dev.initech": "done",
    }
    assert "globex: its bucket is taken" in str(summary["dev.globex"]["error"]), "in one line"


def test_an_estate_that_fails_leaves_its_tenants_alone(repository: Repository) -> None:
    def program(stack: str, variables: Mapping[str, str]) -> None:
        if stack == "dev" and not pulumi.runtime.is_dry_run():
            raise pulumi.RunError("no room for a VPC")

    repository.program = program
    code, summary = repository.typed("up --env dev --all")
    assert (code, summary["dev"]["result"], summary["dev.acme"]["result"]) == (1, "failed", "skipped")
    assert {stack for stack, _ in repository.runs} == {"dev"}, "tenants would read outdated outputs"


def test_stacks_that_changed_since_a_commit_are_deployed_and_no_others(repository: Repository) -> None:
    assert repository.typed("up --env dev --estate")[0] == 0
    repository.runs.clear()
    for path, old, stack in (
        ("tenants/globex.yaml", "name: globex", "dev.globex"),
        ("infra/aws/network.py", '"""', "dev"),
    ):
        file = repository.root / path
        file.write_text(file.read_text().replace(old, f"{old} ", 1))
        repository.git("commit", "--quiet", "-a", "-m", "another")
        code, summary = repository.typed("up --env dev --changed-since HEAD~1")
        assert (code, list(summary)) == (0, [stack])
        assert summary[stack]["reason"] == path
    assert repository.deployed() == ["dev.globex", "dev"]
    assert repository.typed("up --env dev --changed-since HEAD")[1] == {}, "no stack has changed"


def test_a_preview_of_a_new_stack_reads_the_estates_outputs_and_leaves_no_state(
    repository: Repository,
) -> None:
    read: list[dict[str, str]] = []

    def program(stack: str, variables: Mapping[str, str]) -> None:
        Thing(BUCKET, "lake")
        if stack == "dev":
            pulumi.export("region", "eu-central-1")
            pulumi.export("password", pulumi.Output.secret("hidden"))
        else:
            read.append(json.loads(Path(variables[VARIABLE]).read_text()))

    repository.program = program
    assert repository.typed("up --env dev --estate")[0] == 0
    before = repository.states()
    code, summary = repository.typed("preview --env dev --tenant acme")
    assert (code, summary["dev.acme"]["result"], summary["dev.acme"]["create"]) == (0, "done", 2)
    assert read == [{"region": "eu-central-1"}], "no secret is written to a file"
    assert repository.states() == before, "a preview must not change the backend"


def test_a_lock_left_by_a_killed_run_is_reported_in_one_line_with_the_remedy(repository: Repository) -> None:
    started, killed = threading.Event(), threading.Event()

    def program(stack: str, variables: Mapping[str, str]) -> None:
        if stack == "dev" and not pulumi.runtime.is_dry_run() and not killed.is_set():
            started.set()
            assert killed.wait(WAIT)

    def kill() -> None:
        assert started.wait(WAIT)
        assert repository.engine is not None
        (pid,) = repository.engine.pulumi.pids()
        os.kill(pid, signal.SIGKILL)
        killed.set()

    repository.program = program
    killer = threading.Thread(target=kill)
    killer.start()
    code, summary = repository.typed("up --env dev --estate")
    killer.join()
    assert (code, summary["dev"]["result"]) == (1, "failed")

    code, summary = repository.typed("up --env dev --estate")
    assert (code, summary["dev"]["result"]) == (1, "locked")
    line = str(summary["dev"]["error"])
    assert "\n" not in line
    assert f"(pid {pid_in(line)}) since 2" in line, "no owner or time"
    assert repository.typed("preview --env dev --estate")[0] == 0, "a preview needs no lock"

    # The command in the line works as it is.
    subprocess.run(
        ["/bin/sh", "-c", line.rpartition(": ")[2]],
        cwd=repository.root,
        env={
            **os.environ,
            **repository.variables,
            "PATH": f"{repository.pulumi / 'bin'}:{os.environ['PATH']}",
        },
        check=True,
        capture_output=True,
    )
    assert repository.typed("up --env dev --estate")[0] == 0


def pid_in(line: str) -> int:
    return int(shlex.split(line.partition("(pid ")[2])[0].rstrip(")"))


def test_a_forbidden_deletion_stops_before_any_change_and_a_permission_allows_it(
    repository: Repository,
) -> None:
    buckets = {"lake"}

    def program(stack: str, variables: Mapping[str, str]) -> None:
        for name in sorted(buckets):
            Thing(BUCKET, name)
        Thing("lightwork:test:Thing", f"beside-{len(buckets)}")

    repository.program = program
    assert repository.typed("up --env dev --estate")[0] == 0
    assert repository.typed("up --env dev --tenant acme")[0] == 0
    buckets.clear()
    before = repository.states()
    for line in ("preview --env dev --tenant acme", "up --env dev --tenant acme"):
        code, summary = repository.typed(line)
        assert (code, summary["dev.acme"]["result"]) == (1, "refused"), line
        assert str(summary["dev.acme"]["error"]).startswith(f"lake ({BUCKET}): would be deleted")
        assert repository.states() == before, "even harmless changes must wait"
    code, summary = repository.execute(Command.UP, Task(stack="dev.acme", allowed=frozenset({"lake"})))
    assert (code, summary["dev.acme"]["delete"]) == (0, 2)


def test_destroy_needs_a_permission_and_the_program_lifts_the_protection(repository: Repository) -> None:
    protect = True

    def program(stack: str, variables: Mapping[str, str]) -> None:
        Thing(BUCKET, "lake", protect=protect)

    repository.program = program
    assert repository.execute(Command.UP, Task(stack="dev.acme"))[0] == 1, "the estate does not exist yet"
    repository.program = lambda stack, variables: None
    assert repository.typed("up --env dev --estate")[0] == 0
    repository.program = program
    assert repository.execute(Command.UP, Task(stack="dev.acme"))[0] == 0

    code, summary = repository.execute(Command.DESTROY, Task(stack="dev.acme"))
    assert (code, summary["dev.acme"]["result"]) == (1, "refused"), "the driver refuses, not the engine"
    assert "to allow it, commit" in str(summary["dev.acme"]["error"])
    code, summary = repository.typed("destroy --env dev --estate")
    assert (code, summary["dev"]["result"]) == (1, "refused")
    assert "still hold resources: dev.acme" in str(summary["dev"]["error"])

    protect = False  # as the program does for a resource that a committed entry names
    code, summary = repository.execute(Command.DESTROY, Task(stack="dev.acme", allowed=frozenset({"lake"})))
    assert (code, summary["dev.acme"]["delete"]) == (0, 2)
    repository.program = lambda stack, variables: None
    assert repository.typed("destroy --env dev --estate")[0] == 0


def test_an_interrupt_lets_the_engine_finish_and_leaves_no_lock(repository: Repository) -> None:
    def program(stack: str, variables: Mapping[str, str]) -> None:
        Thing("lightwork:test:Thing", "first")
        if stack == "dev.acme" and not pulumi.runtime.is_dry_run() and not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
            assert passed_on.wait(WAIT)
            Thing("lightwork:test:Thing", "second")

    interrupted, passed_on = threading.Event(), threading.Event()
    assert repository.typed("up --env dev --estate")[0] == 0
    repository.program = program
    real = REAL.interrupt

    def interrupt(self: stacks.Stacks, *, kill: bool = False) -> None:
        real(self, kill=kill)
        passed_on.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(REAL, "interrupt", interrupt)
        code, summary = repository.typed("up --env dev --tenant acme --tenant globex --parallel 1")
    assert code == 130
    assert {name: stack["result"] for name, stack in summary.items()} == {
        "dev.acme": "stopped",
        "dev.globex": "left",
    }
    code, summary = repository.typed("up --env dev --tenant acme --tenant globex")
    assert (code, summary["dev.acme"]["result"]) == (0, "done"), "the same command must resume from there"


def test_an_interrupted_program_that_python_drops_stops_nothing_of_the_next(repository: Repository) -> None:
    async def interrupted() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            await _CallbackServicer.shutdown()

    async def program() -> tuple[bool, bool]:
        server = _CallbackServicer(None)  # type: ignore[arg-type]
        await server.serve()
        dropped = interrupted()
        dropped.send(None)
        del dropped
        is_kept = server in _CallbackServicer._servicers
        await _CallbackServicer.shutdown()
        return is_kept, server in _CallbackServicer._servicers

    assert asyncio.run(program()) == (True, False)


def test_a_preview_shows_old_and_new_values_and_no_secret(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs: dict[str, object] = {}

    def program(stack: str, variables: Mapping[str, str]) -> None:
        hidden = {key: pulumi.Output.secret(value) for key, value in inputs.items() if key == "password"}
        Thing("lightwork:test:Thing", "thing", {**inputs, **hidden, "nested": [hidden]})

    def shown() -> list[str]:
        capsys.readouterr()
        assert repository.typed("preview --stack dev --diff")[0] == 0
        text = capsys.readouterr().out
        assert "sesame" not in text
        return [line.strip() for line in text.splitlines()]

    repository.program = program
    inputs.update(user="ali", password="open sesame")
    secret = '"[secret]"'
    created = [f"nested[0].password: {secret}", f"password: {secret}", 'user: "ali"']
    assert created == [line for line in shown() if ": " in line and line.partition(":")[0] != "preview dev"]
    repository.typed("up --stack dev")
    inputs.update(user="baba", password="close sesame")
    assert 'user: "ali" -> "baba"' in shown()


def test_an_engine_without_a_place_for_states_or_a_passphrase_names_what_to_do(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PULUMI_ACCESS_TOKEN", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    bare = {"PULUMI_HOME": str(repository.home)}
    site = stacks.Site(
        root=repository.root,
        environment="local",
        backend=None,
        secrets_provider=None,
        pulumi=repository.pulumi,
        program=lambda stack, variables: lambda: None,
        variables=bare,
    )
    with pytest.raises(EngineError, match="pulumi login --local"):
        REAL(site).exists("local")
    with pytest.raises(EngineError, match="set PULUMI_CONFIG_PASSPHRASE to a passphrase of your own"):
        REAL(dataclasses.replace(site, backend=f"file://{repository.backend}")).create("local")
