"""What pods are given in their environment has one name, written once."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import lightwork
from lightwork import manifests
from lightwork.kube import contract
from tests.unit.lightwork.manifests import objects

NAMES = {value for name, value in vars(contract).items() if name.startswith("ENV_")}


def written() -> Counter[str]:
    """How often each variable's name stands in the code as a text of its own."""
    found: Counter[str] = Counter()
    for path in Path(lightwork.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in NAMES:
                found[node.value] += 1
    return found


def test_each_name_is_written_once() -> None:
    assert written() == dict.fromkeys(NAMES, 1)


def test_pods_are_given_no_other_variables() -> None:
    tenant = objects.tenant("pipelines: {windy-city: {}}")
    made = [*manifests.cluster_objects(), *manifests.tenant_objects(tenant, objects.TARGET, {})]
    given = set(re.findall(r"\bLIGHTWORK_\w+", manifests.to_yaml(made)))
    assert given <= NAMES
    assert {contract.ENV_FUNCTION, contract.ENV_WORKER_PORT, contract.ENV_TENANT} <= given
