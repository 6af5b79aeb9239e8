"""The values of a run that `lightwork submit` starts: in its Workflow, or beside it if Argo cannot take them.

Argo has each value several times in a Workflow and in the variables of pods, whose sizes are limited. So long
ones are files in a ConfigMap that the Workflow owns, and which the driver mounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, near, one_line
from lightwork.functions import given
from lightwork.kube import contract, texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.kube.contract import Manifest

_SHOWN = 60
"""Characters of a long value in the note that stands for it."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Values of a run by where they are.

    Attributes:
        parameters: those of the Workflow, as Argo gets them.
        files: the long ones.
    """

    parameters: dict[str, str]
    files: dict[str, str]


def place(name: str, template: Manifest, values: Mapping[str, str]) -> Placed:
    """Check the values of a run against the template of its pipeline, and say where they go.

    Args:
        name: the pipeline's name in the tenant's file.
        template: its WorkflowTemplate.
        values: the values that are given, as texts.

    Raises:
        InputError: a parameter is unknown or missing, or a value is too long.
    """
    declared = {item["name"]: item for item in template["spec"].get("arguments", {}).get("parameters", [])}
    for wrong in values.keys() - declared.keys():
        raise InputError(f"{name}: there is no parameter {wrong!r}{near(wrong, declared)}")
    for missing in [key for key, item in declared.items() if "value" not in item and key not in values]:
        raise InputError(f"{name}: parameter {missing} is missing; expected {missing}=VALUE")
    for key, text in values.items():
        if reason := given.unusable(text):
            raise InputError(f"{name}: parameter {key} {reason}")
    weights = {key: given.weight(values.get(key, str(item.get("value")))) for key, item in declared.items()}
    long = _long(name, template, values, weights)
    files = {key: values[key] for key in long}
    if (size := sum(len(text.encode()) for text in files.values())) > given.LARGEST:
        raise InputError(
            f"{name}: {_listed(files)} {'have' if len(files) > 1 else 'has'} {size:,} bytes; long values may"
            f" have {given.LARGEST:,} together: write them into the lake and give their paths"
        )
    parameters = {
        key: _note(key, text) if key in files else texts.as_parameter(text) for key, text in values.items()
    }
    return Placed(parameters, files)


def _long(name: str, template: Manifest, values: Mapping[str, str], weights: Mapping[str, int]) -> list[str]:
    """Return the given values that are too long for a Workflow: each that is long, or the longest of many.

    Raises:
        InputError: such a value is used where it can only come from the Workflow.
    """
    annotations = template["metadata"].get("annotations", {})
    movable = annotations.get(contract.ANNOTATION_LONG, "").split(",")
    long: list[str] = []
    left = sum(weights.values())
    for key in sorted(values, key=lambda key: weights[key], reverse=True):
        if weights[key] <= given.LONGEST and left <= given.LONGEST_TOGETHER:
            break
        if key in movable:
            long.append(key)
            left -= weights[key]
        elif weights[key] > given.LONGEST:
            raise InputError(
                f"{name}: parameter {key} has {len(values[key].encode()):,} bytes, and a container or another"
                f" text uses it, which may have about {given.LONGEST:,} (quotes and line ends count more):"
                " write it into the lake and give its path"
            )
    if left > given.LONGEST_TOGETHER:
        raise InputError(
            f"{name}: {_listed(values)} are too long together; expected about"
            f" {given.LONGEST_TOGETHER:,} bytes (quotes and line ends count more): write them into the lake"
            " and give their paths"
        )
    return long


def config_map(run: Mapping[str, Any] | None, files: Mapping[str, str]) -> Manifest:
    """Return the ConfigMap of a run's long values, which is deleted with the run.

    Args:
        run: the metadata of the Workflow; None for an object that is only checked and not kept.
        files: the long values.
    """
    metadata: dict[str, Any] = {"generateName": "lightwork-parameters-"}
    if run is not None:
        owner = {"apiVersion": contract.ARGO, "kind": "Workflow", "name": run["name"], "uid": run["uid"]}
        metadata = {
            "name": contract.parameters_name(run["name"]),
            "labels": {contract.LABEL_RUN: run["name"]},
            "ownerReferences": [owner],
        }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "immutable": True,
        "data": dict(files),
    }


def _note(key: str, text: str) -> str:
    """Return what a Workflow holds in place of a long value; the driver needs the name, people the rest."""
    start = one_line(text[:_SHOWN]).replace(texts.BRACES, "{ {")
    return f"{texts.IN_FILE}{key} {len(text.encode()):,} bytes, which begin: {start}"


def _listed(keys: Mapping[str, str]) -> str:
    return f"parameter{'s' if len(keys) > 1 else ''} {', '.join(keys)}"
