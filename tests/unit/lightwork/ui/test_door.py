"""The token, the ticket and the cookie."""

from __future__ import annotations

from lightwork.ui.door import Asked, Door

BEST = {"host": "127.0.0.1:8000", "origin": None, "site": "none", "token": None, "cookies": {}}


def test_each_server_has_another_token_and_the_cookie_is_another_secret() -> None:
    one, other = Door(8000), Door(8000)
    assert one.address() != other.address()
    assert one.set_cookie() != other.set_cookie()
    assert one.address().partition("token=")[2] not in one.set_cookie()
    assert len(one.address().partition("token=")[2]) >= 43, "256 bits"


def test_a_ticket_is_good_once_and_for_a_while() -> None:
    now = [0.0]
    door = Door(8000, clock=lambda: now[0])
    tickets = [door.once().partition("token=")[2] for _ in range(2)]
    asked = [Asked(**(BEST | {"token": ticket})) for ticket in tickets]
    assert door.refusal(asked[0]) == ""
    assert door.refusal(asked[0])
    now[0] = 121.0
    assert door.refusal(asked[1])


def test_a_cookie_of_another_server_on_this_machine_is_not_enough() -> None:
    one, other = Door(8000), Door(8001)
    cookies = dict([other.set_cookie().partition(";")[0].split("=", 1)])
    assert one.refusal(Asked(**(BEST | {"cookies": cookies})))
    assert one.cookie != other.cookie, "browsers share cookies between the ports of a host"
