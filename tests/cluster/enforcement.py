"""Enforcement of network policies: `kube-network-policies` decides on each new connection of a pod.

A connection to a Service is judged twice: by the address that the pod dials, as the VPC CNI does, and by the
one that it is translated to, as most others do. Policies must allow both.

It takes packets from a queue of the kernel. Its own nftables rule, which fills the queue, is refused by
kernels without NFT_QUEUE and does not cover servers on the node: `machine.queue_packets` has rules for both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightwork.kube import contract
from tests.cluster import dialing, machine, processes
from tests.cluster.binaries import program
from tests.cluster.certificates import folder
from tests.cluster.kube import apply
from tests.cluster.progress import HarnessError, wait_for
from tests.cluster.settings import NODE

SERVER = "network-policies"
"""The server's name, also in the logs."""
OPEN, CLOSED = "lightwork-open", "lightwork-closed"
"""Two namespaces of the proof: without a policy, and with one that allows nothing."""
_USER = "lightwork:network-policies"
_RBAC = "rbac.authorization.k8s.io"


def start() -> None:
    """Start the server, and let it decide on every connection from now on; without it there are none."""
    listed = {"verbs": ["list", "watch"]}
    rules = [
        {"apiGroups": [""], "resources": ["pods", "namespaces", "services"], **listed},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], **listed},
    ]
    role = {"name": _USER}
    apply(
        [
            {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": role, "rules": rules},
            {
                "apiVersion": f"{_RBAC}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": role,
                "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", **role},
                "subjects": [{"apiGroup": _RBAC, "kind": "User", **role}],
            },
        ]
    )
    kubeconfig = folder() / f"{SERVER}.kubeconfig"
    words = [f"-kubeconfig={kubeconfig}", f"-node={NODE}", f"-queue={machine.QUEUE}"]
    processes.start(SERVER, [program(SERVER), *words])
    wait_for("the reader of the packets' queue", _reads, seconds=60)
    machine.queue_packets()


def _reads() -> bool:
    """Return whether a process reads the queue; the kernel lists queues by their numbers."""
    processes.check(SERVER)
    queues = Path("/proc/net/netfilter/nfnetlink_queue").read_text().splitlines()
    return any(int(line.split()[0]) == machine.QUEUE for line in queues)


def stranger() -> dict[str, Any]:
    """Return a pod that is labelled as a tenant's driver, in a namespace without a policy."""
    return dialing.pod(OPEN, "stranger", {contract.LABEL_ROLE: "driver"})


def prove() -> None:
    """Check that a stranger reaches a pod without a policy, and not one that a policy closes.

    Raises:
        HarnessError: it is otherwise, and so no test of a policy would mean anything.
    """
    servers = [dialing.pod(name, "server", {}) for name in (OPEN, CLOSED)]
    apply([*(_namespace(name) for name in (OPEN, CLOSED)), _deny_all(CLOSED)])
    dialing.start([stranger(), *servers])
    ends = [(dialing.address(name, "server"), contract.SCHEDULER_PORT) for name in (OPEN, CLOSED)]
    if not all(dialing.heard_by_the_node(end) for end in ends):
        raise HarnessError("the node does not reach its own pods")
    answers = dialing.heard(OPEN, "stranger", ends)
    if answers != [True, False]:
        raise HarnessError(f"policies are not enforced: expected [True, False], got {answers}")
    dialing.end([stranger(), *servers])


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _deny_all(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "default-deny", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }
