"""The name of each environment variable of pods is written in one place."""

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


def literals() -> Counter[str]:
    """How often each variable's name is a string literal in the code."""
    counts: Counter[str] = Counter()
    for path in Path(lightwork.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in NAMES:
                counts[node.value] += 1
    return counts


def test_each_name_is_written_once() -> None:
    assert literals() == dict.fromkeys(NAMES, 1)


def test_pods_get_no_other_variables() -> None:
    tenant = objects.tenant("pipelines: {windy-city: {}}")
    rendered = [*manifests.cluster_objects(), *manifests.tenant_objects(tenant, objects.TARGET, {})]
    variables = set(re.findall(r"\bLIGHTWORK_\w+", manifests.to_yaml(rendered)))
    assert variables <= NAMES
    assert {contract.ENV_FUNCTION, contract.ENV_WORKER_PORT, contract.ENV_TENANT} <= variables
