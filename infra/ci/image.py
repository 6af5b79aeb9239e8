"""The platform's image: built once, without privileges, and copied by its digest to the next environment.

    python -m infra.ci.image build --env dev --push --dotenv image.env
    python -m infra.ci.image bring --env staging --from dev

An image is named by what goes into it, besides its commit: a commit that changes none of that has the image
that is there already, and its tenants are left alone.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.ci.common import ROOT, call, environment, known, run
from infra.ci.deployed import COMMIT
from infra.config.image import DIGEST
from infra.config.stack import ENVIRONMENTS
from lightwork.errors import InputError, RunFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.config.naming import Names
    from lightwork.tenants import Environment

DOCKERFILE = "platform/Dockerfile"

INPUTS = (
    "platform",
    "pipelines",
    "requirements/bootstrap.txt",
    "requirements/build.txt",
    "requirements/run.txt",
    ".dockerignore",
)
"""What an image is made from."""

BASE = "LIGHTWORK_BASE_IMAGE"
"""The variable that names the image that ours begins with, where it is not the Dockerfile's: a mirror's."""

STORE = ("--storage-driver", "vfs")
"""Whole copies of layers: overlays want a right to mount that a job does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository of images.

    Attributes:
        registry: its host.
        name: its name there.
    """

    registry: str
    name: str

    @classmethod
    def of(cls, names: Names) -> Repository:
        """The one of an environment."""
        registry = f"{names.account}.dkr.ecr.{names.region}.amazonaws.com"
        return cls(registry=registry, name=names.image_repository)

    def tagged(self, tag: str) -> str:
        """An image, by its tag."""
        return f"docker://{self.registry}/{self.name}:{tag}"

    def by_digest(self, digest: str) -> str:
        """An image, by its digest."""
        return f"docker://{self.registry}/{self.name}@{digest}"


def inputs_tag(root: Path, revision: str = "HEAD") -> str:
    """A tag made of all that goes into the image: names, modes and contents, as a commit has them.

    Raises:
        RunFailed: git knows no such commit.
    """
    listed = call(["git", "ls-tree", "-r", "--full-tree", revision, "--", *INPUTS], cwd=root)
    return f"inputs-{hashlib.sha256(listed.encode()).hexdigest()[:20]}"


def base_image(root: Path) -> str:
    """The image that ours begins with: the Dockerfile's own, with its registry, or the job's choice.

    Raises:
        InputError: it is named without a tag and a digest.
    """
    text = (root / DOCKERFILE).read_text(encoding="utf-8")
    (default,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    image: str = os.environ.get(BASE) or default
    if not re.fullmatch(r"\w[\w./:-]*(:[\w.-]+|@sha256:[0-9a-f]{64})", image):
        raise InputError(f"{BASE}: found {image!r}; an image with a tag or a digest belongs there")
    first, slash, _ = image.partition("/")
    # Without a host it is up to the machine's configuration whose image it is.
    qualified = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return image if qualified else f"docker.io/{'' if slash else 'library/'}{image}"


def build_words(root: Path, name: str) -> list[str]:
    """Build the image without privileges: a changed root, not a container; copies, not overlays."""
    return [
        *("buildah", *STORE, "build", "--isolation", "chroot", "--format", "oci", "--layers"),
        *("--build-arg", f"BASE_IMAGE={base_image(root)}", "--file", str(root / DOCKERFILE)),
        *("--tag", name, str(root)),
    ]


def push_words(name: str, target: str, digest_file: Path, authfile: Path | None) -> list[str]:
    """Push what was built, and note the digest that the registry knows it by."""
    sign_in = ("--authfile", str(authfile)) if authfile else ()
    return ["buildah", *STORE, "push", "--digestfile", str(digest_file), *sign_in, name, target]


def copy_words(source: str, target: str, source_authfile: Path, target_authfile: Path) -> list[str]:
    """Copy an image as it is: a digest that would change is an error."""
    return [
        *("skopeo", "copy", "--preserve-digests", "--retry-times", "3"),
        *("--src-authfile", str(source_authfile), "--dest-authfile", str(target_authfile)),
        *(source, target),
    ]


def sign_in(ecr: Any, registry: str, authfile: Path) -> None:
    """Sign in to a registry for some hours. The password goes by standard input: anybody sees arguments.

    Args:
        ecr: a client of boto3.
        registry: the host.
        authfile: the file that remembers it, for the programs that are told of it.
    """
    (entry,) = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(entry["authorizationToken"]).decode().partition(":")
    words = ["skopeo", "login", "--authfile", str(authfile), "--username", user, "--password-stdin", registry]
    call(words, stdin=password)


def digest_of(ecr: Any, repository: str, **image: str) -> str | None:
    """The digest of an image that a repository has; None where it has none such.

    Args:
        ecr: a client of boto3.
        repository: its name.
        image: `imageTag` or `imageDigest`.
    """
    try:
        found = ecr.describe_images(repositoryName=repository, imageIds=[image])["imageDetails"]
    except ecr.exceptions.ImageNotFoundException:
        return None
    except ecr.exceptions.RepositoryNotFoundException:
        raise InputError(
            f"{repository}: there is no such repository; the estate makes it (docs/first-install.md)"
        ) from None
    return str(found[0]["imageDigest"]) if found else None


def add_tag(ecr: Any, repository: str, digest: str, tag: str) -> None:
    """Give an image one name more; one that it has already is left alone."""
    image = ecr.batch_get_image(
        repositoryName=repository,
        imageIds=[{"imageDigest": digest}],
        acceptedMediaTypes=[
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v2+json",
        ],
    )["images"][0]
    with contextlib.suppress(ecr.exceptions.ImageAlreadyExistsException):
        ecr.put_image(
            repositoryName=repository,
            imageManifest=image["imageManifest"],
            imageManifestMediaType=image["imageManifestMediaType"],
            imageTag=tag,
            imageDigest=digest,
        )


def build(ecr: Any, names: Names, commit: str, *, root: Path = ROOT, push: bool) -> str:
    """The digest of a commit's image: found in the repository, else built, and pushed if so wanted.

    Args:
        ecr: a client of boto3.
        names: the environment with the repository.
        commit: the commit; a pushed image has it as a tag.
        root: the repository with the code.
        push: whether an image may be pushed. Else the digest is of what was built here and is nowhere else.

    Raises:
        InputError: there is no such repository, or a program is missing.
        RunFailed: it could not be built or pushed.
    """
    repository, tag = Repository.of(names), inputs_tag(root)
    found = digest_of(ecr, repository.name, imageTag=tag)
    if found is None:
        print(f"{tag} is not in {repository.name}: building it", file=sys.stderr, flush=True)
        return _build(ecr, repository, commit, tag, root=root, push=push)
    print(f"{tag} is in {repository.name} already", file=sys.stderr)
    if push and digest_of(ecr, repository.name, imageTag=commit) is None:
        add_tag(ecr, repository.name, found, commit)
    return found


def bring(source_ecr: Any, source: Names, target_ecr: Any, target: Names, digest: str, commit: str) -> bool:
    """Copy an image to another environment's repository, which may be another account's.

    Returns:
        Whether it had to be copied.

    Raises:
        InputError: it is not where it should come from.
        RunFailed: it could not be copied, or came out as another one.
    """
    ours, theirs = Repository.of(target), Repository.of(source)
    if digest_of(target_ecr, ours.name, imageDigest=digest):
        return False
    if not digest_of(source_ecr, theirs.name, imageDigest=digest):
        raise InputError(f"{theirs.name} of account {source.account} has no {digest}")
    with tempfile.TemporaryDirectory() as folder:
        authfiles = Path(folder, "from.json"), Path(folder, "to.json")
        sign_in(source_ecr, theirs.registry, authfiles[0])
        sign_in(target_ecr, ours.registry, authfiles[1])
        call(copy_words(theirs.by_digest(digest), ours.tagged(commit), *authfiles), show=True)
    arrived = digest_of(target_ecr, ours.name, imageTag=commit)
    if arrived != digest:
        raise RunFailed(f"{ours.name}:{commit} is {arrived}, and not {digest}")
    return True


@click.group(help=__doc__, no_args_is_help=False)
def command() -> None:
    """Build an image, or copy one."""


@command.command("build")
@environment
@click.option("--push", is_flag=True, help="Push it.")
@click.option(
    "--dotenv", type=click.Path(path_type=Path), metavar="FILE", help=f"Write {DIGEST}=... to this file."
)
def build_command(env: Environment, push: bool, dotenv: Path | None) -> None:
    """Build this commit's image."""
    _, names = known(ROOT, env)
    line = f"{DIGEST}={build(_ecr(names), names, _commit(), push=push)}"
    if dotenv:
        dotenv.write_text(f"{line}\n", encoding="utf-8")
    print(line)


@command.command("bring")
@environment
@click.option("--from", "origin", type=click.Choice(ENVIRONMENTS), required=True, help="From where.")
def bring_command(env: Environment, origin: Environment) -> None:
    """Copy it from another environment."""
    _, target = known(ROOT, env)
    _, source = known(ROOT, origin)
    digest = os.environ.get(DIGEST, "")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise InputError(f"{DIGEST}: found {digest!r}; sha256: and 64 hexadecimal digits belong there")
    copied = bring(_looking(source), source, _ecr(target), target, digest, _commit())
    print(f"{digest}: {'copied to' if copied else 'is already in'} {target.image_repository}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return run(command, "infra.ci.image", arguments)


def _build(ecr: Any, repository: Repository, commit: str, tag: str, *, root: Path, push: bool) -> str:
    name = f"localhost/lightwork:{tag}"
    call(build_words(root, name), show=True)
    with tempfile.TemporaryDirectory() as folder:
        digest_file, authfile = Path(folder, "digest"), Path(folder, "auth.json")
        if not push:
            call(push_words(name, f"oci:{folder}/image", digest_file, None))
            return digest_file.read_text(encoding="utf-8").strip()
        sign_in(ecr, repository.registry, authfile)
        call(push_words(name, repository.tagged(commit), digest_file, authfile), show=True)
        digest = digest_file.read_text(encoding="utf-8").strip()
    # Last, so that nobody finds by it what is not wholly there.
    add_tag(ecr, repository.name, digest, tag)
    return digest


def _commit() -> str:
    commit = os.environ.get(COMMIT, "")
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise InputError(f"{COMMIT}: found {commit!r}; a commit's 40 hexadecimal digits belong there")
    return commit


def _ecr(names: Names) -> Any:
    import boto3

    return boto3.client("ecr", region_name=names.region)


def _looking(names: Names) -> Any:
    """A client of an environment that this job looks at only: its own role is another environment's."""
    import boto3

    token = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if not token:
        raise InputError("AWS_WEB_IDENTITY_TOKEN_FILE: is not set; run this by `python -m infra.ci.assume`")
    # Nobody's credentials are needed to ask for some with a token.
    sts = boto3.client("sts", region_name=names.region)
    given = sts.assume_role_with_web_identity(
        RoleArn=names.ci_role_arn("preview"),
        RoleSessionName=os.environ.get("AWS_ROLE_SESSION_NAME", "gitlab"),
        WebIdentityToken=Path(token).read_text(encoding="utf-8"),
    )["Credentials"]
    return boto3.client(
        "ecr",
        region_name=names.region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


if __name__ == "__main__":
    sys.exit(main())
