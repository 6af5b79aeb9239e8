"""Build the platform's image without privileges, or copy it by its digest to the next environment.

    python -m infra.ci.image build --env dev --push --dotenv image.env
    python -m infra.ci.image bring --env staging --from dev

An image is tagged with a hash of its inputs, besides its commit. A commit that changes no input reuses the
existing image, so it does not affect tenants.
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

from infra.ci.common import ROOT, call, environment, run, settings_and_names
from infra.ci.deployed import COMMIT, checked_commit
from infra.config.image import DIGEST, checked, is_digest
from infra.config.stack import ENVIRONMENTS
from lightwork.cli.output import echo
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
"""The inputs of the image."""

BASE = "LIGHTWORK_BASE_IMAGE"
"""The variable that names the base image, if it is not in the Dockerfile, or comes from a mirror."""

STORE = ("--storage-driver", "vfs")
"""Store full copies of layers: overlays need a permission to mount that a job does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """An image repository.

    Attributes:
        registry: the registry's host.
        name: the repository's name in the registry.
    """

    registry: str
    name: str

    @classmethod
    def of(cls, names: Names) -> Repository:
        """Return an environment's repository."""
        registry = f"{names.account}.dkr.ecr.{names.region}.amazonaws.com"
        return cls(registry=registry, name=names.image_repository)

    def tagged(self, tag: str) -> str:
        """Return the address of an image by its tag."""
        return f"docker://{self.registry}/{self.name}:{tag}"

    def by_digest(self, digest: str) -> str:
        """Return the address of an image by its digest."""
        return f"docker://{self.registry}/{self.name}@{digest}"


def inputs_tag(root: Path, revision: str = "HEAD") -> str:
    """Return a tag with a hash of the image's inputs in a commit: their names, modes and contents.

    Raises:
        RunFailed: the commit is not in this clone.
    """
    listed = call(["git", "ls-tree", "-r", "--full-tree", revision, "--", *INPUTS], cwd=root)
    return f"inputs-{hashlib.sha256(listed.encode()).hexdigest()[:20]}"


def base_image(root: Path) -> str:
    """Return the base image, with its registry: the one in the job's variable, or else the Dockerfile's.

    Raises:
        InputError: it is not named, or not by its digest.
    """
    text = (root / DOCKERFILE).read_text(encoding="utf-8")
    default: str = re.findall(r"^ARG BASE_IMAGE(?:=(\S*))?$", text, re.MULTILINE)[0]
    variable = os.environ.get(BASE, "")
    image, where = (variable, BASE) if variable else (default, f"{DOCKERFILE}: BASE_IMAGE")
    expected = "expected an image with its digest, name:tag@sha256:…; docs/ci.md says how to look it up"
    if not image:
        raise InputError(f"{BASE} is not set, and {where} has no default; {expected}")
    name, _, digest = image.partition("@")
    if not re.fullmatch(r"\w[\w./:-]*", name) or not is_digest(digest):
        raise InputError(f"{where}: found {image!r}; {expected}")
    first, slash, _ = image.partition("/")
    # Without a host, the machine's configuration would decide which registry it comes from.
    qualified = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return image if qualified else f"docker.io/{'' if slash else 'library/'}{image}"


def build_words(root: Path, name: str, commit: str) -> list[str]:
    """Return the command that builds the image without privileges: in a chroot, with copies of layers.

    Args:
        root: the root of the clone to build from.
        name: the image's name on this machine.
        commit: the commit, which the records of runs name. An image that later commits reuse keeps it.
    """
    return [
        *("buildah", *STORE, "build", "--isolation", "chroot", "--format", "oci", "--layers"),
        *("--build-arg", f"BASE_IMAGE={base_image(root)}", "--build-arg", f"GIT_COMMIT={commit}"),
        *("--file", str(root / DOCKERFILE)),
        *("--tag", name, str(root)),
    ]


def push_words(name: str, target: str, digest_file: Path, authfile: Path | None) -> list[str]:
    """Return the command that pushes the built image, and writes its digest in the registry to a file."""
    credentials = ("--authfile", str(authfile)) if authfile else ()
    return ["buildah", *STORE, "push", "--digestfile", str(digest_file), *credentials, name, target]


def copy_words(source: str, target: str, source_authfile: Path, target_authfile: Path) -> list[str]:
    """Return the command that copies an image unchanged; it fails if the digest would change."""
    return [
        *("skopeo", "copy", "--preserve-digests", "--retry-times", "3"),
        *("--src-authfile", str(source_authfile), "--dest-authfile", str(target_authfile)),
        *(source, target),
    ]


def sign_in(ecr: Any, registry: str, authfile: Path) -> None:
    """Sign in to a registry for 12 hours. The password goes through standard input, as arguments are public.

    Args:
        ecr: a client of boto3.
        registry: the registry's host.
        authfile: the file to write the credentials to.
    """
    (entry,) = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(entry["authorizationToken"]).decode().partition(":")
    words = ["skopeo", "login", "--authfile", str(authfile), "--username", user, "--password-stdin", registry]
    call(words, stdin=password)


def digest_of(ecr: Any, repository: str, **image: str) -> str | None:
    """Return the digest of an image in a repository; None if it is not there.

    Args:
        ecr: a client of boto3.
        repository: the repository's name.
        image: `imageTag` or `imageDigest`.
    """
    try:
        details = ecr.describe_images(repositoryName=repository, imageIds=[image])["imageDetails"]
    except ecr.exceptions.ImageNotFoundException:
        return None
    except ecr.exceptions.RepositoryNotFoundException:
        raise InputError(
            f"{repository}: no such image repository; deploy the estate first (docs/first-install.md)"
        ) from None
    return str(details[0]["imageDigest"]) if details else None


def add_tag(ecr: Any, repository: str, digest: str, tag: str) -> None:
    """Add a tag to an image, unless the repository has the tag already."""
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
    """Return the digest of a commit's image. The image is built unless the repository has it.

    Args:
        ecr: a client of boto3.
        names: the names of the environment with the repository.
        commit: the commit, which becomes a tag of a pushed image.
        root: the root of the clone to build from.
        push: push a built image. Otherwise the image with this digest exists only on this machine.

    Raises:
        InputError: the image repository does not exist, or a program is not installed.
        RunFailed: the image could not be built or pushed.
    """
    repository, tag = Repository.of(names), inputs_tag(root)
    digest = digest_of(ecr, repository.name, imageTag=tag)
    if digest is None:
        echo(f"{tag} is not in {repository.name}: building it", err=True)
        return _build(ecr, repository, commit, tag, root=root, push=push)
    echo(f"{tag} is already in {repository.name}", err=True)
    if push and digest_of(ecr, repository.name, imageTag=commit) is None:
        add_tag(ecr, repository.name, digest, commit)
    return digest


def bring(source_ecr: Any, source: Names, target_ecr: Any, target: Names, digest: str, commit: str) -> bool:
    """Copy an image to another environment's repository, possibly in another account.

    Returns:
        Whether it was copied; False if it was already there.

    Raises:
        InputError: the source repository does not have the image.
        RunFailed: the copy failed, or has another digest.
    """
    to, origin = Repository.of(target), Repository.of(source)
    if digest_of(target_ecr, to.name, imageDigest=digest):
        return False
    if not digest_of(source_ecr, origin.name, imageDigest=digest):
        raise InputError(f"{origin.name} in account {source.account} has no image {digest}")
    with tempfile.TemporaryDirectory() as folder:
        authfiles = Path(folder, "from.json"), Path(folder, "to.json")
        sign_in(source_ecr, origin.registry, authfiles[0])
        sign_in(target_ecr, to.registry, authfiles[1])
        call(copy_words(origin.by_digest(digest), to.tagged(commit), *authfiles), show=True)
    copied = digest_of(target_ecr, to.name, imageTag=commit)
    if copied != digest:
        raise RunFailed(f"{to.name}:{commit}: expected the digest {digest} after the copy, got {copied}")
    return True


@click.group(help=__doc__, no_args_is_help=False)
def command() -> None:
    """Build an image, or copy one."""


@command.command("build")
@environment
@click.option("--push", is_flag=True, help="Push the image.")
@click.option(
    "--dotenv", type=click.Path(path_type=Path), metavar="FILE", help=f"Write {DIGEST}=... to this file."
)
def build_command(env: Environment, push: bool, dotenv: Path | None) -> None:
    """Build this commit's image, unless the repository has it."""
    _, names = settings_and_names(ROOT, env)
    line = f"{DIGEST}={build(_ecr(names), names, _commit(), push=push)}"
    if dotenv:
        dotenv.write_text(f"{line}\n", encoding="utf-8")
    echo(line)


@command.command("bring")
@environment
@click.option(
    "--from", "origin", type=click.Choice(ENVIRONMENTS), required=True, help="The environment to copy from."
)
def bring_command(env: Environment, origin: Environment) -> None:
    """Copy the image from another environment."""
    _, target = settings_and_names(ROOT, env)
    _, source = settings_and_names(ROOT, origin)
    digest = checked(os.environ.get(DIGEST, ""))
    copied = bring(_read_only_ecr(source), source, _ecr(target), target, digest, _commit())
    echo(f"{digest}: {'copied to' if copied else 'already in'} {target.image_repository}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return run(command, "infra.ci.image", arguments)


def _build(ecr: Any, repository: Repository, commit: str, tag: str, *, root: Path, push: bool) -> str:
    name = f"localhost/lightwork:{tag}"
    call(build_words(root, name, commit), show=True)
    with tempfile.TemporaryDirectory() as folder:
        digest_file, authfile = Path(folder, "digest"), Path(folder, "auth.json")
        if not push:
            call(push_words(name, f"oci:{folder}/image", digest_file, None))
            return digest_file.read_text(encoding="utf-8").strip()
        sign_in(ecr, repository.registry, authfile)
        call(push_words(name, repository.tagged(commit), digest_file, authfile), show=True)
        digest = digest_file.read_text(encoding="utf-8").strip()
    # Last, so that the tag never refers to an incomplete image.
    add_tag(ecr, repository.name, digest, tag)
    return digest


def _commit() -> str:
    return checked_commit(os.environ.get(COMMIT, ""))


def _ecr(names: Names) -> Any:
    import boto3

    return boto3.client("ecr", region_name=names.region)


def _read_only_ecr(names: Names) -> Any:
    """Return a client with the role `preview` of another environment than the job's own."""
    import boto3

    token = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if not token:
        raise InputError("AWS_WEB_IDENTITY_TOKEN_FILE: is not set; run this with `python -m infra.ci.assume`")
    # This call needs the token only, no credentials.
    sts = boto3.client("sts", region_name=names.region)
    credentials = sts.assume_role_with_web_identity(
        RoleArn=names.ci_role_arn("preview"),
        RoleSessionName=os.environ.get("AWS_ROLE_SESSION_NAME", "gitlab"),
        WebIdentityToken=Path(token).read_text(encoding="utf-8"),
    )["Credentials"]
    return boto3.client(
        "ecr",
        region_name=names.region,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


if __name__ == "__main__":
    sys.exit(main())
