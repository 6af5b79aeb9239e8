"""Values of a submitted run: in its Workflow, or beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from lightwork.errors import InputError
from lightwork.functions.given import weight
from lightwork.kube import contract, texts, values


def template(*names: str, long: str = "", **defaults: str) -> dict[str, Any]:
    parameters = [{"name": name} for name in names]
    parameters += [{"name": name, "value": text} for name, text in defaults.items()]
    return {
        "metadata": {"name": "windy-city", "annotations": {contract.ANNOTATION_LONG: long}},
        "spec": {"arguments": {"parameters": parameters}},
    }


def test_short_texts_are_in_the_workflow_as_they_are() -> None:
    given = {"a": "mph", "b": "run {{workflow.name}}", "c": "lightwork:x"}
    placed = values.place("windy-city", template("a", "b", "c", long="a,b,c"), given)
    assert placed.files == {}
    assert placed.parameters == {
        "a": "mph",
        "b": 'lightwork:json:"run {\\u007bworkflow.name}}"',
        "c": 'lightwork:json:"lightwork:x"',
    }
    assert {name: texts.of_parameter(text) for name, text in placed.parameters.items()} == given
    assert texts.of_parameter(f"{texts.AS_JSON}by hand") == f"{texts.AS_JSON}by hand"


@pytest.mark.parametrize("text", ["\x7f", "\x85\x9f", "\uffff", "{{\ufffe\U000e0001\ufeff", "\x01\u2028é"])
def test_a_text_is_yaml_even_as_plain_json(text: str) -> None:
    held = texts.as_parameter(text)
    # The API server reads applied objects as YAML, and clients send JSON, in which these are as they are.
    assert yaml.safe_load(json.dumps(held, ensure_ascii=False)) == held
    assert (json.loads(held.removeprefix(texts.AS_JSON)) if held != text else held) == text


def test_a_long_text_is_in_a_file_and_its_start_in_the_workflow() -> None:
    text = "{{x}}\n" * 20_000
    placed = values.place("windy-city", template("a", "b", long="a,b"), {"a": text, "b": "mph"})
    assert placed.files == {"a": text}
    assert placed.parameters["b"] == "mph"
    note = placed.parameters["a"]
    assert note.startswith("lightwork:file:a 120,000 bytes, which begin: { {x}} { {x}}")
    assert "{{" not in note
    assert len(note) < 200


def test_the_longest_of_many_texts_go_into_files() -> None:
    given = {"a": "x" * 29_000, "b": "x" * 28_000, "c": "x" * 10_000}
    placed = values.place("windy-city", template(*given, long="a,b,c"), given)
    assert list(placed.files) == ["a"]


def test_the_defaults_count_too() -> None:
    declared = template("a", long="a,b", b="x" * 50_000)
    assert list(values.place("windy-city", declared, {"a": "x" * 20_000}).files) == ["a"]
    assert not values.place("windy-city", declared, {"a": "x" * 20_000, "b": "y"}).files


def test_the_limit_of_all_long_texts_is_named() -> None:
    declared = template("a", "b", long="a,b")
    whole = {"a": "x" * 500_000, "b": "é" * 250_000}
    assert values.place("windy-city", declared, whole).files == whole
    with pytest.raises(InputError) as caught:
        values.place("windy-city", declared, {**whole, "a": "x" * 500_001})
    assert str(caught.value) == (
        "windy-city: parameters a, b have 1,000,001 bytes; long values may have 1,000,000 together: write"
        " them into the lake and give their paths"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a": "x" * 31_000}, "parameter a has 31,000 bytes, and a container or another text uses it"),
        (
            {"a": "x" * 25_000, "b": "x" * 25_000, "c": "x" * 25_000},
            "parameters a, b, c are too long together",
        ),
        ({"a": "x\0", "b": "", "c": ""}, "parameter a has the character NUL at position 2"),
        ({"a": "", "b": ""}, "parameter c is missing; expected c=VALUE"),
        ({"a": "", "b": "", "c": "", "d": ""}, "there is no parameter 'd'"),
    ],
)
def test_what_no_run_can_be_given_is_one_line(given: dict[str, str], words: str) -> None:
    declared = template("a", "b", "c") if len(given) > 1 else template("a")
    with pytest.raises(InputError) as caught:
        values.place("windy-city", declared, given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_files_belong_to_the_workflow() -> None:
    made = values.config_map({"name": "windy-city-x", "uid": "u-1"}, {"a": "x"})
    assert made["metadata"]["name"] == "windy-city-x-parameters"
    assert made["metadata"]["ownerReferences"] == [
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "windy-city-x", "uid": "u-1"}
    ]
    assert (made["data"], made["immutable"]) == ({"a": "x"}, True)
    assert "ownerReferences" not in values.config_map(None, {"a": "x"})["metadata"]


@pytest.mark.parametrize("piece", ["x", '"', "$", "<&>", "{{", "é", "\n", "\\", "\x01", "\x7f", "🌍"])
def test_a_texts_weight_is_at_least_its_bytes_in_a_containers_template(piece: str) -> None:
    text = piece * 100
    as_go = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
    in_driver = json.dumps(text, ensure_ascii=False).translate(as_go).replace("$", "\\u0024")
    for inner in (in_driver.replace("{{", texts.JSON_BRACES), texts.as_argument(text)):
        outer = json.dumps(inner, ensure_ascii=False).translate(as_go)
        assert weight(text) >= len(outer.encode())
