"""The lake that a command is about: by an option, a variable, or what the user has logged in to."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lightwork.errors import InputError

if TYPE_CHECKING:
    from lightwork.kube.logins import Login
    from lightwork.lake import Lake

__all__ = ["opened", "shown"]


def shown(lake: str | None, tenant: str | None, environment: str | None = None) -> Lake:
    """Open the lake of a command that only looks at it.

    Args:
        lake: its address, if an option gives it.
        tenant: the tenant, if an option gives it.
        environment: the environment whose lake it is, for somebody who has logged in there.

    Raises:
        InputError: nobody has logged in there, or an address is given as well.
    """
    from lightwork import logs, settings

    logs.configure(runs_code=False)  # what is damaged is told by log lines
    name = settings.resolve_tenant(tenant)
    if environment is None:
        return opened(lake, name)
    if lake is not None:
        raise InputError("--lake and --env both name a lake; expected one of the two")
    from lightwork.kube import logins

    if (login := logins.find(environment, name)) is None:
        told = f"--env {environment}: you have not logged in there as {name}"
        raise InputError(f"{told}{logins.how(environment, name)}")
    return opened(None, name, login)


def opened(lake: str | None, tenant: str, login: Login | None = None) -> Lake:
    """Open a tenant's lake: that of a login with the role of its people, else as settings name it."""
    from lightwork import settings
    from lightwork.lake import open_lake, s3_connection
    from lightwork.lake.patience import LOOK_SECONDS

    s3_connection.act_as(login.assumed() if login else None)
    url = login.lake_url if login else settings.resolve_lake(lake)
    found = open_lake(url, tenant=tenant, patience=settings.resolve_patience(LOOK_SECONDS))
    _check_folder(found)
    return found


def _check_folder(lake: Lake) -> None:
    """Refuse a lake in whose place there is a file: it would look like an empty one."""
    from lightwork.lake.local import LocalLake

    if isinstance(lake, LocalLake):
        for path in (lake.folder.parent, lake.folder):
            # Whoever reads one that is away, or may not be looked at, says so.
            with contextlib.suppress(OSError):
                if path.exists() and not path.is_dir():
                    raise InputError(f"lake {lake.folder.parent}: {path} is a file; expected a folder")
