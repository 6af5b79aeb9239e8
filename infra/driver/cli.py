"""The command `lightwork-estate`. Slow modules are imported where they are used, to keep `--help` quick."""

from __future__ import annotations

import dataclasses
import functools
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from infra.config.stack import ENVIRONMENTS, LOCAL, WITH_LOCAL, StackName
from infra.driver.outcome import Command
from lightwork.cli import running
from lightwork.cli.candidates import names
from lightwork.cli.completion import command_for
from lightwork.cli.output import echo, json_text, show_json
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.shell_completion import CompletionItem

    from infra.config.stack import AnyEnvironment
    from infra.driver.engine import Engine
    from infra.driver.selection import Choice
    from lightwork.kube.api import KubeApi

ROOT = Path(__file__).resolve().parents[2]
NAME = "lightwork-estate"
CHOICES = "--estate, --tenant NAME, --changed-since REV, --all or --stack STACK"


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Deploy an environment: its estate and its tenants, each as a separate Pulumi stack.

    \b
    lightwork-estate preview --env dev --changed-since origin/main
    lightwork-estate up --env dev --estate
    lightwork-estate up --stack dev.acme

    Exit codes: 0 success, 1 a stack failed or was refused, 2 wrong input (nothing started), 130 interrupted.
    """
    if context.invoked_subcommand is None:
        echo(context.get_help())


def _tenant_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:  # noqa: ARG001
    """Offer the tenants with a file, for Tab."""
    return names(incomplete, _tenants())


def _stack_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:  # noqa: ARG001
    """Offer the stacks of the estates and of all tenants, for Tab."""
    tenants = ["", *(f".{name}" for name in _tenants())]
    return names(incomplete, (f"{env}{tenant}" for env in WITH_LOCAL for tenant in tenants))


def _tenants() -> list[str]:
    return [path.stem for path in (ROOT / "tenants").glob("*.yaml") if "." not in path.stem]


def _revisions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:  # noqa: ARG001
    """Offer the branches and tags, for Tab."""
    import subprocess

    command = ["git", "-C", str(ROOT), "for-each-ref", "--format=%(refname:short)"]
    refs = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return names(incomplete, refs.split())


def _stack_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose the stacks; the command gets them as one `Choice`."""
    options = (
        click.option("--env", type=click.Choice(WITH_LOCAL), help="The environment."),
        click.option("--estate", is_flag=True, help="The environment's estate."),
        click.option(
            "--tenant",
            "tenants",
            multiple=True,
            metavar="NAME",
            help="A tenant; can be repeated.",
            shell_complete=_tenant_names,
        ),
        click.option(
            "--changed-since",
            metavar="REV",
            help="The stacks affected by the files that differ from this commit.",
            shell_complete=_revisions,
        ),
        click.option("--all", "everything", is_flag=True, help="The estate and all its tenants."),
        click.option(
            "--stack",
            metavar="STACK",
            help="One stack: dev is the estate of dev, dev.acme a tenant in it.",
            shell_complete=_stack_names,
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
        **options: Any,
    ) -> Any:
        used = {
            "--estate" if estate else "--tenant": estate or bool(tenants),
            "--changed-since": changed_since is not None,
            "--all": everything,
            "--stack": stack is not None,
        }
        ways = [option for option, is_used in used.items() if is_used]
        if len(ways) != 1:
            raise InputError(f"choose the stacks by {CHOICES}; got {' and '.join(ways) or 'none of them'}")
        if stack is not None:
            name = _stack_name(stack, env)
            env, estate = name.environment, not name.tenant
            tenants = (name.tenant,) if name.tenant else ()
        if env is None:
            raise InputError(f"--env is missing; choose one of {', '.join(WITH_LOCAL)}")
        return command(choice=_choice(ROOT, env, estate, tenants, changed_since), **options)

    for option in reversed(options):
        with_choice = option(with_choice)
    return with_choice


def _stack_name(stack: str, env: str | None) -> StackName:
    """Parse the value of --stack."""
    if not stack:
        raise InputError(
            "--stack is empty; name a stack: dev is the estate of dev, dev.acme a tenant in it"
            " (make up STACK=dev)"
        )
    name = StackName.parse(stack, label="--stack")
    if env not in (None, name.environment):
        raise InputError(f"--stack {stack}: does not belong to --env {env}; leave out --env")
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


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that run the engine."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
        click.option(
            "--summary-dir",
            type=click.Path(file_okay=False, path_type=Path),
            help="Write summary.md and summary.json to this folder.",
        ),
        click.option(
            "--parallel",
            type=click.IntRange(min=1),
            default=4,
            show_default=True,
            help="How many tenants to work on at once.",
        ),
    ):
        command = option(command)
    return command


def _change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that plan changes."""
    for option in (
        click.option(
            "--diff",
            is_flag=True,
            help="Print old and new values of updated resources, and all of created ones.",
        ),
        click.option(
            "--take-over",
            is_flag=True,
            help="Set fields of Kubernetes objects that others have set; manage objects that exist already.",
        ),
        click.option(
            "--refresh/--no-refresh",
            default=None,
            help="Read every object first, to see what others changed; on for tenants and local stacks.",
        ),
    ):
        command = option(command)
    return command


@cli.command()
@_stack_options
@_change_options
@_run_options
def up(**options: Any) -> int:
    """Deploy the estate first, then tenants, several at once.

    Each stack is previewed first. A stack whose preview deletes or replaces something precious is refused
    unless a committed `destroy` entry names it.
    """
    return _work(Command.UP, **options)


@cli.command()
@_stack_options
@_change_options
@_run_options
def preview(**options: Any) -> int:
    """Show what `up` would change, and fail where it would refuse. Nothing is changed or created."""
    return _work(Command.PREVIEW, **options)


@cli.command()
@_stack_options
@_run_options
def destroy(**options: Any) -> int:
    """Destroy leaving tenants, then an estate without tenants.

    Nothing is deleted unless committed `destroy` entries name everything precious in the stack.
    """
    if click.get_current_context().params.get("changed_since") is not None:
        raise InputError(
            "destroy: --changed-since chooses what to deploy; name what to destroy by --tenant or --estate"
        )
    return _work(Command.DESTROY, **options)


@cli.command()
@_stack_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of names.")
def stacks(choice: Choice, as_json: bool) -> int:
    """Print the chosen stacks, the estate first. Needs no account and no Pulumi."""
    _warn(choice.warnings)
    if as_json:
        show_json(choice.stacks)
        return 0
    for stack in choice.stacks:
        reason = choice.reasons.get(stack)
        echo(f"{stack}  ({reason})" if reason else stack)
    return 0


@cli.command()
@click.option("--env", type=click.Choice(ENVIRONMENTS), required=True, help="The environment.")
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    metavar="NAME",
    help="A tenant to include; can be repeated.",
    shell_complete=_tenant_names,
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Worker nodes of a nightly run.",
)
@click.option(
    "--hours",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Duration of a nightly run.",
)
def cost(env: Any, tenants: tuple[str, ...], workers: int, hours: float) -> int:
    """Print an environment's cost at list prices. Needs no account.

    The costs of the estate and of each given tenant are per month without any run. The cost of a nightly run
    is added below.
    """
    from infra.driver import plan
    from infra.driver.repository import Repository
    from infra.offline.cost import report

    plan.named(Repository(ROOT, env), tenants, estate=True)
    echo(report(env, tenants, workers=workers, hours=hours))
    return 0


@cli.command()
@click.option("--env", type=click.Choice(WITH_LOCAL), required=True, help="The environment.")
@click.option(
    "--tenant", metavar="NAME", help="One of its tenants instead of its estate.", shell_complete=_tenant_names
)
def dump(env: AnyEnvironment, tenant: str | None) -> int:
    """Print every resource of a stack as JSON. Needs no account and no Pulumi.

    An array of {"type", "name", "inputs", "options"}, for jq, checkov and people. What only AWS knows, such
    as IDs, is made up; the same files print the same text.
    """
    from infra.offline.dump import dump as resources

    echo(json_text(resources(ROOT, env, tenant), indent=1))
    return 0


@cli.command("erase-logs")
@click.option("--env", type=click.Choice(ENVIRONMENTS), required=True, help="The environment.")
@click.option(
    "--tenant",
    metavar="NAME",
    required=True,
    help="The tenant, whose file may be gone.",
    shell_complete=_tenant_names,
)
def erase_logs(env: Any, tenant: str) -> int:
    """Print a Job that erases the logs of a tenant that has left, for kubectl. Nothing is erased before.

    \b
    lightwork-estate erase-logs --env dev --tenant initech | kubectl create -f -

    It deletes the tenant's lines in OpenSearch, and the role that reads them. It is safe to repeat.
    """
    from infra.driver import erasing, stacks

    echo(json_text(erasing.job(ROOT, env, tenant, lambda site: stacks.Stacks(site)), indent=1))
    return 0


@cli.command()
@click.option("--env", type=click.Choice(ENVIRONMENTS), required=True, help="The environment.")
def bootstrap(env: Any) -> int:
    """Create the bucket and the key for Pulumi's states in an empty account.

    It calls AWS directly and needs an administrator's credentials. It is safe to repeat: wrong settings are
    corrected and nothing is deleted. It prints the variables to export.
    """
    from infra.estate.bootstrap import bootstrap as prepare

    for line in prepare(ROOT, env):
        echo(line)
    return 0


cli.add_command(command_for(NAME))


def _work(
    command: Command,
    *,
    choice: Choice,
    parallel: int,
    summary_dir: Path | None,
    as_json: bool,
    refresh: bool | None = None,
    take_over: bool = False,
    diff: bool = False,
) -> int:
    """Run the real engine on this repository's stacks."""
    from infra.driver import plan, run

    _warn(choice.warnings)
    order = plan.order(ROOT, command, choice)
    _warn(order.warnings)
    choice = dataclasses.replace(choice, warnings=(*choice.warnings, *order.warnings))
    if choice.environment == LOCAL:
        from infra.driver import at_hand

        cluster, text = at_hand.check(ROOT)
        _warn([f"{LOCAL} is {text}"])
    elif command is not Command.DESTROY:
        from infra.driver import processes, quotas

        if order.estate:
            processes.need_aws()
        if order.tenants:
            plan.image_is_named()
        _warn(quotas.check(ROOT, choice.environment, choice))
    if order.estate:
        from infra.driver import charts

        charts.bring_all(ROOT, choice.environment, lambda line: _warn([line]))

    def engine() -> Engine:
        from infra.driver.stacks import Site, Stacks

        site = Site(
            root=ROOT,
            environment=choice.environment,
            backend=order.backend,
            secrets_provider=order.secrets_provider,
            message=run.message(ROOT, command),
            refresh=refresh,
            take_over=take_over,
        )
        return Stacks(site)

    def api(engine: Engine) -> KubeApi:
        from infra.driver import waiting

        return cluster if choice.environment == LOCAL else waiting.of_estate(engine, choice.environment)

    return run.run(
        command,
        choice,
        order,
        engine=engine,
        api=api,
        commit=run.commit(ROOT),
        parallel=parallel,
        summary_dir=summary_dir,
        as_json=as_json,
        diff=diff,
    )


def _warn(lines: Sequence[str]) -> None:
    for line in lines:
        echo(f"{NAME}: {line}", err=True)


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
