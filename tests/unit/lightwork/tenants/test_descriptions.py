"""Pipelines that only an image has: its description says what they take, and cannot be out of date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from annotated_types import Gt
from pydantic import BeforeValidator

from lightwork import manifests, pipeline, task, tenants
from lightwork.cli.main import execute
from lightwork.cli.pipelines import _object
from lightwork.errors import InputError
from lightwork.functions import parameters
from lightwork.kube import described
from lightwork.manifests.base import Target
from lightwork.tenants import checks, descriptions
from tests.estate import files

DIGEST = f"sha256:{'ab' * 32}"
IMAGE = f"registry.example/daylight@{DIGEST}"


def plain(value: object) -> object:
    return value


@pipeline
def daylight(
    places: list[str],
    days: Annotated[int, Gt(0)] = 365,
    unit: Literal["h", "min"] = "h",
    odd: Annotated[int, BeforeValidator(plain)] = 1,
    label: str | None = None,
) -> int:
    """Hours of daylight."""
    return days


@pipeline
def windy_city(hours: int = 1) -> int:
    return hours


def document(**more: Any) -> dict[str, Any]:
    pipelines = [_object("daylight", daylight, list(parameters.of(daylight).values()))]
    return json.loads(json.dumps(descriptions.document(IMAGE, pipelines) | more))


def write(folder: Path, entry: str, content: object = None) -> Path:
    (folder / "descriptions").mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content or document())
    (folder / "descriptions" / "d.json").write_text(text)
    path = folder / "acme.yaml"
    path.write_text(f"name: acme\nenvironments: [dev]\npipelines:\n{entry}")
    return path


def entry(image: str = IMAGE, name: str = "daylight", **more: Any) -> str:
    fields = {"image": image, "description": "descriptions/d.json", **more}
    return f"  {name}: {json.dumps(fields)}\n"


def check(folder: Path, text: str, content: object = None) -> list[str]:
    return checks.check(tenants.read(write(folder, text, content)), {"windy-city": windy_city})


def test_the_parameters_of_an_images_pipeline_are_checked(tmp_path: Path) -> None:
    assert (
        check(tmp_path, entry(parameters={"places": ["Oslo"], "days": 7, "unit": "min", "label": None})) == []
    )
    with pytest.raises(InputError) as caught:
        check(tmp_path, entry(parameters={"places": "Oslo", "days": 0, "unit": "s", "dayz": 1}))
    lines = str(caught.value).splitlines()
    start = f"{tmp_path}/acme.yaml:4: pipelines.daylight.parameters."
    assert [line.removeprefix(start).partition(":")[0] for line in lines] == [
        "places",
        "days",
        "unit",
        "dayz",
    ]
    assert lines[1].endswith("found 0; expected int > 0, for example days=365")
    assert "did you mean 'days'?" in lines[3]
    with pytest.raises(InputError, match=r"places is missing, and a scheduled run cannot ask for it"):
        check(tmp_path, entry(schedule="0 6 * * *", timezone="UTC"))


def test_a_type_that_the_description_cannot_say_is_reported_as_unchecked(tmp_path: Path) -> None:
    (line,) = check(tmp_path, entry(parameters={"odd": "anything"}))
    assert line.endswith(f"parameters.odd: not checked: its type int is known in {IMAGE} only")


def test_a_step_uses_the_description_of_its_image(tmp_path: Path) -> None:
    step = {"pipeline": "daylight", "image": IMAGE, "description": "descriptions/d.json"}
    steps = {"one": {**step, "parameters": {"places": '["${place}"]', "days": "${days}"}}}
    text = f"  nightly: {json.dumps({'parameters': {'place': 'Oslo', 'days': 'ten'}, 'steps': steps})}\n"
    with pytest.raises(
        InputError, match=r"steps.one.parameters.days: found '\$\{days\}', which becomes 'ten'"
    ):
        check(tmp_path, text)


def test_the_image_decides_what_a_pipeline_takes_not_what_is_installed_here(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"found 'windy-city'; registry.example/daylight@\S+ has no such pipe"
    ):
        check(tmp_path, entry(name="windy-city"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"image": f"other/daylight@sha256:{'cd' * 32}"},
            f"describes {IMAGE}, and `image` is other/daylight@",
        ),
        (
            {"image": "registry.example/daylight:1.4"},
            "needs `image` by its digest, not by a tag, which may move",
        ),
        ({"image": None}, f"needs `image`, which it describes: {IMAGE}"),
        ({"description": "nothing.json"}, "nothing.json: there is no such file"),
        ({"description": "../d.json"}, "should be a file in the tenant's folder or below it"),
        ({"description": "/etc/passwd"}, "should be a file in the tenant's folder or below it"),
        ({"description": 7}, "should be an instance of Description"),
    ],
)
def test_a_description_is_of_the_image_beside_it(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(tmp_path, entry(**fields))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path}/acme.yaml:4: pipelines.daylight.description: found ")
    assert message in line


def test_the_same_image_in_another_registry_has_the_same_description(tmp_path: Path) -> None:
    assert check(tmp_path, entry(image=f"elsewhere.example/copy@{DIGEST}")) == []


def with_parameter(**fields: Any) -> dict[str, Any]:
    item = {"name": "n", "type": "int", "required": False, "default": "1", "schema": {"type": "integer"}}
    item = {key: value for key, value in {**item, **fields}.items() if value is not ...}
    return document(pipelines=[{"name": "daylight", "module": "d", "doc": "", "parameters": [item]}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is not the description of an image"),
        ("name: acme", "is not JSON"),
        ("x" * 300_000, "has more than 256 KiB"),
        (document(format=2), "has the format 2 instead of 1"),
        (document(format="\x1b[2J"), "has the format \\x1b[2J instead of 1"),
        ({"pipelines": []}, "has the format None instead of 1"),
        (document(image=None), "image: found None"),
        (document(image="daylight:1.4"), "should name the image by its digest"),
        (document(pipelines=7), "pipelines: found 7; should be a list"),
        (document(pipelines=document()["pipelines"] * 2), "describes daylight twice"),
        (document(pipelines=[document()["pipelines"][0] | {"name": "../x"}]), "pipelines.0.name: found"),
        (document(more=1), "more: there is no such field"),
        (with_parameter(name="a b"), "should be the name of a parameter"),
        (with_parameter(default=...), "should have a default, or `required: true`"),
        (with_parameter(required=True), "should have a default, or `required: true`"),
        (with_parameter(default="ten"), "daylight: parameter n: its default: parameter n: 'ten' is not"),
        (with_parameter(schema={"type": "file"}), "daylight: parameter n: has no type that a parameter has"),
        (with_parameter(type="int\n\x1b]0;x\x07", default="ten"), "expected int \\x1b]0;x\\x07, for example"),
    ],
)  # fmt: skip
def test_a_wrong_description_is_one_line(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check(tmp_path, entry(), content)
    (line,) = str(caught.value).splitlines()
    assert message in line
    assert f"{tmp_path}/descriptions/d.json: " in line
    assert line.isprintable()


def test_all_parameters_are_the_runs_with_their_defaults_and_submit_checks_their_types(
    tmp_path: Path,
) -> None:
    loaded = tenants.read(write(tmp_path, entry(parameters={"days": 7})))
    target = Target(environment="dev", image="r.example/platform:1", lake="s3://b")
    objects = manifests.tenant_objects(loaded.tenant, target, {})
    (template,) = [item for item in objects if item["kind"] == "WorkflowTemplate"]
    values = {item["name"]: item.get("value") for item in template["spec"]["arguments"]["parameters"]}
    assert values == {"places": None, "days": "7", "unit": "h", "odd": "1", "label": "none"}
    assert template["metadata"]["annotations"]["workflows.argoproj.io/description"] == "Hours of daylight."
    template = yaml.safe_load(manifests.to_yaml([template]))
    described.check("daylight", template, {"places": '["Oslo"]', "days": "8", "odd": "anything"})
    for name, text in (("days", "0"), ("unit", "s"), ("places", "Oslo")):
        with pytest.raises(InputError, match=f"^daylight: parameter {name}: .*; expected "):
            described.check("daylight", template, {name: text})


def test_a_template_without_parameters_to_read_is_not_checked() -> None:
    for text in (
        None,
        "",
        "{",
        "3",
        '[{"name": 1}]',
        '[{"name": "n", "type": "int", "schema": {"type": 1}}]',
    ):
        described.check("x", {"metadata": {"annotations": {"lightwork/parameters": text}}}, {"n": "ten"})
    described.check("x", {"metadata": {}}, {"n": "ten"})


def test_describe_prints_what_a_tenants_file_can_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with files.own_pipelines():
        assert execute(["describe", "windy-city", "--json", "--image", IMAGE]) == 0
        text = capsys.readouterr().out
        path = write(tmp_path, entry(name="windy-city", parameters={"max_timestamps": 5}), text)
        assert execute(["tenant", "validate", str(path)]) == 0
        assert capsys.readouterr().err == ""
        assert execute(["describe", "windy-city"]) == 0
        assert "max_timestamps=none" in capsys.readouterr().out
        assert execute(["describe", "--json"]) == 0
        assert {item["name"] for item in json.loads(capsys.readouterr().out)["pipelines"]} > {"windy-city"}
        for words in (["nobody"], ["windy-city", "--image", IMAGE], ["--json", "--image", "a:1"]):
            assert execute(["describe", *words]) == 2
            assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_description_says_which_parameters_take_the_interval(tmp_path: Path) -> None:
    @pipeline(interval=("start", "end"))
    def daily(start: str, end: str) -> None: ...

    item = _object("daily", daily, list(parameters.of(daily).values()))
    content = document(pipelines=[item])
    assert "interval" not in document()["pipelines"][0], "for readers of earlier versions"
    file = tmp_path / "d.json"
    file.write_text(json.dumps(content))
    assert descriptions.read(file).pipelines["daily"].interval == ("start", "end")
    item["interval"] = ["start", "stop"]
    file.write_text(json.dumps(document(pipelines=[item])))
    with pytest.raises(InputError, match="interval should name two of its parameters; found 'stop'"):
        descriptions.read(file)


def test_what_the_tasks_of_an_images_pipeline_ask_for_is_checked(tmp_path: Path) -> None:
    described = document()
    described["pipelines"][0] |= {"resources": {"embed": {"GPU": 1}}, "limits": {"ask": "api"}}
    for offered, count in (({}, 2), ({"workers": {"resources": {"GPU": 1}}}, 1)):
        with pytest.raises(InputError) as caught:
            check(tmp_path, entry(parameters={"places": ["Oslo"]}, **offered), described)
        lines = str(caught.value).splitlines()
        assert len(lines) == count
        told = "task embed of daylight asks for GPU=1, and each worker offers nothing"
        assert (told in lines[0]) == (count == 2)
        assert "task ask of daylight has limit='api', and there is none of this name" in lines[-1]
    good = entry(parameters={"places": ["Oslo"]}, workers={"resources": {"GPU": 1}}, limits={"api": 4})
    assert check(tmp_path, good, described) == []


@pytest.mark.parametrize(
    "wrong", [{"resources": {"embed": {"GPU": 0}}}, {"resources": {"embed": 1}}, {"limits": {"ask": 4}}]
)
def test_a_description_that_asks_for_nonsense_is_refused_in_one_line(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    described = document()
    described["pipelines"][0] |= wrong
    with pytest.raises(InputError) as caught:
        check(tmp_path, entry(), described)
    assert "make it anew" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_describe_tells_what_tasks_ask_for() -> None:
    asking = task(resources={"GPU": 1}, limit="api")(abs)

    @pipeline
    def uses() -> int:
        return asking(1)

    made = _object("uses", uses, [])
    assert (made["resources"], made["limits"]) == ({"abs": {"GPU": 1}}, {"abs": "api"})
    assert not {"resources", "limits"} & _object("daylight", daylight, []).keys()
