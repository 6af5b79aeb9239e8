"""The images: pause and Argo's from the programs built, the platform's from its real Dockerfile."""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.cluster import current
from tests.cluster.binaries import place, program
from tests.cluster.node import ctr
from tests.cluster.progress import HarnessError, phase, run, say
from tests.cluster.settings import (
    ARGO_IMAGE,
    BASE_IMAGE,
    HERE,
    IMAGE,
    PAUSE_IMAGE,
    ROOT,
    cache_folder,
    of_current_context,
    run_folder,
    versions,
)

_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "cert", "timeout")


def argo_image() -> str:
    """The name of the image with Argo's three programs."""
    return f"{ARGO_IMAGE}:{versions()['modules']['argo']}"


def build_all() -> dict[str, Path]:
    """Build the images that are not in the cache; the archive of each by its name."""
    made: dict[str, Path] = {}
    if not of_current_context():
        made[PAUSE_IMAGE] = pause = place("pause") / "image.tar"
        if not pause.exists():
            _from_scratch(pause, PAUSE_IMAGE, [program("pause")], entrypoint="/bin/pause")
    argo = place("argo") / "image.tar"
    if not argo.exists():
        with phase("image argo"):
            names = ("workflow-controller", "argoexec", "argo")
            _from_scratch(argo, argo_image(), [program(name) for name in names])
    platform = f"{IMAGE}:{_digest_of(_inputs())}"
    archive = _platform(platform)
    probe, probe_archive = _probe(platform)
    _note().write_text(f"{platform}\n{probe}")
    return {**made, argo_image(): argo, platform: archive, probe: probe_archive}


def bring_in(archives: dict[str, Path]) -> None:
    """Import the images that the node does not have yet."""
    if of_current_context():
        current.bring_in(archives)
        return
    there = ctr("images", "list", "-q").split()
    for name, archive in archives.items():
        if name in there:
            continue
        with phase(f"import {name}"):
            ctr("images", "import", str(archive), timeout=600)
            if name not in ctr("images", "list", "-q").split():
                raise HarnessError(f"{archive}: has no image {name}")


def platform_image() -> str:
    """The platform's image in the cluster that is up, with a tag made of all that went into it."""
    return _note().read_text().splitlines()[0]


def probe_image() -> str:
    """The image with the tests' own pipeline: the platform's, and `tests/cluster/probe` in it."""
    return _note().read_text().splitlines()[1]


def _note() -> Path:
    return run_folder() / "platform-image"


def _inputs() -> list[Path]:
    listed = run(
        ["git", "ls-files", "-co", "--exclude-standard", "platform", "pipelines", "requirements"], cwd=ROOT
    )
    return [ROOT / name for name in sorted(listed.splitlines()) if (ROOT / name).is_file()]


def _digest_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256(str(versions()["debian"]).encode())
    for file in files:
        digest.update(f"{file.relative_to(ROOT)}\0{file.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def buildah(*arguments: str | os.PathLike[str], timeout: float = 300) -> str:
    """A call of buildah, whose store is in the cache."""
    driver = _driver()
    store = cache_folder() / f"buildah-{driver}"
    words = ["buildah", "--root", store, "--runroot", store / "run", "--storage-driver", driver, *arguments]
    return run(words, timeout=timeout).strip()


@cache
def _driver() -> str:
    """How buildah keeps layers: overlays, or whole copies where the cache's file system has none."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as top:
        folders = [Path(top) / name for name in ("lower", "upper", "work", "merged")]
        for folder in folders:
            folder.mkdir()
        options = ",".join(f"{folder.name}dir={folder}" for folder in folders[:3])
        words = ["mount", "-t", "overlay", "overlay", "-o", options, str(folders[3])]
        try:
            run(words)
        except HarnessError:
            return "vfs"
        run(["umount", folders[3]])
        return "overlay"


def _save(image: str, archive: Path) -> None:
    """An image of buildah's as an archive with its name."""
    part = archive.with_suffix(".part")
    part.unlink(missing_ok=True)
    archive.parent.mkdir(parents=True, exist_ok=True)
    buildah("push", "--format", "docker", image, f"docker-archive:{part}:{image}", timeout=600)
    part.rename(archive)


def _from_scratch(archive: Path, name: str, programs: list[Path], entrypoint: str | None = None) -> None:
    """An image of static programs in /bin, and a /tmp."""
    made = buildah("from", "scratch")
    try:
        tmp = run_folder() / "empty"
        shutil.rmtree(tmp, ignore_errors=True)
        (tmp / "tmp").mkdir(parents=True)
        (tmp / "tmp").chmod(0o1777)
        buildah("copy", made, tmp, "/")
        for item in programs:
            buildah("copy", "--chmod", "0755", made, item.resolve(), f"/bin/{item.name}")
        buildah("config", "--env", "PATH=/bin", made)
        if entrypoint:
            buildah("config", "--entrypoint", f'["{entrypoint}"]', made)
        buildah("commit", "--quiet", made, name)
    finally:
        buildah("rm", made)
    _save(name, archive)


def _base() -> str:
    """The image that the platform's is based on: a small Debian with Python."""
    debian = versions()["debian"]
    key = hashlib.sha256(str(debian).encode()).hexdigest()[:12]
    name = f"{BASE_IMAGE}:{key}"
    if name in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
        return name
    with phase("base image (debootstrap)"):
        root = cache_folder() / "debootstrap"
        shutil.rmtree(root, ignore_errors=True)
        include = f"--include={','.join(debian['base'])}"
        run(["debootstrap", "--variant=minbase", include, debian["release"], root], timeout=900)
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
        # Whatever this machine's package sources are, they are not the image's business.
        (root / "etc/apt/sources.list").write_text("")
        made = buildah("from", "scratch")
        try:
            buildah("add", made, root, "/")
            buildah("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", made)
            buildah("commit", "--quiet", made, name)
        finally:
            buildah("rm", made)
            shutil.rmtree(root, ignore_errors=True)
    return name


def _platform(name: str) -> Path:
    archive = cache_folder() / "images" / f"platform-{name.rpartition(':')[2]}.tar"
    if archive.exists():
        say(f"image {name}: in the cache")
        return archive
    base = _base()
    with phase(f"image {name}"):
        context = run_folder() / "context"
        shutil.rmtree(context, ignore_errors=True)
        for file in _inputs():
            target = context / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
        buildah(
            *("build", "--quiet", "--layers", "--isolation", "chroot", "--network", "host"),
            *("--build-arg", f"BASE_IMAGE={base}", "--file", context / "platform/Dockerfile", "--tag", name),
            *_pip(),
            context,
            timeout=1200,
        )
        for old in archive.parent.glob("platform-*.tar"):
            old.unlink()
        _save(name, archive)
    return archive


def _probe(platform: str) -> tuple[str, Path]:
    """The platform's image with one pipeline more, as somebody makes one who needs a package of their own."""
    files = sorted((HERE / "probe").glob("*.py"))
    tag = f"{platform.rpartition(':')[2]}-{_digest_of(files)}"
    name = f"{IMAGE}-probe:{tag}"
    archive = cache_folder() / "images" / f"probe-{tag}.tar"
    if archive.exists():
        return name, archive
    with phase(f"image {name}"):
        made = buildah("from", platform)
        try:
            for file in files:
                buildah("copy", made, file, f"/opt/app/pipelines/probe/{file.name}")
            buildah("commit", "--quiet", made, name)
        finally:
            buildah("rm", made)
        for old in archive.parent.glob("probe-*.tar"):
            old.unlink()
        _save(name, archive)
    return name, archive


def _pip() -> list[str]:
    """Mounts that let pip inside the build find what pip finds on this machine; none stays in the image."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    known: dict[str, str] = {}
    for line in said.splitlines():
        key, _, value = line.partition("=")
        known[key.rpartition(".")[2]] = value.strip("'\"")
    wanted: dict[str, str] = {name: known[name] for name in _PIP_SETTINGS if name in known}
    mounts = []
    if "cert" in wanted:
        mounts += ["--volume", f"{wanted['cert']}:/etc/pip-cert.pem:ro"]
        wanted["cert"] = "/etc/pip-cert.pem"
    file = run_folder() / "pip.conf"
    parser = configparser.RawConfigParser()
    parser["global"] = wanted
    with file.open("w") as out:
        parser.write(out)
    return [*mounts, "--volume", f"{file}:/etc/pip.conf:ro"]
