"""What Tab offers for the arguments and options of `lightwork`.

Each function here is the `shell_complete` of a parameter: from Click's context, the parameter and the word
that is being typed, it returns the candidates. Pipelines and tasks are read from their source files, whose
code does not run; a lake is read, and never created.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

    from lightwork.functions.outline import Argument
    from lightwork.kube.runs import Remote
    from lightwork.lake import Lake

    Candidates = list[CompletionItem[str]]

PART = "part"
"""The kind of a candidate that goes on after it, so that no space follows."""
_NAME = re.compile(r"\w[\w./-]*")
_RUNS = 50
"""The newest runs of a lake that are read for the names of their pipelines."""


def files(*_: object) -> Candidates:
    """Offer files and folders."""
    return [CompletionItem("", type="file")]


def folders(*_: object) -> Candidates:
    """Offer folders."""
    return [CompletionItem("", type="dir")]


def one_of(*words: str) -> Callable[[click.Context, click.Parameter, str], Candidates]:
    """Return a function that offers words; those that end with `/` or `:` go on."""

    def candidates(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:  # noqa: ARG001
        items = [CompletionItem(word, type=PART if word[-1] in "/:" else "plain") for word in words]
        return _starting(incomplete, items)

    return candidates


places = one_of("serial", "local", "coiled", "tcp://", "tls://")
ENVIRONMENTS = ("dev", "staging", "prod")
environments = one_of(*ENVIRONMENTS)


def pipelines(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:  # noqa: ARG001
    """Offer the installed pipelines."""
    from lightwork.functions import outline

    items = [CompletionItem(name, help=item.doc) for name, item in outline.pipelines().items()]
    return _starting(incomplete, items)


def tasks(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:  # noqa: ARG001
    """Offer the tasks of the pipeline before them."""
    from lightwork.functions import outline

    pipeline = outline.pipelines().get(ctx.params.get("pipeline") or "")
    found = outline.tasks(pipeline) if pipeline else {}
    return _starting(incomplete, [CompletionItem(name, help=item.doc) for name, item in found.items()])


def parameters(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:
    """Offer the parameters that the pipeline or task before them still lacks, or the values of one."""
    from lightwork.functions import outline

    definition = outline.pipelines().get(ctx.params.get("pipeline") or "")
    if definition is not None and "task" in ctx.params:
        name = ctx.params["task"] or ""
        found = outline.tasks(definition)
        definition = found.get(name) or found.get(name.rpartition(".")[2].replace("-", "_"))
    arguments = {item.name: item for item in definition.arguments()} if definition else {}
    name, equals, text = incomplete.partition("=")
    if equals:
        return _values(arguments[name], text) if name in arguments else []
    given = {item.partition("=")[0] for item in ctx.params.get(param.name or "") or ()}
    items = [
        CompletionItem(f"{name}=", type=PART, help=item.note)
        for name, item in arguments.items()
        if name not in given
    ]
    return _starting(incomplete, items)


def _values(argument: Argument, text: str) -> Candidates:
    values = [value for value in argument.values if value.startswith(text)]
    if argument.path and not (text and values):
        return [CompletionItem("", type=argument.path)]
    return [CompletionItem(f"{argument.name}={value}") for value in values]


def artifacts(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:  # noqa: ARG001
    """Offer the artifacts in the lake."""
    return names(incomplete, _lake(ctx).folders("artifacts"))


def cached_tasks(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:  # noqa: ARG001
    """Offer the tasks with cached results in the lake."""
    return names(incomplete, _lake(ctx).folders("results"))


def pipelines_with_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:
    """Offer the installed pipelines and those of the newest runs in the lake."""
    from lightwork.store.records import recent

    installed = pipelines(ctx, param, incomplete)
    known = {item.value for item in installed}
    others = {str(record.get("pipeline")) for record in recent(_lake(ctx), _RUNS)}
    return installed + names(incomplete, others - known)


def tenants(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:  # noqa: ARG001
    """Offer the tenants with a file in `tenants/` of the current folder."""
    from pathlib import Path

    return names(incomplete, (path.stem for path in Path("tenants").glob("*.yaml")))


def tenant_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:
    """Offer the names of the files in `tenants/`, or else any file."""
    return tenants(ctx, param, incomplete) or files()


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:  # noqa: ARG001
    """Offer the runs of the tenant in the cluster, if `--env` comes before; the newest first."""
    return names(incomplete, _remote(ctx).runs(), newest_first=True) if ctx.params.get("environment") else []


def runs_in_lake(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:  # noqa: ARG001
    """Offer the newest runs in the lake, the newest first."""
    from lightwork import run_names
    from lightwork.store import records

    found = sorted(records.names(_lake(ctx)), key=lambda name: str(run_names.time_in(name)), reverse=True)
    return names(
        incomplete, [name for name in found if name.startswith(incomplete)][:_RUNS], newest_first=True
    )


def contexts(ctx: click.Context, param: click.Parameter, incomplete: str) -> Candidates:  # noqa: ARG001
    """Offer the contexts of the kubeconfig."""
    from kubernetes import config

    items = config.list_kube_config_contexts()[0]  # type: ignore[no-untyped-call]
    return names(incomplete, (str(item["name"]) for item in items))


def _starting(incomplete: str, items: Iterable[CompletionItem[str]]) -> Candidates:
    return [item for item in items if item.value.startswith(incomplete)]


def names(incomplete: str, words: Iterable[str], *, newest_first: bool = False) -> Candidates:
    """Return the names that start so, each once, sorted unless they come in an order of their own.

    Whoever wrote them, a shell takes them for plain words: others are left out.
    """
    ordered = list(dict.fromkeys(word for word in words if _NAME.fullmatch(word)))
    return _starting(incomplete, map(CompletionItem, ordered if newest_first else sorted(ordered)))


def _lake(ctx: click.Context) -> Lake:
    """Return the lake that the options before name, or else the usual one."""
    from lightwork import settings
    from lightwork.kube import logins
    from lightwork.lake import open_lake, s3_connection

    settings.load_env()
    tenant, environment = settings.resolve_tenant(ctx.params.get("tenant")), ctx.params.get("environment")
    login = logins.find(environment, tenant) if environment else None
    s3_connection.act_as(login.assumed() if login else None)
    url: Any = login.lake_url if login else settings.resolve_lake(ctx.params.get("lake"))
    return open_lake(url, tenant=tenant, patience=1.0)


def _remote(ctx: click.Context) -> Remote:
    from lightwork import settings
    from lightwork.kube.runs import Remote

    settings.load_env()
    given = ctx.params
    return Remote(given["environment"], settings.resolve_tenant(given.get("tenant")), given.get("context"))
