"""`lightwork ui`: what it refuses, the file that it writes, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import patience


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--port", "x"], "ui: "),
        (["--port", "70000"], "ui: "),
        (
            ["--out", "a.html", "--no-open"],
            "ui: --out writes a file; expected it without --port and --no-open",
        ),
        (["--out", "none/a.html"], "--out none/a.html: cannot be written (No such file or directory)"),
        (["--out", "."], "--out .: cannot be written"),
        (["--env", "nowhere"], "--env: found 'nowhere'; expected"),
        (
            ["--env", "dev"],
            "--env dev: you have not logged in there as local: lightwork login --env dev --tenant local",
        ),
        (["--context", "x"], "ui: --context names a cluster; expected --env ENV as well"),
        (["--lake", "ftp://x"], "lake 'ftp://x': scheme"),
        (["--tenant", "A B"], "tenant"),
        (["more"], "ui: "),
    ],
)
def test_a_wrong_input_is_one_line(lightwork: Callable, words: list[str], error: str) -> None:
    done = lightwork("ui", *words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("lightwork: ")
    assert error in done.err
    assert done.err.count("\n") == 1


def test_a_file_says_what_it_has(lightwork: Callable, project: Path) -> None:
    assert lightwork("ui", "--out", "empty.html").out == "empty.html: 0 runs\n"
    lightwork("run", "windy-city", "--on", "serial")
    lightwork("run", "element-fails", "--on", "serial")
    done = lightwork("ui", "--out", "runs.html")
    assert (done.code, done.out, done.err) == (0, "runs.html: 2 runs\n", "")
    page = (project / "runs.html").read_text()
    assert "three is no good" in page
    assert "windy-city" in page


def test_nothing_is_written_to_the_lake(lightwork: Callable, project: Path) -> None:
    lightwork("run", "windy-city", "--on", "serial")
    before: list[Path] = []
    while before != (
        now := sorted((project / ".lightwork").rglob("*"))
    ):  # the run's upkeep goes on for a moment
        before = now
        time.sleep(0.5)
    lightwork("ui", "--out", "runs.html")
    assert sorted(path for path in (project / ".lightwork").rglob("*")) == before


@pytest.mark.slow
def test_it_serves_until_ctrl_c_and_ends_in_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "lightwork", "ui", "--lake", str(tmp_path / "lake"), "--tenant", "acme"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.fullmatch(r"acme: (http://127\.0\.0\.1:\d+/\?token=[\w-]{43}) \(Ctrl-C to stop\)\n", line)
        assert match, line
        assert b"refresh" in urllib.request.urlopen(match[1], timeout=patience(20)).read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(match[1].partition("?")[0], timeout=patience(20))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=patience(20))
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (130, "")
    assert err == "lightwork: the page is no longer there\n"


@pytest.mark.slow
def test_a_lake_that_cannot_be_read_is_told_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "acme").write_text("a file in place of the tenant's folder")
    words = [sys.executable, "-m", "lightwork", "ui", "--lake", str(tmp_path / "lake"), "--tenant", "acme"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, check=False, timeout=patience(60)
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
