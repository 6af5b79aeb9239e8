"""Where a run happens and where its results are kept: given, else from the environment, else the default."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lightwork.errors import InputError, near

PLACES = ("serial", "local", "coiled")
DEFAULT_LAKE = ".lightwork/lake"
DEFAULT_TENANT = "local"
ENV_ON = "LIGHTWORK_ON"
ENV_LAKE = "LIGHTWORK_LAKE"
ENV_TENANT = "LIGHTWORK_TENANT"

_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
_PLACES_TEXT = "serial, local, tcp://host:port, tls://host:port or coiled"


def load_env() -> None:
    """Take the settings in `.env` of the current folder, if there is one; the environment goes first.

    Raises:
        InputError: the file cannot be read as text.
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
    """The place to run: `on`, else LIGHTWORK_ON, else DASK_SCHEDULER_ADDRESS, else the default.

    Returns:
        `serial`, `local`, `coiled`, or a scheduler's address, `tcp://host:port` or `tls://host:port`.

    Raises:
        InputError: it is none of these.
    """
    value, where = _given(on, "on", ENV_ON, "DASK_SCHEDULER_ADDRESS", default=default)
    if value in PLACES or _is_address(value):
        return value
    if "://" in value or re.fullmatch(r"[\w.-]+:\d+", value):
        raise InputError(
            f"{where}: {value!r} is not a scheduler's address; expected {_nearest_address(value)}"
        )
    raise InputError(f"{where}: {value!r} is not a place to run; expected {_PLACES_TEXT}{_guess(value)}")


def resolve_workers(workers: int | str | None) -> int:
    """The number of worker processes, 1 or more; by default as many as there are cores.

    Raises:
        InputError: no workers, or not a whole number.
    """
    if workers is None:
        return cores()
    example = f"for example {cores()}, the number of cores here"
    if isinstance(workers, bool) or not re.fullmatch(r"[+-]?\d{1,9}", str(workers).strip()):
        raise InputError(f"workers: {workers!r} is not a whole number; expected 1 or more, {example}")
    if (count := int(workers)) < 1:
        raise InputError(f"workers: {count} is no workers; expected 1 or more, {example}")
    return count


def resolve_lake(url: str | os.PathLike[str] | None) -> str:
    """The lake's address: `url`, else LIGHTWORK_LAKE, else `.lightwork/lake` in the current folder.

    Returns:
        The address as given: a folder, `file:///folder`, or `s3://bucket/prefix`. Nothing is made yet.

    Raises:
        InputError: another scheme, or an address that cannot be.
    """
    given = None if url is None else os.fspath(url)
    value, where = _given(given, "lake", ENV_LAKE, default=DEFAULT_LAKE)
    from lightwork.lake import open_lake

    try:
        open_lake(value, tenant=DEFAULT_TENANT)
    except InputError as error:
        raise InputError(str(error) if where == "lake" else f"{where}: {error}") from None
    return value


def resolve_tenant(name: str | None) -> str:
    """The tenant: `name`, else LIGHTWORK_TENANT, else `local`.

    Raises:
        InputError: it is not a DNS label, which namespaces and buckets need.
    """
    value, where = _given(name, "tenant", ENV_TENANT, default=DEFAULT_TENANT)
    from lightwork.lake.opening import check_tenant

    try:
        return check_tenant(value)
    except InputError as error:
        raise InputError(str(error) if where == "tenant" else f"{where}: {error}") from None


def cores() -> int:
    """The processor cores that this process may use: its affinity, and its container's limit."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        limit = max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        return count
    return min(count, limit)


def _given(value: str | None, option: str, *variables: str, default: str) -> tuple[str, str]:
    """The value and where it came from; an empty environment variable counts as unset."""
    if value is not None:
        return value, option
    for variable in variables:
        if found := os.environ.get(variable):
            return found, variable
    return default, option


def _is_address(value: str) -> bool:
    match = _ADDRESS.fullmatch(value)
    return match is not None and 0 < int(match[3]) <= 65535


def _nearest_address(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "tcp", value
    scheme = {"https": "tls", "ssl": "tls"}.get(scheme, scheme if scheme in ("tcp", "tls") else "tcp")
    meant = f"{scheme}://{rest.rstrip('/')}"
    for candidate in (meant, f"{meant}:8786"):
        if candidate != value and _is_address(candidate):
            return f"tcp://host:port or tls://host:port; did you mean {candidate!r}?"
    return "tcp://host:port or tls://host:port, for example tcp://scheduler:8786"


def _guess(value: str) -> str:
    guess = near(value.lower(), PLACES)
    return guess if guess.startswith("; did you mean") else ""
