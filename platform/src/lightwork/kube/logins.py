"""Where a person has logged in to: kept in their own settings, so that it is given once.

An entry has names only: no key and no token.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, one_line

if TYPE_CHECKING:
    from lightwork.lake.role import Role

__all__ = ["Login", "find", "keep", "write_private"]

_PATTERNS = {
    "account": (r"\d{12}", "the 12 digits of an AWS account"),
    "region": (r"[a-z]{2}(-[a-z]+)+-\d", "a region of AWS, for example eu-central-1"),
    "role": (r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME"),
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

    def check(self) -> None:
        """Check the account, the region and the role.

        Raises:
            InputError: one of them is invalid.
        """
        for name, (pattern, expected) in _PATTERNS.items():
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
        InputError: the file with it cannot be read.
    """
    entry = _read().get(f"{environment}/{tenant}")
    if entry is None:
        return None
    known = {field.name for field in fields(Login)}
    try:
        texts = {name: value for name, value in entry.items() if name in known and isinstance(value, str)}
        return Login(**{**texts, "environment": environment, "tenant": tenant})
    except (AttributeError, TypeError):
        raise InputError(f"{_path()}: {environment}/{tenant}: is damaged; log in again") from None


def keep(login: Login) -> None:
    """Keep what a person has given."""
    entries = _read()
    entries[f"{login.environment}/{login.tenant}"] = {
        name: value for name, value in asdict(login).items() if name not in ("environment", "tenant")
    }
    write_private(_path(), json.dumps(entries, indent=2, sort_keys=True) + "\n")


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
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}; delete it and log in again") from None
    if not isinstance(entries, dict):
        raise InputError(f"{path}: expected a mapping; delete it and log in again")
    return entries


def write_private(path: Path, text: str) -> None:
    """Write a file that only its user reads, as a whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    import tempfile

    target = Path(os.path.realpath(path))  # a link stays one
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error)}") from None
