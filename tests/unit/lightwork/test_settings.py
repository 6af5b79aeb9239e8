from __future__ import annotations

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
