"""An engine that records each resource and invoke, with the options that the mocks hide."""

from __future__ import annotations

import runpy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime import mocks, rpc, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Resource:
    """One registration."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    provider: str
    providers: dict[str, str]
    protect: bool
    retain_on_delete: bool
    depends_on: list[str]


@dataclass
class Run:
    """What one run of the program did. Every registration has landed before it is handed out."""

    resources: list[Resource] = field(default_factory=list)
    invokes: list[tuple[str, str]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None

    def one(self, type_: str) -> Resource:
        """The only resource of a type."""
        found = [resource for resource in self.resources if resource.type == type_]
        assert len(found) == 1, (
            f"{len(found)} resources of type {type_} in {[r.type for r in self.resources]}"
        )
        return found[0]


class _Answers(mocks.Mocks):
    def __init__(self, account: str) -> None:
        self.account = account

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        state = dict(args.inputs)
        if args.typ == "aws:s3/bucket:Bucket":
            state["arn"] = f"arn:aws:s3:::{args.inputs['bucket']}"
        if args.typ == "aws:kms/key:Key":
            state |= {"arn": f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/{args.name}", "keyId": args.name}
        return f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        assert args.token == "aws:index/getCallerIdentity:getCallerIdentity", (
            f"unforeseen invoke {args.token}"
        )
        return {"accountId": self.account, "arn": "arn", "id": "id", "userId": "user"}


class _Monitor(mocks.MockMonitor):
    def __init__(self, answers: _Answers, run: Run) -> None:
        super().__init__(answers)
        self.run = run

    def RegisterResource(self, request: Any) -> Any:
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
                depends_on=list(request.dependencies),
            )
        )
        return super().RegisterResource(request)

    def Invoke(self, request: Any) -> Any:
        self.run.order.append(request.tok)
        self.run.invokes.append((request.tok, request.provider))
        return super().Invoke(request)


def run_program(root: Path, stack: str, *, credentials_of: str = ACCOUNT) -> Run:
    """Run the program in `root` as Pulumi would, for a stack, with the credentials of an account."""
    return record(lambda: runpy.run_path(str(root / "infra"), run_name="__main__"), stack, credentials_of)


def record(program: Callable[[], object], stack: str = "dev.acme", credentials_of: str = ACCOUNT) -> Run:
    """Run anything that makes resources; `pulumi.RunError` ends up in `error`, other errors are raised."""
    run = Run()
    answers = _Answers(credentials_of)
    settings.set_root_resource(None)  # else the stack of the run before
    mocks.set_mocks(answers, project="lightwork", stack=stack, monitor=_Monitor(answers, run))

    def recorded() -> pulumi.Output[None]:
        try:
            program()
        except pulumi.RunError as error:
            run.error = error
        outputs = settings.get_root_resource().outputs
        return pulumi.Output.all(**outputs).apply(run.outputs.update)

    # `test` waits for every registration, and fails on what failed in one of them.
    pulumi.runtime.test(recorded)()
    return run
