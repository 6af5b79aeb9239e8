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


class Nanny:
    """What of Dask's nanny is looked at."""

    def __init__(self, status: str) -> None:
        self.status = type("Status", (), {"name": status})
        self.worker_address = "tls://10.0.0.1:8788"
        self.notified: list[int] = []

    def _on_worker_exit_sync(self, code: int) -> None:
        self.notified.append(code)


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        ("running", 3, ["ended with exit code 3"]),
        ("running", 0, ["closed by itself"]),
        ("closing_gracefully", 1, ["ended with exit code 1"]),
        ("closing_gracefully", 0, []),
        ("closing", 0, []),
        ("closing", -signal.SIGKILL, []),
    ],
)
def test_a_process_that_was_told_to_end_is_no_loss(status, code, told):
    nanny, reasons = Nanny(status), []
    ends.watch(nanny, lambda _, reason: reasons.append(reason))
    nanny._on_worker_exit_sync(code)
    assert (reasons, nanny.notified) == (told, [code])


def test_a_nanny_is_notified_also_where_an_end_cannot_be_told():
    nanny = Nanny("running")
    ends.watch(nanny, lambda *_: 1 / 0)
    nanny._on_worker_exit_sync(3)
    assert nanny.notified == [3]


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
