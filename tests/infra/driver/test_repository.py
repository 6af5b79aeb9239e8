"""The changes since a commit, in real clones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra.driver.repository import Repository
from infra.driver.selection import Change
from lightwork.errors import InputError

ACME = "name: acme\nenvironments: [dev, prod]\n"


def git(root: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    process = subprocess.run(
        ["git", "-C", root, *identity, *words], capture_output=True, text=True, check=True
    )
    return process.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone with two tenants and one commit."""
    root = tmp_path / "clone"
    (root / "tenants").mkdir(parents=True)
    (root / "infra").mkdir()
    (root / "infra" / "__main__.py").write_text("")
    (root / "tenants" / "acme.yaml").write_text(ACME)
    (root / "tenants" / "globex.yaml").write_text(ACME.replace("acme", "globex"))
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "one")
    return root


def test_committed_uncommitted_and_untracked_files_count(root: Path) -> None:
    (root / "tenants" / "acme.yaml").write_text(ACME + "# committed\n")
    git(root, "commit", "--quiet", "-a", "-m", "two")
    (root / "tenants" / "globex.yaml").write_text(ACME.replace("acme", "globex") + "# not committed\n")
    (root / "tenants" / "initech.yaml").write_text(ACME.replace("acme", "initech"))
    assert Repository.since(root, "dev", "HEAD~1").touched().stacks == (
        "dev.acme",
        "dev.globex",
        "dev.initech",
    )
    assert Repository.since(root, "dev", "HEAD").touched().stacks == ("dev.globex", "dev.initech")


def test_without_changes_no_stack_is_affected(root: Path) -> None:
    assert Repository.since(root, "dev", "main").touched().stacks == ()


def test_the_description_of_an_image_affects_the_tenants_whose_files_name_it(root: Path) -> None:
    description = root / "tenants" / "descriptions" / "daylight.json"
    description.parent.mkdir()
    description.write_text("{}")
    (root / "tenants" / "acme.yaml").write_text(f"{ACME}# description: descriptions/daylight.json\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "two")
    description.write_text("{ }")
    assert Repository.since(root, "dev", "HEAD").touched().stacks == ("dev.acme",)


def test_a_renamed_file_counts_as_a_deleted_and_a_new_one(root: Path) -> None:
    git(root, "mv", "tenants/acme.yaml", "tenants/initech.yaml")
    repository = Repository.since(root, "dev", "HEAD")
    assert set(repository.changes()) == {
        Change(path="tenants/acme.yaml", deleted=True),
        Change(path="tenants/initech.yaml"),
    }
    assert repository.touched().stacks == ("dev.initech",)
    assert "tenants/acme.yaml was deleted" in repository.touched().warnings[0]


def test_names_with_spaces_and_umlauts_are_read_correctly(root: Path) -> None:
    (root / "tenants" / "ö x.txt").write_text("")
    assert Repository.since(root, "dev", "HEAD").changes() == [Change(path="tenants/ö x.txt")]


def test_a_tenant_that_left_the_environment_is_noticed(root: Path) -> None:
    (root / "tenants" / "acme.yaml").write_text("name: acme\nenvironments: [prod]\n")
    choice = Repository.since(root, "dev", "HEAD").touched()
    assert (choice.stacks, len(choice.warnings)) == ((), 1)
    assert Repository.since(root, "prod", "HEAD").touched().stacks == ("prod.acme",)


@pytest.mark.parametrize("revision", ["nope", "", "--all", "f" * 40, "HEAD:tenants"])
def test_an_unknown_revision_is_refused_in_one_line(root: Path, revision: str) -> None:
    with pytest.raises(InputError, match=r"^--changed-since .*not in this clone") as refused:
        Repository.since(root, "dev", revision)
    assert "\n" not in str(refused.value)


def test_the_zeros_of_a_new_branch_are_explained(root: Path) -> None:
    with pytest.raises(InputError, match=r"^--changed-since 0{40}: .*new branch.*--all"):
        Repository.since(root, "dev", "0" * 40)


def test_a_commit_missing_from_a_shallow_clone_is_reported_with_the_command_that_fetches_it(
    root: Path, tmp_path: Path
) -> None:
    first = git(root, "rev-parse", "HEAD")
    (root / "tenants" / "acme.yaml").write_text(ACME + "# more\n")
    git(root, "commit", "--quiet", "-a", "-m", "two")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{root}", str(shallow))
    with pytest.raises(InputError, match=rf"shallow.*git fetch --depth=1 origin {first}"):
        Repository.since(shallow, "dev", first)
    git(shallow, "fetch", "--quiet", "--depth=1", "origin", first)
    assert Repository.since(shallow, "dev", first).touched().stacks == ("dev.acme",), "the command suffices"


def test_a_folder_outside_of_a_repository_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a git repository") as refused:
        Repository.since(tmp_path, "dev", "HEAD")
    assert "\n" not in str(refused.value)


def test_a_mistake_in_a_tenants_environments_is_reported_with_its_line(root: Path) -> None:
    (root / "tenants" / "acme.yaml").write_text("name: acme\nenvironments: dev\n")
    with pytest.raises(InputError, match=r"acme\.yaml:2: environments"):
        Repository(root, "dev").everything()
