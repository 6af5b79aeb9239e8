"""A Pulumi engine that records resources instead of creating them, for offline previews and tests."""

from __future__ import annotations

import asyncio
import functools
import runpy
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime import mocks, rpc, settings

from infra.offline import expected, remote
from infra.offline.answers import ACCOUNT, pretend, pretend_invoke

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

HYDRATE = "pulumi:pulumi:getResource"
"""The function by which the SDK reads the state of a resource that a component returns."""


@dataclass(frozen=True)
class Resource:
    """A registered resource, with the options that Pulumi's own mocks hide.

    `expected` ones are those that a remote component would make (`infra/offline/expected.py`).
    """

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
    expected: bool = False


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

    def owner(self, resource: Resource) -> str:
        """Return the name of this program's component that makes a resource, itself or by a remote one."""
        if not resource.expected:
            return resource.parent.rpartition("::")[2]
        return self.owner(self.parent(resource))

    def parent(self, resource: Resource) -> Resource:
        """Return the parent of a resource that has one."""
        return self._index[remote.type_and_name(resource.parent)]

    @functools.cached_property
    def _index(self) -> dict[tuple[str, str], Resource]:
        return {(resource.type, resource.name): resource for resource in self.resources}


class _Answers(mocks.Mocks):
    def __init__(self, account: str, estate: Mapping[str, Any] | None) -> None:
        self.account, self.estate = account, estate

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return f"{args.name}-id", pretend(args.typ, args.name, args.inputs)

    def call(self, args: mocks.MockCallArgs) -> Any:
        return pretend_invoke(args.token, dict(args.args), self.account, self.estate)


class _Transforms:
    """Takes the place of the SDK's server of callbacks, by which an engine calls a program's transforms."""

    def __init__(self) -> None:
        self.registered: list[
            Callable[[pulumi.ResourceTransformArgs], pulumi.ResourceTransformResult | None]
        ] = []

    def register_stack_transform(
        self, transform: Callable[[pulumi.ResourceTransformArgs], pulumi.ResourceTransformResult | None]
    ) -> None:
        self.registered.append(transform)

    def apply(self, request: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """Apply all transforms to a registration's options; return its inputs."""
        for transform in self.registered:
            opts = pulumi.ResourceOptions(
                protect=request.protect,
                retain_on_delete=request.retainOnDelete,
                ignore_changes=list(request.ignoreChanges),
            )
            args = pulumi.ResourceTransformArgs(
                custom=request.custom, type_=request.type, name=request.name, props=inputs, opts=opts
            )
            if result := transform(args):
                request.protect = bool(result.opts.protect)
                request.retainOnDelete = bool(result.opts.retain_on_delete)
                request.ignoreChanges[:] = result.opts.ignore_changes or []
                inputs = dict(result.props)
                request.object.CopyFrom(remote.struct(inputs))
        return inputs


class _Monitor(mocks.MockMonitor):
    def __init__(self, answers: _Answers, run: Run, transforms: _Transforms) -> None:
        super().__init__(answers)
        self.run, self.transforms = run, transforms

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  (Pulumi's name)
        if request.remote:
            return self._construct(request)
        self._record(request, rpc.deserialize_properties(request.object))
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def _construct(self, request: Any) -> Any:
        """Register a remote component, and what its provider would make of it."""
        self._record(request, remote.plain(request.object, lambda urn: urn))
        inputs = remote.plain(request.object, self._state)
        made = expected.made(request.type, request.name, inputs)
        urn = self.make_urn(request.parent, request.type, request.name)
        urns = {"": urn}
        for child in made.children:
            asked = remote.request(child, urns, request.providers)
            self._record(asked, child.inputs, expected=True)
            urns[child.name] = super().RegisterResource(asked).urn  # type: ignore[no-untyped-call]
        inner = {output: urns[child] for output, child in made.references.items()}
        state = {**made.outputs, **{output: remote.reference(child) for output, child in inner.items()}}
        self.resources[urn] = mocks.MockMonitor.ResourceRegistration(urn, "", state)
        return remote.response(urn, state, inner)

    def _state(self, urn: str) -> dict[str, Any]:
        """Return a resource's state, with the states of other resources in place of references."""
        return remote.resolved(self.resources[urn].state, self._state)

    def _record(self, request: Any, inputs: dict[str, Any], *, expected: bool = False) -> None:
        inputs = self.transforms.apply(request, inputs)
        self.run.order.append(request.type)
        self.run.resources.append(
            Resource(
                type=request.type,
                name=request.name,
                inputs=inputs,
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
                expected=expected,
            )
        )

    def Invoke(self, request: Any) -> Any:  # noqa: N802  (Pulumi's name)
        if request.tok == HYDRATE:
            return super().Invoke(request)  # type: ignore[no-untyped-call]
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


def _ensure_event_loop() -> None:
    """Give this thread an event loop, which the SDK expects: whoever called `asyncio.run` has left none."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        try:
            asyncio.get_event_loop()
        except RuntimeError:
            asyncio.set_event_loop(asyncio.new_event_loop())


def record(
    program: Callable[[], object],
    stack: str = "dev.acme",
    credentials_of: str = ACCOUNT,
    estate: Mapping[str, Any] | None = None,
) -> Run:
    """Run any function that creates resources. A `pulumi.RunError` is stored, other errors are raised."""
    run = Run()
    answers = _Answers(credentials_of, estate)
    _ensure_event_loop()
    settings.set_root_resource(None)  # type: ignore[arg-type]  # forget the previous run's stack
    transforms = _Transforms()
    monitor = _Monitor(answers, run, transforms)
    mocks.set_mocks(answers, project="lightwork", stack=stack, monitor=monitor)
    settings.SETTINGS.callbacks = transforms

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
