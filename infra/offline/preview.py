"""Show what an environment and one of its tenants would be made of: no account, no credentials, no engine.

    python -m infra.offline.preview --env prod --tenant acme

The program runs as Pulumi runs it, against answers that AWS might give. `make preview-offline` calls this.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.config import settings
from infra.config.image import DIGEST
from infra.config.stack import LOCAL, WITH_LOCAL, StackName
from infra.offline.answers import ACCOUNT
from infra.offline.recording import run_program
from lightwork.errors import InputError, near

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from infra.offline.recording import Resource, Run


ROOT = Path(__file__).resolve().parents[2]
UNCHOSEN = "000000000000"
"""What stands in the settings until somebody has chosen an account."""
LEGEND = "[protected]: a destroy refuses it. [kept]: it stays where it is when it leaves the program."


def workspace(source: Path, target: Path) -> Path:
    """Copy the program and its files; an account that nobody has chosen yet becomes the pretended one."""
    for name in ("infra", "tenants"):
        shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in source.glob("Pulumi*.yaml"):
        (target / path.name).write_text(path.read_text(encoding="utf-8").replace(UNCHOSEN, ACCOUNT))
    return target


def preview(root: Path, stack: str) -> Run:
    """Run the program for a stack, in the account that its settings name.

    Raises:
        InputError: the program refuses what it was given.
    """
    os.environ.setdefault(DIGEST, f"sha256:{'0' * 64}")
    run = run_program(root, stack, credentials_of=_account(root, stack))
    if run.error is not None:
        raise InputError(str(run.error))
    return run


def tree(run: Run) -> Iterator[str]:
    """The resources as a tree: type and logical name, of Kubernetes' objects kind and name."""
    below: dict[str, list[Resource]] = defaultdict(list)
    for resource in run.resources:
        if not resource.type.startswith("pulumi:"):
            below[_last(resource.parent)].append(resource)

    def lines(parent: str, indent: str) -> Iterator[str]:
        children = sorted(below.pop(parent, []), key=lambda child: (child.name, child.type))
        for child in children:
            end = child is children[-1]
            yield f"{indent}{'└─ ' if end else '├─ '}{label(child)}"
            yield from lines(f"{child.type}::{child.name}", indent + ("   " if end else "│  "))

    (stack,) = (resource for resource in run.resources if resource.type == "pulumi:pulumi:Stack")
    yield from lines(f"{stack.type}::{stack.name}", "")


def label(resource: Resource) -> str:
    """One resource, as it is shown."""
    kind, name = _kubernetes(resource) or (_type(resource.type), resource.name)
    marks = [
        mark for mark, on in (("protected", resource.protect), ("kept", resource.retain_on_delete)) if on
    ]
    if marks and name != resource.name:
        # A `destroy` entry goes by the logical name.
        marks[-1] += f"; logical name {resource.name}"
    return f"{kind}  {name}" + (f"  [{', '.join(marks)}]" if marks else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for what the program refuses."""
    parser = argparse.ArgumentParser(prog="python -m infra.offline.preview", description=__doc__)
    parser.add_argument("--env", required=True, help=", ".join(WITH_LOCAL))
    parser.add_argument("--tenant", default="acme", help="one of its tenants (acme)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        root = workspace(ROOT, Path(folder))
        try:
            _check(root, chosen.env, chosen.tenant)
            # The tenant first: its file is what may be wrong, and it is the quicker one.
            tenant = StackName(environment=chosen.env, tenant=chosen.tenant)
            runs = {stack: preview(root, stack) for stack in (str(tenant), str(tenant.estate))}
        except InputError as error:
            # The files are copies: what is wrong in them is wrong in the repository's own.
            print(str(error).replace(f"{root}{os.sep}", ""), file=sys.stderr)
            return 2
    for stack, run in reversed(runs.items()):
        lines = list(tree(run))
        components = sum(resource.type.startswith("lightwork:") for resource in run.resources)
        plural = "" if components == 1 else "s"
        print(f"{stack}: {len(lines) - components} resources in {components} component{plural}")
        print("\n".join(lines), end="\n\n")
    print(LEGEND)
    return 0


def _check(root: Path, environment: str, tenant: str) -> None:
    """Refuse what there is not, before anything is run.

    Raises:
        InputError: there is no such environment, or no file of such a tenant.
    """
    if environment not in WITH_LOCAL:
        raise InputError(f"no environment {environment!r}{near(environment, WITH_LOCAL)}")
    known = sorted(path.stem for path in (root / "tenants").glob("*.yaml"))
    if tenant not in known:
        raise InputError(f"no tenant {tenant!r}{near(tenant, known)}")


def _account(root: Path, stack: str) -> str:
    environment = StackName.parse(stack).environment
    return ACCOUNT if environment == LOCAL else settings.load(root, environment).account


def _last(urn: str) -> str:
    """The type and name of a resource that a URN names; of the types only the innermost."""
    kind, _, name = urn.rpartition("::")
    return f"{kind.rpartition('::')[2].rpartition('$')[2]}::{name}"


def _type(type_: str) -> str:
    """`aws:ec2/subnet:Subnet` as `aws:ec2:Subnet`."""
    package, _, rest = type_.partition(":")
    module, _, kind = rest.partition(":")
    return f"{package}:{module.partition('/')[0]}:{kind}"


def _kubernetes(resource: Resource) -> tuple[str, str] | None:
    if not resource.type.startswith("kubernetes:"):
        return None
    metadata: dict[str, Any] = resource.inputs.get("metadata") or {}
    name = str(metadata.get("name", resource.name))
    where = metadata.get("namespace")
    kind = str(resource.inputs.get("kind") or resource.type.rpartition(":")[2])
    return kind, f"{where}/{name}" if where else name


if __name__ == "__main__":
    sys.exit(main())
