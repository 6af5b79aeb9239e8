"""Where a person has logged in to: kept in their own settings, so that it is given once.

An entry has names only: no key and no token.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, near, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.lake.role import Role

__all__ = ["DamagedError", "Login", "added", "alone", "find", "how", "write_private"]

_PATTERNS = {
    "account": (r"\d{12}", "the 12 digits of an AWS account"),
    "region": (r"[a-z]{2}(-[a-z]+)+-\d", "a region of AWS, for example eu-central-1"),
    "role": (r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME"),
    "session": (r"[\w+=,.@-]{2,64}", "who the person is on AWS"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A tenant in an environment, as one of its people uses it.

    Attributes:
        environment: dev, staging or prod.
        tenant: the tenant's name.
        account: the environment's AWS account.
        region: its AWS region.
        role: the ARN of the role to assume.
        profile: the AWS profile of the person's own credentials; empty for those that AWS's variables name.
        session: the name of the role's sessions.
        lake: the address of the tenant's lake, if it is another one than usual.
    """

    environment: str
    tenant: str
    account: str
    region: str
    role: str
    profile: str = ""
    session: str = ""
    lake: str = ""

    def check(self, *names: str) -> None:
        """Check the account, the region and the role, and other attributes that are given.

        Raises:
            InputError: one of them is invalid.
        """
        for name in ("account", "region", "role", *names):
            pattern, expected = _PATTERNS[name]
            if re.fullmatch(pattern, value := getattr(self, name), re.ASCII) is None:
                raise InputError(f"--{name}: found {value!r}; expected {expected}")

    @property
    def cluster(self) -> str:
        """The name of the environment's cluster on EKS; `infra.config.naming` gives it."""
        return f"lightwork-{self.environment}"

    @property
    def context(self) -> str:
        """The name of its context in the kubeconfig."""
        return context_name(self.environment, self.tenant)

    @property
    def lake_url(self) -> str:
        """The address of the tenant's lake; `infra.config.naming` gives the bucket's name."""
        return self.lake or f"s3://lw-{self.environment}-{self.tenant}-{self.account}-{self.region}"

    def assumed(self) -> Role:
        """Return the role, as the lake and the cluster take it."""
        from lightwork.lake.role import Role

        return Role(self.role, self.region, self.profile, self.session)


def context_name(environment: str, tenant: str) -> str:
    """Return the name of the context that `lightwork login` makes."""
    return f"lightwork-{environment}-{tenant}"


def role_of_people(environment: str, tenant: str, account: str) -> str:
    """Return the ARN of the role of a tenant's people; `infra.tenant.identity` names it."""
    name = f"lightwork-{environment}-people-{tenant}"
    return f"arn:aws:iam::{account}:role/lightwork/{environment}/tenants/{name}"


def find(environment: str, tenant: str) -> Login | None:
    """Return what a person has given for a tenant in an environment; None if they have not logged in.

    Raises:
        DamagedError: what is kept for it is no login.
        InputError: the file with it cannot be read.
    """
    entry = _read().get(f"{environment}/{tenant}")
    if entry is None:
        return None
    known = {field.name for field in fields(Login)}
    try:
        texts = {name: value for name, value in entry.items() if name in known and isinstance(value, str)}
        login = Login(**{**texts, "environment": environment, "tenant": tenant})
        login.check("session")
    except (AttributeError, TypeError, InputError) as error:
        reason = f" ({error})" if isinstance(error, InputError) else ""
        raise DamagedError(
            f"{_path()}: {environment}/{tenant}: is damaged{reason}; log in again: lightwork login --env"
            f" {environment} --tenant {tenant} --account NUMBER --region REGION"
        ) from None
    return login


def how(environment: str, tenant: str) -> str:
    """Return the end of a message for somebody who has not logged in: what they may mean, and the command."""
    known = [key.partition("/")[2] for key in _read() if key.startswith(f"{environment}/")]
    hint = near(tenant, known) if known else ""
    return f"{hint}: lightwork login --env {environment} --tenant {tenant}"


class DamagedError(InputError):
    """What is kept for a tenant is no login; one with all options replaces it."""


def added(login: Login) -> tuple[Path, str]:
    """Return the file with what a person has given, and its text with a login as well.

    Raises:
        InputError: the file cannot be read.
    """
    entries = _read()
    entries[f"{login.environment}/{login.tenant}"] = {
        name: value for name, value in asdict(login).items() if name not in ("environment", "tenant")
    }
    return _path(), json.dumps(entries, indent=2, sort_keys=True) + "\n"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let one login of the user at a time into the block, which reads files and writes them again.

    Raises:
        InputError: the folder of the user's settings cannot be made, or another login goes on for long.
    """
    from lightwork.lake import locks

    folder = _path().parent
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(locks.alone(str(folder)))
        except OSError as error:
            raise InputError(f"{folder}: cannot be written: {one_line(error)}") from None
        yield


def _path() -> Path:
    """Return the file in the user's own settings, as the XDG Base Directory Specification places them."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    return Path(home) / "lightwork" / "logins.json"


def _read() -> dict[str, Any]:
    path = _path()
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}; delete it and log in again") from None
    if not isinstance(entries, dict):
        raise InputError(f"{path}: expected a mapping; delete it and log in again")
    return entries


def write_private(*files: tuple[Path, str]) -> None:
    """Write files that only their user reads, all of them as a whole, or none.

    Raises:
        InputError: one cannot be written.
    """
    with contextlib.ExitStack() as stack:
        ready = [(stack.enter_context(_beside(path, text)), path) for path, text in files]
        for written, path in ready:
            with _in_words(path):
                written.replace(os.path.realpath(path))  # a link stays one


@contextlib.contextmanager
def _beside(path: Path, text: str) -> Iterator[Path]:
    """Write a text to a new file beside another, which is gone after the block unless it was moved."""
    import tempfile

    target = Path(os.path.realpath(path))
    with _in_words(path):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with _in_words(path), os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error)}") from None
