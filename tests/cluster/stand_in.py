"""A stand-in for Pulumi's AWS provider, to which the real engine talks as to the real one.

It treats node groups as EKS does: it has their live sizes, which an autoscaler changes, and refuses a size
outside its limits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as messages
from pulumi.runtime.proto import provider_pb2_grpc as service
from pulumi.runtime.rpc import UNKNOWN

from infra.offline.answers import pretend, pretend_invoke
from infra.offline.remote import type_and_name
from tests.infra.engine import ACCOUNT

CLUSTER, GROUP = "aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup"
Properties = dict[str, Any]


class RefusedError(Exception):
    """What AWS refuses, with its message."""


@dataclass
class Account:
    """What the simulated account has.

    Attributes:
        clusters: the names of its clusters.
        groups: the live scaling of its node groups, by name.
        sent: what updates of node groups sent, as the group's name without its suffix and its scaling.
        created: the created resources in order, as type, logical name and inputs.
        deleted: the logical names of the deleted ones in order.
        loses_answers: whether AWS carries out updates whose answers get lost.
    """

    clusters: set[str] = field(default_factory=set)
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, int]]] = field(default_factory=list)
    created: list[tuple[str, str, Properties]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    loses_answers: bool = False

    def live(self, name: str) -> dict[str, int]:
        """Return the live scaling of a group by its name without the suffix."""
        (found,) = (scaling for group, scaling in self.groups.items() if _short(group) == name)
        return found

    def scale(self, group: str, scaling: Mapping[str, Any]) -> None:
        """Set a group's scaling, by EKS's rules."""
        sizes = {key: int(value) for key, value in scaling.items()}
        low, high, desired = (sizes[f"{key}Size"] for key in ("min", "max", "desired"))
        if not low <= desired <= high:
            raise RefusedError(
                f"InvalidParameterException: desired capacity {desired} is not in {low} to {high}"
            )
        self.groups[group] = sizes

    def answer(self, token: str, args: Properties) -> Properties:
        """Answer a function of the provider."""
        kind = token.rpartition(":")[2]
        if kind == "getClusters":
            return {"id": "id", "names": sorted(self.clusters), "region": "eu-central-1"}
        if kind not in {"getNodeGroups", "getNodeGroup"}:
            return pretend_invoke(token, args, ACCOUNT, None)
        if args["clusterName"] not in self.clusters:
            raise RefusedError(
                f"ResourceNotFoundException: No cluster found for name: {args['clusterName']}."
            )
        if kind == "getNodeGroups":
            return {**args, "id": "id", "names": sorted(self.groups)}
        return {**args, "id": "id", "scalingConfigs": [self.groups[args["nodeGroupName"]]]}


class Aws(service.ResourceProviderServicer):
    """The provider."""

    def __init__(self, account: Account) -> None:
        self.account, self._made, self._lock = account, 0, threading.Lock()

    def Handshake(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "an older protocol")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return messages.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return messages.DiffResponse(changes=messages.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return messages.ConfigureResponse(supportsPreview=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="7.0.0")

    def Attach(self, request: Any, context: Any) -> Any:
        return Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return Empty()

    def Check(self, request: Any, context: Any) -> Any:
        return messages.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = MessageToDict(request.old_inputs), MessageToDict(request.news)
        differing = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        some, none = messages.DiffResponse.DIFF_SOME, messages.DiffResponse.DIFF_NONE
        return messages.DiffResponse(changes=some if differing else none, diffs=differing)

    def Create(self, request: Any, context: Any) -> Any:
        kind, name = type_and_name(request.urn)
        inputs = MessageToDict(request.properties)
        state = pretend(kind, name, inputs)
        if request.preview:
            unknown = {key: UNKNOWN for key in state if key not in inputs}
            return messages.CreateResponse(properties=_struct({**inputs, **unknown}))
        if kind == GROUP:
            with self._lock:
                self._made += 1
            state["nodeGroupName"] = f"{state['nodeGroupNamePrefix']}20261127{self._made:018x}"
        with _explained(context):
            if kind == CLUSTER:
                self.account.clusters.add(state["name"])
            if kind == GROUP:
                self.account.scale(state["nodeGroupName"], state["scalingConfig"])
        self.account.created.append((kind, name, inputs))
        return messages.CreateResponse(id=f"{name}-id", properties=_struct(state))

    def Read(self, request: Any, context: Any) -> Any:
        state, inputs = MessageToDict(request.properties), MessageToDict(request.inputs)
        if type_and_name(request.urn)[0] == GROUP:
            live = {"scalingConfig": self.account.groups[state["nodeGroupName"]]}
            state, inputs = {**state, **live}, {**inputs, **live}
        return messages.ReadResponse(id=request.id, properties=_struct(state), inputs=_struct(inputs))

    def Update(self, request: Any, context: Any) -> Any:
        kind, _ = type_and_name(request.urn)
        state = {**MessageToDict(request.olds), **MessageToDict(request.news)}
        if kind == GROUP and not request.preview:
            group, scaling = state["nodeGroupName"], state["scalingConfig"]
            with _explained(context):
                self.account.scale(group, scaling)
                self.account.sent.append((_short(group), self.account.groups[group]))
                if self.account.loses_answers:
                    raise RefusedError("connection reset by peer")
        return messages.UpdateResponse(properties=_struct(state))

    def Delete(self, request: Any, context: Any) -> Any:
        self.account.deleted.append(type_and_name(request.urn)[1])
        return Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        with _explained(context):
            answer = self.account.answer(request.tok, MessageToDict(request.args))
        return messages.InvokeResponse(**{"return": _struct(answer)})


@contextmanager
def serving(account: Account) -> Iterator[dict[str, str]]:
    """Serve the provider on loopback; yield the variable that tells an engine to use it."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    service.add_ResourceProviderServicer_to_server(Aws(account), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield {"PULUMI_DEBUG_PROVIDERS": f"aws:{port}"}
    finally:
        server.stop(grace=0).wait()


@contextmanager
def _explained(context: Any) -> Iterator[None]:
    """Turn a refusal into an error of the call."""
    try:
        yield
    except RefusedError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))


def _short(group: str) -> str:
    return group.rpartition("-")[0]


def _struct(properties: Properties) -> Struct:
    struct = Struct()
    struct.update(properties)
    return struct
