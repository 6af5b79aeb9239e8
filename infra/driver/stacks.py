"""The real engine: Pulumi's Automation API, with a folder for each stack so that several can run at once.

The folder holds the project's file and the stack's settings, and is deleted afterwards. What Pulumi writes to
the settings (a stack's encrypted key) never ends up in the repository, where a tenant has no such file.
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
    """An environment's stacks, and what to deploy.

    Attributes:
        root: the repository's root.
        environment: the environment.
        backend: the address of the states, as in `PULUMI_BACKEND_URL`; None for the one of `pulumi login`.
        secrets_provider: what encrypts a new stack's secrets; None for Pulumi's default.
        message: the message for the stacks' history.
        refresh: whether to read every object before planning, so that what others changed is seen; None for
            tenants and local stacks only.
        take_over: whether to set fields of Kubernetes objects that others have set since, and to manage
            objects that exist already.
        pulumi: the folder with `bin/pulumi`; None for the command on PATH.
        program: creates the program from the stack's name and the environment variables it would see; None
            for the repository's program, run by Pulumi's language host.
        variables: additional environment variables for the engine.
    """

    root: Path
    environment: str
    backend: str | None
    secrets_provider: str | None
    message: str = "lightwork-estate"
    refresh: bool | None = None
    take_over: bool = False
    pulumi: Path | None = None
    program: Callable[[str, Mapping[str, str]], Callable[[], None]] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


class _Workspace(auto.LocalWorkspace):
    """A workspace that does not change which stack the user has selected."""

    def select_stack(self, stack_name: str) -> None:
        self._run_pulumi_cmd_sync(["stack", "--stack", stack_name])

    def create_stack(self, stack_name: str) -> None:
        provider = ["--secrets-provider", self.secrets_provider] if self.secrets_provider else []
        self._run_pulumi_cmd_sync(["stack", "init", "--no-select", *provider, "--stack", stack_name])


class Stacks:
    """The stacks of one environment."""

    def __init__(self, site: Site) -> None:
        """Find the `pulumi` command.

        Raises:
            InputError: it is missing, or of a wrong version.
        """
        self.site = site
        self.pulumi = Pulumi(site.pulumi)

    def exists(self, stack: str) -> bool:
        """Return whether the backend has a stack."""
        with self._workspace(stack) as workspace, self._explained(stack):
            try:
                auto.Stack.select(stack, workspace)
            except StackNotFoundError:
                return False
        return True

    def create(self, stack: str) -> None:
        """Create an empty stack."""
        with self._workspace(stack) as workspace, self._explained(stack):
            auto.Stack.create(stack, workspace)

    def outputs(self, stack: str) -> Mapping[str, Any]:
        """Return a stack's outputs, without the secret ones."""
        with self._workspace(stack) as workspace, self._explained(stack):
            outputs = workspace.stack_outputs(stack)
        return {name: output.value for name, output in outputs.items() if not output.secret}

    def inhabited(self) -> list[str]:
        """Return the environment's stacks that hold resources, including the estate's."""
        environment = self.site.environment
        with self._workspace(environment) as workspace, self._explained(environment):
            stacks = workspace.list_stacks()
        return sorted(
            stack.name for stack in stacks if stack.resource_count and belongs(stack.name, environment)
        )

    def preview(self, stack: str, watch: Watch) -> Plan:
        """Preview `up`."""
        with self._workspace(stack) as workspace, self._recorded(stack, watch) as recorder:
            auto.Stack.select(stack, workspace).preview(
                on_event=recorder, refresh=self._refreshes(stack), **self._options()
            )
        return _plan(recorder)

    def preview_new(self, stack: str, watch: Watch, estate: Mapping[str, Any]) -> Plan:
        """Preview `up` for a stack that the backend does not have, in a temporary backend."""
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
        """Deploy a stack."""
        with self._workspace(stack) as workspace, self._recorded(stack, watch) as recorder:
            auto.Stack.select(stack, workspace).up(
                on_event=recorder,
                show_secrets=False,
                message=self.site.message,
                refresh=self._refreshes(stack),
                **self._options(),
            )
        return _plan(recorder)

    def preview_destroy(self, stack: str, watch: Watch) -> Plan:
        """Preview `destroy`."""
        with self._workspace(stack) as workspace, self._recorded(stack, watch) as recorder:
            auto.Stack.select(stack, workspace).preview_destroy(
                on_event=recorder, run_program=True, color="never"
            )
        return _plan(recorder)

    def destroy(self, stack: str, watch: Watch) -> Plan:
        """Delete all resources of a stack. The program runs first, because it lifts their protection."""
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
        """Ask running operations to finish the resources in progress; a second call ends them at once."""
        self.pulumi.signal(signal.SIGKILL if kill else signal.SIGINT)

    def _refreshes(self, stack: str) -> bool:
        name = StackName.parse(stack)
        return self.site.refresh if self.site.refresh is not None else bool(name.tenant or name.is_local)

    def _options(self) -> dict[str, Any]:
        pack = self.site.root / POLICIES
        enforced = not self.site.program and (pack / "PulumiPolicy.yaml").exists()
        return {"color": "never", "policy_packs": [str(pack)] if enforced else None}

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
        address = backend or site.backend
        environment = {
            **site.variables,
            # A stack without a settings file stores its secrets provider in its state.
            "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # Of the Kubernetes provider, which otherwise refuses what others have set or created. Empty, not
            # false: told not to force, an older one refuses its own first update of an object in a preview.
            "PULUMI_K8S_ENABLE_PATCH_FORCE": "true" if site.take_over else "",
            "PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true" if site.take_over else "",
            # A deployment must ignore a value from the shell.
            VARIABLE: "",
            **({"PULUMI_BACKEND_URL": address} if address else {}),
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
                program=site.program(stack, environment) if site.program else None,
                env_vars=environment,
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
        """Turn an engine's error into an EngineError with readable lines."""
        try:
            yield
        except CommandError as error:
            output = str(error)
            if line := events.locked(stack, output, self.site.backend):
                raise EngineError(line, result=Result.LOCKED) from None
            stderr = output.partition("\n stderr: ")[2]
            recorder = recorder or events.Recorder(lambda _: None)
            raise EngineError(*events.failure(recorder, stderr), plan=_plan(recorder)) from None


def _plan(recorder: events.Recorder) -> Plan:
    return Plan(steps=tuple(recorder.steps), counts=recorder.counts, unread=tuple(recorder.unread()))


def _project(root: Path, *, inline: bool) -> dict[str, Any]:
    """Read the project's file, and make its paths absolute. Providers run in the folder of `main`."""
    project: dict[str, Any] = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))
    project["main"] = str(root / project.get("main", "."))
    if inline:
        return project
    options = {**project["runtime"]["options"]}
    options["virtualenv"] = str(root / options["virtualenv"])
    return {**project, "runtime": {**project["runtime"], "options": options}}


def _settings(root: Path, stack: str) -> dict[str, Any]:
    """Read a stack's settings. A tenant without a file gets Pulumi's own settings from the estate's file."""
    file = root / f"Pulumi.{stack}.yaml"
    name = StackName.parse(stack)
    if not name.tenant or file.exists():
        settings: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        return settings
    shared = yaml.safe_load((root / f"Pulumi.{name.estate}.yaml").read_text(encoding="utf-8"))
    config = shared.get("config") or {}
    return {"config": {key: value for key, value in config.items() if key.startswith("pulumi:")}}
