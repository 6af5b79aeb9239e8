"""Print the resources of an environment and one of its tenants, without an account, credentials or an engine.

    python -m infra.offline.preview --env prod --tenant acme

The program runs as under Pulumi, with simulated responses of AWS. `make preview-offline` calls this.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.ci.common import run as run_command
from infra.config import settings
from infra.config.image import DIGEST
from infra.config.stack import LOCAL, WITH_LOCAL, StackName
from infra.offline.answers import ACCOUNT
from infra.offline.recording import run_program
from infra.offline.remote import type_and_name
from lightwork.cli.output import echo
from lightwork.errors import InputError, near

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from infra.config.stack import AnyEnvironment
    from infra.offline.recording import Resource, Run


ROOT = Path(__file__).resolve().parents[2]
UNCHOSEN = "000000000000"
"""The account in the settings until a real one is filled in."""
LEGEND = "[protected]: a destroy refuses it. [kept]: it stays where it is when it leaves the program."


def workspace(source: Path, target: Path) -> Path:
    """Copy the program and its files, with the simulated account in place of a missing one."""
    for name in ("infra", "tenants"):
        shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in source.glob("Pulumi*.yaml"):
        (target / path.name).write_text(path.read_text(encoding="utf-8").replace(UNCHOSEN, ACCOUNT))
    return target


@contextmanager
def copied(source: Path) -> Iterator[Path]:
    """Yield the root of a temporary copy, to run the program in; errors name the files of the repository."""
    with tempfile.TemporaryDirectory() as folder:
        root = workspace(source, Path(folder))
        try:
            yield root
        except InputError as error:
            raise InputError(str(error).replace(f"{root}{os.sep}", "")) from None


def preview(root: Path, stack: str) -> Run:
    """Run the program for a stack, in the account that its settings name.

    Raises:
        InputError: the program refuses its settings or a tenant's file.
    """
    os.environ.setdefault(DIGEST, f"sha256:{'0' * 64}")
    run = run_program(root, stack, credentials_of=_account(root, stack))
    if run.error is not None:
        raise InputError(str(run.error))
    return run


def tree(run: Run) -> Iterator[str]:
    """Yield the lines of a tree of the resources: type and logical name, or kind and name in Kubernetes."""
    children_of: dict[tuple[str, str], list[Resource]] = defaultdict(list)
    for resource in run.resources:
        if not resource.type.startswith("pulumi:"):
            children_of[type_and_name(resource.parent)].append(resource)

    def lines(parent: tuple[str, str], indent: str) -> Iterator[str]:
        children = sorted(children_of.pop(parent, []), key=lambda child: (child.name, child.type))
        for child in children:
            is_last = child is children[-1]
            yield f"{indent}{'└─ ' if is_last else '├─ '}{label(child)}"
            yield from lines((child.type, child.name), indent + ("   " if is_last else "│  "))

    (stack,) = (resource for resource in run.resources if resource.type == "pulumi:pulumi:Stack")
    yield from lines((stack.type, stack.name), "")


def label(resource: Resource) -> str:
    """Return the label of a resource in the tree."""
    kind, name = _kubernetes(resource) or (_type(resource.type), resource.name)
    marks = [
        mark for mark, on in (("protected", resource.protect), ("kept", resource.retain_on_delete)) if on
    ]
    if marks and name != resource.name:
        # A `destroy` entry needs the logical name.
        marks[-1] += f"; logical name {resource.name}"
    return f"{kind}  {name}" + (f"  [{', '.join(marks)}]" if marks else "")


@click.command(help=__doc__)
@click.option("--env", required=True, help=f"The environment: {', '.join(WITH_LOCAL)}.")
@click.option("--tenant", default="acme", show_default=True, help="One of its tenants.")
def command(env: str, tenant: str) -> None:
    """Print the resources."""
    with copied(ROOT) as root:
        # The tenant first, as it is quicker and its file is more likely to be wrong.
        name = StackName(environment=checked(root, env, tenant), tenant=tenant)
        runs = {stack: preview(root, stack) for stack in (str(name), str(name.estate))}
    for stack, run in reversed(runs.items()):
        lines = list(tree(run))
        components = sum(resource.type.startswith(("eks:", "lightwork:")) for resource in run.resources)
        plural = "" if components == 1 else "s"
        echo(f"{stack}: {len(lines) - components} resources in {components} component{plural}")
        echo("\n".join(lines) + "\n")
    echo(LEGEND)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 2 if the program refuses its input."""
    return run_command(command, "infra.offline.preview", arguments)


def checked(root: Path, environment: str, tenant: str | None) -> AnyEnvironment:
    """Return the environment after checking that it exists, and so does the tenant, if one is given.

    Raises:
        InputError: the environment does not exist, or the tenant has no file.
    """
    matches = [name for name in WITH_LOCAL if name == environment]
    if not matches:
        raise InputError(f"no environment {environment!r}{near(environment, WITH_LOCAL)}")
    tenants = sorted(path.stem for path in (root / "tenants").glob("*.yaml"))
    if tenant is not None and tenant not in tenants:
        raise InputError(f"no tenant {tenant!r}{near(tenant, tenants)}")
    return matches[0]


def _account(root: Path, stack: str) -> str:
    environment = StackName.parse(stack).environment
    return ACCOUNT if environment == LOCAL else settings.load(root, environment).account


def _type(type_: str) -> str:
    """Shorten a type such as `aws:ec2/subnet:Subnet` to `aws:ec2:Subnet`."""
    package, _, qualified = type_.partition(":")
    module, _, kind = qualified.partition(":")
    return f"{package}:{module.partition('/')[0]}:{kind}"


def _kubernetes(resource: Resource) -> tuple[str, str] | None:
    """Return the kind of a Kubernetes object, and its name with the namespace; None for other resources."""
    if not resource.type.startswith("kubernetes:"):
        return None
    metadata: dict[str, Any] = resource.inputs.get("metadata") or {}
    name = str(metadata.get("name", resource.name))
    namespace = metadata.get("namespace")
    kind = str(resource.inputs.get("kind") or resource.type.rpartition(":")[2])
    return kind, f"{namespace}/{name}" if namespace else name


if __name__ == "__main__":
    sys.exit(main())
