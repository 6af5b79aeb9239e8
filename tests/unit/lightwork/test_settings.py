from __future__ import annotations

import os
from pathlib import Path

import pytest

from lightwork import InputError, settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("LIGHTWORK_ON", "LIGHTWORK_LAKE", "LIGHTWORK_TENANT", "DASK_SCHEDULER_ADDRESS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "on",
    ["serial", "local", "coiled", "tcp://10.0.0.1:8786", "tls://scheduler.acme.svc:8786", "tcp://[::1]:8786"],
)
def test_a_valid_place_to_run_is_used_as_given(on: str) -> None:
    assert settings.resolve_on(on) == on


@pytest.mark.parametrize("on", ["", "Local", "tcp://x", "tcp://x:0", "tcp://x:70000", "http://x:1", "x:8786"])
def test_an_invalid_place_to_run_is_refused(on: str) -> None:
    with pytest.raises(InputError, match=r"^on: .*expected"):
        settings.resolve_on(on)


def test_the_place_to_run_comes_from_the_option_then_the_environment_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert settings.resolve_on(None, "serial") == "serial"
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://x:1")
    assert settings.resolve_on(None, "serial") == "tcp://x:1"
    monkeypatch.setenv("LIGHTWORK_ON", "local")
    assert settings.resolve_on(None, "serial") == "local"
    assert settings.resolve_on("coiled", "serial") == "coiled"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTWORK_ON", "")
    assert settings.resolve_on(None, "serial") == "serial"


def test_the_default_number_of_workers_is_the_number_of_cores() -> None:
    assert settings.resolve_workers(None) == settings.cores() >= 1
    assert settings.resolve_workers("3") == 3


@pytest.mark.parametrize("workers", [0, -1, "0", "two", "", 1.5, True])
def test_an_invalid_number_of_workers_is_refused(workers: object) -> None:
    with pytest.raises(InputError, match=r"^workers: .*expected 1 or more"):
        settings.resolve_workers(workers)


def test_lake_and_tenant_have_defaults_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (settings.resolve_lake(None), settings.resolve_tenant(None)) == (".lightwork/lake", "local")
    monkeypatch.setenv("LIGHTWORK_LAKE", "s3://bucket/prefix")
    monkeypatch.setenv("LIGHTWORK_TENANT", "acme")
    assert (settings.resolve_lake(None), settings.resolve_tenant(None)) == ("s3://bucket/prefix", "acme")
    assert settings.resolve_lake(Path("x")) == "x"


HISTORY = (settings.ENV_HISTORY_DAYS, settings.ENV_HISTORY_RUNS, settings.ENV_HISTORY_ARTIFACTS)


@pytest.mark.parametrize(
    ("days", "runs", "artifacts", "expected"),
    [
        (None, None, None, (365 * 86400.0, None, None)),
        ("", "", "", (365 * 86400.0, None, None)),
        ("30", "5", "7", (30 * 86400.0, 5, 7)),
        ("never", None, "2", (None, None, 2)),
    ],
)
def test_the_history_is_kept_for_a_year_unless_variables_say_otherwise(
    monkeypatch: pytest.MonkeyPatch,
    days: str | None,
    runs: str | None,
    artifacts: str | None,
    expected: tuple[float | None, int | None, int | None],
) -> None:
    for name, value in zip(HISTORY, (days, runs, artifacts), strict=True):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert settings.resolve_history() == expected


@pytest.mark.parametrize("variable", HISTORY)
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "nan", "9" * 400, "٣", "Never"])
def test_a_wrong_history_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=f"^{variable}: .* is not a whole number from 1 to "):
        settings.resolve_history()


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LIGHTWORK_TENANT=file\nLIGHTWORK_LAKE=file\n")
    monkeypatch.setenv("LIGHTWORK_TENANT", "environment")
    monkeypatch.setenv("LIGHTWORK_LAKE", "")
    monkeypatch.delenv("LIGHTWORK_LAKE")
    settings.load_env()
    assert (settings.resolve_tenant(None), settings.resolve_lake(None)) == ("environment", "file")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match=r"^\.env: cannot be read"):
        settings.load_env()


# The nearest lake


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with the folders of a project in it, the innermost of which is the current one."""
    (tmp_path / "outside" / "home" / "project" / "a" / "b").mkdir(parents=True)
    home = tmp_path / "outside" / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv(settings.ENV_LAKE, raising=False)
    monkeypatch.chdir(home / "project" / "a" / "b")
    return home


def lake_in(folder: Path) -> str:
    lake = folder / settings.DEFAULT_LAKE
    lake.mkdir(parents=True)
    return str(lake)


def test_the_lake_is_the_nearest_one_up_to_the_home_folder(home):
    outside = lake_in(home.parent)
    assert settings.resolve_lake(None) == settings.DEFAULT_LAKE
    assert settings.resolve_lake(None) != outside
    for folder in (home, home / "project", home / "project" / "a"):
        lake = lake_in(folder)
        assert settings.resolve_lake(None) == lake
    lake_in(home / "project" / "a" / "b")
    assert settings.resolve_lake(None) == settings.DEFAULT_LAKE
    assert settings.resolve_lake("here") == "here"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_repository_is_not_left(home, kind):
    lake_in(home)
    git = home / "project" / "a" / ".git"
    git.mkdir() if kind == "folder" else git.write_text("gitdir: elsewhere")
    assert settings.resolve_lake(None) == settings.DEFAULT_LAKE
    inside = lake_in(home / "project" / "a")
    assert settings.resolve_lake(None) == inside


def test_outside_of_the_home_folder_and_of_a_repository_nothing_is_looked_for(home, monkeypatch):
    lake_in(home)
    monkeypatch.setenv("HOME", str(home / "project" / "other"))
    assert settings.resolve_lake(None) == settings.DEFAULT_LAKE


@pytest.mark.parametrize("part", ["project", "project/.lightwork", "project/.lightwork/lake"])
def test_a_lake_that_others_can_write_to_is_not_taken(home, part):
    lake = lake_in(home / "project")
    lake_in(home)
    assert settings.resolve_lake(None) == lake
    (home / part).chmod(0o777)
    assert settings.resolve_lake(None) == settings.DEFAULT_LAKE


def test_nothing_is_looked_for_above_a_folder_that_others_can_write_to(home):
    lake_in(home / "project")
    (home / "project" / "a").chmod(0o777)
    assert settings.resolve_lake(None) == settings.DEFAULT_LAKE


@pytest.mark.parametrize("part", ["project", "project/.lightwork", "project/.lightwork/lake"])
def test_a_lake_of_another_user_is_not_taken(home, part, monkeypatch):
    lake_in(home / "project")
    other = home / part
    stat = Path.stat

    def as_another_user(path, **options):
        found = stat(path, **options)
        return os.stat_result((*found[:4], found.st_uid + 1, *found[5:])) if path == other else found

    monkeypatch.setattr(Path, "stat", as_another_user)
    assert settings.resolve_lake(None) == settings.DEFAULT_LAKE


def test_a_link_of_another_user_is_not_followed(home, monkeypatch):
    real = lake_in(home / "project" / "real")
    (home / "project" / ".lightwork").mkdir()
    link = home / "project" / settings.DEFAULT_LAKE
    link.symlink_to(real)
    assert settings.resolve_lake(None) == str(link)
    lstat = Path.lstat

    def as_another_user(path):
        found = lstat(path)
        return os.stat_result((*found[:4], found.st_uid + 1, *found[5:])) if path == link else found

    monkeypatch.setattr(Path, "lstat", as_another_user)
    assert settings.resolve_lake(None) == settings.DEFAULT_LAKE
