"""The command `lightwork-estate`. What is heavy is imported where it is used: `--help` answers at once."""

from __future__ import annotations

import functools
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from infra.config.stack import ENVIRONMENTS, LOCAL, WITH_LOCAL, StackName
from infra.driver.outcome import Command
from lightwork.cli import running
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from infra.config.stack import AnyEnvironment
    from infra.driver.engine import Engine
    from infra.driver.selection import Choice

ROOT = Path(__file__).resolve().parents[2]
NAME = "lightwork-estate"
CHOICES = "--estate, --tenant NAME, --changed-since REV, --all or --stack STACK"


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Deploy an environment: its estate and its tenants, each a Pulumi stack of its own.

    \b
    lightwork-estate preview --env dev --changed-since origin/main
    lightwork-estate up --env dev --estate
    lightwork-estate up --stack dev.acme

    Exit codes: 0 done, 1 a stack failed or was refused, 2 a wrong input (nothing was begun), 130 stopped.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _which(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which stacks are meant; the command gets them as one `Choice`."""
    options = (
        click.option("--env", type=click.Choice(WITH_LOCAL), help="The environment."),
        click.option("--estate", is_flag=True, help="Its estate."),
        click.option(
            "--tenant", "tenants", multiple=True, metavar="NAME", help="A tenant; more than once for more."
        ),
        click.option(
            "--changed-since", metavar="REV", help="What the files touch that differ from this commit."
        ),
        click.option("--all", "everything", is_flag=True, help="The estate and all its tenants."),
        click.option(
            "--stack", metavar="STACK", help="One stack: dev is the estate of dev, dev.acme a tenant."
        ),
    )

    @functools.wraps(command)
    def with_choice(
        *,
        env: AnyEnvironment | None,
        estate: bool,
        tenants: tuple[str, ...],
        changed_since: str | None,
        everything: bool,
        stack: str | None,
        **rest: Any,
    ) -> Any:
        made = sum((estate or bool(tenants), changed_since is not None, everything, stack is not None))
        if made != 1:
            found = "none" if made == 0 else "more than one kind"
            raise InputError(f"which stacks? Found {found} of {CHOICES}")
        if stack is not None:
            name = _named(stack, env)
            env, estate = name.environment, not name.tenant
            tenants = (name.tenant,) if name.tenant else ()
        if env is None:
            raise InputError(f"--env is missing: one of {', '.join(WITH_LOCAL)}")
        return command(choice=_choice(ROOT, env, estate, tenants, changed_since), **rest)

    for option in reversed(options):
        with_choice = option(with_choice)
    return with_choice


def _named(stack: str, env: str | None) -> StackName:
    """The stack that --stack names."""
    if not stack:
        raise InputError(
            "--stack: is empty: dev is the estate of dev, dev.acme a tenant in it (make up STACK=dev)"
        )
    name = StackName.parse(stack, label="--stack")
    if env not in (None, name.environment):
        raise InputError(f"--stack {stack}: is not of the environment {env} that --env names")
    return name


def _choice(
    root: Path, env: AnyEnvironment, estate: bool, tenants: Sequence[str], changed_since: str | None
) -> Choice:
    from infra.driver import plan
    from infra.driver.repository import Repository

    if changed_since is not None:
        return Repository.since(root, env, changed_since).touched()
    repository = Repository(root, env)
    if estate or tenants:
        return plan.named(repository, tenants, estate=estate)
    return repository.everything()


def _working(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what runs the engine."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
        click.option(
            "--summary-dir",
            type=click.Path(file_okay=False, path_type=Path),
            help="Write summary.md and summary.json here.",
        ),
        click.option(
            "--parallel",
            type=click.IntRange(min=1),
            default=4,
            show_default=True,
            help="So many tenants at once.",
        ),
    ):
        command = option(command)
    return command


@cli.command()
@_which
@_working
def up(**given: Any) -> int:
    """Deploy: the estate first, then tenants, several at once.

    Each stack is looked at first. One that would delete or replace something precious is left as it is,
    unless a committed `destroy` entry names that.
    """
    return _work(Command.UP, **given)


@cli.command()
@_which
@_working
def preview(**given: Any) -> int:
    """Say what `up` would do, and fail where it would refuse. Nothing is changed, also for a new stack."""
    return _work(Command.PREVIEW, **given)


@cli.command()
@_which
@_working
def destroy(**given: Any) -> int:
    """Take stacks apart: tenants that are leaving, then an estate without tenants.

    Whatever is precious must be named by a committed `destroy` entry first; otherwise nothing is deleted.
    """
    if click.get_current_context().params.get("changed_since") is not None:
        raise InputError(
            "destroy: --changed-since says what to deploy: name what is to go, by --tenant or --estate"
        )
    return _work(Command.DESTROY, **given)


@cli.command()
@_which
@click.option("--json", "as_json", is_flag=True, help="As a JSON list of names.")
def stacks(choice: Choice, as_json: bool) -> int:
    """Print which stacks are meant, the estate first. Needs no account and no Pulumi."""
    _warn(choice.warnings)
    if as_json:
        click.echo(json.dumps(choice.stacks))
        return 0
    for stack in choice.stacks:
        reason = choice.reasons.get(stack)
        click.echo(f"{stack}  ({reason})" if reason else stack)
    return 0


@cli.command()
@click.option("--env", type=click.Choice(ENVIRONMENTS), required=True, help="The environment.")
@click.option("--tenant", "tenants", multiple=True, metavar="NAME", help="One of its tenants as well.")
@click.option(
    "--workers", type=click.IntRange(min=0), default=10, show_default=True, help="Nodes of a nightly run."
)
@click.option(
    "--hours",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="How long a nightly run takes.",
)
def cost(env: Any, tenants: tuple[str, ...], workers: int, hours: float) -> int:
    """Print what an environment costs at list prices, at rest and for a nightly run. Needs no account."""
    from infra.driver import plan
    from infra.driver.repository import Repository
    from infra.offline.cost import report

    plan.named(Repository(ROOT, env), tenants, estate=True)
    click.echo(report(env, tenants, workers=workers, hours=hours))
    return 0


@cli.command()
@click.option("--env", type=click.Choice(ENVIRONMENTS), required=True, help="The environment.")
def bootstrap(env: Any) -> int:
    """Prepare an empty account: the bucket of Pulumi's states, and the key that encrypts them.

    It asks AWS directly, with an administrator's credentials, in steps that can be repeated: what exists
    stays, what differs is set right, nothing is ever deleted. It prints what to export.
    """
    from infra.estate.bootstrap import bootstrap as prepare

    for line in prepare(ROOT, env):
        click.echo(line)
    return 0


def _work(command: Command, *, choice: Choice, parallel: int, summary_dir: Path | None, as_json: bool) -> int:
    """Work with the real engine on this repository."""
    from infra.driver import plan, run

    _warn(choice.warnings)
    order = plan.order(ROOT, command, choice)
    if order.tenants and command is not Command.DESTROY and choice.environment != LOCAL:
        plan.image_is_named()

    def engine() -> Engine:
        from infra.driver.stacks import Site, Stacks

        site = Site(
            root=ROOT,
            environment=choice.environment,
            backend=order.backend,
            secrets_provider=order.secrets_provider,
            message=run.message(ROOT, command),
        )
        return Stacks(site)

    return run.run(
        command,
        choice,
        order,
        engine=engine,
        commit=run.commit(ROOT),
        parallel=parallel,
        summary_dir=summary_dir,
        as_json=as_json,
    )


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        click.echo(f"{NAME}: {warning}", err=True)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running.end(execute(argv))


def execute(argv: Sequence[str] | None = None) -> int:
    """Run the command line; every error becomes lines on stderr, and the exit code returned."""
    return running.execute(
        cli,
        NAME,
        argv,
        stopped="stopped before anything was begun",
        say=lambda text: running.lines(NAME, text),
    )
