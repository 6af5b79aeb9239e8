"""Kubernetes, Argo Workflows, S3 and DNS servers, Pulumi: built from Go modules and cached by version."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.cluster import go
from tests.cluster.progress import HarnessError, phase, run, run_while_it_advances, say
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
"""Pulumi's engine and its command line. The driver's tests need it, but no cluster."""
PROVIDER = "pulumi-resource-kubernetes"
"""Pulumi's Kubernetes provider."""
CRON = "cron"
"""Argo's reader of schedules, as a program of its own; needed by the unit tests of schedules only."""
REGISTRY = "registry"
"""Needed by the tests of an image of one's own only."""


def build_all() -> None:
    """Build everything that is not cached, one build at a time."""
    build_servers()
    build_pulumi()
    build(REGISTRY)


def build_pulumi() -> None:
    """Build Pulumi's engine and its Kubernetes provider."""
    for what in (ENGINE, PROVIDER):
        build(what)


def build_servers() -> None:
    """Build the programs of a cluster: all except what some tests need besides."""
    for what in _BUILDS:
        if what not in _NOT_SERVERS and not (of_current_context() and what in _KUBERNETES_ONLY):
            build(what)


SILENCE = 1800.0
"""Seconds without progress after which a build is stopped; Go keeps the packages that it has compiled."""


def build(what: str) -> Path:
    """Build one component unless it is cached; return its folder. An earlier attempt's programs stay."""
    folder = folder_of(what)
    if (folder / "done").exists():
        say(f"build {folder.name}: cached")
        return folder
    with phase(f"build {folder.name}"):
        shutil.rmtree(folder / "source", ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        _BUILDS[what](folder)
        (folder / "done").touch()
    return folder


def folder_of(what: str) -> Path:
    """Return the cache folder of a component."""
    version = versions()["modules"].get(what, "1")
    return cache_folder() / f"{what}-{version}{_RECIPES.get(what, '')}"


def program(name: str) -> Path:
    """Return the path of a built program."""
    for what, names in _PROGRAMS.items():
        if name in names:
            return folder_of(what) / "bin" / name
    raise HarnessError(f"{name}: not a program that is built here")


def argo_manifests() -> Path:
    """Return the folder of Argo's own install manifests."""
    return folder_of("argo") / "manifests"


def _go(*arguments: str, cwd: Path | None = None, **env: str) -> str:
    """Run Go, which names each package as it starts to compile it, for as long as it advances."""
    flags = f"{os.environ.get('GOFLAGS', '')} -p=2".strip()
    words = ["nice", "-n", "10", go.program(), *arguments]
    with tempfile.TemporaryDirectory(prefix="lightwork-go-") as work:
        environment = {"GOFLAGS": flags, "CGO_ENABLED": "0", "GOTMPDIR": work, **env}
        return run_while_it_advances(words, silence=SILENCE, folders=[Path(work)], cwd=cwd, env=environment)


def _module(path: str, version: str) -> dict[str, str]:
    """Download a module; the result has its folder (Dir) and its go.mod (GoMod)."""
    module: dict[str, str] = json.loads(_go("mod", "download", "-x", "-json", f"{path}@{version}"))
    return module


def _in_our_module(
    folder: Path,
    what: str,
    path: str,
    *,
    replaced: Callable[[str], Iterable[str]] = lambda go_mod: (),
    package: str = ".",
    stamp: str = "",
) -> Path:
    """Build a program from a module of our own that requires theirs, with the Go version of theirs.

    This is the only way to build a module that replaces others. A `main` of our own also includes no more
    of their code than needed.

    Args:
        replaced: returns the replacements for our module, given the text of their go.mod.
        package: the package to build; by default our own `templates/<what>.go.txt`.
        stamp: linker flags that set variables.
    """
    version = versions()["modules"][what]
    theirs = Path(_module(path, version)["GoMod"]).read_text()
    language = re.search(r"^go (\S+)$", theirs, re.MULTILINE)
    if language is None:
        raise HarnessError(f"{path} {version}: its go.mod has no Go version")
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
    binary = folder / "bin" / what
    _go("build", "-v", "-mod=mod", "-ldflags", f"-s -w {stamp}", "-o", str(binary), package, cwd=source)
    return binary


def _kubernetes(folder: Path) -> None:
    version = versions()["modules"]["kubernetes"]
    minor = version.removeprefix("v1.")

    def staging(go_mod: str) -> list[str]:
        names = re.findall(r"^\s*(\S+) => \./staging/src/", go_mod, re.MULTILINE)
        if not names:
            raise HarnessError(f"k8s.io/kubernetes {version}: its go.mod has no staging modules")
        return [f"{name} => {name} v0.{minor}" for name in names]

    stamp = " ".join(
        f"-X {path}.gitVersion={version} -X {path}.gitMajor=1 -X {path}.gitMinor={minor.split('.')[0]}"
        for path in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    )
    binary = _in_our_module(folder, "kubernetes", "k8s.io/kubernetes", replaced=staging, stamp=stamp)
    for name in KUBERNETES:
        binary.with_name(name).unlink(missing_ok=True)
        binary.with_name(name).symlink_to(binary.name)


def _coredns(folder: Path) -> None:
    """Build CoreDNS with only the plugins that we configure: the others need the SDKs of three clouds."""
    _in_our_module(folder, "coredns", "github.com/coredns/coredns")


def _network_policies(folder: Path) -> None:
    _in_our_module(folder, "network-policies", "sigs.k8s.io/kube-network-policies")


def _copied(folder: Path, path: str, version: str) -> Path:
    """Copy a module's folder, to change it; return the copy."""
    source = folder / "source"
    shutil.copytree(_module(path, version)["Dir"], source, copy_function=shutil.copy)
    run(["chmod", "-R", "u+w", source])
    return source


def _argo(folder: Path) -> None:
    version = versions()["modules"]["argo"]
    source = _copied(folder, "github.com/argoproj/argo-workflows/v3", version)
    shutil.copy(TEMPLATES / "signal_linux.go.txt", source / "workflow/executor/osspecific/signal_linux.go")
    page = source / "ui/dist/app/index.html"
    page.parent.mkdir(parents=True)
    shutil.copy(TEMPLATES / "index.html.txt", page)
    (folder / "bin").mkdir(exist_ok=True)
    stamp = f"-X github.com/argoproj/argo-workflows/v3.version={version}"
    for name in ARGO:
        with phase(f"build {name}"):
            binary = folder / "bin" / name
            if binary.exists():
                say(f"build {name}: done in an earlier attempt")
                continue
            part = binary.with_suffix(".part")
            _go("build", "-v", "-ldflags", f"-s -w {stamp}", "-o", str(part), f"./cmd/{name}", cwd=source)
            part.rename(binary)
    shutil.rmtree(folder / "manifests", ignore_errors=True)
    shutil.move(source / "manifests", folder / "manifests")
    shutil.rmtree(source)


def _versitygw(folder: Path) -> None:
    version = versions()["modules"]["versitygw"]
    what = f"github.com/versity/versitygw/cmd/versitygw@{version}"
    _go("install", "-v", "-ldflags", "-s -w", what, GOBIN=str(folder / "bin"))


def _pulumi(folder: Path) -> None:
    """Build Pulumi's engine and its CLI."""
    path, version = "github.com/pulumi/pulumi/pkg/v3", versions()["modules"]["pulumi"]
    _in_our_module(
        folder,
        "pulumi",
        path,
        replaced=lambda go_mod: re.findall(r"^replace (\S+ => [^.\s]\S* \S+)$", go_mod, re.MULTILINE),
        package=f"{path}/cmd/pulumi",
        stamp=f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}",
    )


def _provider(folder: Path) -> None:
    """Build Pulumi's Kubernetes provider from a copy of its module.

    Its three component resources are left out: nothing here uses them, and their Go SDK, which has a type for
    every field of Kubernetes, takes longer to compile than everything else.

    The pinned `pulumi_kubernetes` is newer (no newer module is to be had). Since 4.29 its provider refuses to
    create an object that exists, unless it is told to upsert. So does this one.
    """
    version = versions()["modules"][PROVIDER]
    source = _copied(folder, "github.com/pulumi/pulumi-kubernetes/provider/v4", version)
    construct = source / "pkg/provider/provider_construct.go"
    lines = construct.read_text().splitlines(keepends=True)
    components = re.compile(r"provider(helmv4|kustomizev2|yamlv2)\b")
    construct.write_text("".join(line for line in lines if not components.search(line)))
    creation = source / "pkg/await/await.go"
    text = creation.read_text()
    for old, new in _REFUSAL.items():
        if text.count(old) != 1:
            raise HarnessError(f"{creation.name} of {version} has not one {old!r}")
        text = text.replace(old, new)
    creation.write_text(text)
    main = source / "cmd/pulumi-resource-kubernetes"
    # As its own generate.go does, whose results the module lacks.
    schema = {**json.loads((main / "schema.json").read_text()), "version": version.removeprefix("v")}
    (main / "schema-embed.json").write_text(json.dumps(schema))
    shutil.copy(main / "terraform-mapping.json", main / "terraform-mapping-embed.json")
    _go("mod", "edit", "-dropreplace", "github.com/pulumi/pulumi-kubernetes/sdk/v4", cwd=source)
    stamp = f"-X github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version={version}"
    binary = folder / "bin" / PROVIDER
    _go(
        *("build", "-v", "-mod=mod", "-ldflags", f"-s -w {stamp}"),
        *("-o", str(binary), f"./{main.relative_to(source)}"),
        cwd=source,
    )
    shutil.rmtree(source)


_REFUSAL = {
    "if c.ServerSideApply {\n\t\t\t\tforce := patchForce(c.Inputs, nil, c.Preview)": (
        'upsert := os.Getenv("PULUMI_K8S_UPSERT_EXISTING_OBJECTS") == "true"\n'
        "if c.ServerSideApply && (upsert || kinds.IsPatchResource(c.URN, c.Inputs.GetKind())) {\n"
        "force := patchForce(c.Inputs, nil, c.Preview)"
    ),
    "options := metav1.CreateOptions{\n\t\t\t\t\tFieldManager: c.FieldManager,": (
        'options := metav1.CreateOptions{\nFieldManager: "pulumi-kubernetes",'
    ),
}
"""Lines of the provider's `Creation`, with those that make it refuse to create an object that exists."""
_RECIPES = {PROVIDER: "-refuses"}
"""Suffixes of the cache folders of programs that are built in another way than by an older commit."""


def _registry(folder: Path) -> None:
    _in_our_module(folder, REGISTRY, "github.com/google/go-containerregistry")


def _cron(folder: Path) -> None:
    _in_our_module(folder, CRON, "github.com/robfig/cron/v3")


def _pause(folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    (source / "go.mod").write_text(f"module lightwork/pause\ngo {versions()['go']}\n")
    shutil.copy(TEMPLATES / "pause.go.txt", source / "main.go")
    _go("build", "-v", "-ldflags", "-s -w", "-o", str(folder / "bin" / "pause"), ".", cwd=source)


_BUILDS: dict[str, Callable[[Path], None]] = {
    "pause": _pause,
    "kubernetes": _kubernetes,
    "versitygw": _versitygw,
    "coredns": _coredns,
    "network-policies": _network_policies,
    "argo": _argo,
    ENGINE: _pulumi,
    PROVIDER: _provider,
    REGISTRY: _registry,
    CRON: _cron,
}

_NOT_SERVERS = (ENGINE, PROVIDER, REGISTRY, CRON)

_KUBERNETES_ONLY = ("pause", "kubernetes", "coredns", "network-policies")
"""Components that an existing cluster has already."""

_PROGRAMS = {
    "pause": ("pause",),
    "kubernetes": KUBERNETES,
    "versitygw": ("versitygw",),
    "coredns": ("coredns",),
    "network-policies": ("network-policies",),
    "argo": ARGO,
    ENGINE: ("pulumi",),
    PROVIDER: (PROVIDER,),
    REGISTRY: ("registry",),
    CRON: ("cron",),
}
