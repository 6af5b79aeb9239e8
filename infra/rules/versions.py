"""The rule `unpinned`: no version changes without a commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from infra.config.image import is_digest
from infra.rules.kubernetes import REFERENCE, UnreadableError, containers
from infra.rules.subject import UNKNOWN, walk

if TYPE_CHECKING:
    from infra.rules.subject import Subject

Rule: TypeAlias = "Callable[[Mapping[str, Any]], Iterator[str]]"

EXACT = r"v?\d+\.\d+\.\d+([-+.][\w.+-]+)?"
FLOATING_TAGS = frozenset({"", "latest", "stable", "main", "master", "edge", "nightly", "dev"})


def unpinned(subject: Subject) -> Iterator[str]:
    """Yield the versions of a resource that are missing or can change."""
    if rule := RULES.get(subject.type):
        yield from rule(subject.inputs)
    if subject.type.startswith("kubernetes:") and not subject.type.startswith("kubernetes:helm.sh/"):
        yield from _images(subject.inputs)


def image_problem(image: Any) -> str | None:
    """Return why an image is not pinned; None if its tag is a version, or it has a digest."""
    if image is UNKNOWN or (isinstance(image, str) and REFERENCE in image):
        return None
    text = str(image or "")
    if is_digest(text.rpartition("@")[2]):
        return None
    tag = text.rpartition("/")[2].partition(":")[2]
    if tag.lower() in FLOATING_TAGS:
        return f"the image {text!r} is not pinned; set a version or, better, a digest"
    return None


def _images(inputs: Mapping[str, Any]) -> Iterator[str]:
    try:
        specified = list(containers(inputs))
    except UnreadableError:
        specified = []  # `unlimited` reports it
    for container in specified:
        if problem := image_problem(container.spec.get("image")):
            yield f"container {container.name!r}: {problem}"
    for path, value in walk(inputs):
        # A workflow template's parameter with the image.
        if isinstance(value, Mapping) and value.get("name") == "image" and path[-2:-1] == ("parameters",):
            image = str(value.get("value", value.get("default", REFERENCE)))
            if problem := image_problem(REFERENCE if "{{" in image else image):
                yield f"parameter 'image': {problem}"


def _version(inputs: Mapping[str, Any], key: str, pattern: str, remedy: str) -> Iterator[str]:
    """Yield a line if a version is missing or does not match the pattern of an exact one."""
    value = inputs.get(key)
    if value is not UNKNOWN and not re.fullmatch(pattern, str(value or "")):
        yield f"{key} is {value!r}; {remedy}" if value else f"{key} is missing; {remedy}"


def _chart(inputs: Mapping[str, Any]) -> Iterator[str]:
    yield from _version(inputs, "version", EXACT, "set the chart's exact version, such as 1.2.3")
    for path, value in walk(inputs.get("values") or {}):
        field = ".".join(map(str, path))
        last = path[-1] if path else ""
        if last == "tag" and isinstance(value, str) and value.lower() in FLOATING_TAGS - {""}:
            yield f"values.{field} is {value!r}, which is not pinned; set a version"
        if last == "image" and isinstance(value, str) and value and (problem := image_problem(value)):
            yield f"values.{field}: {problem}"


def _cluster(inputs: Mapping[str, Any]) -> Iterator[str]:
    yield from _version(inputs, "version", r"\d+\.\d+", "set a version of Kubernetes, such as 1.35")
    policy = inputs.get("upgradePolicy")
    if isinstance(policy, Mapping) and policy.get("supportType") == "STANDARD":
        yield "upgradePolicy is STANDARD: AWS would upgrade it on its own after some time; set EXTENDED"


def _node_group(inputs: Mapping[str, Any]) -> Iterator[str]:
    yield from _version(inputs, "version", r"\d+\.\d+", "set a version of Kubernetes, such as 1.35")
    if inputs.get("amiType") != "CUSTOM":
        remedy = "set the release of a node image, such as 1.35.7-20260911"
        yield from _version(inputs, "releaseVersion", r"[\w.]+-\d{8}", remedy)
    yield from _template(inputs)


def _template(inputs: Mapping[str, Any]) -> Iterator[str]:
    template = inputs.get("launchTemplate")
    if isinstance(template, Mapping) and str(template.get("version", "$Default")).startswith("$"):
        yield "launchTemplate.version is the latest or the default, which can change; set a number"


def _machine(inputs: Mapping[str, Any]) -> Iterator[str]:
    if "resolve:ssm:" in str(inputs.get("imageId") or inputs.get("ami") or ""):
        yield "its image is resolved at launch (resolve:ssm:), so it can change; set the image's id"
    yield from _template(inputs)


def _database(inputs: Mapping[str, Any]) -> Iterator[str]:
    engine = inputs.get("engine")
    two_parts = engine is UNKNOWN or "postgres" in str(engine)
    pattern = r"\d+\.\d+[\w.]*" if two_parts else r"\d+\.\d+\.[\w.]+"
    yield from _version(inputs, "engineVersion", pattern, "set the engine's full version, such as 17.7")
    if inputs.get("autoMinorVersionUpgrade") not in (False, UNKNOWN):
        yield "autoMinorVersionUpgrade is not false: AWS would upgrade it on its own"


def _database_cluster(inputs: Mapping[str, Any]) -> Iterator[str]:
    """Check an Aurora cluster, whose version its instances share."""
    yield from _version(inputs, "engineVersion", r"\d+\.\d+[\w.]*", "set an exact version, such as 17.7")


def _search(inputs: Mapping[str, Any]) -> Iterator[str]:
    pattern = r"(OpenSearch|Elasticsearch)_\d+\.\d+"
    yield from _version(inputs, "engineVersion", pattern, "set a version such as OpenSearch_2.19")
    options = inputs.get("softwareUpdateOptions")
    if isinstance(options, Mapping) and options.get("autoSoftwareUpdateEnabled") is True:
        yield "autoSoftwareUpdateEnabled is true: AWS would update it on its own"


def _addon(inputs: Mapping[str, Any]) -> Iterator[str]:
    pattern = r"v\d+\.\d+\.\d+-eksbuild\.\d+"
    yield from _version(inputs, "addonVersion", pattern, "set an exact version, such as v1.22.4-eksbuild.3")


def _repository(inputs: Mapping[str, Any]) -> Iterator[str]:
    if inputs.get("imageTagMutability") not in ("IMMUTABLE", UNKNOWN):
        yield "imageTagMutability is not IMMUTABLE: a tag could be moved to another image"


RULES: Mapping[str, Rule] = {
    "aws:autoscaling/group:Group": _template,
    "aws:ec2/instance:Instance": _machine,
    "aws:ec2/launchTemplate:LaunchTemplate": _machine,
    "aws:ecr/repository:Repository": _repository,
    "aws:eks/addon:Addon": _addon,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
    "aws:opensearch/domain:Domain": _search,
    "aws:rds/cluster:Cluster": _database_cluster,
    "aws:rds/instance:Instance": _database,
    "kubernetes:helm.sh/v3:Chart": _chart,
    "kubernetes:helm.sh/v3:Release": _chart,
    "kubernetes:helm.sh/v4:Chart": _chart,
}
"""The checks by type, for types that have a version."""
