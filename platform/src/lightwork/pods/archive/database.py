"""The users of the archive's database: one that owns the tables, and two that log in by turns."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lightwork.pods.archive import scram
from lightwork.pods.archive.postgres import REFUSED, Connection, ServerError, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.pods.archive.postgres import Credentials, Server

OWNER = "archive"
"""Owns the tables, and cannot log in."""
LOGINS = ("archive_a", "archive_b")
"""Log in by turns, and act as OWNER. While pods change from one to the other, both may."""
LOCK = 7_811_881
"""The advisory lock of the one rotation that may go on."""
LOCK_SECONDS = 900

_ROLES = f"""
do $$ declare item text; begin
  foreach item in array array['{OWNER}', '{LOGINS[0]}', '{LOGINS[1]}'] loop
    if not exists (select from pg_roles where rolname = item) then
      execute format('create role %I nologin', item);
    end if;
  end loop;
end $$;
grant {OWNER}, {LOGINS[0]}, {LOGINS[1]} to current_user;
grant {OWNER} to {LOGINS[0]}, {LOGINS[1]};
alter role {LOGINS[0]} set role to {OWNER};
alter role {LOGINS[1]} set role to {OWNER};
"""
_RIGHTS = f"""
do $$ begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to {OWNER}', current_database());
end $$;
revoke all on schema public from public;
grant usage, create on schema public to {OWNER};
"""
_TABLES = f"""
do $$ declare item regclass; begin
  for item in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
    and pg_get_userbyid(relowner) = current_user
  loop
    execute format('alter table %s owner to {OWNER}', item);
  end loop;
end $$;
"""  # noqa: S608  (constants)


class Database:
    """The archive's database, in a session of its master.

    Args:
        server: the server and the database.
        master: the master's login. It need not be a superuser: RDS gives nobody one.
    """

    def __init__(self, server: Server, master: Credentials) -> None:
        self._server = server
        self._session = Connection(server, master)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other rotation goes on, and keep others waiting during the block.

        The server ends the lock with the session, so that a killed rotation holds up no other one. The
        session ends with the block.

        Raises:
            ServerError: another rotation still goes on after LOCK_SECONDS.
        """
        with self._session as session:
            session.query(f"set lock_timeout to '{LOCK_SECONDS}s'")
            session.query(f"select pg_advisory_lock({LOCK})", seconds=LOCK_SECONDS + 30)
            session.query("set lock_timeout to '20s'")
            yield

    def prepare(self) -> None:
        """Create the users that are missing; give them their few rights, and the tables of the master.

        They may use this database and its schema `public`, and nobody else may.
        """
        self._session.query(_ROLES + _RIGHTS + _TABLES)

    def open(self, credentials: Credentials) -> None:
        """Let one of LOGINS log in, with this password only."""
        password = literal(scram.verifier(credentials.password))
        self._session.query(f"alter role {_known(credentials.user)} login password {password}")

    def close(self, user: str) -> None:
        """Let one of LOGINS log in no more."""
        self._session.query(f"alter role {_known(user)} nologin password null")

    def addresses(self, user: str) -> list[str]:
        """Return from where one of LOGINS is logged in, an address for each session."""
        rows = self._session.query("select usename, host(client_addr) from pg_stat_activity")
        return [address or "the server itself" for name, address in rows if name == user]

    def admits(self, credentials: Credentials) -> bool:
        """Return whether a login works, and acts as OWNER."""
        try:
            with Connection(self._server, credentials) as session:
                return session.query("select current_user") == [(OWNER,)]
        except ServerError as error:
            if error.code in REFUSED:
                return False
            raise

    def least_used(self) -> str:
        """Return which of LOGINS has fewer sessions."""
        return min(LOGINS, key=lambda user: len(self.addresses(user)))


def other(user: str) -> str:
    """Return the other one of LOGINS."""
    return LOGINS[1 - LOGINS.index(user)]


def _known(user: str) -> str:
    if user not in LOGINS:
        raise ValueError(f"{user} is not one of {', '.join(LOGINS)}")
    return user
