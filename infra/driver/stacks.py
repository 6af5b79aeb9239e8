"""The real engine: Pulumi's Automation API, with each stack in a folder of its own, so that several may run.

The folder holds the project's file and the stack's settings, and is gone afterwards: what Pulumi writes into
settings (the encrypted key of a stack) never ends up in the repository, where a tenant has no such file.
"""

from __future__ import annotations

import json
import signal
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pulumi import automation as auto
from pulumi.automation.errors import CommandError, StackNotFoundError

from infra.config.stack import StackName, belongs
from infra.driver import events
from infra.driver.engine import EngineError, Plan
from infra.driver.outcome import Result
from infra.driver.processes import Pulumi
from infra.estate.outputs import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from infra.driver.engine import Watch

POLICIES = "infra/policy_pack"
THROWAWAY = {"PULUMI_CONFIG_PASSPHRASE": "nothing that is kept is encrypted with this"}


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where an environment's stacks are, and what is deployed.

    Attributes:
        root: the repository's root.
        environment: the environment.
        backend: where the states are, as `PULUMI_BACKEND_URL` takes it; None: where `pulumi login` says.
        secrets_provider: what encrypts the secrets in the state of a new stack; None: Pulumi's own default.
        message: what the history says of this deployment.
        pulumi: the folder that has the command as `bin/pulumi`; None: the one on PATH.
        program: makes the program from the stack's name and the variables that it would see; None: the
            repository's own, by Pulumi's language host.
        variables: more variables for the engine.
    """

    root: Path
    environment: str
    backend: str | None
    secrets_provider: str | None
    message: str = "lightwork-estate"
    pulumi: Path | None = None
    program: Callable[[str, Mapping[str, str]], Callable[[], None]] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


class _Workspace(auto.LocalWorkspace):
    """A workspace that selects nothing: what is selected is a matter between a person and their folder."""

    def select_stack(self, stack_name: str) -> None:
        self._run_pulumi_cmd_sync(["stack", "--stack", stack_name])

    def create_stack(self, stack_name: str) -> None:
        provider = ["--secrets-provider", self.secrets_provider] if self.secrets_provider else []
        self._run_pulumi_cmd_sync(["stack", "init", "--no-select", *provider, "--stack", stack_name])


class Stacks:
    """The stacks of one environment."""

    def __init__(self, site: Site) -> None:
        """Find the command.

        Raises:
            InputError: it is not there.
        """
        self.site = site
        self.pulumi = Pulumi(site.pulumi)

    def exists(self, stack: str) -> bool:
        """Whether the backend has a stack."""
        with self._workspace(stack) as workspace, self._explained(stack):
            try:
                auto.Stack.select(stack, workspace)
            except StackNotFoundError:
                return False
        return True

    def create(self, stack: str) -> None:
        """Make a stack, empty."""
        with self._workspace(stack) as workspace, self._explained(stack):
            auto.Stack.create(stack, workspace)

    def outputs(self, stack: str) -> Mapping[str, Any]:
        """What a stack exports, without its secrets."""
        with self._workspace(stack) as workspace, self._explained(stack):
            found = workspace.stack_outputs(stack)
        return {name: output.value for name, output in found.items() if not output.secret}

    def inhabited(self) -> list[str]:
        """The stacks of the environment that hold resources, the estate's among them."""
        environment = self.site.environment
        with self._workspace(environment) as workspace, self._explained(environment):
            found = workspace.list_stacks()
        return sorted(
            stack.name for stack in found if stack.resource_count and belongs(stack.name, environment)
        )

    def preview(self, stack: str, watch: Watch) -> Plan:
        """What `up` would do."""
        with self._workspace(stack) as workspace, self._recorded(stack, watch) as recorder:
            auto.Stack.select(stack, workspace).preview(on_event=recorder, **self._options())
        return _plan(recorder)

    def preview_new(self, stack: str, watch: Watch, estate: Mapping[str, Any]) -> Plan:
        """What `up` would do for a stack that the backend does not have: on another one, made for that."""
        with tempfile.TemporaryDirectory(prefix="lightwork-preview-") as name:
            folder = Path(name)
            (folder / "backend").mkdir()
            outputs = folder / "estate.json"
            outputs.write_text(json.dumps(dict(estate)), encoding="utf-8")
            variables = {**THROWAWAY, VARIABLE: str(outputs)}
            backend = f"file://{folder / 'backend'}"
            with (
                self._workspace(
                    stack, backend=backend, secrets_provider="passphrase", variables=variables
                ) as space,
                self._recorded(stack, watch) as recorder,
            ):
                auto.Stack.create(stack, space).preview(on_event=recorder, **self._options())
        return _plan(recorder)

    def up(self, stack: str, watch: Watch) -> Plan:
        """Deploy."""
        with self._workspace(stack) as workspace, self._recorded(stack, watch) as recorder:
            auto.Stack.select(stack, workspace).up(
                on_event=recorder, show_secrets=False, message=self.site.message, **self._options()
            )
        return _plan(recorder)

    def preview_destroy(self, stack: str, watch: Watch) -> Plan:
        """What `destroy` would do."""
        with self._workspace(stack) as workspace, self._recorded(stack, watch) as recorder:
            auto.Stack.select(stack, workspace).preview_destroy(
                on_event=recorder, run_program=True, color="never"
            )
        return _plan(recorder)

    def destroy(self, stack: str, watch: Watch) -> Plan:
        """Delete all that the stack holds. The program runs for it: it is what lifts protection."""
        with self._workspace(stack) as workspace, self._recorded(stack, watch) as recorder:
            auto.Stack.select(stack, workspace).destroy(
                on_event=recorder,
                run_program=True,
                show_secrets=False,
                message=self.site.message,
                color="never",
            )
        return _plan(recorder)

    def interrupt(self, *, kill: bool = False) -> None:
        """Ask what runs to finish what it has begun, and no more; when asked again, to end at once."""
        self.pulumi.signal(signal.SIGKILL if kill else signal.SIGINT)

    def _options(self) -> dict[str, Any]:
        pack = self.site.root / POLICIES
        ours = not self.site.program and (pack / "PulumiPolicy.yaml").exists()
        return {"color": "never", "policy_packs": [str(pack)] if ours else None}

    @contextmanager
    def _workspace(
        self,
        stack: str,
        *,
        backend: str | None = None,
        secrets_provider: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Iterator[_Workspace]:
        site = self.site
        where = backend or site.backend
        seen = {
            **site.variables,
            # A stack without a settings file keeps what encrypts its secrets in its state.
            "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # Of the shell's own a deployment must know nothing.
            VARIABLE: "",
            **({"PULUMI_BACKEND_URL": where} if where else {}),
            **(variables or {}),
        }
        with tempfile.TemporaryDirectory(prefix="lightwork-stack-") as name:
            folder = Path(name)
            project = _project(site.root, inline=site.program is not None)
            (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
            settings = _settings(site.root, stack)
            (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
            yield _Workspace(
                work_dir=str(folder),
                program=site.program(stack, seen) if site.program else None,
                env_vars=seen,
                secrets_provider=secrets_provider or site.secrets_provider,
                pulumi_command=self.pulumi,
            )

    @contextmanager
    def _recorded(self, stack: str, watch: Watch) -> Iterator[events.Recorder]:
        recorder = events.Recorder(watch)
        with self._explained(stack, recorder):
            yield recorder

    @contextmanager
    def _explained(self, stack: str, recorder: events.Recorder | None = None) -> Iterator[None]:
        """Make an error of the engine lines for people."""
        try:
            yield
        except CommandError as error:
            said = str(error)
            if line := events.locked(stack, said, self.site.backend):
                raise EngineError(line, result=Result.LOCKED) from None
            complained = said.partition("\n stderr: ")[2]
            recorder = recorder or events.Recorder(lambda _: None)
            raise EngineError(*events.failure(recorder, complained), plan=_plan(recorder)) from None


def _plan(recorder: events.Recorder) -> Plan:
    return Plan(steps=tuple(recorder.steps), counts=recorder.counts, unread=tuple(recorder.unread()))


def _project(root: Path, *, inline: bool) -> dict[str, Any]:
    """The project's file, with paths that hold from anywhere."""
    project: dict[str, Any] = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))
    main = project.pop("main", ".")
    if inline:
        return project
    options = {**project["runtime"]["options"]}
    options["virtualenv"] = str(root / options["virtualenv"])
    runtime = {**project["runtime"], "options": options}
    return {**project, "main": str(root / main), "runtime": runtime}


def _settings(root: Path, stack: str) -> dict[str, Any]:
    """A stack's settings: its file; a tenant, who has none, gets Pulumi's own settings of the environment."""
    own = root / f"Pulumi.{stack}.yaml"
    name = StackName.parse(stack)
    if not name.tenant or own.exists():
        found: dict[str, Any] = yaml.safe_load(own.read_text(encoding="utf-8"))
        return found
    shared = yaml.safe_load((root / f"Pulumi.{name.estate}.yaml").read_text(encoding="utf-8"))
    config = shared.get("config") or {}
    return {"config": {key: value for key, value in config.items() if key.startswith("pulumi:")}}
