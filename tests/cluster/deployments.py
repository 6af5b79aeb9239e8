"""`lightwork-estate` as typed, with Pulumi's own engine and programs that run in the tests' process.

Python's language host is not built here. The engine therefore runs without the policy pack too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pulumi.runtime._callbacks import _CallbackServicer

from infra.driver import charts, cli, processes, quotas, stacks
from tests.cluster import binaries

REAL = stacks.Stacks
SHUTDOWN = _CallbackServicer.shutdown


@dataclass
class Deployments:
    """A repository, a backend, and the command line that deploys the one to the other.

    Attributes:
        root: the repository.
        backend: the folder of the stacks' states.
        pulumi: the folder of the engine.
        program: every stack's program, called with the stack's name and its environment variables.
        more: further variables of the engine.
        brings_charts: whether charts are fetched, which most programs here do not use.
        logged_in: whether the states are those of `pulumi login`, as for people, and not in `backend`.
        engine: the engine of the last call.
    """

    root: Path
    backend: Path
    pulumi: Path
    program: Callable[[str, Mapping[str, str]], None] = lambda stack, variables: None
    more: Mapping[str, str] = field(default_factory=dict)
    brings_charts: bool = False
    logged_in: bool = False
    engine: stacks.Stacks | None = None

    @property
    def home(self) -> Path:
        """The engine's own folder, with its plugins."""
        return self.backend.parent / "home"

    @property
    def variables(self) -> dict[str, str]:
        """The engine's variables in addition to the driver's."""
        ours = {"PULUMI_CONFIG_PASSPHRASE": "of the tests", "PULUMI_HOME": str(self.home)}
        return {**({} if self.logged_in else ours), **self.more}

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the command line use this repository and this engine during the block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cli, "ROOT", self.root)
            patch.setattr(stacks, "Stacks", self.stacks)
            # There is no account to ask.
            patch.setattr(quotas, "check", lambda *_, **__: [])
            patch.setattr(processes, "need_aws", lambda: None)
            patch.setattr(_CallbackServicer, "shutdown", classmethod(_shutdown))
            if not self.brings_charts:
                patch.setattr(charts, "bring_all", lambda *_: None)
            yield

    def stacks(self, site: stacks.Site) -> stacks.Stacks:
        """Stand in for `infra.driver.stacks.Stacks`, with the tests' backend, engine and program."""
        ours = dataclasses.replace(
            site,
            backend=site.backend if self.logged_in else f"file://{self.backend}",
            secrets_provider=site.secrets_provider if self.logged_in else "passphrase",
            pulumi=self.pulumi,
            program=lambda stack, variables: lambda: self.run(stack, variables),
            variables=self.variables,
        )
        self.engine = REAL(ours)
        return self.engine

    def run(self, stack: str, variables: Mapping[str, str]) -> None:
        """Run a stack's program; the engine waits for it."""
        self.program(stack, variables)

    def typed(self, line: str) -> tuple[int, dict[str, dict[str, object]]]:
        """Run the command line; return its exit code and each stack's entry in the summary."""
        folder = self.backend.parent / "summary"
        return cli.execute([*line.split(), "--summary-dir", str(folder)]), self.summary(folder)

    @staticmethod
    def summary(folder: Path) -> dict[str, dict[str, object]]:
        """Return each stack's entry in a summary."""
        return {
            stack["stack"]: stack for stack in json.loads((folder / "summary.json").read_text())["stacks"]
        }

    def plug_in(self, version: str) -> None:
        """Give the engine the Kubernetes provider, under the version that the program's package asks for."""
        folder = self.home / "plugins" / f"resource-kubernetes-v{version}"
        folder.mkdir(parents=True)
        (folder / binaries.PROVIDER).symlink_to(binaries.program(binaries.PROVIDER))


async def _shutdown(_: type[_CallbackServicer]) -> None:
    """Stop the server of a program's transforms at its end, as Pulumi's SDK does.

    The SDK also does so whenever Python drops the coroutine of a program that was interrupted. It then stops
    the server of the program that runs at that moment, which fails: "Resource monitor has terminated".
    """
    if sys.exc_info()[0] is not GeneratorExit:
        await SHUTDOWN()
