"""Fixtures for the tests of CI: environments with accounts, tokens, and fake programs on PATH."""

from __future__ import annotations

import base64
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from infra.config.naming import Names
from infra.offline.answers import ACCOUNT
from tests.estate import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REGION = "eu-central-1"
COMMIT = "c" * 40
IMAGE = f"sha256:{'a' * 64}"
ACCOUNTS = {"dev": ACCOUNT, "staging": "222222222222", "prod": "333333333333"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository's settings, with a separate account for each environment."""
    for environment, account in ACCOUNTS.items():
        (tmp_path / f"Pulumi.{environment}.yaml").write_text(files.settings(environment, account))
    return tmp_path


@pytest.fixture
def names() -> dict[str, Names]:
    """The names of each environment."""
    return {
        environment: Names(environment=environment, account=account, region=REGION)
        for environment, account in ACCOUNTS.items()
    }


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove credentials and variables of the job or shell that runs these tests."""
    for name in ("AWS_PROFILE", "AWS_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")


def token(subject: str, audience: str = "lightwork", issuer: str = "https://gitlab.com") -> str:
    """Return a token with these claims and a meaningless signature."""

    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part({'sub': subject, 'aud': audience, 'iss': issuer})}.c2lnbmF0dXJl"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a shell script on PATH; return the file to which it writes its arguments, one line per call."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(name: str, script: str = "") -> Path:
        file, calls = folder / name, folder / f"{name}.calls"
        calls.touch()
        file.write_text(f'#!/bin/sh\necho "$@" >>{calls}\n{script}\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return calls

    return make
