"""Record which commit and image CI deployed to an environment, in the bucket of the states.

    python -m infra.ci.deployed show --env dev
    python -m infra.ci.deployed record --env dev

The record is written after all affected stacks of a commit are deployed. The next deployment compares with it
and so completes what a failed one left undone. GitLab's own "commit before" would miss that.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from infra.ci.common import ROOT, environment, run, settings_and_names
from infra.config.image import DIGEST, checked
from lightwork.cli.output import echo, show_json
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.config.naming import Names
    from lightwork.tenants import Environment

KEY = "lightwork/deployed.json"
"""The record's key in the bucket of the states. The bucket is versioned, so older records are kept."""

COMMIT = "CI_COMMIT_SHA"
"""GitLab's variable with the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The record of an environment's last deployment.

    Attributes:
        commit: the commit, 40 hexadecimal digits.
        digest: the digest of the tenants' image, `sha256:...`.
        at: the time of the deployment, UTC, ISO 8601.
    """

    commit: str
    digest: str
    at: str


def read(s3: Any, names: Names) -> Deployed | None:
    """Return an environment's record; None if there is none.

    Args:
        s3: a client of boto3.
        names: the environment's names.

    Raises:
        InputError: the record is not valid.
    """
    source = f"s3://{names.bucket('state')}/{KEY}"
    try:
        body = s3.get_object(Bucket=names.bucket("state"), Key=KEY)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    try:
        record = Deployed(**json.loads(body))
    except (ValueError, TypeError):
        raise InputError(
            f"{source}: not a valid record of a deployment; restore an earlier version of the object"
        ) from None
    checked_commit(record.commit, source=source)
    checked(record.digest, source=source)
    return record


def write(s3: Any, names: Names, commit: str, digest: str) -> Deployed:
    """Record a deployment that has just finished.

    Raises:
        InputError: the commit or the digest is not valid.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    record = Deployed(commit=checked_commit(commit), digest=checked(digest), at=now)
    s3.put_object(
        Bucket=names.bucket("state"),
        Key=KEY,
        Body=json.dumps(asdict(record)).encode(),
        ContentType="application/json",
    )
    return record


@click.command(help=__doc__)
@click.argument("what", type=click.Choice(("show", "record")))
@environment
def command(what: str, env: Environment) -> None:
    """Print the record, or write it."""
    _, names = settings_and_names(ROOT, env)
    s3 = client(names)
    if what == "record":
        record = write(s3, names, os.environ.get(COMMIT, ""), os.environ.get(DIGEST, ""))
        echo(f"{env}: recorded {record.commit} with {record.digest}")
        return
    show_json(asdict(required(s3, names)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 2 if there is no record to show."""
    return run(command, "infra.ci.deployed", arguments)


def required(s3: Any, names: Names) -> Deployed:
    """Return an environment's record.

    Raises:
        InputError: there is none.
    """
    record = read(s3, names)
    if record is None:
        raise InputError(
            f"{names.environment}: no deployment by CI is recorded; deploy it with a pipeline of the main"
            f" branch, or remove {names.environment} from LIGHTWORK_ENVIRONMENTS"
        )
    return record


def client(names: Names) -> Any:
    """Return an S3 client for the environment's region, with the ambient credentials."""
    import boto3

    return boto3.client("s3", region_name=names.region)


def checked_commit(commit: str, *, source: str = COMMIT) -> str:
    """Return a commit's id after checking its form.

    Args:
        commit: the id.
        source: where the id comes from, for the message.

    Raises:
        InputError: it is not a commit's id.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise InputError(f"{source}: expected a commit's 40 hexadecimal digits, got {commit!r}")
    return commit


if __name__ == "__main__":
    sys.exit(main())
