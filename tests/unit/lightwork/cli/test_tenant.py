"""`lightwork tenant`: files anywhere, one line a mistake, exit code 2, and all objects as YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lightwork.cli.main import execute
from tests.estate import files

FILE = """name: acme
environments: [dev]
pipelines:
  windy-city:
    schedule: 30 2 * * *
    timezone: Europe/Berlin
    parameters: {max_timestamps: 10}
    workers: {count: 2}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "tenants").mkdir()
    file = tmp_path / "tenants" / "acme.yaml"
    file.write_text(FILE)
    monkeypatch.chdir(tmp_path)
    with files.own_pipelines():
        yield file


def test_a_valid_file_is_reported_as_valid_by_path_and_by_name(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["tenant", "validate", str(path), "acme"]) == 0
    out = capsys.readouterr()
    assert out.out.count("tenant acme: valid") == 2
    assert "warning: " in out.err
    assert "does not exist in Europe/Berlin" in out.err


def test_each_mistake_of_each_file_is_one_line_and_the_exit_code_is_2(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(FILE.replace("30 2 * * *", "30 25 * * *").replace("[dev]", "[dev, prd]"))
    other = path.with_name("globex.yaml")
    other.write_text("name: globex\nenvironments: [dev]\npipelines: {windy-cty: {}}\n")
    assert execute(["tenant", "validate", str(path), str(other), "nobody"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        f"{path}:2",
        f"{path}:5",
        f"{other}:3",
        "there is no tenant 'nobody'; available",
    ]
    assert all(line.startswith("lightwork: ") for line in lines)


@pytest.mark.parametrize("command", ["show", "render"])
def test_no_command_accepts_a_file_with_mistakes(
    command: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(FILE.replace("name: acme", "name: acme\nquotas: 1").replace("count: 2", "count: 0"))
    options = ["--env", "dev"] if command == "render" else []
    assert execute(["tenant", command, "acme", *options]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert len(out.err.splitlines()) == 2


def test_show_prints_what_a_run_needs_and_the_next_runs(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["tenant", "show", "acme"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for words in ("acme", "dev", "tenant-acme"):
        assert words in lines[0]
    (run,) = [line.split() for line in lines if "a run of windy-city" in line]
    assert run[4:] == ["5", "3600m", "7424Mi", "26880Mi"]
    times = [line for line in lines if "02:30 +0" in line]
    assert len(times) == 3
    assert all(line.rstrip().endswith(("00:30", "01:30")) for line in times), "in UTC too"


def test_show_prints_the_same_as_one_json_object(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["tenant", "show", "acme", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["namespace"]) == ("acme", "tenant-acme")
    (run,) = [need for need in shown["needs"] if need["of"].startswith("a run of windy-city")]
    assert [run[name] for name in ("pods", "cpu", "memory", "storage")] == ["5", "3600m", "7424Mi", "26880Mi"]
    (times,) = [entry for entry in shown["schedules"] if entry["schedule"]]
    assert len(times["next"]) == 3


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name: acme", "name: acme\nstate: leaving", "the tenant is leaving"),
        ("    timezone", "    suspended: true\n    timezone", "suspended"),
    ],
)
def test_a_schedule_that_starts_no_runs_is_shown_without_times_and_causes_no_warning(
    old: str, new: str, reason: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(FILE.replace(old, new))
    assert execute(["tenant", "show", "acme"]) == 0
    out = capsys.readouterr()
    assert f"none: {reason}" in out.out
    assert "02:30" not in out.out
    assert ("leaving: its schedules start no runs" in out.out.splitlines()[0]) == ("leaving" in reason)
    assert execute(["tenant", "show", "acme", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [entry["next"] for entry in shown["schedules"]] == [[]]
    assert shown["state"] == ("leaving" if "leaving" in reason else "active")
    assert execute(["tenant", "validate", "acme"]) == 0
    assert out.err == capsys.readouterr().err == ""


def test_render_prints_all_objects_with_the_namespace_first(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--env",
        "dev",
        "--image",
        "r.example/lw:2",
        "--lake",
        "s3://b/p",
        "--variable",
        "AWS_REGION=eu-west-1",
    ]
    assert execute(["tenant", "render", str(path), *options]) == 0
    text = capsys.readouterr().out
    objects = list(yaml.safe_load_all(text))
    assert objects[0]["kind"] == "Namespace"
    assert {"WorkflowTemplate", "CronWorkflow", "NetworkPolicy", "ResourceQuota"} <= {
        item["kind"] for item in objects
    }
    (settings,) = [item["data"] for item in objects if item["metadata"]["name"] == "lightwork"]
    assert (settings["LIGHTWORK_LAKE"], settings["AWS_REGION"]) == ("s3://b/p", "eu-west-1")
    assert "r.example/lw:2" in text


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["render", "acme", "--env", "prod"], "acme.yaml:2: environments: does not list 'prod'; found dev"),
        (["render", "acme", "--env", "dev", "--variable", "x"], "--variable 'x': expected NAME=VALUE"),
        (
            ["render", "acme"],
            "tenant render: --env is missing; expected `lightwork tenant render NAME --env ENV`",
        ),
        (["render"], "tenant render: NAME is missing; expected `lightwork tenant render NAME --env ENV`"),
        (["validate"], "tenant validate: FILE... is missing"),
        (["validat"], "tenant: there is no command 'validat'; did you mean 'validate'?"),
        (["show", "acne"], "there is no tenant 'acne'; did you mean 'acme'?"),
        (["show", "else/where.yaml"], "else/where.yaml: there is no such file"),
        (["new", "Acme_1"], "'Acme_1' is not a valid tenant name; expected"),
        (["new", "acme"], "acme.yaml exists already"),
        (
            ["new", "other", "--pipeline", "windy-cty"],
            "there is no pipeline 'windy-cty'; did you mean 'windy-city'?",
        ),
    ],
)
def test_a_wrong_command_is_one_line(
    argv: list[str], words: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["tenant", *argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize("pipelines", [[], ["windy-city"], ["windy-city", "battery-health"]])
def test_a_new_file_is_valid_and_documents_each_field(
    pipelines: list[str], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [item for name in pipelines for item in ("--pipeline", name)]
    assert execute(["tenant", "new", "globex", *options]) == 0
    assert execute(["tenant", "validate", "globex"]) == 0
    text = path.with_name("globex.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=tenant.schema.json\n")
    content = yaml.safe_load(text)
    assert list(content["pipelines"]) == pipelines
    for entry in pipelines:
        assert f"# pipeline: {entry}" in text


def test_the_commented_fields_of_a_new_file_are_valid_and_hold_the_defaults() -> None:
    import re

    from lightwork.tenants import Tenant, template

    text = template.render("globex", ["windy-city"], "x.json")
    # Fields that name an image or a schedule have no default to compare with.
    text = re.sub(
        r"^( +)# (?=(scheduler|driver|suspended|deadline|starting_deadline|max_parallel_runs): )",
        r"\1",
        text,
        flags=re.MULTILINE,
    )
    uncommented = Tenant.model_validate(yaml.safe_load(text))
    entry = uncommented.pipelines["windy-city"]
    assert {"driver", "deadline", "suspended"} <= entry.model_fields_set, "the comments are fields"
    bare = Tenant.model_validate({"name": "globex", "environments": ["dev"], "pipelines": {"windy-city": {}}})
    assert uncommented == bare


def test_the_help_is_shown_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["tenant"]) == 0
    out = capsys.readouterr()
    assert "validate" in out.out
    assert out.err == ""


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert execute(["tenant", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False


PEOPLE = "people: {group: example/customers/acme}\n"


@pytest.mark.parametrize(
    ("beside", "others"),
    [
        ({"globex": PEOPLE, "hooli": "people: {group: example/customers/acme-2}\n"}, "acme, globex"),
        ({"globex": PEOPLE, "hooli": PEOPLE}, "acme, globex, hooli"),
        ({"globex": "# example/customers/acme\n", "hooli": "people: [example/customers/acme"}, ""),
    ],
)
def test_a_group_that_several_tenants_name_is_a_warning_and_no_mistake(
    path: Path, capsys: pytest.CaptureFixture[str], beside: dict[str, str], others: str
) -> None:
    """Its members see all of them, which two tenants of one customer may want."""
    path.write_text(FILE.replace("30 2", "30 6") + PEOPLE)
    for name, text in beside.items():
        path.with_name(f"{name}.yaml").write_text(f"name: {name}\nenvironments: [dev]\n{text}")
    assert execute(["tenant", "validate", "acme"]) == 0
    where = f"lightwork: warning: {path}:9: people.group: found 'example/customers/acme'"
    warning = f"{where}; its members see and stop the runs of several tenants: {others}\n"
    assert capsys.readouterr().err == (warning if others else "")
