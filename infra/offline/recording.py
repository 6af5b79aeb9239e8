"""A Pulumi engine that records resources instead of creating them, for offline previews and tests."""

from __future__ import annotations

import runpy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime import mocks, rpc, settings

from infra.offline.answers import ACCOUNT, pretend, pretend_invoke

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Resource:
    """A registered resource, with the options that Pulumi's own mocks hide."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    provider: str
    providers: dict[str, str]
    protect: bool
    retain_on_delete: bool
    deleted_with: str
    depends_on: list[str]
    ignore_changes: list[str]
    timeouts: dict[str, str]
    secret_outputs: list[str]


@dataclass
class Run:
    """The record of a program's run, complete when `record` returns it.

    Attributes:
        resources: the registered resources, in order.
        invokes: the called functions, each with its provider.
        asked: the arguments of those calls.
        order: the types of resources and the names of functions, in the order of their requests.
        outputs: the stack's outputs.
        error: the `pulumi.RunError` that the program raised, if any.
    """

    resources: list[Resource] = field(default_factory=list)
    invokes: list[tuple[str, str]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None

    def one(self, type_: str) -> Resource:
        """Return the only resource of a type."""
        resources = self.all(type_)
        assert len(resources) == 1, (  # noqa: S101  (for tests)
            f"{len(resources)} resources of type {type_} in {[r.type for r in self.resources]}"
        )
        return resources[0]

    def all(self, type_: str) -> list[Resource]:
        """Return the resources of a type."""
        return [resource for resource in self.resources if resource.type == type_]

    def named(self, type_: str, name: str) -> Resource:
        """Return the resource with a type and a logical name."""
        (resource,) = (resource for resource in self.all(type_) if resource.name == name)
        return resource


class _Answers(mocks.Mocks):
    def __init__(self, account: str, estate: Mapping[str, Any] | None) -> None:
        self.account, self.estate = account, estate

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return f"{args.name}-id", pretend(args.typ, args.name, args.inputs)

    def call(self, args: mocks.MockCallArgs) -> Any:
        return pretend_invoke(args.token, dict(args.args), self.account, self.estate)


class _Monitor(mocks.MockMonitor):
    def __init__(self, answers: _Answers, run: Run) -> None:
        super().__init__(answers)
        self.run = run

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  (Pulumi's name)
        self.run.order.append(request.type)
        self.run.resources.append(
            Resource(
                type=request.type,
                name=request.name,
                inputs=rpc.deserialize_properties(request.object),
                parent=request.parent,
                provider=request.provider,
                providers=dict(request.providers),
                protect=request.protect,
                retain_on_delete=request.retainOnDelete,
                deleted_with=request.deletedWith,
                depends_on=list(request.dependencies),
                ignore_changes=list(request.ignoreChanges),
                timeouts={
                    field.name: str(value) for field, value in request.customTimeouts.ListFields() if value
                },
                secret_outputs=list(request.additionalSecretOutputs),
            )
        )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def Invoke(self, request: Any) -> Any:  # noqa: N802  (Pulumi's name)
        self.run.order.append(request.tok)
        self.run.invokes.append((request.tok, request.provider))
        self.run.asked.append(rpc.deserialize_properties(request.args))
        return super().Invoke(request)  # type: ignore[no-untyped-call]


def run_program(
    root: Path,
    stack: str,
    *,
    credentials_of: str = ACCOUNT,
    estate: Mapping[str, Any] | None = None,
) -> Run:
    """Run the program in `root` as Pulumi would.

    Args:
        root: the repository's root.
        stack: the stack's name.
        credentials_of: the account that the simulated credentials belong to.
        estate: the outputs of the environment's estate; None for simulated ones.
    """

    def program() -> None:
        runpy.run_path(str(root / "infra"), run_name="__main__")

    return record(program, stack, credentials_of, estate)


def record(
    program: Callable[[], object],
    stack: str = "dev.acme",
    credentials_of: str = ACCOUNT,
    estate: Mapping[str, Any] | None = None,
) -> Run:
    """Run any function that creates resources. A `pulumi.RunError` is stored, other errors are raised."""
    run = Run()
    answers = _Answers(credentials_of, estate)
    settings.set_root_resource(None)  # type: ignore[arg-type]  # forget the previous run's stack
    mocks.set_mocks(answers, project="lightwork", stack=stack, monitor=_Monitor(answers, run))

    def recorded() -> pulumi.Output[None]:
        try:
            program()
        except pulumi.RunError as error:
            run.error = error
        stack_outputs = settings.get_root_resource().outputs  # type: ignore[union-attr]
        return pulumi.Output.all(**stack_outputs).apply(run.outputs.update)

    # `test` waits for all registrations, and raises their errors.
    pulumi.runtime.test(recorded)()  # type: ignore[no-untyped-call]
    return run
