"""Run a command as one of CI's two roles, with the job's own token instead of keys.

    python -m infra.ci.assume preview --env dev -- lightwork-estate preview --env dev --all

GitLab signs the token for this job. AWS's libraries exchange it for credentials, and renew them when they
expire after an hour; this program never has credentials itself. It checks the token first, because AWS would
only respond "not authorized".
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

from infra.ci.common import ROOT, environment, run, settings_and_names
from infra.policies import trust
from lightwork.cli.output import echo
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.config.naming import Names
    from infra.config.settings import GitLab, Settings
    from lightwork.tenants import Environment

TOKEN = "AWS_TOKEN"  # noqa: S105 - the name of a variable
"""The variable with the job's token: `id_tokens: {AWS_TOKEN: {aud: lightwork}}`."""

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
"""Variables that AWS's libraries would use instead of the token. A job must have none of them."""

Kind = Literal["preview", "apply"]
"""The role: `preview` reads, `apply` deploys."""


def claims(token: str) -> dict[str, Any]:
    """Return a token's claims, without checking its signature; AWS does that.

    Raises:
        InputError: it is not a token.
    """
    try:
        _, body, _ = token.split(".")
        content = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{TOKEN}: not a GitLab token; set it with `id_tokens` of the job")
    return content


def check(kind: Kind, token: str, gitlab: GitLab, environment: str) -> None:
    """Check that AWS will accept the job's token.

    Args:
        kind: the role to assume.
        token: the job's token.
        gitlab: the GitLab project that the environment trusts.
        environment: the environment.

    Raises:
        InputError: the role does not trust the token's audience, issuer or subject.
    """
    content = claims(token)
    if content.get("aud") != trust.AUDIENCE:
        raise InputError(
            f"{TOKEN}: its audience is {content.get('aud')!r}; AWS expects {trust.AUDIENCE!r}"
            f" (`id_tokens` of the job)"
        )
    if content.get("iss") not in (f"https://{gitlab.host}", gitlab.host):
        raise InputError(
            f"{TOKEN}: its issuer is {content.get('iss')!r}; gitlab.host in Pulumi.{environment}.yaml is"
            f" {gitlab.host!r}"
        )
    subject = str(content.get("sub"))
    trusted = trust.previewing(gitlab) if kind == "preview" else trust.deploying(gitlab, environment)
    if not _matches(subject, trusted):
        raise InputError(
            f"{TOKEN}: its subject is {subject!r}; the role {kind} of {environment} trusts {trusted!r}:"
            f" {_reason(kind, subject, environment)}"
        )


def variables(
    kind: Kind, settings: Settings, names: Names, job: Mapping[str, str], token_file: Path
) -> dict[str, str]:
    """Return the variables to add for a command. None is secret.

    Args:
        kind: the role.
        settings: the environment's settings.
        names: the environment's names.
        job: the job's variables.
        token_file: the file with the token.
    """
    session = "-".join(
        ("gitlab", *(job.get(f"CI_{what}_ID", "0") for what in ("PROJECT", "PIPELINE", "JOB")))
    )
    return {
        "AWS_ROLE_ARN": names.ci_role_arn(kind),
        "AWS_ROLE_SESSION_NAME": session[:64],
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "PULUMI_BACKEND_URL": names.backend,
    }


def prepared(
    kind: Kind, environment: Environment, job: Mapping[str, str], *, root: Path = ROOT
) -> dict[str, str]:
    """Return all environment variables for a command that runs as the role, and write the token to a file.

    Raises:
        InputError: the settings are wrong, the token is missing or not trusted, or there are keys.
    """
    settings, names = settings_and_names(root, environment)
    keys = [key for key in KEYS if job.get(key)]
    if keys:
        raise InputError(
            f"{keys[0]}: is set, and AWS's libraries would use it instead of the job's token; remove it from"
            " the project's CI/CD variables"
        )
    token = job.get(TOKEN)
    if not token:
        raise InputError(
            f"{TOKEN}: is not set; the job needs `id_tokens: {{{TOKEN}: {{aud: {trust.AUDIENCE}}}}}`"
        )
    check(kind, token, settings.gitlab, environment)
    # Only its owner can enter a folder created by mkdtemp.
    file = Path(tempfile.mkdtemp(prefix="lightwork-token-")) / "token"
    file.write_text(token, encoding="utf-8")
    inherited = {key: value for key, value in job.items() if key != TOKEN}
    return {**inherited, **variables(kind, settings, names, job, file)}


@click.command(help=__doc__, options_metavar="--env ENV", epilog="The command to run comes after --.")
@click.argument("role", type=click.Choice(get_args(Kind)))
@environment
@click.pass_obj
def command(words: list[str], role: Kind, env: Environment) -> None:
    """Replace this process by the command."""
    if not words:
        raise click.UsageError("give the command to run after --")
    variables = prepared(role, env, os.environ)
    echo(f"as {variables['AWS_ROLE_ARN']}", err=True)
    try:
        # Replacing this process lets the runner's signals reach the command.
        os.execvpe(words[0], words, variables)  # noqa: S606 - the command is the caller's own
    except FileNotFoundError:
        raise InputError(f"{words[0]}: not installed") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return only if the command could not be started."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    own_words, command_words = (words, []) if "--" not in words else _split(words)
    return run(command, "infra.ci.assume", own_words, command_words)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _matches(subject: str, trusted: str) -> bool:
    """Match like AWS's StringLike. The only wildcard in a trusted subject is a `*` at the end."""
    return fnmatch.fnmatchcase(subject, trusted.replace("[", "[[]"))


def _reason(kind: Kind, subject: str, environment: str) -> str:
    """Return the most likely remedy for a subject that is not trusted."""
    if kind == "apply" and ":environment:" not in subject:
        return (
            "the job has no environment, or the project's ci_id_token_sub_claim_components lacks it"
            " (docs/first-install.md, 'GitLab')"
        )
    if kind == "apply" and not subject.endswith(":environment_protected:true"):
        return f"protect the environment {environment} on GitLab"
    return f"compare it with gitlab: in Pulumi.{environment}.yaml"


if __name__ == "__main__":
    sys.exit(main())
