"""The machine of one of a tenant's people, and the account that they log in to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.config.naming import Names
from infra.policies import tenant as tenant_policies
from infra.tenant.identity import people_role
from lightwork.cli.main import execute
from lightwork.kube import kubeconfig, logins
from tests import eks

NAMES = Names(environment="dev", account=eks.ACCOUNT, region=eks.REGION)
ROLE = NAMES.role_arn(people_role(NAMES, "acme"), tenant=True)
WHERE = ("--env", "dev", "--tenant", "acme")
NO_PROFILE = (
    "cannot use AWS: The config profile ({}) could not be found; name one of ~/.aws/config by --profile"
)
NO_CREDENTIALS = "there are no AWS credentials of yours; log in to AWS first, or name a profile by --profile"
ONCE = (*WHERE, "--account", eks.ACCOUNT, "--region", eks.REGION)


@dataclass
class Home:
    """A person's machine.

    Attributes:
        folder: their home.
        kubeconfig: their kubeconfig.
        run: runs a command; returns its exit code, and what it printed on stdout and stderr.
    """

    folder: Path
    kubeconfig: Path
    run: Callable[..., tuple[int, str, str]]


@contextlib.contextmanager
def account() -> Iterator[eks.Aws]:
    """Run the account of dev, with a role of acme's people, which jane may assume and bob may not."""
    with eks.aws() as running:
        jane, _ = running.add_person("jane"), running.add_person("bob")
        running.add_role(ROLE, tenant_policies.trust_people(principals=(jane,)))
        running.add_cluster("lightwork-dev", "http://replaced", b"an authority")
        yield running


def of(name: str, amazon: eks.Aws, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Home:
    """Return a person's machine, whose home is a folder."""
    path = folder / "kube" / "config"
    become(amazon, name, monkeypatch)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.chdir(folder)

    def run(*words: str) -> tuple[int, str, str]:
        code = execute(words)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return Home(folder, path, run)


def become(amazon: eks.Aws, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in amazon.people[name].items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def at(amazon: eks.Aws, endpoint: str, **vpc: Any) -> None:
    """Let EKS say that the cluster's API is at an address."""
    from moto.eks.models import eks_backends

    cluster = eks_backends[eks.ACCOUNT][eks.REGION].clusters["lightwork-dev"]
    cluster.endpoint, cluster.status = endpoint, "ACTIVE"
    cluster.resources_vpc_config = {"subnetIds": ["subnet-1"], **vpc}


def put(name: str, **parts: Any) -> None:
    """Add a context to the kubeconfig."""
    parts = {"cluster": {}, "user": {}, "namespace": "x", **parts}
    logins.write_private(kubeconfig.added(name, **parts))


def roles() -> list[str]:
    """Return the ARNs of all roles of the account."""
    from moto.iam.models import iam_backends

    return [role.arn for role in iam_backends[eks.ACCOUNT]["aws"].roles.values()]
