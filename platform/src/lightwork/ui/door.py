"""Who may see the page: whoever has its address, with a browser that shows it and nothing else.

The address has a token. Whoever brings it gets a cookie, and every other request must have that. A foreign
page cannot read the address, a name that it points to this machine is not the server's, and its requests say
where they come from.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TICKET_SECONDS = 120.0
"""Seconds for which the address that a browser is started with is good, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What decides whether a request is answered.

    Attributes:
        host: the host that it names; None without any.
        origin: the origin of the page that makes it; None if it does not say.
        site: how far that page is from this one, as browsers tell; None if they do not.
        token: the token in its address; None without one.
        cookies: its cookies.
    """

    host: str | None
    origin: str | None
    site: str | None
    token: str | None
    cookies: Mapping[str, str]


class Door:
    """The token, the cookie, and the checks of one server.

    Args:
        port: the server's port.
        clock: returns seconds, for tests.
    """

    def __init__(self, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._port = port
        self._clock = clock
        self._token = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._tickets: dict[str, float] = {}
        self.cookie = f"lightwork-ui-{port}"
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    def address(self) -> str:
        """Return the address that lets somebody in as long as the server runs."""
        return self._address(self._token)

    def once(self) -> str:
        """Return an address that is good once, and soon: all users see what a browser is started with."""
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = self._clock() + _TICKET_SECONDS
        return self._address(ticket)

    def _address(self, token: str) -> str:
        return f"http://127.0.0.1:{self._port}/?token={token}"

    def set_cookie(self) -> str:
        """Return the header that gives the cookie."""
        return f"{self.cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"

    def refusal(self, asked: Asked) -> str:
        """Return why a request is not answered, in words that tell nothing; empty if it is."""
        if asked.host not in self._hosts:
            return "this is not the host of the page"
        if asked.origin is not None and asked.origin not in {f"http://{host}" for host in self._hosts}:
            return "another page has no access"
        if asked.token is not None:
            return "" if self._is_good(asked.token) else "the token is not the right one"
        if asked.site not in (None, "same-origin", "none"):
            return "another page has no access"
        cookie = asked.cookies.get(self.cookie, "")
        if not hmac.compare_digest(cookie.encode(errors="replace"), self._session.encode()):
            return "open the address that `lightwork ui` has printed"
        return ""

    def _is_good(self, token: str) -> bool:
        given = token.encode(errors="replace")
        is_good = hmac.compare_digest(given, self._token.encode())
        for ticket, until in list(self._tickets.items()):
            if hmac.compare_digest(given, ticket.encode()):
                del self._tickets[ticket]
                is_good = is_good or self._clock() < until
        return is_good
