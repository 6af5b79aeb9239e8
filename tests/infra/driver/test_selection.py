"""The stacks that a change affects."""

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
    """Tenants' files: the environments that each names, now and before the change."""

    now: dict[str, set[str]]
    before: dict[str, set[str]] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        return list(self.now)

    def here(self, name: str) -> bool:
        self.read.append(name)
        return "dev" in self.now[name]

    def mentions(self, name: str, text: str) -> bool:
        return (name, text) in {("globex", "daylight.json"), ("initech", "daylight.json")}

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
        ("tenants/descriptions/daylight.json", ("dev.globex",)),
        ("tenants/descriptions/unused.json", ()),
        ("examples/daylight/tenants/descriptions/daylight.json", ()),
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
        ("infra/config/prices.yaml", ALL),
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
def test_a_changed_file_affects_the_stacks_made_from_it(path: str, stacks: tuple[str, ...]) -> None:
    assert choose(path).stacks == stacks


def test_the_estate_comes_first_and_the_tenants_are_sorted() -> None:
    assert choose("tenants/globex.yaml", "infra/aws/network.py", "tenants/acme.yaml").stacks == ALL


def test_each_stack_has_a_changed_file_as_its_reason() -> None:
    assert choose("tenants/globex.yaml", "pipelines/a.py", "infra/aws/network.py").reasons == {
        "dev": "infra/aws/network.py",
        "dev.acme": "pipelines/a.py",
        "dev.globex": "tenants/globex.yaml",
    }


def test_only_the_changed_file_of_500_tenants_is_read() -> None:
    files = Folder({f"t{number}": {"dev"} for number in range(500)})
    assert choose("tenants/t7.yaml", "docs/a.md", files=files).stacks == ("dev.t7",)
    assert files.read == ["t7"], "reading 500 files would take most of the time"


def test_the_imports_are_not_read_if_only_a_tenant_has_changed() -> None:
    def reach() -> Reach:
        raise AssertionError("reading the imports takes a second")

    changes = [Change(path="tenants/acme.yaml"), Change(path="docs/why.md")]
    assert chosen("dev", changes, reach=reach, files=Folder({"acme": {"dev"}})).stacks == ("dev.acme",)


def test_deleting_a_tenants_file_destroys_nothing_and_warns() -> None:
    choice = choose("tenants/gone.yaml", files=Folder({}, {"gone": {"dev"}}), deleted=True)
    assert choice.stacks == ()
    (warning,) = choice.warnings
    assert "tenants/gone.yaml was deleted: nothing is destroyed" in warning
    assert "dev.gone" in warning
    assert "`state: leaving`" in warning, "the remedy"


def test_deleting_the_file_of_another_environments_tenant_does_not_warn() -> None:
    assert not choose("tenants/gone.yaml", files=Folder({}, {"gone": {"prod"}}), deleted=True).warnings


def test_removing_a_tenant_from_the_environment_destroys_nothing_and_warns() -> None:
    choice = choose("tenants/acme.yaml", files=Folder({"acme": {"prod"}}, {"acme": {"dev", "prod"}}))
    assert choice.stacks == ()
    (warning,) = choice.warnings
    assert warning.startswith("tenants/acme.yaml: dev was removed")
    assert "nothing is destroyed" in warning


def test_a_deleted_module_affects_everything_as_its_importers_are_unknown() -> None:
    assert choose("infra/offline/cost.py", deleted=True).stacks == ALL


def test_everything_is_the_estate_and_the_environments_tenants() -> None:
    assert everything("dev", Folder({"b": {"dev"}, "a": {"dev"}, "c": {"prod"}})).stacks == (
        "dev",
        "dev.a",
        "dev.b",
    )


def test_other_yaml_files_are_not_tenants() -> None:
    assert tenant_of("tenants/acme.yaml") == "acme"
    assert tenant_of("tenants/acme.error.quota.yaml") is None
    assert tenant_of("tests/tenants/acme.yaml") is None


def test_the_programs_modules_belong_to_the_stacks_that_use_them() -> None:
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
    assert "infra/local.py" in Repository(ROOT, "local").reach.estate, "the program of that environment"


@pytest.mark.parametrize(
    "path", sorted(str(path.relative_to(ROOT)) for path in (ROOT / "infra" / "tenant").glob("*.py"))
)
def test_every_module_of_tenants_is_used_by_tenants(path: str) -> None:
    local = Repository(ROOT, "local").reach
    assert path in local.tenants, "nothing imports it: is it dead code?"
