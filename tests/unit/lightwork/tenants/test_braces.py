"""Argo replaces `{{…}}` in texts: whatever others write arrives as it is written, or is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightwork import manifests, pipeline, tenants
from lightwork.cli.main import execute
from lightwork.errors import InputError
from lightwork.kube.texts import AS_JSON
from lightwork.manifests.base import Target
from lightwork.tenants import checks

TAG = "{{workflow.name}}"
FILE = {
    "name": "acme",
    "environments": ["dev"],
    "secrets": ["token"],
    "pipelines": {
        "windy-city": {
            "schedule": "0 4 * * *",
            "timezone": "UTC",
            "image": "registry/own:1",
            "parameters": {"unit": "kn", "names": ["a", {"b": "c"}]},
            "workers": {"cpu": "1", "memory": "2Gi", "storage": "10Gi"},
            "deadline": "2h",
        },
        "several": {
            "parameters": {"day": "today"},
            "steps": {
                "fetch": {
                    "command": ["python"],
                    "args": ["--day", "${day}"],
                    "outputs": ["rows"],
                    "image": "registry/own:2",
                },
                "windy": {
                    "pipeline": "windy-city",
                    "parameters": {"unit": "${fetch.rows}"},
                    "after": ["fetch"],
                },
            },
        },
    },
}
"""A tenant with every kind of text."""


@pipeline
def windy_city(unit: str = "kn", names: list[Any] | None = None) -> int:
    """Which place is windiest."""
    return 1


def leaves(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each text, and of each name that the file's author chooses."""
    if isinstance(value, dict):
        for key, item in value.items():
            if path and path[-1] in ("pipelines", "parameters", "steps"):
                yield (*path, key, "its name")
            yield from leaves(item, *path, key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, *path, index)
    else:
        yield path


def changed(value: Any, path: tuple[Any, ...], text: str) -> Any:
    if not path:
        return text
    if path[1:] == ("its name",):
        return {(text if key == path[0] else key): item for key, item in value.items()}
    if isinstance(value, dict):
        return {key: changed(item, path[1:], text) if key == path[0] else item for key, item in value.items()}
    return [changed(item, path[1:], text) if index == path[0] else item for index, item in enumerate(value)]


def objects(folder: Path, content: Any, *pipelines: Any) -> str:
    """Check a tenant's file, and return all objects that it becomes, as JSON."""
    path = folder / "acme.yaml"
    path.write_text(yaml.safe_dump(content))
    loaded = tenants.read(path)
    known = {item.name: item for item in pipelines or [windy_city]}
    checks.check(loaded, known)
    target = Target(environment="dev", image="registry/platform:1", lake="s3://lake")
    return json.dumps(manifests.tenant_objects(loaded.tenant, target, known))


def is_given(path: tuple[Any, ...]) -> bool:
    """Return whether a text of the file is one that a run is given: it may be any text."""
    return "its name" not in path and bool({"parameters", "args", "command"} & set(path))


@pytest.mark.parametrize("path", list(leaves(FILE)), ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("text", [f"x{TAG}", "x{{=1+1}}"])
def test_no_text_of_a_file_is_filled_in(tmp_path, path, text):
    content = changed(FILE, path, text)
    assert content != FILE
    if is_given(path):
        assert text not in objects(tmp_path, content)
        return
    with pytest.raises(InputError):
        objects(tmp_path, content)


def test_the_file_itself_is_valid(tmp_path):
    assert "windiest" in objects(tmp_path, FILE)


@dataclass
class Nested:
    name: str = f"x{TAG}"


NESTED = Nested()


@pipeline
def text_default(unit: str = f"x{TAG}") -> int:
    return 1


@pipeline
def list_default(names: list[str] = ["a", f"x{TAG}"]) -> int:  # noqa: B006
    return 1


@pipeline
def model_default(nested: Nested = NESTED) -> int:
    return 1


@pytest.mark.parametrize("item", [text_default, list_default, model_default])
def test_a_pipelines_default_is_not_filled_in(tmp_path, item):
    content = {"name": "acme", "environments": ["dev"], "pipelines": {item.name: {}}}
    text = objects(tmp_path, content, item)
    assert f"x{TAG}" not in text
    assert AS_JSON in text


def test_a_docstring_is_shown_and_not_filled_in(tmp_path):
    @pipeline
    def documented() -> int:
        """Fill x{{workflow.name}} in."""
        return 1

    text = objects(
        tmp_path, {"name": "acme", "environments": ["dev"], "pipelines": {"documented": {}}}, documented
    )
    assert f"x{TAG}" not in text
    assert "Fill x{ {workflow.name}} in." in text


@pytest.mark.parametrize("option", ["--image", "--lake"])
def test_options_of_render_are_refused(tmp_path, option, capfd):
    path = tmp_path / "acme.yaml"
    path.write_text("name: acme\nenvironments: [dev]\n")
    value = {"--image": f"registry/x{TAG}:1", "--lake": f"s3://bucket/x{TAG}"}[option]
    assert execute(["tenant", "render", str(path), "--env", "dev", option, value]) == 2
    assert "which Argo fills in" in capfd.readouterr().err
