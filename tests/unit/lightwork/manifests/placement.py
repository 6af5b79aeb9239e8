"""On which nodes a pod may be: a node's labels and taints against the pod's affinity and tolerations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def fits(spec: Mapping[str, Any], labels: Mapping[str, str], taints: Iterable[Mapping[str, str]]) -> bool:
    """Return whether a pod may be on a node. Knows the operators that the manifests use, and no others."""
    return _wanted(spec, labels) and all(_tolerated(spec, taint) for taint in taints)


def _wanted(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    affinity = spec.get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(
        all(_matches(rule, labels) for rule in term["matchExpressions"])
        for term in required["nodeSelectorTerms"]
    )


def _matches(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if rule["operator"] == "In":
        return labels.get(rule["key"]) in rule["values"]
    assert rule["operator"] == "NotIn"
    return labels.get(rule["key"]) not in rule["values"]


def _tolerated(spec: Mapping[str, Any], taint: Mapping[str, str]) -> bool:
    return any(
        item["key"] == taint["key"] and item["operator"] == "Equal" and item["value"] == taint["value"]
        for item in spec.get("tolerations", ())
    )
