"""Objects of a tenant's namespace, as the Kubernetes API shows them."""

from __future__ import annotations

NAMESPACE = "/namespaces/tenant-acme"
ARGO = f"/apis/argoproj.io/v1alpha1{NAMESPACE}"
CORE = f"/api/v1{NAMESPACE}"


def workflow(phase, message="", done=1, **more):
    """Return a Workflow with four pods, some of them done."""
    states = ["Succeeded"] * done + ["Running"] * (4 - done)
    nodes = {str(n): {"type": "Pod", "phase": state} for n, state in enumerate(states)}
    return {"status": {"phase": phase, "message": message, "nodes": nodes, **more}}


def pods(*phases):
    items = [
        {
            "metadata": {"name": f"pod-{n}"},
            "spec": {"containers": [{"name": "wait"}, {"name": "main"}]},
            "status": {"phase": phase},
        }
        for n, phase in enumerate(phases)
    ]
    return {"items": items}
