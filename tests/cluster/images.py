"""The images: pause, CoreDNS and Argo from the built programs, the platform's from its real Dockerfile."""

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
from tests.cluster.binaries import folder_of, program
from tests.cluster.node import ctr
from tests.cluster.progress import HarnessError, phase, run, run_while_it_advances, say
from tests.cluster.settings import (
    ARGO_IMAGE,
    BASE_IMAGE,
    DNS_IMAGE,
    HERE,
    IMAGE,
    LAKE_IMAGE,
    PAUSE_IMAGE,
    ROOT,
    cache_folder,
    of_current_context,
    run_folder,
    versions,
)

COMMIT = "c0ffee" + "0" * 34
"""The commit that the platform's image is told it was built from; always the same, as images are kept."""
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "cert", "timeout")


def argo_image() -> str:
    """Return the name of the image with Argo's three programs."""
    return f"{ARGO_IMAGE}:{versions()['modules']['argo']}"


def dns_image() -> str:
    """Return the name of the image of the cluster's DNS server."""
    return f"{DNS_IMAGE}:{versions()['modules']['coredns']}"


def build_all() -> dict[str, Path]:
    """Build the images that are not cached; return each one's archive by name."""
    archives: dict[str, Path] = {}
    if not of_current_context():
        archives[PAUSE_IMAGE] = pause = folder_of("pause") / "image.tar"
        if not pause.exists():
            _from_scratch(pause, PAUSE_IMAGE, [program("pause")], entrypoint="/bin/pause")
        archives[dns_image()] = dns = folder_of("coredns") / "image.tar"
        if not dns.exists():
            _from_scratch(dns, dns_image(), [program("coredns")])
    argo = folder_of("argo") / "image.tar"
    if not argo.exists():
        with phase("image argo"):
            names = ("workflow-controller", "argoexec", "argo")
            _from_scratch(argo, argo_image(), [program(name) for name in names])
    platform = f"{IMAGE}:{_digest_of(_inputs())}"
    archive = _platform(platform)
    probe, probe_archive = _probe(platform)
    _note().write_text(f"{platform}\n{probe}")
    return {**archives, argo_image(): argo, platform: archive, probe: probe_archive}


def lake_image() -> str:
    """Return the name of an image with the S3 server; it is in the cluster from then on."""
    name, archive = f"{LAKE_IMAGE}:{versions()['modules']['versitygw']}", folder_of("versitygw") / "image.tar"
    if not archive.exists():
        _from_scratch(archive, name, [program("versitygw")])
    bring_in({name: archive})
    return name


def bring_in(archives: dict[str, Path]) -> None:
    """Import the images that the node lacks."""
    if of_current_context():
        current.bring_in(archives)
        return
    present = ctr("images", "list", "-q").split()
    for name, archive in archives.items():
        if name in present:
            continue
        with phase(f"import {name}"):
            ctr("images", "import", str(archive), timeout=600)
            if name not in ctr("images", "list", "-q").split():
                raise HarnessError(f"{archive} does not contain the image {name}")


def platform_image() -> str:
    """Return the name of the platform's image in the running cluster; its tag is a digest of its inputs."""
    return _note().read_text().splitlines()[0]


def probe_image() -> str:
    """Return the name of the tests' own image: the platform's image plus `tests/cluster/probe`."""
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


def buildah(*arguments: str | os.PathLike[str], timeout: float = 300, silence: float = 0) -> str:
    """Run buildah, with its store in the cache; as long as it advances if `silence` is given."""
    driver = _driver()
    store = cache_folder() / f"buildah-{driver}"
    words = ["buildah", "--root", store, "--runroot", store / "run", "--storage-driver", driver, *arguments]
    if silence:
        return run_while_it_advances(words, silence=silence).strip()
    return run(words, timeout=timeout).strip()


def store_settings() -> Path:
    """Write the settings by which any buildah uses the same store; return the file."""
    driver = _driver()
    store = cache_folder() / f"buildah-{driver}"
    file = run_folder() / "storage.conf"
    file.write_text(f'[storage]\ndriver = "{driver}"\ngraphroot = "{store}"\nrunroot = "{store / "run"}"\n')
    return file


@cache
def _driver() -> str:
    """Choose buildah's storage: overlays, or full copies if the cache's file system cannot overlay."""
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
    """Save an image of buildah's as an archive that holds its name."""
    part = archive.with_suffix(".part")
    part.unlink(missing_ok=True)
    archive.parent.mkdir(parents=True, exist_ok=True)
    buildah("push", "--format", "docker", image, f"docker-archive:{part}:{image}", timeout=600)
    part.rename(archive)


def _from_scratch(archive: Path, name: str, programs: list[Path], entrypoint: str | None = None) -> None:
    """Build an image of static programs in /bin, and a /tmp."""
    container = buildah("from", "scratch")
    try:
        tmp = run_folder() / "empty"
        shutil.rmtree(tmp, ignore_errors=True)
        (tmp / "tmp").mkdir(parents=True)
        (tmp / "tmp").chmod(0o1777)
        buildah("copy", container, tmp, "/")
        for item in programs:
            buildah("copy", "--chmod", "0755", container, item.resolve(), f"/bin/{item.name}")
        buildah("config", "--env", "PATH=/bin", container)
        if entrypoint:
            buildah("config", "--entrypoint", f'["{entrypoint}"]', container)
        buildah("commit", "--quiet", container, name)
    finally:
        buildah("rm", container)
    _save(name, archive)


def _base() -> str:
    """Build the platform's base image, a small Debian with Python, unless it exists; return its name."""
    debian = versions()["debian"]
    key = hashlib.sha256(str(debian).encode()).hexdigest()[:12]
    name = f"{BASE_IMAGE}:{key}"
    if name in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
        return name
    with phase("base image (debootstrap)"):
        root = cache_folder() / "debootstrap"
        shutil.rmtree(root, ignore_errors=True)
        include = f"--include={','.join(debian['base'])}"
        words = ["debootstrap", "--variant=minbase", include, debian["release"], root]
        run_while_it_advances(words, silence=900, folders=[root])
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
        # Keep this machine's package sources out of the image.
        (root / "etc/apt/sources.list").write_text("")
        container = buildah("from", "scratch")
        try:
            buildah("add", container, root, "/")
            buildah("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", container)
            buildah("commit", "--quiet", container, name)
        finally:
            buildah("rm", container)
            shutil.rmtree(root, ignore_errors=True)
    return name


def _platform(name: str) -> Path:
    archive = cache_folder() / "images" / f"platform-{name.rpartition(':')[2]}.tar"
    if archive.exists():
        say(f"image {name}: cached")
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
            *("build", "--layers", "--isolation", "chroot", "--network", "host"),
            *("--build-arg", f"BASE_IMAGE={base}", "--build-arg", f"GIT_COMMIT={COMMIT}"),
            *("--file", context / "platform/Dockerfile", "--tag", name),
            *pip_options(),
            context,
            silence=1200,
        )
        for old in archive.parent.glob("platform-*.tar"):
            old.unlink()
        _save(name, archive)
    return archive


def _probe(platform: str) -> tuple[str, Path]:
    """Build the platform's image plus one pipeline, as a user would who needs an image of their own."""
    files = sorted((HERE / "probe").glob("*.py"))
    tag = f"{platform.rpartition(':')[2]}-{_digest_of(files)}"
    name = f"{IMAGE}-probe:{tag}"
    archive = cache_folder() / "images" / f"probe-{tag}.tar"
    if archive.exists():
        return name, archive
    with phase(f"image {name}"):
        container = buildah("from", platform)
        try:
            for file in files:
                buildah("copy", container, file, f"/opt/app/pipelines/probe/{file.name}")
            buildah("commit", "--quiet", container, name)
        finally:
            buildah("rm", container)
        for old in archive.parent.glob("probe-*.tar"):
            old.unlink()
        _save(name, archive)
    return name, archive


def pip_options() -> list[str]:
    """Return mounts that give pip in the build this machine's settings; none stays in the image."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    configured: dict[str, str] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        configured[key.rpartition(".")[2]] = value.strip("'\"")
    settings: dict[str, str] = {name: configured[name] for name in _PIP_SETTINGS if name in configured}
    mounts = []
    if "cert" in settings:
        mounts += ["--volume", f"{settings['cert']}:/etc/pip-cert.pem:ro"]
        settings["cert"] = "/etc/pip-cert.pem"
    file = run_folder() / "pip.conf"
    parser = configparser.RawConfigParser()
    parser["global"] = settings
    with file.open("w") as out:
        parser.write(out)
    return [*mounts, "--volume", f"{file}:/etc/pip.conf:ro"]
