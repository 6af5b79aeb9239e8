"""Which stacks a change touches."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.driver.repository import Repository
from infra.driver.selection import Change, Choice, Reach, chosen, everything, tenant_of

ROOT = Path(__file__).resolve().parents[3]
REACH = Reach(
    estate=frozenset(
        {
            "infra/aws/network.py",
            "infra/config/naming.py",
            "infra/services/charts/argo.py",
            "platform/src/lightwork/a.py",
        }
    ),
    tenants=frozenset({"infra/tenant/tenant.py", "infra/config/naming.py"}),
)


@dataclass
class Folder:
    """Tenants by the environments that their files name."""

    now: dict[str, set[str]]
    before: dict[str, set[str]] = field(default_factory=dict)
    looked_into: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        return list(self.now)

    def here(self, name: str) -> bool:
        self.looked_into.append(name)
        return "dev" in self.now[name]

    def was_here(self, name: str) -> bool:
        return "dev" in self.before.get(name, ())


def choose(*paths: str, files: Folder | None = None, deleted: bool = False) -> Choice:
    files = files or Folder({"globex": {"dev", "prod"}, "acme": {"dev"}, "initech": {"prod"}})
    changes = [Change(path=path, deleted=deleted) for path in paths]
    return chosen("dev", changes, reach=lambda: REACH, files=files)


ALL = ("dev", "dev.acme", "dev.globex")
TENANTS = ("dev.acme", "dev.globex")


@pytest.mark.parametrize(
    ("path", "stacks"),
    [
        ("tenants/acme.yaml", ("dev.acme",)),
        ("tenants/initech.yaml", ()),
        ("tenants/tenant.schema.json", ()),
        ("Pulumi.dev.yaml", ALL),
        ("Pulumi.prod.yaml", ()),
        ("Pulumi.local.yaml", ()),
        ("Pulumi.yaml", ALL),
        ("infra/aws/network.py", ("dev",)),
        ("infra/tenant/tenant.py", TENANTS),
        ("infra/config/naming.py", ALL),
        ("infra/offline/cost.py", ()),
        ("infra/driver/cli.py", ()),
        ("infra/driver/words.yaml", ()),
        ("infra/services/charts/values.yaml", ("dev",)),
        ("infra/offline/prices.yaml", ()),
        ("infra/config/settings.schema.json", ()),
        ("infra/certificates.json", ALL),
        ("platform/src/lightwork/a.py", ALL),
        ("platform/src/lightwork/b.py", TENANTS),
        ("platform/Dockerfile", TENANTS),
        ("platform/pyproject.toml", TENANTS),
        ("pipelines/windy_city/pipeline.py", TENANTS),
        ("requirements/run.txt", ALL),
        ("requirements/dev.txt", ALL),
        ("requirements/build.txt", TENANTS),
        ("requirements/run.in", ()),
        ("requirements/install.sh", ()),
        ("docs/why.md", ()),
        ("tests/infra/test_lake.py", ()),
        ("bench/estate.py", ()),
        ("ci/deploy.yml", ()),
        ("README.md", ()),
        ("Makefile", ()),
        (".gitlab-ci.yml", ()),
        (".ci/run", ()),
        ("something-new.toml", ALL),
    ],
)
def test_a_changed_file_touches_what_is_made_from_it(path: str, stacks: tuple[str, ...]) -> None:
    assert choose(path).stacks == stacks


def test_the_estate_comes_first_and_the_tenants_by_name() -> None:
    assert choose("tenants/globex.yaml", "infra/aws/network.py", "tenants/acme.yaml").stacks == ALL


def test_each_stack_comes_with_the_file_that_touches_it() -> None:
    assert choose("tenants/globex.yaml", "pipelines/a.py", "infra/aws/network.py").reasons == {
        "dev": "infra/aws/network.py",
        "dev.acme": "pipelines/a.py",
        "dev.globex": "tenants/globex.yaml",
    }


def test_of_500_tenants_only_the_changed_one_is_looked_into() -> None:
    files = Folder({f"t{number}": {"dev"} for number in range(500)})
    assert choose("tenants/t7.yaml", "docs/a.md", files=files).stacks == ("dev.t7",)
    assert files.looked_into == ["t7"], "reading 500 files takes longer than anything else here"


def test_what_the_program_imports_is_not_asked_when_only_a_tenant_has_changed() -> None:
    def reach() -> Reach:
        raise AssertionError("reading 150 modules takes a second")

    changes = [Change(path="tenants/acme.yaml"), Change(path="docs/why.md")]
    assert chosen("dev", changes, reach=reach, files=Folder({"acme": {"dev"}})).stacks == ("dev.acme",)


def test_a_tenant_whose_file_was_deleted_is_left_alone_and_said_to_be() -> None:
    found = choose("tenants/gone.yaml", files=Folder({}, {"gone": {"dev"}}), deleted=True)
    assert found.stacks == ()
    (warning,) = found.warnings
    assert "tenants/gone.yaml was deleted: nothing is destroyed" in warning
    assert "`state: leaving`" in warning, "what to do instead"


def test_a_deleted_tenant_of_another_environment_is_no_news_here() -> None:
    assert not choose("tenants/gone.yaml", files=Folder({}, {"gone": {"prod"}}), deleted=True).warnings


def test_a_tenant_that_has_left_the_environment_is_left_alone_and_said_to_be() -> None:
    found = choose("tenants/acme.yaml", files=Folder({"acme": {"prod"}}, {"acme": {"dev", "prod"}}))
    assert found.stacks == ()
    assert "dev is not among its environments any more: nothing is destroyed" in found.warnings[0]


def test_a_module_that_is_gone_touches_everything_since_nobody_knows_who_imported_it() -> None:
    assert choose("infra/offline/cost.py", deleted=True).stacks == ALL


def test_all_means_the_estate_and_who_is_in_the_environment() -> None:
    assert everything("dev", Folder({"b": {"dev"}, "a": {"dev"}, "c": {"prod"}})).stacks == (
        "dev",
        "dev.a",
        "dev.b",
    )


def test_a_fixture_of_a_wrong_tenant_is_no_tenant() -> None:
    assert tenant_of("tenants/acme.yaml") == "acme"
    assert tenant_of("tenants/acme.error.quota.yaml") is None
    assert tenant_of("tests/tenants/acme.yaml") is None


def test_the_programs_own_modules_are_found_where_they_are_used() -> None:
    reach = Repository(ROOT, "dev").reach
    assert {"infra/aws/network.py", "infra/aws/cluster.py"} <= reach.estate - reach.tenants
    assert {
        "infra/tenant/tenant.py",
        "infra/tenant/target.py",
        "infra/tenant/lake.py",
    } <= reach.tenants - reach.estate
    assert {
        "infra/__main__.py",
        "infra/config/naming.py",
        "infra/config/settings.py",
    } <= reach.estate & reach.tenants
    assert "platform/src/lightwork/manifests/workflows.py" in reach.tenants, "imported in a function"
    nowhere = {"infra/offline/cost.py", "infra/driver/cli.py", "infra/local.py", "infra/estate/bootstrap.py"}
    assert not nowhere & (reach.estate | reach.tenants)
    assert "infra/local.py" in Repository(ROOT, "local").reach.estate, "there it is the program"


@pytest.mark.parametrize(
    "path", sorted(str(path.relative_to(ROOT)) for path in (ROOT / "infra" / "tenant").glob("*.py"))
)
def test_a_module_about_tenants_touches_tenants(path: str) -> None:
    local = Repository(ROOT, "local").reach
    assert path in local.tenants, "a module that nothing imports deploys nothing: is it left over?"
