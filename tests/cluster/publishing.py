"""Another repository's image: its own script builds, pushes and describes it, with a real registry."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import binaries, images, processes
from tests.cluster.node import ctr
from tests.cluster.progress import run_while_it_advances, wait_for
from tests.cluster.settings import REGISTRY_PORT, ROOT, run_folder

EXAMPLE = ROOT / "examples" / "daylight"
ADDRESS = f"localhost:{REGISTRY_PORT}"


@contextlib.contextmanager
def registry() -> Iterator[str]:
    """Run an image registry during the block; yields its address, which the node takes images from."""
    binaries.build(binaries.REGISTRY)
    folder = run_folder() / "registry"
    folder.mkdir(exist_ok=True)
    processes.start("registry", [binaries.program("registry"), ADDRESS, folder])
    try:
        wait_for("the registry", _answers, seconds=20)
        yield ADDRESS
    finally:
        processes.stop("registry")
        shutil.rmtree(folder, ignore_errors=True)
        forget()


def _answers() -> bool:
    import urllib.request

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://{ADDRESS}/v2/", timeout=5) as response:
        return bool(response.status == 200)


def forget() -> None:
    """Remove the images of the registry from buildah's store and from the node."""
    built = images.buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
    if names := [name for name in built if name.startswith(f"{ADDRESS}/")]:
        images.buildah("rmi", *names)
    pulled = ctr("images", "list", "-q").split()
    for name in pulled:
        if name.startswith(f"{ADDRESS}/"):
            ctr("images", "remove", name)


def publish(folder: Path, version: str) -> str:
    """Publish the image of a repository like the example; return its name with its digest.

    Args:
        folder: a copy of the example.
        version: the image's tag.
    """
    run_while_it_advances(
        ["sh", "publish.sh"],
        silence=600,
        cwd=folder,
        env={
            "IMAGE": f"{ADDRESS}/daylight",
            "LIGHTWORK_IMAGE": images.platform_image(),
            "VERSION": version,
            "BUILD_OPTIONS": shlex.join(["--layers", "--network", "host", *images.pip_options()]),
            "PUSH_OPTIONS": "--tls-verify=false --disable-compression",
            "CONTAINERS_STORAGE_CONF": str(images.store_settings()),
        },
    )
    return (folder / "image.txt").read_text().strip()
