"""What the pages about the estate name is there: logical names, physical ones, modules, tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from infra.config.naming import Names
from infra.driver.cli import cli
from tests.infra.conftest import REPOSITORY
from tests.infra.engine import ACCOUNT, REGION

if TYPE_CHECKING:
    from tests.infra.engine import Run

DOCS = REPOSITORY / "docs"
NAMES = Names(environment="prod", account=ACCOUNT, region=REGION)


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def fenced(name: str, word: str) -> str:
    """The fenced YAML of a page that holds a word."""
    blocks = re.findall(r"```yaml\n(.*?)```", page(name).replace("\n   ", "\n"), flags=re.DOTALL)
    (found,) = [block for block in blocks if word in block]
    return str(found)


def protected(run: Run) -> set[str]:
    return {resource.name for resource in run.resources if resource.protect}


def test_a_tenant_that_leaves_is_told_to_name_exactly_what_is_protected(acme: Run) -> None:
    entry = yaml.safe_load(fenced("offboarding", "destroy"))
    assert set(entry["destroy"]["dev"]) == protected(acme), "a name too few, and the stack stays"


def test_a_teardown_names_what_the_estate_has(estate: Run) -> None:
    names = {resource.name for resource in estate.resources}
    listed = yaml.safe_load(fenced("teardown", "destroy"))["lightwork:destroy"]
    assert set(listed) <= names, f"{set(listed) - names}: no such resource"
    kept = {resource.name for resource in estate.resources if resource.retain_on_delete}
    in_the_way = {"archive-firewall", "archive-subnets", "archive-parameters", "search-firewall"}
    for name in (*in_the_way, "access-gitlab", "search-service"):
        assert f"`{name}`" in page("teardown"), f"{name}: would stand in the VPC's way, or is the account's"
        assert name in kept, f"{name}: is not kept"
    holding = {
        resource.name
        for resource in estate.resources
        if resource.retain_on_delete and resource.type.startswith(("aws:ec2/", "aws:rds/"))
    }
    assert holding - protected(estate) == in_the_way, "whatever is kept in the network is named"


def test_a_restore_calls_the_database_what_it_is_called(estates: dict[str, Run]) -> None:
    database = estates["prod"].one("aws:rds/instance:Instance").inputs
    text = page("restore")
    for name in (
        f"--source-db-instance-identifier {database['identifier']} ",
        f"--db-parameter-group-name {database['parameterGroupName']} ",
        f"--master-user-secret-kms-key-id {NAMES.key('archive')}\n",
    ):
        assert name in text, f"{name}: who restores is in a hurry"
    database_of = {name: run.one("aws:rds/instance:Instance").inputs for name, run in estates.items()}
    days = {name: inputs["backupRetentionPeriod"] for name, inputs in database_of.items()}
    assert days == {"dev": 7, "staging": 7, "prod": 35}, "the page says so"
    assert f"BUCKET={NAMES.lake_bucket('acme')}\n" in text, "the bucket of the example"


def test_modules_that_the_pages_call_exist() -> None:
    for path in sorted(DOCS.glob("*.md")):
        for module in re.findall(r"python -m ([a-z_.]+)", path.read_text()):
            file = REPOSITORY / module.replace(".", "/")
            assert file.with_suffix(".py").exists() or (file / "__main__.py").exists(), (
                f"{path.name}: {module}"
            )


def test_commands_of_lightwork_estate_exist() -> None:
    for path in (REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))):
        called = set(re.findall(r"lightwork-estate ([a-z]+)", path.read_text()))
        assert called <= cli.commands.keys(), path.name


def test_the_threat_model_names_tests_that_there_are() -> None:
    rows = [line for line in page("threat-model").splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 10, "who, what, what stands in the way"
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)`", row.rpartition(" | ")[2])
        assert named, f"nothing holds: {row}"
        for name in named:
            assert (REPOSITORY / "tests" / name).exists(), f"{name}: no such test"


def test_a_page_that_one_types_from_says_that_no_account_has_run_it() -> None:
    for name in ("first-install", "upgrading", "restore", "teardown"):
        text = " ".join(page(name).split()).lower()
        assert "not yet run on a real aws account" in text, f"{name}: does not say what it was tested on"
