"""`docs/local.md`, typed as it stands: every command but those that need Docker, in one shell.

Loaded into the cluster beforehand are the two images that the page has loaded by hand, under the tests' own
names. Argo is the one that the cluster has, as its chart cannot be fetched.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import binaries, images, tenants
from tests.cluster.kube import kubectl, kubectl_program
from tests.cluster.local_stacks import Local, clone, commands, without_the_tests_own_objects
from tests.cluster.progress import run
from tests.cluster.settings import ROOT, cache_folder, kubeconfig

TENANT = "demo"
PAGE = (ROOT / "docs" / "local.md").read_text()
BY_HAND = "# by hand: "
CONTEXT = "kind-lightwork"
LAKE = "examples/local/lake.yaml"
SERVER = "versity/versitygw:v1.8.0"


def blocks(language: str) -> list[str]:
    """Return the page's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def typed() -> str:
    """Return what is typed, as one script that shows each command and ends at the first that fails."""
    typed = [block for block in blocks("sh") if not block.startswith(BY_HAND)]
    return "set -euxo pipefail\n" + "\n".join(typed)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Local]:
    """A clone as after `make setup`, and a kubeconfig as after `kind create cluster`."""
    local = clone(tmp_path)
    (settings,) = blocks("yaml")
    named = {key.removeprefix("lightwork:"): value for key, value in yaml.safe_load(settings).items()}
    assert named["kube_context"] == CONTEXT
    local.settings(**{**named, "image": images.platform_image()})
    commands(local)
    lake = local.root / LAKE
    lake.parent.mkdir(parents=True)
    text = (ROOT / LAKE).read_text()
    assert set(re.findall(r"image: (.*)", text)) == {SERVER}
    lake.write_text(text.replace(SERVER, images.lake_image()))
    config = yaml.safe_load(kubeconfig().read_text())
    config["contexts"][0]["name"] = CONTEXT
    config["current-context"] = ""
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    with without_the_tests_own_objects(TENANT):
        try:
            yield local
        finally:
            kubectl("delete", "namespace", "lake", "--ignore-not-found", timeout=120)


def environment(local: Local) -> dict[str, str]:
    """Return the environment of the shell: kubectl and pulumi on PATH, and a home of its own."""
    folder = local.root.parent
    programs = folder / "bin"
    programs.mkdir()
    for path in (shutil.which(kubectl_program()), binaries.program("pulumi")):
        (programs / Path(str(path)).name).symlink_to(str(path))
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LIGHTWORK_CLUSTER_CACHE": str(cache_folder()),
        "KUBECONFIG": str(folder / "kubeconfig"),
        "PULUMI_HOME": str(local.home),
    }


def own_states(local: Local) -> str:
    """Return the command that puts another folder where `pulumi login --local` keeps states.

    That is below the user's home as the system knows it, whatever HOME says.
    """
    states = local.root.parent / "states"
    states.mkdir()
    usual = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".pulumi"
    return f"mkdir -p {usual} && mount --bind {states} {usual}"


def test_the_commands_of_the_page_give_the_answer_of_the_page(repository: Local) -> None:
    command = ["unshare", "--mount", "bash", "-c", f"{own_states(repository)}\n{typed()}"]
    output = run(command, cwd=repository.root, env=environment(repository), timeout=850)
    (answer,) = blocks("json")
    assert answer in output, output
    for place, hours in json.loads(answer)["wins"].items():
        assert re.search(rf"^  {place} +\S+ +{hours}$", output, re.MULTILINE), output
    assert 'spec.hard.pods: "' in output, "the difference of the changed file"
    assert "namespaces" not in kubectl("get", "namespace", tenants.namespace(TENANT), "--ignore-not-found")
    assert not (repository.root / "tenants" / f"{TENANT}.yaml").exists()


def test_what_is_done_by_hand_needs_docker_kind_or_the_network() -> None:
    by_hand = [block for block in blocks("sh") if block.startswith(BY_HAND)]
    words = {line.split()[0] for block in by_hand for line in block.splitlines()[1:]}
    assert words <= {"make", "kind", "docker", "BASE=$(docker"}
