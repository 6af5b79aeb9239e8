"""How worker processes end, in words."""

from __future__ import annotations

import signal

import pytest

from lightwork.cluster import ends


@pytest.mark.parametrize(
    ("code", "seen", "reason"),
    [
        (-signal.SIGKILL, {}, "ended by SIGKILL"),
        (-signal.SIGKILL, {"kernel": True}, "ended by the kernel, as memory had run out"),
        (-signal.SIGTERM, {"monitor": True}, "ended by Dask, as it had used almost all of its memory limit"),
        (-signal.SIGSEGV, {"kernel": True}, "ended by SIGSEGV"),
        (-63, {}, "ended by signal 63"),
        (255, {}, "ended by a signal, or with exit code 255"),
        (3, {}, "ended with exit code 3"),
        (0, {}, "closed by itself"),
    ],
)
def test_a_reason_says_what_was_seen_and_no_more(code, seen, reason):
    assert ends.reason_of(code, **seen) == reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    ],
)
def test_the_kernels_kills_are_counted_in_both_versions_of_control_groups(tmp_path, monkeypatch, name, text):
    (tmp_path / name).write_text(text)
    monkeypatch.setattr(ends, "_counters", lambda: [tmp_path / name, tmp_path / "absent"])
    assert ends._kills_for_memory() == 2


def test_this_process_has_a_control_group_or_counts_nothing():
    assert ends._kills_for_memory() >= 0
