"""The driver of the stacks with the real Pulumi engine: it needs no cluster, no account and no provider.

The programs are functions of this module, and run in its process while the engine is a process of its own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pytest

from infra.driver import cli, run, stacks
from infra.driver.outcome import Command, Task
from infra.driver.plan import Order
from infra.driver.selection import Choice
from infra.estate_outputs import VARIABLE
from infra.tenant_target import DIGEST
from tests.cluster import binaries
from tests.estate import files
from tests.infra.engine import ACCOUNT

BUCKET = "aws:s3/bucket:Bucket"
WAIT = 240
"""Seconds that a test waits for another part of it before it gives up."""


class Thing(pulumi.ComponentResource):
    """A resource of any type: a component needs no provider."""

    def __init__(self, type_: str, name: str, *, protect: bool = False) -> None:
        super().__init__(type_, name, {}, pulumi.ResourceOptions(protect=protect))
        self.register_outputs({})


@dataclass
class Place:
    """A repository, a backend, and what runs there.

    Attributes:
        root: a clone with the settings of an account.
        backend: the folder of the states.
        program: what each stack's program does; gets the stack's name and the variables that it would see.
        runs: the stacks whose program was run, `(name, whether it was for real)`.
        engine: the engine of the last call.
    """

    root: Path
    backend: Path
    pulumi: Path
    capture: pytest.CaptureFixture[str]
    program: Callable[[str, Mapping[str, str]], None] = lambda stack, seen: None
    runs: list[tuple[str, bool]] = field(default_factory=list)
    engine: stacks.Stacks | None = None

    def stacks(self, site: stacks.Site) -> stacks.Stacks:
        """What the driver gets instead of the site that it asked for."""

        def program(stack: str, seen: Mapping[str, str]) -> Callable[[], None]:
            def main() -> None:
                self.runs.append((stack, not pulumi.runtime.is_dry_run()))
                self.program(stack, seen)

            return main

        ours = dataclasses.replace(
            site,
            backend=f"file://{self.backend}",
            secrets_provider="passphrase",
            pulumi=self.pulumi,
            program=program,
            variables=self.variables,
        )
        self.engine = REAL(ours)
        return self.engine

    @property
    def variables(self) -> dict[str, str]:
        """What the engine is told beside what the driver tells it."""
        return {"PULUMI_CONFIG_PASSPHRASE": "of the tests", "PULUMI_HOME": str(self.backend.parent / "home")}

    def typed(self, line: str) -> tuple[int, dict[str, dict[str, object]]]:
        """Run the command line: its exit code, and what the summary says of each stack."""
        folder = self.backend.parent / "summary"
        code = cli.execute([*line.split(), "--summary-dir", str(folder)])
        return code, {
            stack["stack"]: stack for stack in json.loads((folder / "summary.json").read_text())["stacks"]
        }

    def ordered(self, command: Command, *tasks: Task) -> tuple[int, dict[str, dict[str, object]]]:
        """Work on some tenants with what is permitted to end there."""
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
        return code, {
            stack["stack"]: stack for stack in json.loads((folder / "summary.json").read_text())["stacks"]
        }

    def deployed(self) -> list[str]:
        """The stacks whose program was run for real, in that order."""
        return [stack for stack, real in self.runs if real]

    def kept(self) -> dict[str, bytes]:
        """All that the backend holds, but what it writes about itself."""
        files = (path for path in self.backend.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.backend)): path.read_bytes()
            for path in files
            if "meta.yaml" not in path.name
        }

    def git(self, *words: str) -> str:
        """Call git in the repository."""
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", self.root, *who, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


REAL = stacks.Stacks


@pytest.fixture(scope="session")
def engine() -> Path:
    """The folder of the engine, which is built if the cache has none."""
    return binaries.build(binaries.ENGINE)


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Place]:
    place = Place(files.repository(tmp_path / "clone", ACCOUNT), tmp_path / "backend", engine, capsys)
    place.backend.mkdir()
    (place.root / "tenants" / "hooli.yaml").unlink()
    (place.root / "tenants" / "initech.yaml").write_text(
        (place.root / "tenants" / "acme.yaml").read_text().replace("name: acme", "name: initech")
    )
    place.git("init", "--quiet")
    place.git("add", ".")
    place.git("commit", "--quiet", "-m", "one")
    monkeypatch.setattr(cli, "ROOT", place.root)
    monkeypatch.setattr(stacks, "Stacks", place.stacks)
    monkeypatch.setenv(DIGEST, f"sha256:{'0' * 64}")
    yield place
    # What Pulumi writes into settings must never end up in the repository.
    assert place.git("status", "--porcelain", "--", "Pulumi*.yaml", "infra") == ""


def test_the_estate_comes_first_and_then_several_tenants_at_once(place: Place) -> None:
    together = threading.Barrier(3, timeout=WAIT)

    def program(stack: str, seen: Mapping[str, str]) -> None:
        Thing("lightwork:test:Thing", "thing")
        pulumi.export("region", "eu-central-1")
        if stack != "dev":
            assert ("dev", True) in place.runs, "the estate is there before anybody lives in it"
            together.wait()  # nobody comes through alone

    place.program = program
    code, found = place.typed("up --env dev --all --parallel 3")
    assert (code, {stack["result"] for stack in found.values()}) == (0, {"done"})
    assert list(found) == ["dev", "dev.acme", "dev.globex", "dev.initech"]
    assert {stack["create"] for stack in found.values()} == {2}, "the thing, and the stack itself"
    assert {f".pulumi/stacks/lightwork/{stack}.json" for stack in found} <= set(place.kept())


def test_one_that_fails_stops_nobody_else_and_makes_the_exit_code_1(place: Place) -> None:
    def program(stack: str, seen: Mapping[str, str]) -> None:
        Thing("lightwork:test:Thing", "thing")
        if stack == "dev.globex" and not pulumi.runtime.is_dry_run():
            raise pulumi.RunError("globex: its bucket\nis taken")

    place.program = program
    code, found = place.typed("up --env dev --all")
    assert code == 1
    assert {name: stack["result"] for name, stack in found.items()} == {
        "dev": "done",
        "dev.acme": "done",
        "dev.globex": "failed",
        "dev.initech": "done",
    }
    assert "globex: its bucket is taken" in str(found["dev.globex"]["error"]), "in one line"


def test_an_estate_that_fails_leaves_its_tenants_alone(place: Place) -> None:
    def program(stack: str, seen: Mapping[str, str]) -> None:
        if stack == "dev" and not pulumi.runtime.is_dry_run():
            raise pulumi.RunError("no room for a VPC")

    place.program = program
    code, found = place.typed("up --env dev --all")
    assert (code, found["dev"]["result"], found["dev.acme"]["result"]) == (1, "failed", "skipped")
    assert {stack for stack, _ in place.runs} == {"dev"}, "they would read what is out of date"


def test_what_has_changed_since_a_commit_is_deployed_and_nothing_else(place: Place) -> None:
    assert place.typed("up --env dev --estate")[0] == 0
    place.runs.clear()
    for path, old, stack in (
        ("tenants/globex.yaml", "name: globex", "dev.globex"),
        ("infra/network.py", '"""', "dev"),
    ):
        file = place.root / path
        file.write_text(file.read_text().replace(old, f"{old} ", 1))
        place.git("commit", "--quiet", "-a", "-m", "another")
        code, found = place.typed("up --env dev --changed-since HEAD~1")
        assert (code, list(found)) == (0, [stack])
        assert found[stack]["reason"] == path
    assert place.deployed() == ["dev.globex", "dev"]
    assert place.typed("up --env dev --changed-since HEAD")[1] == {}, "nothing is touched"


def test_a_new_stack_is_previewed_with_the_estates_outputs_and_nothing_is_left_of_it(place: Place) -> None:
    read: list[dict[str, str]] = []

    def program(stack: str, seen: Mapping[str, str]) -> None:
        Thing(BUCKET, "lake")
        if stack == "dev":
            pulumi.export("region", "eu-central-1")
            pulumi.export("password", pulumi.Output.secret("hidden"))
        else:
            read.append(json.loads(Path(seen[VARIABLE]).read_text()))

    place.program = program
    assert place.typed("up --env dev --estate")[0] == 0
    before = place.kept()
    code, found = place.typed("preview --env dev --tenant acme")
    assert (code, found["dev.acme"]["result"], found["dev.acme"]["create"]) == (0, "done", 2)
    assert read == [{"region": "eu-central-1"}], "no secret is written to a file"
    assert place.kept() == before, "a preview leaves the backend as it was"


def test_a_lock_that_a_killed_run_left_is_one_line_with_the_way_out(place: Place) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def program(stack: str, seen: Mapping[str, str]) -> None:
        if stack == "dev" and not pulumi.runtime.is_dry_run() and not go_on.is_set():
            begun.set()
            assert go_on.wait(WAIT)

    def kill() -> None:
        assert begun.wait(WAIT)
        assert place.engine is not None
        (pid,) = place.engine.pulumi.pids()
        os.kill(pid, signal.SIGKILL)
        go_on.set()

    place.program = program
    killer = threading.Thread(target=kill)
    killer.start()
    code, found = place.typed("up --env dev --estate")
    killer.join()
    assert (code, found["dev"]["result"]) == (1, "failed")

    code, found = place.typed("up --env dev --estate")
    assert (code, found["dev"]["result"]) == (1, "locked")
    line = str(found["dev"]["error"])
    assert "\n" not in line
    assert f"(pid {place_pid(line)}) since 2" in line, "who, and since when"
    assert place.typed("preview --env dev --estate")[0] == 0, "looking is free"

    # What the line says is what helps, typed as it stands.
    subprocess.run(
        ["/bin/sh", "-c", line.rpartition(": ")[2]],
        cwd=place.root,
        env={**os.environ, **place.variables, "PATH": f"{place.pulumi / 'bin'}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
    )
    assert place.typed("up --env dev --estate")[0] == 0


def place_pid(line: str) -> int:
    return int(shlex.split(line.partition("(pid ")[2])[0].rstrip(")"))


def test_a_forbidden_deletion_stops_before_anything_is_changed_and_a_permission_lets_it_pass(
    place: Place,
) -> None:
    kept = {"lake"}

    def program(stack: str, seen: Mapping[str, str]) -> None:
        for name in sorted(kept):
            Thing(BUCKET, name)
        Thing("lightwork:test:Thing", f"beside-{len(kept)}")

    place.program = program
    assert place.typed("up --env dev --estate")[0] == 0
    assert place.typed("up --env dev --tenant acme")[0] == 0
    kept.clear()
    before = place.kept()
    for line in ("preview --env dev --tenant acme", "up --env dev --tenant acme"):
        code, found = place.typed(line)
        assert (code, found["dev.acme"]["result"]) == (1, "refused"), line
        assert str(found["dev.acme"]["error"]).startswith(f"lake ({BUCKET}): would be deleted")
        assert place.kept() == before, "not even what is harmless"
    code, found = place.ordered(Command.UP, Task(stack="dev.acme", allowed=frozenset({"lake"})))
    assert (code, found["dev.acme"]["delete"]) == (0, 2)


def test_destroying_needs_the_permission_and_the_program_lifts_the_protection(place: Place) -> None:
    protect = True

    def program(stack: str, seen: Mapping[str, str]) -> None:
        Thing(BUCKET, "lake", protect=protect)

    place.program = program
    assert place.ordered(Command.UP, Task(stack="dev.acme"))[0] == 1, "there is no estate yet"
    place.program = lambda stack, seen: None
    assert place.typed("up --env dev --estate")[0] == 0
    place.program = program
    assert place.ordered(Command.UP, Task(stack="dev.acme"))[0] == 0

    code, found = place.ordered(Command.DESTROY, Task(stack="dev.acme"))
    assert (code, found["dev.acme"]["result"]) == (1, "refused"), "and not in the engine's words"
    assert "if that is meant, commit" in str(found["dev.acme"]["error"])
    code, found = place.typed("destroy --env dev --estate")
    assert (code, found["dev"]["result"]) == (1, "refused")
    assert "still hold resources: dev.acme" in str(found["dev"]["error"])

    protect = False  # what the program does where a committed entry names it
    code, found = place.ordered(Command.DESTROY, Task(stack="dev.acme", allowed=frozenset({"lake"})))
    assert (code, found["dev.acme"]["delete"]) == (0, 2)
    place.program = lambda stack, seen: None
    assert place.typed("destroy --env dev --estate")[0] == 0


def test_an_interrupt_lets_the_engine_finish_and_no_lock_stays(place: Place) -> None:
    def program(stack: str, seen: Mapping[str, str]) -> None:
        Thing("lightwork:test:Thing", "first")
        if stack == "dev.acme" and not pulumi.runtime.is_dry_run() and not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
            assert passed_on.wait(WAIT)
            Thing("lightwork:test:Thing", "second")

    interrupted, passed_on = threading.Event(), threading.Event()
    assert place.typed("up --env dev --estate")[0] == 0
    place.program = program
    real = REAL.interrupt

    def interrupt(self: stacks.Stacks, *, kill: bool = False) -> None:
        real(self, kill=kill)
        passed_on.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(REAL, "interrupt", interrupt)
        code, found = place.typed("up --env dev --tenant acme --tenant globex --parallel 1")
    assert code == 130
    assert {name: stack["result"] for name, stack in found.items()} == {
        "dev.acme": "stopped",
        "dev.globex": "left",
    }
    code, found = place.typed("up --env dev --tenant acme --tenant globex")
    assert (code, found["dev.acme"]["result"]) == (0, "done"), "the same command goes on from there"
