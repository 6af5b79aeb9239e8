"""Run a command as one of CI's two roles: with the job's own token, and no key anywhere.

    python -m infra.ci.assume preview --env dev -- lightwork-estate preview --env dev --all

The token is what GitLab signed for this job. AWS's own libraries exchange it for credentials of an hour, and
again when these end: nothing here ever holds a credential. What AWS would answer with no more than
"not authorized" is looked at first, and said in one line.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from infra.ci.common import ROOT, environment, known, run
from infra.policies import trust
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.config.naming import Names
    from infra.config.settings import GitLab, Settings
    from lightwork.tenants import Environment

TOKEN = "AWS_TOKEN"  # noqa: S105 - the name of a variable
"""The variable with the job's token: `id_tokens: {AWS_TOKEN: {aud: lightwork}}`."""

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
"""What AWS's libraries would take rather than the token. None of it belongs into a job."""

Kind = Literal["preview", "apply"]
"""Which role: the one that looks, or the one that deploys."""


def claims(token: str) -> dict[str, Any]:
    """What a token says, without a look at its signature: that is AWS's affair.

    Raises:
        InputError: it is no token.
    """
    try:
        _, body, _ = token.split(".")
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{TOKEN}: is not a token of GitLab; `id_tokens` of the job sets it")
    return found


def check(kind: Kind, token: str, gitlab: GitLab, environment: str) -> None:
    """Look whether AWS will let this job in.

    Args:
        kind: the role that it asks for.
        token: the job's token.
        gitlab: whom the environment trusts.
        environment: the environment.

    Raises:
        InputError: the token is another audience's or issuer's, or its subject is not what the role trusts.
    """
    found = claims(token)
    if found.get("aud") != trust.AUDIENCE:
        raise InputError(
            f"{TOKEN}: its audience is {found.get('aud')!r}; AWS expects {trust.AUDIENCE!r}"
            f" (`id_tokens` of the job)"
        )
    if found.get("iss") not in (f"https://{gitlab.host}", gitlab.host):
        raise InputError(
            f"{TOKEN}: was issued by {found.get('iss')!r}; Pulumi.{environment}.yaml says gitlab.host"
            f" {gitlab.host!r}"
        )
    subject = str(found.get("sub"))
    trusted = trust.previewing(gitlab) if kind == "preview" else trust.deploying(gitlab, environment)
    if not _like(subject, trusted):
        raise InputError(
            f"{TOKEN}: its subject is {subject!r}; the role {kind} of {environment} trusts {trusted!r}:"
            f" {_reason(kind, subject, environment)}"
        )


def variables(
    kind: Kind, found: Settings, names: Names, job: Mapping[str, str], token_file: Path
) -> dict[str, str]:
    """What the command finds in its environment; all of it may be shown.

    Args:
        kind: the role.
        found: the environment's settings.
        names: its names.
        job: GitLab's own variables of the job.
        token_file: where the token is.
    """
    session = "-".join(
        ("gitlab", *(job.get(f"CI_{what}_ID", "0") for what in ("PROJECT", "PIPELINE", "JOB")))
    )
    return {
        "AWS_ROLE_ARN": names.ci_role_arn(kind),
        "AWS_ROLE_SESSION_NAME": session[:64],
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
        "AWS_REGION": found.region,
        "AWS_DEFAULT_REGION": found.region,
        "PULUMI_BACKEND_URL": names.backend,
    }


def prepared(
    kind: Kind, environment: Environment, job: Mapping[str, str], *, root: Path = ROOT
) -> dict[str, str]:
    """The whole environment of a command that runs as the role; the token is put into a file of its own.

    Raises:
        InputError: the settings are wrong, the token is not there or not trusted, or there are keys.
    """
    found, names = known(root, environment)
    keys = [key for key in KEYS if job.get(key)]
    if keys:
        raise InputError(
            f"{keys[0]}: is set, and AWS's libraries would take it for the role: take it out of the project's"
            " CI/CD variables; jobs have tokens"
        )
    token = job.get(TOKEN)
    if not token:
        raise InputError(
            f"{TOKEN}: is not set; the job needs `id_tokens: {{{TOKEN}: {{aud: {trust.AUDIENCE}}}}}`"
        )
    check(kind, token, found.gitlab, environment)
    # Only its owner comes into a folder that mkdtemp makes.
    file = Path(tempfile.mkdtemp(prefix="lightwork-token-")) / "token"
    file.write_text(token, encoding="utf-8")
    rest = {key: value for key, value in job.items() if key != TOKEN}
    return {**rest, **variables(kind, found, names, job, file)}


@click.command(help=__doc__, options_metavar="--env ENV", epilog="The command comes after --.")
@click.argument("role", type=click.Choice(get_args(Kind)))
@environment
@click.pass_obj
def command(words: list[str], role: Kind, env: Environment) -> None:
    """Become the command; does not come back where it could be started."""
    if not words:
        raise click.UsageError("after -- belongs what to run")
    variables = prepared(role, env, os.environ)
    print(f"as {variables['AWS_ROLE_ARN']}", file=sys.stderr, flush=True)
    try:
        # In this process's place: a signal of the runner reaches the command itself.
        os.execvpe(words[0], words, variables)  # noqa: S606 - the command is the caller's own
    except FileNotFoundError:
        raise InputError(f"{words[0]}: there is no such program here") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; does not come back where the command could be started."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    own, after = (words, []) if "--" not in words else _split(words)
    return run(command, "infra.ci.assume", own, after)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _like(subject: str, trusted: str) -> bool:
    """As AWS's StringLike, for what is trusted here: no wildcard but a `*` at the end."""
    return fnmatch.fnmatchcase(subject, trusted.replace("[", "[[]"))


def _reason(kind: Kind, subject: str, environment: str) -> str:
    if kind == "apply" and ":environment:" not in subject:
        return (
            "the project's setting ci_id_token_sub_claim_components has no environment in it, or the job has"
            " none (docs/first-install.md, 'GitLab')"
        )
    if kind == "apply" and not subject.endswith(":environment_protected:true"):
        return f"protect the environment {environment} on GitLab"
    return f"compare it with gitlab: in Pulumi.{environment}.yaml"


if __name__ == "__main__":
    sys.exit(main())
