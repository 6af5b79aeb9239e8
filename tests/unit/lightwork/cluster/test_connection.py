"""How a scheduler is reached that may be there only in a while."""

from __future__ import annotations

import time

import pytest

from lightwork.cluster import connection


class Pretended:
    """Clients that do not come through, each after it has waited for as long as it may."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, failures: int, error: type[Exception] = OSError
    ) -> None:
        self.now, self.failures, self.error = 0.0, failures, error
        self.attempts: list[float] = []
        monkeypatch.setattr(connection, "Connection", self)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def __call__(self, address: str, *, timeout: float, **settings: object) -> str:
        assert settings == {"set_as_default": True, "name": "lightwork"}
        self.attempts.append(timeout)
        if len(self.attempts) > self.failures:
            return f"a client of {address}"
        self.now += timeout
        raise self.error


def test_an_attempt_that_is_lost_costs_seconds_and_not_all_the_patience(monkeypatch):
    pretended = Pretended(monkeypatch, failures=2)
    assert connection.connect("tls://there", 180) == "a client of tls://there"
    assert pretended.attempts == [1, 1, 1]
    assert pretended.now == 2


def test_patience_ends_when_it_is_said_to_end(monkeypatch):
    pretended = Pretended(monkeypatch, failures=99, error=TimeoutError)
    with pytest.raises(TimeoutError):
        connection.connect("tls://there", 45)
    assert pretended.attempts == [1] * 15 + [2, 5, 10, 10, 3]
    assert pretended.now == 45


def test_what_trying_again_would_not_mend_is_said_at_once(monkeypatch):
    pretended = Pretended(monkeypatch, failures=99, error=ValueError)
    with pytest.raises(ValueError):
        connection.connect("there", 180)
    assert len(pretended.attempts) == 1
