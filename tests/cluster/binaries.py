"""Kubernetes, Argo Workflows, S3 and DNS servers, Pulumi: built from their Go modules and kept by version."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
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
ENGINE = "pulumi"
"""What only the tests of the driver need, which need no cluster."""


def build_all() -> None:
    """Build what is not in the cache yet; one build at a time."""
    build_servers()
    build(ENGINE)


def build_servers() -> None:
    """Build what a cluster is made of: all but Pulumi's engine."""
    for what in _BUILDS:
        if what != ENGINE and not (of_current_context() and what in _KUBERNETES_ONLY):
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


def _in_our_module(
    folder: Path,
    what: str,
    path: str,
    *,
    replaced: Callable[[str], Iterable[str]] = lambda go_mod: (),
    package: str = ".",
    stamp: str = "",
) -> Path:
    """Build a program from a module of our own that requires theirs, with the Go that theirs names.

    A module that replaces others can be built in no other way; and a `main` of ours takes as little of
    theirs as is needed.

    Args:
        replaced: the replacements in our module, from the text of their go.mod.
        package: what is built; our own `templates/<what>.go.txt` where nothing is named.
        stamp: what the linker sets.
    """
    version = versions()["modules"][what]
    theirs = Path(_module(path, version)["GoMod"]).read_text()
    language = re.search(r"^go (\S+)$", theirs, re.MULTILINE)
    if language is None:
        raise HarnessError(f"{path} {version}: its go.mod names no version of Go")
    lines = [
        f"module lightwork/{what}",
        f"go {language.group(1)}",
        f"require {path} {version}",
        *(f"replace {line}" for line in replaced(theirs)),
    ]
    source = folder / "source"
    source.mkdir()
    (source / "go.mod").write_text("\n".join(lines) + "\n")
    if package == ".":
        shutil.copy(TEMPLATES / f"{what}.go.txt", source / "main.go")
    made = folder / "bin" / what
    _go("build", "-mod=mod", "-ldflags", f"-s -w {stamp}", "-o", str(made), package, cwd=source)
    return made


def _kubernetes(folder: Path) -> None:
    version = versions()["modules"]["kubernetes"]
    minor = version.removeprefix("v1.")

    def staging(go_mod: str) -> list[str]:
        names = re.findall(r"^\s*(\S+) => \./staging/src/", go_mod, re.MULTILINE)
        if not names:
            raise HarnessError(f"k8s.io/kubernetes {version}: its go.mod names no staging modules")
        return [f"{name} => {name} v0.{minor}" for name in names]

    stamp = " ".join(
        f"-X {where}.gitVersion={version} -X {where}.gitMajor=1 -X {where}.gitMinor={minor.split('.')[0]}"
        for where in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    )
    made = _in_our_module(folder, "kubernetes", "k8s.io/kubernetes", replaced=staging, stamp=stamp)
    for name in KUBERNETES:
        made.with_name(name).symlink_to(made.name)


def _coredns(folder: Path) -> None:
    """CoreDNS with the plugins of our configuration alone: the others need the SDKs of three clouds."""
    _in_our_module(folder, "coredns", "github.com/coredns/coredns")


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


def _versitygw(folder: Path) -> None:
    version = versions()["modules"]["versitygw"]
    what = f"github.com/versity/versitygw/cmd/versitygw@{version}"
    _go("install", "-ldflags", "-s -w", what, GOBIN=str(folder / "bin"))


def _pulumi(folder: Path) -> None:
    """The engine and its CLI."""
    path, version = "github.com/pulumi/pulumi/pkg/v3", versions()["modules"]["pulumi"]
    _in_our_module(
        folder,
        "pulumi",
        path,
        replaced=lambda go_mod: re.findall(r"^replace (\S+ => [^.\s]\S* \S+)$", go_mod, re.MULTILINE),
        package=f"{path}/cmd/pulumi",
        stamp=f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}",
    )


def _pause(folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    (source / "go.mod").write_text(f"module lightwork/pause\ngo {versions()['go']}\n")
    shutil.copy(TEMPLATES / "pause.go.txt", source / "main.go")
    _go("build", "-ldflags", "-s -w", "-o", str(folder / "bin" / "pause"), ".", cwd=source)


_BUILDS: dict[str, Callable[[Path], None]] = {
    "pause": _pause,
    "kubernetes": _kubernetes,
    "versitygw": _versitygw,
    "coredns": _coredns,
    "argo": _argo,
    ENGINE: _pulumi,
}

_KUBERNETES_ONLY = ("pause", "kubernetes", "coredns")
"""What a cluster that is there already brings itself."""

_PROGRAMS = {
    "pause": ("pause",),
    "kubernetes": KUBERNETES,
    "versitygw": ("versitygw",),
    "coredns": ("coredns",),
    "argo": ARGO,
    ENGINE: ("pulumi",),
}
