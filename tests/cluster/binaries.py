"""Kubernetes, Argo Workflows, S3 and DNS servers, Pulumi: built from their Go modules and kept by version."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.cluster import go
from tests.cluster.progress import HarnessError, phase, run, say
from tests.cluster.settings import TEMPLATES, cache_folder, of_current_context, versions

KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
ARGO = ("workflow-controller", "argoexec", "argo")


def build_all() -> None:
    """Build what is not in the cache yet; one build at a time."""
    for what in _BUILDS:
        if not (of_current_context() and what in _KUBERNETES_ONLY):
            build(what)


def build(what: str) -> Path:
    """Build one thing if it is not in the cache yet: its folder."""
    folder = place(what)
    if (folder / "done").exists():
        say(f"build {folder.name}: in the cache")
        return folder
    with phase(f"build {folder.name}"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _BUILDS[what](folder)
        (folder / "done").touch()
    return folder


def place(what: str) -> Path:
    """The folder of a built thing in the cache."""
    version = versions()["modules"].get(what, "1")
    return cache_folder() / f"{what}-{version}"


def program(name: str) -> Path:
    """The path of a program that was built."""
    for what, names in _PROGRAMS.items():
        if name in names:
            return place(what) / "bin" / name
    raise HarnessError(f"{name}: not among what is built")


def argo_manifests() -> Path:
    """The folder of Argo's own install manifests."""
    return place("argo") / "manifests"


def _go(*arguments: str, cwd: Path | None = None, timeout: float = 1800, **env: str) -> str:
    flags = f"{os.environ.get('GOFLAGS', '')} -p=2".strip()
    words = ["nice", "-n", "10", go.program(), *arguments]
    return run(words, cwd=cwd, timeout=timeout, env={"GOFLAGS": flags, "CGO_ENABLED": "0", **env})


def _module(path: str, version: str) -> dict[str, str]:
    """Download a module; the answer has its folder (Dir) and its go.mod (GoMod)."""
    found: dict[str, str] = json.loads(_go("mod", "download", "-json", f"{path}@{version}"))
    return found


def _kubernetes(folder: Path) -> None:
    version = versions()["modules"]["kubernetes"]
    module = _module("k8s.io/kubernetes", version)
    theirs = Path(module["GoMod"]).read_text()
    staging = re.findall(r"^\s*(\S+) => \./staging/src/", theirs, re.MULTILINE)
    language = re.search(r"^go (\S+)$", theirs, re.MULTILINE)
    if not staging or language is None:
        raise HarnessError(f"k8s.io/kubernetes {version}: its go.mod names no staging modules")
    minor = version.removeprefix("v1.")
    lines = [
        "module lightwork/kubernetes",
        f"go {language.group(1)}",
        f"require k8s.io/kubernetes {version}",
        *(f"replace {name} => {name} v0.{minor}" for name in staging),
    ]
    source = folder / "source"
    source.mkdir()
    (source / "go.mod").write_text("\n".join(lines) + "\n")
    shutil.copy(TEMPLATES / "kubernetes.go.txt", source / "main.go")
    stamp = " ".join(
        f"-X {where}.gitVersion={version} -X {where}.gitMajor=1 -X {where}.gitMinor={minor.split('.')[0]}"
        for where in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    )
    (folder / "bin").mkdir()
    made = folder / "bin" / "kubernetes"
    _go("build", "-mod=mod", "-ldflags", f"-s -w {stamp}", "-o", str(made), ".", cwd=source)
    for name in KUBERNETES:
        (folder / "bin" / name).symlink_to(made.name)


def _argo(folder: Path) -> None:
    version = versions()["modules"]["argo"]
    module = _module("github.com/argoproj/argo-workflows/v3", version)
    source = folder / "source"
    shutil.copytree(module["Dir"], source, copy_function=shutil.copy)
    run(["chmod", "-R", "u+w", source])
    shutil.copy(TEMPLATES / "signal_linux.go.txt", source / "workflow/executor/osspecific/signal_linux.go")
    page = source / "ui/dist/app/index.html"
    page.parent.mkdir(parents=True)
    shutil.copy(TEMPLATES / "index.html.txt", page)
    (folder / "bin").mkdir()
    stamp = f"-X github.com/argoproj/argo-workflows/v3.version={version}"
    for name in ARGO:
        with phase(f"build {name}"):
            _go(
                "build",
                "-ldflags",
                f"-s -w {stamp}",
                "-o",
                str(folder / "bin" / name),
                f"./cmd/{name}",
                cwd=source,
            )
    shutil.move(source / "manifests", folder / "manifests")
    shutil.rmtree(source)


def _installed(path: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        what = path.rsplit("/", 1)[-1]
        version = versions()["modules"][what]
        _go("install", "-ldflags", "-s -w", f"{path}@{version}", GOBIN=str(folder / "bin"))

    return build


def _pulumi(folder: Path) -> None:
    """The engine and its CLI. Its go.mod replaces modules: it can only be built from a module of our own."""
    version = versions()["modules"]["pulumi"]
    module = _module("github.com/pulumi/pulumi/pkg/v3", version)
    theirs = Path(module["GoMod"]).read_text()
    language = re.search(r"^go (\S+)$", theirs, re.MULTILINE)
    if language is None:
        raise HarnessError(f"github.com/pulumi/pulumi/pkg/v3 {version}: its go.mod names no version of Go")
    replaced = re.findall(r"^replace (\S+ => [^.\s]\S* \S+)$", theirs, re.MULTILINE)
    lines = [
        "module lightwork/pulumi",
        f"go {language.group(1)}",
        f"require github.com/pulumi/pulumi/pkg/v3 {version}",
        *(f"replace {line}" for line in replaced),
    ]
    source = folder / "source"
    source.mkdir()
    (source / "go.mod").write_text("\n".join(lines) + "\n")
    stamp = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}"
    what, made = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", folder / "bin" / "pulumi"
    _go("build", "-mod=mod", "-ldflags", f"-s -w {stamp}", "-o", str(made), what, cwd=source)


def _pause(folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    (source / "go.mod").write_text(f"module lightwork/pause\ngo {versions()['go']}\n")
    shutil.copy(TEMPLATES / "pause.go.txt", source / "main.go")
    _go("build", "-ldflags", "-s -w", "-o", str(folder / "bin" / "pause"), ".", cwd=source)


_BUILDS: dict[str, Callable[[Path], None]] = {
    "pause": _pause,
    "kubernetes": _kubernetes,
    "versitygw": _installed("github.com/versity/versitygw/cmd/versitygw"),
    "coredns": _installed("github.com/coredns/coredns"),
    "argo": _argo,
    "pulumi": _pulumi,
}

_KUBERNETES_ONLY = ("pause", "kubernetes", "coredns")
"""What a cluster that is there already brings itself."""

_PROGRAMS = {
    "pause": ("pause",),
    "kubernetes": KUBERNETES,
    "versitygw": ("versitygw",),
    "coredns": ("coredns",),
    "argo": ARGO,
    "pulumi": ("pulumi",),
}
