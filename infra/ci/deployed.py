"""What CI has deployed to an environment: the commit and the image, kept beside the states.

    python -m infra.ci.deployed show --env dev
    python -m infra.ci.deployed record --env dev

It is written once every stack that a commit touches is up. The next deployment does what has changed since
then, so that a commit whose deployment failed is made up for by the one after it, which GitLab's own "commit
before" would forget.
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

from infra.ci.common import ROOT, environment, known, run
from infra.config.image import DIGEST
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.config.naming import Names
    from lightwork.tenants import Environment

KEY = "lightwork/deployed.json"
"""Where it is in the bucket of the states. The bucket is versioned: the older ones are the history."""

COMMIT = "CI_COMMIT_SHA"
"""GitLab's variable with the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What stands in an environment.

    Attributes:
        commit: the commit, 40 hexadecimal digits.
        digest: the image that its tenants run, `sha256:...`.
        at: since when, UTC, ISO 8601.
    """

    commit: str
    digest: str
    at: str


def read(s3: Any, names: Names) -> Deployed | None:
    """What is recorded; None where nothing is.

    Args:
        s3: a client of boto3.
        names: the environment's names.

    Raises:
        InputError: what is there is no record.
    """
    try:
        body = s3.get_object(Bucket=names.bucket("state"), Key=KEY)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    try:
        found = Deployed(**json.loads(body))
    except (ValueError, TypeError):
        raise InputError(
            f"s3://{names.bucket('state')}/{KEY}: is no record of a deployment: put it right"
        ) from None
    _checked(found.commit, found.digest, f"s3://{names.bucket('state')}/{KEY}")
    return found


def write(s3: Any, names: Names, commit: str, digest: str) -> Deployed:
    """Record what has been deployed, now.

    Raises:
        InputError: it is no commit, or no digest.
    """
    _checked(commit, digest, f"{COMMIT}, {DIGEST}")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    record = Deployed(commit=commit, digest=digest, at=now)
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
    """Print what is recorded, or record it."""
    _, names = known(ROOT, env)
    s3 = client(names)
    if what == "record":
        record = write(s3, names, os.environ.get(COMMIT, ""), os.environ.get(DIGEST, ""))
        print(f"{env} is at {record.commit}, with {record.digest}")
        return
    print(json.dumps(asdict(required(s3, names))))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for what is refused, as where nothing is recorded."""
    return run(command, "infra.ci.deployed", arguments)


def required(s3: Any, names: Names) -> Deployed:
    """What is recorded.

    Raises:
        InputError: nothing is.
    """
    record = read(s3, names)
    if record is None:
        raise InputError(
            f"{names.environment}: nothing is recorded as deployed by CI: let a pipeline of the main branch"
            f" deploy it, or take {names.environment} out of LIGHTWORK_ENVIRONMENTS"
        )
    return record


def client(names: Names) -> Any:
    """A client for S3 in the environment's region, with whatever credentials there are."""
    import boto3

    return boto3.client("s3", region_name=names.region)


def _checked(commit: str, digest: str, where: str) -> None:
    for value, pattern, what in (
        (commit, r"[0-9a-f]{40}", "a commit's 40 hexadecimal digits"),
        (digest, r"sha256:[0-9a-f]{64}", "sha256: and 64 hexadecimal digits"),
    ):
        if not re.fullmatch(pattern, value):
            raise InputError(f"{where}: found {value!r}; {what} belong there")


if __name__ == "__main__":
    sys.exit(main())
