"""The image is built once and copied unchanged to every environment."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from infra.aws.registry import BRANCH_TAGS, lifecycle
from infra.ci import common, image
from lightwork.errors import InputError, RunFailed
from lightwork.kube import contract
from tests.infra.ci.conftest import COMMIT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.config.naming import Names

OTHER = "d" * 40


BASE_DIGEST = f"sha256:{'b' * 64}"


@pytest.fixture
def ecr(names: dict[str, Names]) -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("ecr", region_name=REGION)
        for environment in ("dev", "staging"):
            client.create_repository(
                repositoryName=names[environment].image_repository, imageTagMutability="IMMUTABLE"
            )
        yield client


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository with inputs of the image."""
    root = tmp_path / "repository"
    for name in ("platform/Dockerfile", "pipelines/one.py", "requirements/run.txt", "docs/x.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"ARG BASE_IMAGE=python:3.11-slim-bookworm@{BASE_DIGEST}\n")
    git(root, "init", "--quiet")
    commit(root)
    return root


def git(root: Path, *words: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "x")


def manifest(number: int) -> str:
    layer = {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "size": number,
        "digest": f"sha256:{number:064x}",
    }
    config = {**layer, "mediaType": "application/vnd.oci.image.config.v1+json"}
    media = "application/vnd.oci.image.manifest.v1+json"
    return json.dumps({"schemaVersion": 2, "mediaType": media, "config": config, "layers": [layer]})


def pushed(ecr: Any, repository: str, number: int, tag: str) -> str:
    response = ecr.put_image(
        repositoryName=repository,
        imageManifest=manifest(number),
        imageManifestMediaType="application/vnd.oci.image.manifest.v1+json",
        imageTag=tag,
    )
    return str(response["image"]["imageId"]["imageDigest"])


def test_the_tag_depends_on_the_inputs_only(repository: Path) -> None:
    first = image.inputs_tag(repository)
    (repository / "docs/x.md").write_text("changed")
    commit(repository)
    assert image.inputs_tag(repository) == first, "documents are not inputs"
    (repository / "pipelines/one.py").write_text("changed")
    assert image.inputs_tag(repository) == first, "uncommitted changes are not in a commit's image"
    commit(repository)
    changed = image.inputs_tag(repository)
    assert changed != first
    (repository / "pipelines/one.py").rename(repository / "pipelines/two.py")
    commit(repository)
    assert image.inputs_tag(repository) not in (first, changed), "a file's name is an input too"


def test_everything_that_the_dockerfile_copies_is_an_input() -> None:
    lines = (common.ROOT / image.DOCKERFILE).read_text().splitlines()
    copied = [
        word
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    assert copied
    for name in copied:
        assert any(name == entry or name.startswith(f"{entry}/") for entry in image.INPUTS), (
            f"{name} would change the image, but not its tag"
        )


def test_images_of_main_do_not_expire_with_those_of_branches() -> None:
    (rule,) = [entry for entry in lifecycle()["rules"] if entry["selection"]["tagStatus"] == "tagged"]
    assert rule["selection"]["tagPrefixList"] == [BRANCH_TAGS]
    for tag in (COMMIT, "inputs-0123"):
        assert not tag.startswith(BRANCH_TAGS), "prod's image would be deleted"


def test_the_build_needs_no_privileges(repository: Path) -> None:
    words = image.build_words(repository, "localhost/x", COMMIT)
    assert words[words.index("--isolation") + 1] == "chroot", "a container in a container needs privileges"
    assert words[words.index("--storage-driver") + 1] == "vfs", "an overlay needs privileges"
    assert not [word for word in words if "privileged" in word or "cap-add" in word]


def test_the_image_has_the_commit_that_its_records_name(repository: Path) -> None:
    words = image.build_words(repository, "localhost/x", COMMIT)
    assert f"GIT_COMMIT={COMMIT}" in words
    assert words[words.index(f"GIT_COMMIT={COMMIT}") - 1] == "--build-arg"
    lines = (common.ROOT / image.DOCKERFILE).read_text().splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    assert {"ARG GIT_COMMIT=", f"ENV {contract.ENV_COMMIT}=${{GIT_COMMIT}}"} <= set(lines[last:])


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("", f"docker.io/library/python:3.11-slim-bookworm@{BASE_DIGEST}"),
        (f"someone/python:3.12@{BASE_DIGEST}", f"docker.io/someone/python:3.12@{BASE_DIGEST}"),
        (f"mirror.example.com/python@{BASE_DIGEST}", f"mirror.example.com/python@{BASE_DIGEST}"),
        (f"localhost/python@{BASE_DIGEST}", f"localhost/python@{BASE_DIGEST}"),
    ],
)
def test_the_base_is_the_dockerfiles_unless_the_variable_names_another(
    repository: Path, monkeypatch: pytest.MonkeyPatch, variable: str, expected: str
) -> None:
    monkeypatch.setenv(image.BASE, variable)
    assert image.base_image(repository) == expected


WITHOUT_A_DIGEST = [
    *("python", "python:3.11", "python:latest", "python 3", "--help:x", "mirror.example.com/python:3.12"),
    *("python:3.11@sha256:abc", f"python:3.11@sha256:{'A' * 64}", f"python:{'a' * 64}", "python:3.11@"),
]


@pytest.mark.parametrize("name", WITHOUT_A_DIGEST)
def test_a_base_without_a_digest_is_refused_wherever_it_is_named(
    repository: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = r"expected an image with its digest, .*docs/ci\.md says how"
    monkeypatch.setenv(image.BASE, name)
    with pytest.raises(InputError, match=f"^{image.BASE}: found '{name}'; {expected}"):
        image.base_image(repository)
    monkeypatch.delenv(image.BASE)
    (repository / "platform/Dockerfile").write_text(f"ARG BASE_IMAGE={name.replace(' ', '_')}\n")
    with pytest.raises(InputError, match=f"^platform/Dockerfile: BASE_IMAGE: found .*; {expected}"):
        image.base_image(repository)


def test_a_base_that_nothing_names_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(image.BASE, raising=False)
    (repository / "platform/Dockerfile").write_text("ARG BASE_IMAGE\n\nFROM ${BASE_IMAGE}\nARG BASE_IMAGE\n")
    with pytest.raises(
        InputError, match=f"^{image.BASE} is not set, and platform/Dockerfile: BASE_IMAGE has no"
    ):
        image.base_image(repository)


def pushes(ecr: Any, names: Names, number: int) -> str:
    """Push an image to the simulated ECR, and return a script for buildah that reports its digest."""
    digest = pushed(ecr, names.image_repository, number, COMMIT)
    return (
        'while [ $# -gt 0 ]; do [ "$1" = --digestfile ] && printf %s "' + digest + '" >"$2"; shift; done; :'
    )


def test_an_image_is_built_and_pushed_once_and_then_reused(
    ecr: Any, names: dict[str, Names], repository: Path, program: Callable[..., Path]
) -> None:
    buildah = program("buildah", pushes(ecr, names["dev"], 1))
    skopeo = program("skopeo", 'cat >"$0.stdin"')
    digest = image.build(ecr, names["dev"], COMMIT, root=repository, push=True)
    built, push = buildah.read_text().splitlines()
    assert " build " in built
    assert push.endswith(
        f"docker://{names['dev'].account}.dkr.ecr.{REGION}.amazonaws.com/lightwork/dev/platform:{COMMIT}"
    )
    tags = ecr.describe_images(repositoryName=names["dev"].image_repository)["imageDetails"][0]["imageTags"]
    assert sorted(tags) == sorted([COMMIT, image.inputs_tag(repository)])
    assert image.build(ecr, names["dev"], OTHER, root=repository, push=True) == digest, "the same inputs"
    assert len(buildah.read_text().splitlines()) == 2, "built again"
    assert image.digest_of(ecr, names["dev"].image_repository, imageTag=OTHER) == digest
    assert image.build(ecr, names["dev"], OTHER, root=repository, push=True) == digest, "a retried job"
    assert "--password-stdin" in skopeo.read_text()


def test_no_password_is_on_a_command_line(
    ecr: Any, names: dict[str, Names], repository: Path, program: Callable[..., Path]
) -> None:
    (entry,) = ecr.get_authorization_token()["authorizationData"]
    password = base64.b64decode(entry["authorizationToken"]).decode().partition(":")[2]
    buildah = program("buildah", pushes(ecr, names["dev"], 1))
    skopeo = program("skopeo", 'cat >"$0.stdin"')
    image.build(ecr, names["dev"], COMMIT, root=repository, push=True)
    for calls in (buildah, skopeo):
        assert password not in calls.read_text(), "other users on the machine could see it"
    assert skopeo.with_name("skopeo.stdin").read_text() == password


def test_a_build_without_push_stays_on_the_machine(
    ecr: Any, names: dict[str, Names], repository: Path, program: Callable[..., Path]
) -> None:
    buildah = program("buildah", pushes(ecr, names["staging"], 1))
    skopeo = program("skopeo")
    image.build(ecr, names["dev"], COMMIT, root=repository, push=False)
    assert " oci:/" in buildah.read_text().splitlines()[1], "to a temporary folder"
    assert not skopeo.read_text(), "no sign-in"
    assert not ecr.describe_images(repositoryName=names["dev"].image_repository)["imageDetails"]


def test_a_failed_build_pushes_nothing(
    ecr: Any, names: dict[str, Names], repository: Path, program: Callable[..., Path]
) -> None:
    buildah = program("buildah", "exit 3")
    with pytest.raises(RunFailed, match=r"buildah .* build .*: exit code 3"):
        image.build(ecr, names["dev"], COMMIT, root=repository, push=True)
    assert len(buildah.read_text().splitlines()) == 1
    assert not ecr.describe_images(repositoryName=names["dev"].image_repository)["imageDetails"]


def test_a_missing_buildah_is_reported(
    ecr: Any, names: dict[str, Names], repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "git-alone").mkdir()
    git_program = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "git-alone/git").symlink_to(git_program)
    monkeypatch.setenv("PATH", str(tmp_path / "git-alone"))
    with pytest.raises(InputError, match=r"^buildah: not installed"):
        image.build(ecr, names["dev"], COMMIT, root=repository, push=True)


def test_a_missing_repository_is_reported_with_the_remedy(names: dict[str, Names], repository: Path) -> None:
    with mock_aws():
        client = boto3.client("ecr", region_name=REGION)
        with pytest.raises(InputError, match=r"^lightwork/dev/platform: .*estate.*first-install"):
            image.build(client, names["dev"], COMMIT, root=repository, push=True)


def test_an_image_is_copied_unchanged_from_account_to_account(
    ecr: Any, names: dict[str, Names], program: Callable[..., Path]
) -> None:
    digest = pushed(ecr, names["dev"].image_repository, 7, COMMIT)
    skopeo = program("skopeo", "cat >/dev/null")
    with pytest.raises(RunFailed, match=f"{COMMIT}: .*{digest}.* got None"):
        image.bring(ecr, names["dev"], ecr, names["staging"], digest, COMMIT)
    first, second, copy = [line.split() for line in skopeo.read_text().splitlines()]
    hosts = [f"{names[name].account}.dkr.ecr.{REGION}.amazonaws.com" for name in ("dev", "staging")]
    assert [first[-1], second[-1]] == hosts, "signed in to both registries"
    assert copy[0] == "copy"
    assert "--preserve-digests" in copy, "the tested image is the one that runs"
    assert copy[-2:] == [
        f"docker://{hosts[0]}/lightwork/dev/platform@{digest}",
        f"docker://{hosts[1]}/lightwork/staging/platform:{COMMIT}",
    ]
    authfiles = [copy[copy.index(f"--{side}-authfile") + 1] for side in ("src", "dest")]
    assert authfiles == [first[first.index("--authfile") + 1], second[second.index("--authfile") + 1]]
    assert len(set(authfiles)) == 2, "two environments in one account share a registry, but not a role"
    assert not Path(authfiles[0]).exists(), "the credentials were left behind"


def test_an_existing_image_is_not_copied_again(
    ecr: Any, names: dict[str, Names], program: Callable[..., Path]
) -> None:
    digest = pushed(ecr, names["staging"].image_repository, 7, OTHER)
    skopeo = program("skopeo")
    assert image.bring(ecr, names["dev"], ecr, names["staging"], digest, COMMIT) is False
    assert not skopeo.read_text()


def test_an_image_missing_from_the_source_is_refused(ecr: Any, names: dict[str, Names]) -> None:
    digest = f"sha256:{'e' * 64}"
    with pytest.raises(InputError, match=f"^lightwork/dev/platform .*{names['dev'].account}.* {digest}"):
        image.bring(ecr, names["dev"], ecr, names["staging"], digest, COMMIT)


def test_the_digest_is_passed_to_later_jobs_in_a_dotenv_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(
        image, "settings_and_names", lambda _, environment: common.settings_and_names(root, environment)
    )
    monkeypatch.setattr(image, "build", lambda *_, **__: f"sha256:{'a' * 64}")
    monkeypatch.setenv("CI_COMMIT_SHA", COMMIT)
    file = tmp_path / "image.env"
    with mock_aws():
        assert image.main(["build", "--env", "dev", "--dotenv", str(file)]) == 0
    line = f"LIGHTWORK_IMAGE_DIGEST=sha256:{'a' * 64}\n"
    assert (file.read_text(), capsys.readouterr().out) == (line, line)


def test_another_environments_registry_is_read_with_its_role_preview(
    names: dict[str, Names], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requests: list[dict[str, Any]] = []

    class Sts:
        def assume_role_with_web_identity(self, **parameters: Any) -> dict[str, Any]:
            requests.append(parameters)
            return {"Credentials": {"AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c"}}

    clients: list[tuple[str, dict[str, Any]]] = []

    def client(service: str, **parameters: Any) -> Any:
        clients.append((service, parameters))
        return Sts()

    monkeypatch.setattr("boto3.client", client)
    (tmp_path / "token").write_text("signed")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    image._read_only_ecr(names["dev"])
    assert requests[0]["RoleArn"] == names["dev"].ci_role_arn("preview")
    assert requests[0]["WebIdentityToken"] == "signed"
    assert clients[-1][0] == "ecr"
    assert clients[-1][1]["aws_session_token"] == "c"
