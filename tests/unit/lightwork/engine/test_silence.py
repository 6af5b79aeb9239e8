"""What takes long before the first result says so: within 2 s in a log, beside the bars on a terminal."""

from __future__ import annotations

import io
import logging
import threading

import pytest

from lightwork import connect, task
from lightwork.engine import progress
from lightwork.engine.progress import Progress, Stats
from tests.waiting import wait_until


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Make standard error a terminal; return what that shows."""
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    return stderr


def test_a_log_line_comes_after_a_while(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    assert progress.QUIET < 2
    monkeypatch.setattr(progress, "QUIET", 0.01)
    with Progress("lines").doing("starting 4 workers"):
        wait_until(lambda: "starting 4 workers" in caplog.text, "the line")


def test_what_is_quick_is_not_mentioned(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "QUIET", 60)
    before = threading.active_count()
    with Progress("lines").doing("starting 4 workers"):
        pass
    wait_until(lambda: threading.active_count() <= before, "the end of the timer")
    with Progress("off").doing("starting 4 workers"):
        pass
    assert not caplog.text


@pytest.mark.parametrize("text", ["starting 4 workers", "connecting to tcp://[::1]:8786"])
def test_a_terminal_shows_it_beside_the_bar_of_a_map(monkeypatch, text):
    terminal = on_terminal(monkeypatch)
    shown = Progress("bar")
    row = shown.start("module.nap", 30)
    with shown.doing(text):
        shown._display.refresh()
        assert text in terminal.getvalue()
    terminal.truncate(0)
    shown._display.refresh()
    assert text not in terminal.getvalue()
    row.close(Stats())


@pytest.mark.parametrize("failing", [True, False])
def test_a_terminal_shows_it_alone_and_erases_it(monkeypatch, failing):
    terminal = on_terminal(monkeypatch)
    shown = Progress("bar")
    text = "connecting to tcp://[::1]:8786"
    try:
        with shown.doing(text):
            shown._display.refresh()
            assert text in terminal.getvalue()
            display = shown._display
            if failing:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert failing
    assert shown._display is None
    assert not display.tasks


@task(cache=False)
def double(x: int) -> int:
    return 2 * x


def test_a_session_says_that_it_connects(scheduler, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "QUIET", 0)
    with connect(scheduler, lake=tmp_path, progress="lines"):
        assert double.submit(1).result() == 2
    assert f"connecting to {scheduler}" in caplog.text
