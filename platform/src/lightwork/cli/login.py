"""`lightwork login`: a tenant's cluster for those who know neither AWS nor Kubernetes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightwork.cli import candidates
from lightwork.cli.output import echo, one_environment, show_json
from lightwork.cli.remote import tenant_of
from lightwork.errors import InputError, LightworkError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.kube.eks import Cluster
    from lightwork.kube.logins import Login

REACH_SECONDS = 8.0
"""Seconds for which the cluster's API is waited for."""


@click.command("login")
@one_environment(help="dev, staging or prod.", required=True)
@click.option(
    "--tenant", metavar="NAME", help="The tenant [LIGHTWORK_TENANT].", shell_complete=candidates.tenants
)
@click.option("--account", metavar="NUMBER", help="The environment's AWS account; kept.")
@click.option("--region", metavar="REGION", help="Its AWS region; kept.")
@click.option("--role", metavar="ARN", help="The role to assume, if it is another one than usual; kept.")
@click.option(
    "--lake",
    metavar="URL",
    help="The tenant's lake, if it is another one than usual; kept.",
    shell_complete=candidates.folders,
)
@click.option("--profile", metavar="NAME", help="The AWS profile with your own credentials; kept.")
@click.option(
    "--token", is_flag=True, help="Print a token for the cluster, as its context does for each use."
)
def login_command(
    environment: str,
    tenant: str | None,
    account: str | None,
    region: str | None,
    role: str | None,
    profile: str | None,
    lake: str | None,
    token: bool,
) -> None:
    """Make the commands work with a tenant in a cluster: once, with the account and the region.

    Your own credentials on AWS are used for each command anew. None are written to a file.
    """
    from lightwork.kube import eks

    given = {"account": account, "region": region, "role": role, "profile": profile, "lake": lake}
    login = _login(environment, tenant_of(tenant), given, is_new=not token)
    if token:
        show_json(eks.token(login))
        return
    cluster = eks.describe(login)
    path = _keep(login, cluster)
    pipelines, page = _tenant(login, cluster)
    where = f"--env {login.environment} --tenant {login.tenant}"
    echo(f"logged in as {login.session}: context {login.context} in {path}", err=True)
    listed = ", ".join(pipelines) or "none yet"
    echo(f"pipelines of {login.tenant}: {listed}", err=True)
    if pipelines:
        echo(f"start a run: lightwork submit {pipelines[0]} {where} --wait", err=True)
    if page:
        echo(f"runs in a browser: {page}", err=True)


def _login(environment: str, tenant: str, given: Mapping[str, str | None], *, is_new: bool) -> Login:
    """Return what is given now, and for the rest what has been given before.

    Args:
        environment: the environment.
        tenant: the tenant.
        given: the options; None for those that are not given.
        is_new: whether AWS is asked who the person is, even if nothing is given.

    Raises:
        InputError: something is missing or invalid.
    """
    from dataclasses import replace

    from lightwork import settings
    from lightwork.kube import eks, logins

    try:
        before = logins.find(environment, tenant)
    except logins.DamagedError:
        if not (given["account"] and given["region"]):
            raise
        before = None
    if before is not None and all(value is None for value in given.values()):
        return replace(before, session=eks.name_of_caller(before)) if is_new else before
    values = {name: getattr(before, name, "") if value is None else value for name, value in given.items()}
    if missing := [f"--{name}" for name in ("account", "region") if not values[name]]:
        raise InputError(
            f"{' and '.join(missing)} missing: given once for {environment} and {tenant}, and then kept;"
            f" expected `lightwork login --env {environment} --tenant {tenant} --account NUMBER"
            " --region REGION`, which whoever runs the platform tells you"
        )
    if before is not None and before.account != values["account"]:
        values |= {name: given[name] or "" for name in ("role", "lake")}  # those were of the other account
    values["role"] = values["role"] or logins.role_of_people(environment, tenant, values["account"])
    login = logins.Login(environment=environment, tenant=tenant, **values)
    login.check()
    if login.lake:
        settings.resolve_lake(login.lake)
    return replace(login, session=eks.name_of_caller(login))


def _keep(login: Login, cluster: Cluster) -> Path:
    """Keep a login in the user's settings, and its context in the kubeconfig; return the latter's path."""
    from lightwork.kube import logins

    with logins.alone():
        path, text = _context(login, cluster)
        logins.write_private((path, text), logins.added(login))
    return path


def _context(login: Login, cluster: Cluster) -> tuple[Path, str]:
    """Return the kubeconfig, and its text with the context of a login."""
    from lightwork.kube import kubeconfig

    return kubeconfig.added(
        login.context,
        cluster={"server": cluster.endpoint, "certificate-authority-data": cluster.authority},
        user=kubeconfig.user_of_command(
            [*_this_program(), "login", "--env", login.environment, "--tenant", login.tenant, "--token"]
        ),
        namespace=f"tenant-{login.tenant}",
    )


def _this_program() -> list[str]:
    """Return the command that runs this program, from any folder."""
    beside = Path(sys.executable).with_name("lightwork")
    program = str(beside) if beside.is_file() else shutil.which("lightwork")
    return [program] if program else [sys.executable, "-m", "lightwork"]


def _tenant(login: Login, cluster: Cluster) -> tuple[list[str], str]:
    """Return the tenant's pipelines, which shows that the cluster lets this person in, and its page.

    Raises:
        LightworkError: the API cannot be reached from here, or refuses.
    """
    from lightwork.kube.log_store import LogStore

    remote = LogStore(login.environment, login.tenant)
    try:
        remote.reach(REACH_SECONDS)
    except OSError as error:
        raise LightworkError(_unreachable(login, cluster, error)) from error
    return remote.pipelines(), remote.page()


def _unreachable(login: Login, cluster: Cluster, error: OSError) -> str:
    also = f" and to {', '.join(cluster.public_cidrs)}" if cluster.public_cidrs else ""
    return (
        f"the cluster does not answer from this machine at {cluster.endpoint} ({one_line(error)}): its API is"
        f" open inside its VPC{also} only; whoever runs the platform opens it to more addresses by"
        f" `api_public_cidrs` in Pulumi.{login.environment}.yaml, or tells you the VPN to use"
    )
