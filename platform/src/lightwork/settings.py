"""Settings of a run: each comes from an argument, else from the environment, else it is the default."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lightwork.errors import InputError, nearest
from lightwork.lake.patience import RUN_SECONDS
from lightwork.logs import ENV_RUN as ENV_RUN
from lightwork.logs import ENV_TENANT as ENV_TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.functions.limits import Limit

PLACES = ("serial", "local", "coiled")
DEFAULT_LAKE = ".lightwork/lake"
DEFAULT_TENANT = "local"
ENV_ON = "LIGHTWORK_ON"
ENV_LAKE = "LIGHTWORK_LAKE"
ENV_LIMITS = "LIGHTWORK_LIMITS"
ENV_PATIENCE = "LIGHTWORK_LAKE_PATIENCE"
ENV_HISTORY_DAYS = "LIGHTWORK_HISTORY_DAYS"
"""The days for which a lake keeps runs, their reports, and versions of artifacts that were replaced."""
ENV_HISTORY_RUNS = "LIGHTWORK_HISTORY_RUNS"
"""How many runs of each pipeline a lake keeps at most; unset for any number."""
ENV_HISTORY_ARTIFACTS = "LIGHTWORK_HISTORY_ARTIFACTS"
"""How many versions of each artifact a lake keeps at most; unset for any number."""
DEFAULT_HISTORY_DAYS = 365
_DAYS = 36_500
_RUNS = 1_000_000

_MOST_PATIENCE = 86_400
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
_PLACES_TEXT = "serial, local, tcp://host:port, tls://host:port or coiled"


def load_env() -> None:
    """Load the variables of `.env` in the current folder, if it exists, that the environment does not set.

    Raises:
        InputError: the file is not readable as text.
    """
    path = Path.cwd() / ".env"
    if not path.is_file():
        return
    from dotenv import load_dotenv

    try:
        load_dotenv(path, override=False)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f".env: cannot be read ({error}); expected lines like LIGHTWORK_ON=local") from error


def resolve_on(on: str | None, default: str = "local") -> str:
    """Return where to run: `on`, else LIGHTWORK_ON, else DASK_SCHEDULER_ADDRESS, else the default.

    >>> resolve_on("tcp://scheduler:8786")
    'tcp://scheduler:8786'

    Returns:
        `serial`, `local`, `coiled`, or a scheduler's address, `tcp://host:port` or `tls://host:port`.

    Raises:
        InputError: the value is none of these.
    """
    value, where = _first(on, "on", ENV_ON, "DASK_SCHEDULER_ADDRESS", default=default)
    if value in PLACES or _is_address(value):
        return value
    if "://" in value or re.fullmatch(r"[\w.-]+:\d+", value):
        raise InputError(
            f"{where}: {value!r} is not a scheduler's address; expected {_nearest_address(value)}"
        )
    raise InputError(
        f"{where}: {value!r} is not a place to run; expected {_PLACES_TEXT}{nearest(value.lower(), PLACES)}"
    )


def resolve_workers(workers: int | str | None) -> int:
    """Return the number of worker processes; by default one for each core.

    Raises:
        InputError: the value is not a whole number, or less than 1.
    """
    if workers is None:
        return cores()
    example = f"for example {cores()}, the number of cores here"
    if isinstance(workers, bool) or not re.fullmatch(r"[+-]?\d{1,9}", str(workers).strip()):
        raise InputError(f"workers: {workers!r} is not a whole number; expected 1 or more, {example}")
    if (count := int(workers)) < 1:
        raise InputError(f"workers: expected 1 or more, got {count}; {example}")
    return count


def resolve_limits(limits: Mapping[str, int | str] | None) -> dict[str, Limit]:
    """Return the session's limits: `limits`, else LIGHTWORK_LIMITS, such as `gpu-api=4,weather=10/s`.

    Raises:
        InputError: one of them is invalid.
    """
    from lightwork.functions.limits import limits_of, parsed

    if limits is not None:
        return limits_of("connect", limits)
    return parsed(ENV_LIMITS, os.environ.get(ENV_LIMITS, ""))


def resolve_threads(threads: int | None, on: str) -> int | None:
    """Return the threads of numerical libraries in each worker on this machine; None for one.

    Raises:
        InputError: the workers are not started by the session.
    """
    if threads is not None and on != "local":
        where = "before Python starts" if on == "serial" else "where the workers start"
        raise InputError(
            f"connect: threads={threads}: it is for the workers of on='local'; for {on}, set OMP_NUM_THREADS,"
            f" MKL_NUM_THREADS and OPENBLAS_NUM_THREADS {where}"
        )
    return threads


def resolve_lake(url: str | os.PathLike[str] | None) -> str:
    """Return the lake's address: `url`, else LIGHTWORK_LAKE, else the nearest `.lightwork/lake`.

    That is looked for in the current folder and those above it, up to the root of the Git repository or the
    home folder, but not above a folder that another user owns or can write to. If there is none, it is the
    current folder's.

    Returns:
        The address as given: a folder, `file:///folder`, or `s3://bucket/prefix`. Nothing is created yet.

    Raises:
        InputError: the address is invalid or has another scheme.
    """
    option = None if url is None else os.fspath(url)
    value, where = _first(option, "lake", ENV_LAKE, default="")
    from lightwork.lake import open_lake

    if option is None and not value:
        value = _nearest_lake()

    try:
        open_lake(value, tenant=DEFAULT_TENANT)
    except InputError as error:
        raise InputError(str(error) if where == "lake" else f"{where}: {error}") from None
    return value


def resolve_tenant(name: str | None) -> str:
    """Return the tenant: `name`, else LIGHTWORK_TENANT, else `local`.

    Raises:
        InputError: the name is not a DNS label, which namespaces and buckets need.
    """
    value, where = _first(name, "tenant", ENV_TENANT, default=DEFAULT_TENANT)
    from lightwork.lake.opening import check_tenant

    try:
        return check_tenant(value)
    except InputError as error:
        raise InputError(str(error) if where == "tenant" else f"{where}: {error}") from None


def resolve_patience(default: float) -> float:
    """Return the seconds to wait for a lake that is away: LIGHTWORK_LAKE_PATIENCE, else the default.

    Raises:
        InputError: the variable is not a number of seconds.
    """
    text = os.environ.get(ENV_PATIENCE, "")
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_PATIENCE:
        raise InputError(
            f"{ENV_PATIENCE}: {text!r} is not a number of seconds from 0 to {_MOST_PATIENCE}; "
            f"by default runs wait {RUN_SECONDS:.0f}"
        )
    return seconds


class History(NamedTuple):
    """How much of the history of a lake is kept; None stands for no limit.

    Attributes:
        seconds: for how long runs, and versions of artifacts that newer ones have replaced.
        runs: the most runs of each pipeline.
        artifacts: the most versions of each artifact.
    """

    seconds: float | None
    runs: int | None
    artifacts: int | None


def resolve_history() -> History:
    """Return how much of the history of a lake is kept.

    LIGHTWORK_HISTORY_DAYS says for how long, 365 days by default, or `never` for no limit;
    LIGHTWORK_HISTORY_RUNS and LIGHTWORK_HISTORY_ARTIFACTS limit the numbers, which by default are not.

    Raises:
        InputError: a variable is invalid.
    """
    days = os.environ.get(ENV_HISTORY_DAYS) or str(DEFAULT_HISTORY_DAYS)
    kept = None if days == "never" else _whole(ENV_HISTORY_DAYS, days, _DAYS, "365, or never") * 86400.0
    return History(kept, _most(ENV_HISTORY_RUNS), _most(ENV_HISTORY_ARTIFACTS))


def _most(variable: str) -> int | None:
    value = os.environ.get(variable)
    return _whole(variable, value, _RUNS, "100") if value else None


def _whole(variable: str, value: str, most: int, example: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or not 1 <= int(value) <= most:
        raise InputError(
            f"{variable}: {value[:40]!r} is not a whole number from 1 to {most:,}; for example {example}"
        )
    return int(value)


def _nearest_lake() -> str:
    """Return the lake of the current folder, or that of a folder above it which is the user's own."""
    here = Path.cwd()
    folders = [] if not hasattr(os, "geteuid") or Path(DEFAULT_LAKE).is_dir() else _folders_above(here)
    for folder in folders:
        lake = folder / DEFAULT_LAKE
        if not _is_own(folder):
            break
        if lake.is_dir():
            if not (_is_own(lake.parent) and _is_own(lake)):
                break
            return str(lake)
    return DEFAULT_LAKE


def _folders_above(here: Path) -> list[Path]:
    """Return the folders above one, nearest first, up to a repository's root or the home folder."""
    home = Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - `Path.home` raises if there is none
    folders = [here, *here.parents]
    for number, folder in enumerate(folders):
        if folder == home or (folder / ".git").exists():
            return folders[1 : number + 1]
    return []


def _is_own(folder: Path) -> bool:
    """Return whether this user owns a folder, and no other one can write to it."""
    import stat

    try:
        found = [folder.stat(), folder.lstat()]  # both of a link
    except OSError:
        return False
    if any(item.st_uid != os.geteuid() for item in found) or found[0].st_mode & stat.S_IWOTH:
        return False
    return not found[0].st_mode & stat.S_IWGRP or _is_private(found[0].st_gid)


def _is_private(group: int) -> bool:
    """Return whether a group is the user's own, with no other members, as many systems make one for each."""
    import grp
    import pwd

    try:
        entry, user = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group == user.pw_gid and entry.gr_name == user.pw_name and set(entry.gr_mem) <= {user.pw_name}


def cores() -> int:
    """Return the processor cores that this process may use, by its affinity and its container's limit."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        limit = max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        return count
    return min(count, limit)


def _first(value: str | None, option: str, *variables: str, default: str) -> tuple[str, str]:
    """Return the first value that is set, and its source; an empty environment variable counts as unset."""
    if value is not None:
        return value, option
    for variable in variables:
        if from_environment := os.environ.get(variable):
            return from_environment, variable
    return default, option


def _is_address(value: str) -> bool:
    match = _ADDRESS.fullmatch(value)
    return match is not None and 0 < int(match[3]) <= 65535


def _nearest_address(value: str) -> str:
    """Describe an address, with the nearest valid one if there is one."""
    scheme, separator, host = value.partition("://")
    if not separator:
        scheme, host = "tcp", value
    scheme = {"https": "tls", "ssl": "tls"}.get(scheme, scheme if scheme in ("tcp", "tls") else "tcp")
    address = f"{scheme}://{host.rstrip('/')}"
    for candidate in (address, f"{address}:8786"):
        if candidate != value and _is_address(candidate):
            return f"tcp://host:port or tls://host:port; did you mean {candidate!r}?"
    return "tcp://host:port or tls://host:port, for example tcp://scheduler:8786"
