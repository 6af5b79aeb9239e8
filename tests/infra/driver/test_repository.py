"""What git says has changed, with real clones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra.driver.repository import Repository
from infra.driver.selection import Change
from lightwork.errors import InputError

ACME = "name: acme\nenvironments: [dev, prod]\n"


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", root, *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone with two commits' worth of tenants."""
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


def test_committed_uncommitted_and_new_files_count(root: Path) -> None:
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


def test_nothing_changed_touches_nothing(root: Path) -> None:
    assert Repository.since(root, "dev", "main").touched().stacks == ()


def test_a_renamed_file_is_one_that_went_and_one_that_came(root: Path) -> None:
    git(root, "mv", "tenants/acme.yaml", "tenants/initech.yaml")
    found = Repository.since(root, "dev", "HEAD")
    assert set(found.changes()) == {
        Change(path="tenants/acme.yaml", deleted=True),
        Change(path="tenants/initech.yaml"),
    }
    assert found.touched().stacks == ("dev.initech",)
    assert "tenants/acme.yaml was deleted" in found.touched().warnings[0]


def test_names_with_spaces_and_umlauts_come_through(root: Path) -> None:
    (root / "tenants" / "ö x.txt").write_text("")
    assert Repository.since(root, "dev", "HEAD").changes() == [Change(path="tenants/ö x.txt")]


def test_a_tenant_that_left_the_environment_is_noticed(root: Path) -> None:
    (root / "tenants" / "acme.yaml").write_text("name: acme\nenvironments: [prod]\n")
    found = Repository.since(root, "dev", "HEAD").touched()
    assert (found.stacks, len(found.warnings)) == ((), 1)
    assert Repository.since(root, "prod", "HEAD").touched().stacks == ("prod.acme",)


@pytest.mark.parametrize("revision", ["nope", "", "--all", "f" * 40, "HEAD:tenants"])
def test_a_revision_that_is_not_there_is_one_line(root: Path, revision: str) -> None:
    with pytest.raises(InputError, match="there is no such commit in this clone") as refused:
        Repository.since(root, "dev", revision)
    assert "\n" not in str(refused.value)


def test_the_zeros_of_a_new_branch_are_explained(root: Path) -> None:
    with pytest.raises(InputError, match="zeros are no commit"):
        Repository.since(root, "dev", "0" * 40)


def test_a_shallow_clone_says_how_to_get_what_it_lacks(root: Path, tmp_path: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    (root / "tenants" / "acme.yaml").write_text(ACME + "# more\n")
    git(root, "commit", "--quiet", "-a", "-m", "two")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{root}", str(shallow))
    with pytest.raises(InputError, match=rf"shallow.*git fetch --depth=1 origin {first}"):
        Repository.since(shallow, "dev", first)
    git(shallow, "fetch", "--quiet", "--depth=1", "origin", first)
    assert Repository.since(shallow, "dev", first).touched().stacks == ("dev.acme",), "that is enough"


def test_outside_of_a_repository_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a git repository") as refused:
        Repository.since(tmp_path, "dev", "HEAD")
    assert "\n" not in str(refused.value)


def test_a_tenants_file_that_cannot_be_read_is_refused_with_its_line(root: Path) -> None:
    (root / "tenants" / "acme.yaml").write_text("name: acme\nenvironments: dev\n")
    with pytest.raises(InputError, match=r"acme\.yaml:2: environments"):
        Repository(root, "dev").everything()
