"""The names in the docs exist: logical names, physical names, modules, commands, tests."""

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
    """Return the one fenced YAML block of a page that contains a word."""
    blocks = re.findall(r"```yaml\n(.*?)```", page(name).replace("\n   ", "\n"), flags=re.DOTALL)
    (match,) = [block for block in blocks if word in block]
    return str(match)


def protected(run: Run) -> set[str]:
    return {resource.name for resource in run.resources if resource.protect}


def test_offboarding_names_exactly_the_protected_resources(acme: Run) -> None:
    entry = yaml.safe_load(fenced("offboarding", "destroy"))
    assert set(entry["destroy"]["dev"]) == protected(acme), (
        "a missing name would keep the stack from being destroyed"
    )


def test_the_teardown_names_the_estates_resources(estate: Run) -> None:
    names = {resource.name for resource in estate.resources}
    listed = yaml.safe_load(fenced("teardown", "destroy"))["lightwork:destroy"]
    assert set(listed) <= names, f"{set(listed) - names}: no such resource"
    kept = {resource.name for resource in estate.resources if resource.retain_on_delete}
    in_the_way = {"archive-firewall", "archive-subnets", "archive-parameters", "search-firewall"}
    for name in (*in_the_way, "access-gitlab", "search-service"):
        assert f"`{name}`" in page("teardown"), (
            f"{name}: would block the VPC's deletion, or belongs to the account"
        )
        assert name in kept, f"{name}: is not kept"
    holding = {
        resource.name
        for resource in estate.resources
        if resource.retain_on_delete and resource.type.startswith(("aws:ec2/", "aws:rds/"))
    }
    assert holding - protected(estate) == in_the_way, "every retained resource in the network must be named"


def test_the_restore_page_uses_the_databases_real_names(estates: dict[str, Run]) -> None:
    database = estates["prod"].one("aws:rds/instance:Instance").inputs
    text = page("restore")
    for name in (
        f"--source-db-instance-identifier {database['identifier']} ",
        f"--db-parameter-group-name {database['parameterGroupName']} ",
        f"--master-user-secret-kms-key-id {NAMES.key('archive')}\n",
    ):
        assert name in text, f"{name}: the command on the page would fail"
    database_of = {name: run.one("aws:rds/instance:Instance").inputs for name, run in estates.items()}
    days = {name: inputs["backupRetentionPeriod"] for name, inputs in database_of.items()}
    assert days == {"dev": 7, "staging": 7, "prod": 35}, "the page says so"
    assert f"BUCKET={NAMES.lake_bucket('acme')}\n" in text, "the bucket of the example"


def test_the_modules_on_the_pages_exist() -> None:
    for path in sorted(DOCS.glob("*.md")):
        for module in set(re.findall(r"python -m ([a-z_.]+)", path.read_text())) - {"pip"}:
            file = REPOSITORY / module.replace(".", "/")
            assert file.with_suffix(".py").exists() or (file / "__main__.py").exists(), (
                f"{path.name}: {module}"
            )


def test_commands_of_lightwork_estate_exist() -> None:
    for path in (REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))):
        called = set(re.findall(r"lightwork-estate ([a-z][a-z-]*)", path.read_text()))
        assert called <= cli.commands.keys(), path.name


def test_the_tests_named_in_the_threat_model_exist() -> None:
    table = re.search(r"^\|.*\n\| ?-.*\n((?:\|.*\n)+)", page("threat-model"), flags=re.MULTILINE)
    assert table is not None
    rows = table[1].splitlines()
    assert len(rows) >= 10, "the table of threats"
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)`", row.rpartition(" | ")[2])
        assert named, f"no test: {row}"
        for name in named:
            assert (REPOSITORY / "tests" / name).exists(), f"{name}: no such test"


def test_pages_with_commands_say_that_they_have_not_run_on_a_real_account() -> None:
    for name in ("first-install", "upgrading", "restore", "teardown"):
        text = " ".join(page(name).split()).lower()
        assert "not yet run on a real aws account" in text, f"{name}: must say what it was tested on"
