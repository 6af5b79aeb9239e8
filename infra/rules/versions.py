"""A version that would be another one tomorrow, by nobody's commit."""

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
    """What of one resource has no version of its own, or one that floats."""
    if rule := RULES.get(subject.type):
        yield from rule(subject.inputs)
    if subject.type.startswith("kubernetes:") and not subject.type.startswith("kubernetes:helm.sh/"):
        yield from _images(subject.inputs)


def image_problem(image: Any) -> str | None:
    """Why an image is not pinned; None if it is, by a tag that says a version or by digest."""
    if image is UNKNOWN or (isinstance(image, str) and REFERENCE in image):
        return None
    text = str(image or "")
    if is_digest(text.rpartition("@")[2]):
        return None
    tag = text.rpartition("/")[2].partition(":")[2]
    if tag.lower() in FLOATING_TAGS:
        return f"the image {text!r} is another one tomorrow; name a version or, better, a digest"
    return None


def _images(inputs: Mapping[str, Any]) -> Iterator[str]:
    try:
        known = list(containers(inputs))
    except UnreadableError:
        known = []  # `unlimited` says so
    for found in known:
        if problem := image_problem(found.spec.get("image")):
            yield f"container {found.name!r}: {problem}"
    for path, value in walk(inputs):
        # An argument of a workflow's template, which has the image as a parameter.
        if isinstance(value, Mapping) and value.get("name") == "image" and path[-2:-1] == ("parameters",):
            given = str(value.get("value", value.get("default", REFERENCE)))
            if problem := image_problem(REFERENCE if "{{" in given else given):
                yield f"parameter 'image': {problem}"


def _text(inputs: Mapping[str, Any], key: str, pattern: str, what: str) -> Iterator[str]:
    """Check one version: there, and of the form that leaves nothing open."""
    value = inputs.get(key)
    if value is not UNKNOWN and not re.fullmatch(pattern, str(value or "")):
        yield f"{key} is {value!r}; {what}" if value else f"{key} is missing; {what}"


def _off(inputs: Mapping[str, Any], key: str, why: str) -> Iterator[str]:
    """Check that a switch, which is on unless something is said, is off."""
    if inputs.get(key) not in (False, UNKNOWN):
        yield f"{key} is not false: {why}"


def _chart(inputs: Mapping[str, Any]) -> Iterator[str]:
    yield from _text(inputs, "version", EXACT, "a chart's own exact version belongs here, such as 1.2.3")
    for path, value in walk(inputs.get("values") or {}):
        where = ".".join(map(str, path))
        last = path[-1] if path else ""
        if last == "tag" and isinstance(value, str) and value.lower() in FLOATING_TAGS - {""}:
            yield f"values.{where} is {value!r}, which is another image tomorrow; name a version"
        if last == "image" and isinstance(value, str) and value and (problem := image_problem(value)):
            yield f"values.{where}: {problem}"


def _cluster(inputs: Mapping[str, Any]) -> Iterator[str]:
    yield from _text(inputs, "version", r"\d+\.\d+", "a version of Kubernetes belongs here, such as 1.35")
    policy = inputs.get("upgradePolicy")
    if isinstance(policy, Mapping) and policy.get("supportType") == "STANDARD":
        yield "upgradePolicy is STANDARD: AWS would upgrade it by itself one day; EXTENDED leaves it as it is"


def _node_group(inputs: Mapping[str, Any]) -> Iterator[str]:
    yield from _text(inputs, "version", r"\d+\.\d+", "a version of Kubernetes belongs here, such as 1.35")
    if inputs.get("amiType") != "CUSTOM":
        yield from _text(inputs, "releaseVersion", r"[\w.]+-\d{8}", "a node image's release belongs here")
    yield from _template(inputs)


def _template(inputs: Mapping[str, Any]) -> Iterator[str]:
    template = inputs.get("launchTemplate")
    if isinstance(template, Mapping) and str(template.get("version", "$Default")).startswith("$"):
        yield "launchTemplate.version is the latest or the default, which floats; name a number"


def _machine(inputs: Mapping[str, Any]) -> Iterator[str]:
    if "resolve:ssm:" in str(inputs.get("imageId") or inputs.get("ami") or ""):
        yield "its image is looked up when it starts (resolve:ssm:), which floats; name one image"
    yield from _template(inputs)


def _database(inputs: Mapping[str, Any]) -> Iterator[str]:
    what = "the engine's version to the last part belongs here, such as 17.7"
    pattern = r"\d+\.\d+[\w.]*" if "postgres" in str(inputs.get("engine")) else r"\d+\.\d+\.[\w.]+"
    yield from _text(inputs, "engineVersion", pattern, what)
    yield from _off(inputs, "autoMinorVersionUpgrade", "AWS would upgrade it by itself")


def _database_cluster(inputs: Mapping[str, Any]) -> Iterator[str]:
    """Aurora's, whose instances have the version of their cluster."""
    yield from _text(inputs, "engineVersion", r"\d+\.\d+[\w.]*", "an exact version such as 17.7 belongs here")


def _search(inputs: Mapping[str, Any]) -> Iterator[str]:
    form = r"(OpenSearch|Elasticsearch)_\d+\.\d+"
    yield from _text(inputs, "engineVersion", form, "a version such as OpenSearch_2.19 belongs here")
    options = inputs.get("softwareUpdateOptions")
    if isinstance(options, Mapping) and options.get("autoSoftwareUpdateEnabled") is True:
        yield "autoSoftwareUpdateEnabled is on: AWS would update it by itself"


def _addon(inputs: Mapping[str, Any]) -> Iterator[str]:
    form = r"v\d+\.\d+\.\d+-eksbuild\.\d+"
    yield from _text(inputs, "addonVersion", form, "an exact version such as v1.22.4-eksbuild.3 belongs here")


def _repository(inputs: Mapping[str, Any]) -> Iterator[str]:
    if inputs.get("imageTagMutability") not in ("IMMUTABLE", UNKNOWN):
        yield "imageTagMutability is not IMMUTABLE: a tag could become another image"


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
"""The types that have a version of their own."""
