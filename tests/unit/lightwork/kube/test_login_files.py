"""What `lightwork login` writes: the user's settings and their kubeconfig, both or neither."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightwork.cli import login
from lightwork.errors import InputError
from lightwork.kube import eks as kube_eks
from lightwork.kube import logins
from lightwork.kube.kubeconfig import user_of_command
from tests import eks
from tests.unit.lightwork.kube.machine import (
    ONCE,
    ROLE,
    WHERE,
    Home,
    put,
)
from tests.waiting import patience


def test_the_rest_of_a_kubeconfig_stays_as_it_is(home: Home, quick: None) -> None:
    before = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mine",
        "clusters": [
            {"name": name, "cluster": {"server": "http://mine"}} for name in ("mine", "lightwork-dev-acme")
        ],
        "users": [{"name": "mine", "user": {"token": "t", "expiry": "2026-01-01T00:00:00Z"}}],
        "contexts": [{"name": "mine", "context": {"cluster": "mine", "user": "mine"}}],
    }
    real = home.folder / "real"
    real.write_text(yaml.safe_dump(before).replace("'2026-01-01T00:00:00Z'", "2026-01-01T00:00:00Z"))
    home.kubeconfig.parent.mkdir()
    home.kubeconfig.symlink_to(real)
    assert home.run("login", *ONCE)[0] == 0
    assert home.run("login", *ONCE)[0] == 0, "once more"
    after = yaml.safe_load(real.read_text())
    assert home.kubeconfig.is_symlink()
    assert after["current-context"] == "mine"
    for kind in ("clusters", "users", "contexts"):
        assert [item["name"] for item in after[kind]] == ["mine", "lightwork-dev-acme"]
        assert after[kind][0] == before[kind][0]
    assert after["contexts"][1]["context"]["namespace"] == "tenant-acme"


@pytest.mark.parametrize("text", ["{", "[]", "contexts: [1]", "contexts: 1", "\x00", "[" * 400])
def test_a_broken_kubeconfig_is_one_line_and_stays_as_it_is(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", f"{path}:{tmp_path}/other")
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        put("x")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text() == text


ENTRY = {"account": eks.ACCOUNT, "region": eks.REGION, "role": ROLE, "session": "jane"}
ODD = [
    *(1, [], {}, {"account": 1}),
    *({**ENTRY, name: value} for name in ENTRY for value in ("x y", "", 7)),
]


def settings_of(home: Home) -> Path:
    path = home.folder / ".config" / "lightwork" / "logins.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("text", ["{", "[]", "\x00", "[" * 100_000, "\udcff"])
def test_settings_that_cannot_be_read_are_one_line_and_stay_as_they_are(
    home: Home, quick: None, text: str
) -> None:
    path = settings_of(home)
    path.write_text(text, errors="surrogateescape")
    before = path.read_bytes()
    for words in (("login", *ONCE), ("login", *WHERE, "--token"), ("runs", *WHERE), ("search", *WHERE)):
        code, out, err = home.run(*words)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith(f"lightwork: {path}: "), err
        assert err.endswith("; delete it and log in again\n")
    assert path.read_bytes() == before
    assert not home.kubeconfig.exists()


@pytest.mark.sample(4)
@pytest.mark.parametrize("entry", ODD, ids=json.dumps)
def test_an_odd_entry_of_the_settings_is_one_line_whose_advice_works(
    home: Home, quick: None, entry: Any
) -> None:
    path = settings_of(home)
    path.write_text(json.dumps({"dev/acme": entry, "prod/acme": ENTRY}))
    for words in (("login", *WHERE), ("login", *WHERE, "--token"), ("runs", *WHERE), ("search", *WHERE)):
        code, out, err = home.run(*words)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith(f"lightwork: {path}: dev/acme: is damaged"), err
    assert not home.kubeconfig.exists()
    words = err.partition("log in again: lightwork ")[2].split()
    given = {"NUMBER": eks.ACCOUNT, "REGION": eks.REGION}
    assert home.run(*(given.get(word, word) for word in words))[0] == 0
    assert json.loads(path.read_text())["prod/acme"] == ENTRY


def test_two_logins_at_once_keep_both(home: Home, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads both files and writes them again: without a lock, the last one would lose the others'."""
    assert home.run("login", *ONCE)[0] == 0
    known = logins.find("dev", "acme")
    assert known is not None
    added = logins.added

    def slowly(login: logins.Login) -> tuple[Path, str]:
        result = added(login)
        time.sleep(0.05)
        return result

    monkeypatch.setattr(logins, "added", slowly)
    tenants = [f"tenant-{number}" for number in range(8)]

    def log_in(tenant: str) -> None:
        one = replace(known, tenant=tenant)
        login._keep(one, kube_eks.Cluster("https://api.example", "Zm9v", ()))

    with ThreadPoolExecutor(len(tenants)) as pool:
        list(pool.map(log_in, tenants))
    assert all(logins.find("dev", tenant) for tenant in ("acme", *tenants))
    contexts = yaml.safe_load(home.kubeconfig.read_text())["contexts"]
    assert {item["name"] for item in contexts} >= {f"lightwork-dev-{name}" for name in ("acme", *tenants)}


@pytest.mark.parametrize("closed", ["settings", "kubeconfig", "a file in place of a folder", "a broken one"])
def test_a_login_that_cannot_be_written_is_one_line_and_leaves_nothing_half_written(
    home: Home, quick: None, closed: str
) -> None:
    settings, other = settings_of(home), home.kubeconfig.parent
    settings.parent.rmdir()
    if closed == "settings":
        settings.parent.write_text("a file")
    elif closed == "kubeconfig":
        other.write_text("a file")
    elif closed == "a broken one":
        other.mkdir()
        home.kubeconfig.write_text("{")
    else:
        settings.parent.parent.rmdir()
        settings.parent.parent.write_text("a file")
    before = {path: path.read_text() for path in home.folder.rglob("*") if path.is_file()}
    code, out, err = home.run("login", *ONCE)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert re.match(rf"lightwork: {home.folder}\S+: (cannot be|is not)", err), err
    assert {path: path.read_text() for path in home.folder.rglob("*") if path.is_file()} == before


@pytest.mark.root
def test_a_read_only_home_is_one_line(home: Home, quick: None) -> None:
    """Root writes where it may not, so the folder is on a file system that is read-only."""
    mount = home.folder / ".config"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(mount)], check=True)
    try:
        code, out, err = home.run("login", *ONCE)
        assert (code, out) == (2, "")
        assert err.endswith(
            f"{mount}/lightwork: cannot be written: [Errno 30] Read-only file system: '{mount}/lightwork'\n"
        )
        assert err.count("\n") == 1
        assert not home.kubeconfig.exists()
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_leaves_both_files_as_they_were(
    home: Home, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home.run("login", *ONCE)[0] == 0
    files = (home.kubeconfig, settings_of(home))
    before = [path.read_text() for path in files]
    fdopen, opened = os.fdopen, []

    def full(*args: Any, **kwargs: Any) -> Any:
        opened.append(args)
        if len(opened) == 2:
            os.close(args[0])
            raise OSError(28, "No space left on device")
        return fdopen(*args, **kwargs)

    monkeypatch.setattr(os, "fdopen", full)
    code, _, err = home.run("login", *ONCE, "--lake", "s3://other")
    assert (code, err) == (
        2,
        f"lightwork: {files[1]}: cannot be written: [Errno 28] No space left on device\n",
    )
    assert [path.read_text() for path in files] == before
    assert {path.name for file in files for path in file.parent.iterdir()} == {"config", "logins.json"}


@pytest.mark.slow
@pytest.mark.parametrize("kubeconfig", ["", ":"])
def test_an_empty_kubeconfig_is_the_usual_one_and_a_program_that_is_gone_is_one_line(
    tmp_path: Path, kubeconfig: str
) -> None:
    """The official client reads the variable once, as it is imported."""
    path = tmp_path / ".kube" / "config"
    path.parent.mkdir()
    name = "lightwork-dev-acme"
    one = {"name": name, "context": {"cluster": name, "user": name}}
    user = user_of_command(["/gone/lightwork", "login"])
    document = {
        "clusters": [{"name": name, "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": name, "user": user}],
        "contexts": [one],
    }
    path.write_text(json.dumps(document))
    program = Path(sys.executable).with_name("lightwork")
    done = subprocess.run(
        [program, "stop", "r1", "--env", "dev", "--tenant", "acme"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": kubeconfig},
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )
    missing = "[Errno 2] No such file or directory: '/gone/lightwork'"
    said = f"lightwork: no credentials for the cluster: {missing}; log in again\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_no_credentials_are_written(home: Home, quick: None, amazon: eks.Aws) -> None:
    assert home.run("login", *ONCE)[0] == 0
    written = [path for path in home.folder.rglob("*") if path.is_file()]
    assert {path.relative_to(home.folder).as_posix() for path in written} == {
        "kube/config",
        ".config/lightwork/logins.json",
    }
    secrets = [value for name, value in amazon.people["jane"].items() if "KEY" in name]
    for path in written:
        text = path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not any(secret in text for secret in secrets)
        assert not re.search(r"k8s-aws-v1|ASIA|client-key|token:", text)
    (user,) = yaml.safe_load(home.kubeconfig.read_text())["users"]
    assert set(user["user"]) == {"exec"}
