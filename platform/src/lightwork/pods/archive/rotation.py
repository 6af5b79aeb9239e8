"""What a rotation does, and in which order, so that it may be killed anywhere and goes on the next time.

1. The login that nobody uses gets a new password. 2. The Secret gets that login. 3. The pods that read the
Secret are replaced. 4. The other login is closed.

Until step 4 the pods' old login works; it stays open as long as somebody uses it. A rotation that dies before
step 2 has changed nothing that is in use; one that dies later has left a note on the Secret, and the next one
goes on with step 3.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
from typing import TYPE_CHECKING

from lightwork.pods.archive.database import LOGINS, other
from lightwork.pods.archive.postgres import Credentials

if TYPE_CHECKING:
    from lightwork.pods.archive.cluster import Cluster, Stored
    from lightwork.pods.archive.database import Database

PASSWORD_BYTES = 32


IDLE_SECONDS = 60.0
"""How long the sessions of pods that are gone may take to end."""


class LoginError(Exception):
    """A login that was just made does not work, or one that nobody should use any more is in use."""


def rotate(database: Database, cluster: Cluster, *, lifetime: dt.timedelta, now: dt.datetime) -> str:
    """Make a new login if there is none that works, or if it is too old; finish what was begun before.

    Args:
        database: the database.
        cluster: the Secret and the pods.
        lifetime: the age at which a login is replaced.
        now: the current time.

    Returns:
        What was done, for the log.

    Raises:
        LoginError: the database does not accept the new login, or the old one is still in use.
        ServerError, ScramError: the database refuses a statement, or is not the right one.
        RefusedError: the API refuses a request, or somebody else changes the Secret at the same time.
        ClusterError: pods are not ready again in time.
        OSError: the database or the API cannot be reached.
    """
    with database.alone():
        database.prepare()
        stored = cluster.read()
        reason = _reason(database, stored, lifetime, now)
        if stored and not reason and not stored.pending:
            return f"{stored.credentials.user} is still valid"
        if stored and not reason:
            user, version, reason = stored.credentials.user, stored.version, "an earlier rotation had begun"
        else:
            user, version = _swap(database, cluster, stored, now)
        pods = cluster.replace_pods()
        _close(database, other(user))
        cluster.finish(version)
    return f"{user} is in use ({reason}); {pods} pod(s) replaced"


def _reason(database: Database, stored: Stored | None, lifetime: dt.timedelta, now: dt.datetime) -> str:
    """Return why a new login is needed; empty if it is not."""
    if stored is None:
        return "there was none"
    if stored.credentials.user not in LOGINS or not database.admits(stored.credentials):
        return "the database did not accept the one before"
    if stored.rotated is None or now - stored.rotated >= lifetime:
        return "" if stored.pending else "the one before was old"
    return ""


def _swap(database: Database, cluster: Cluster, stored: Stored | None, now: dt.datetime) -> tuple[str, str]:
    """Give the unused login a new password, and store it; return its user and the Secret's version."""
    user = stored.credentials.user if stored else None
    unused = other(user) if user in LOGINS else database.least_used()
    credentials = Credentials(unused, secrets.token_urlsafe(PASSWORD_BYTES))
    database.open(credentials)
    if not database.admits(credentials):
        raise LoginError(f"the database does not accept the new login {unused}")
    return unused, cluster.write(credentials, now, stored)


def _close(database: Database, user: str) -> None:
    """Close a login, unless somebody who was not replaced still uses it."""
    end = time.monotonic() + IDLE_SECONDS
    while addresses := database.addresses(user):
        if time.monotonic() > end:
            who = ", ".join(sorted(set(addresses)))
            raise LoginError(f"{user} is not closed, as it is still in use, by pods not selected? From {who}")
        time.sleep(1)
    database.close(user)
