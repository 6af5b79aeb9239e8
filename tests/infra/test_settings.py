"""What people write into `Pulumi.<environment>.yaml`: each mistake refused with its line and the reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from infra import settings
from infra.nodes import groups
from infra.sizes import DEFAULTS, Sizes
from lightwork.errors import InputError
from lightwork.tenants import Environment

if TYPE_CHECKING:
    from collections.abc import Sequence

WRONG = sorted((Path(__file__).parent / "settings").glob("*.error.*.yaml"))
MARK = "#! "


def refusal(path: Path, folder: Path) -> str:
    (folder / "Pulumi.dev.yaml").write_text(path.read_text())
    with pytest.raises(InputError) as caught:
        settings.load(folder, "dev")
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("path", WRONG, ids=[path.name for path in WRONG])
def test_a_mistake_is_refused_with_file_line_and_reason(path: Path, tmp_path: Path) -> None:
    wanted: Sequence[str] = [
        line.removeprefix(MARK) for line in path.read_text().splitlines() if line.startswith(MARK)
    ]
    assert wanted, f"{path.name} does not say what is expected"
    assert refusal(path, tmp_path).splitlines() == wanted, "one line for each mistake, as the file says"


def test_there_are_as_many_mistakes_as_people_make() -> None:
    assert len(WRONG) >= 40, "each with its message"


@pytest.mark.parametrize("environment", get_args(Environment))
def test_the_settings_as_they_stand_lack_nothing_but_an_account(root: Path, environment: Environment) -> None:
    loaded = settings.load(root, environment)
    assert loaded.environment == environment, "the file's name says which"
    assert loaded.sizes == Sizes.model_validate(DEFAULTS[environment]), (
        "its own defaults, where it says nothing"
    )


def test_a_size_that_is_written_stands_and_the_others_stay(root: Path) -> None:
    path = root / "Pulumi.prod.yaml"
    path.write_text(path.read_text().replace("lightwork:sizes: {}", "lightwork:sizes: {workers_max: 7}"))
    sizes = settings.load(root, "prod").sizes
    assert sizes.workers_max == 7, "what was written"
    assert sizes.model_copy(update={"workers_max": 100}) == Sizes.model_validate(DEFAULTS["prod"]), "the rest"


def test_a_size_arrives_at_its_group(root: Path) -> None:
    path = root / "Pulumi.dev.yaml"
    path.write_text(path.read_text().replace("lightwork:sizes: {}", "lightwork:sizes: {workers_max: 7}"))
    most = {group.name: group.most for group in groups(settings.load(root, "dev").sizes)}
    assert most["workers"] == 7, "the settings are there to be followed"


def test_nothing_that_guards_can_be_set_by_environment() -> None:
    words = ("encrypt", "public", "tls", "policy", "protect", "password", "role")
    for field in Sizes.model_fields:
        assert not any(word in field for word in words), f"{field}: security is the same everywhere"
