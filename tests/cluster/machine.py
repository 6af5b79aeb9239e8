"""The harness's changes to the machine, and their reversal: kernel settings, a bridge, rules, mounts."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.binaries import program
from tests.cluster.progress import HarnessError, run, say
from tests.cluster.settings import (
    BRIDGE,
    BRIDGE_MAC,
    CREDENTIALS_IP,
    LABEL,
    NODE_IP,
    POD_CIDR,
    SERVICE_CIDR,
    cache_folder,
    of_current_context,
    run_folder,
    versions,
)

CGROUP = "lightwork-cluster"
"""The control group that contains all pods' groups."""
_CGROUPS = Path("/sys/fs/cgroup")
_SHARES = {"cpu.shares": "10240", "cpu.weight": "1000"}
"""What all pods together get of busy processors: as ten processes outside. By default it is as one."""
QUEUE = 100
"""The kernel's queue of the packets on which the network policies decide."""

_SETTINGS = {
    # Needed by the pod network.
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    # Changed by kubelet and kube-proxy; saved, so that they can be restored.
    "net/ipv4/conf/all/route_localnet": None,
    "vm/overcommit_memory": None,
    "vm/panic_on_oom": None,
    "kernel/panic": None,
    "kernel/panic_on_oops": None,
    "kernel/keys/root_maxkeys": None,
    "kernel/keys/root_maxbytes": None,
    "net/netfilter/nf_conntrack_max": None,
    "net/netfilter/nf_conntrack_tcp_timeout_established": None,
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait": None,
}


def servers() -> list[str]:
    """Return the Debian packages that the cluster needs."""
    debian = versions()["debian"]
    return [*debian["servers"], *([] if of_current_context() else debian["kubernetes"])]


def install_packages(required: Sequence[str]) -> None:
    """Install missing Debian packages without starting their services, and note which were installed."""
    missing = [name for name in required if not _installed(name)]
    if not missing:
        return
    say(f"apt-get install {' '.join(missing)}")
    policy = Path("/usr/sbin/policy-rc.d")
    created = not policy.exists()
    if created:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(["apt-get", "update", "-qq"], timeout=300, env=quiet)
        run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing], timeout=600, env=quiet)
    finally:
        if created:
            policy.unlink()
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "installed-packages.txt").open("a") as note:
        note.writelines(f"{name}\n" for name in missing)


def _installed(name: str) -> bool:
    return "ok installed" in run(["dpkg-query", "-W", "-f", "${Status}", name], check=False)


def set_up_network() -> None:
    """Create the bridge, and enable forwarding and the rules that let pods' packets through."""
    before = {}
    for name, value in _SETTINGS.items():
        path = Path("/proc/sys") / name
        with contextlib.suppress(OSError):
            before[name] = path.read_text().strip()
            if value is not None:
                path.write_text(value)
    note = run_folder() / "kernel-settings.json"
    if not note.exists():
        note.write_text(json.dumps(before))
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        run(["ip", "link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge"])
    for address in (f"{NODE_IP}/{POD_CIDR.partition('/')[2]}", f"{CREDENTIALS_IP}/32"):
        run(["ip", "address", "replace", address, "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    _remove_rules()
    for side in ("-i", "-o"):
        _rule("filter", "FORWARD", side, BRIDGE, "-j", "ACCEPT")


def _rule(table: str, chain: str, *words: str) -> None:
    """Insert a rule that is marked as ours."""
    run(["iptables", "-w", "-t", table, "-I", chain, "-m", "comment", "--comment", LABEL, *words])


def _remove_rules() -> None:
    """Remove every rule that is marked as ours, whichever version of this file made it."""
    for table in ("filter", "mangle"):
        for line in run(["iptables", "-w", "-t", table, "-S"], check=False).splitlines():
            words = shlex.split(line)
            if words[0] == "-A" and LABEL in words:
                run(["iptables", "-w", "-t", table, "-D", *words[1:]], check=False)


def queue_packets() -> None:
    """Put the first packets of pods' connections into the queue; they are lost while nobody reads it.

    Covered are connections to pods, to servers on the node and to anywhere else, and those to a Service also
    before the translation of its address. As in every cluster, a node may reach its own pods.
    """
    new = ["-m", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED"]
    queue = ["-j", "NFQUEUE", "--queue-num", str(QUEUE)]
    for chain, which in (
        ("PREROUTING", ["-i", BRIDGE, "-d", SERVICE_CIDR]),
        ("FORWARD", ["-i", BRIDGE]),
        ("FORWARD", ["-o", BRIDGE]),
        ("INPUT", ["-i", BRIDGE]),
    ):
        _rule("mangle", chain, *which, *new, *queue)


def control_groups() -> list[Path]:
    """Return the folder of our control group in each hierarchy of the machine."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS / CGROUP]
    return [folder / CGROUP for folder in _CGROUPS.iterdir() if folder.is_dir() and not folder.is_symlink()]


def make_control_groups() -> None:
    """Create our control group in each hierarchy."""
    for folder in control_groups():
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
    for folder in control_groups():
        # A new cpuset group starts without processors.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (folder / name).exists() and not (folder / name).read_text().strip():
                (folder / name).write_text((folder.parent / name).read_text())
        for name, value in _SHARES.items():
            if (folder / name).exists():
                (folder / name).write_text(value)


def end_pods() -> None:
    """Kill every process of every pod: everything in our control groups."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pids = _pids()
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    raise HarnessError(f"these processes of pods survive SIGKILL: {sorted(_pids())}")


def _pids() -> set[int]:
    pids: set[int] = set()
    for top in control_groups():
        # Unlike `Path.rglob`, `os.walk` passes over groups that vanish meanwhile, as those of ending pods do.
        for folder, _, _ in os.walk(top):
            with contextlib.suppress(OSError):
                pids.update(int(line) for line in (Path(folder) / "cgroup.procs").read_text().split())
    return pids - {os.getpid()}


def remove_control_groups() -> None:
    """Remove our control groups, the innermost first."""
    for top in control_groups():
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def tear_down_network() -> None:
    """Remove the bridge and every rule, and restore the kernel's settings."""
    for name in ("kube-proxy", "network-policies"):
        if program(name).exists():
            run([program(name), "--cleanup"], check=False, timeout=60)
    with contextlib.suppress(HarnessError):
        _remove_rules()
    run(["ip", "link", "delete", BRIDGE], check=False)
    _remove_kubernetes_chains()
    note = run_folder() / "kernel-settings.json"
    if note.exists():
        for name, value in json.loads(note.read_text()).items():
            with contextlib.suppress(OSError):
                (Path("/proc/sys") / name).write_text(value)
        note.unlink()


def _remove_kubernetes_chains() -> None:
    """Remove what kube-proxy's own cleanup leaves: its chains, and the rules that jump to them."""
    for tool in ("iptables", "ip6tables"):
        for table in ("mangle", "nat", "filter"):
            lines = run([tool, "-w", "-t", table, "-S"], check=False).splitlines()
            for line in lines:
                words = shlex.split(line)
                if words[0] == "-A" and not words[1].startswith("KUBE-") and words[-1].startswith("KUBE-"):
                    run([tool, "-w", "-t", table, "-D", *words[1:]], check=False)
            chains = [line[3:] for line in lines if line.startswith("-N KUBE-")]
            for action in ("-F", "-X"):
                for chain in chains:
                    run([tool, "-w", "-t", table, action, chain], check=False)


def refuse_another() -> None:
    """Raise HarnessError if another Kubernetes has rules on this machine: ours would interfere."""
    for table in ("nat", "filter"):
        if "-N KUBE-" in run(["iptables", "-w", "-t", table, "-S"], check=False):
            raise HarnessError("another Kubernetes runs on this machine: its chains are in iptables")


def unmount() -> None:
    """Unmount everything below the run folder, the innermost first."""
    below = f"{run_folder()}/"
    for _ in range(3):
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        ours = sorted((path for path in mounts if path.startswith(below)), key=len, reverse=True)
        if not ours:
            return
        for path in ours:
            run(["umount", path.replace("\\040", " ")], check=False, timeout=20)
    for path in ours:
        run(["umount", "-l", path], check=False, timeout=20)


def remove_folders() -> None:
    """Remove the run folder, and the links that kubelet creates to its logs."""
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{run_folder()}/"):
            link.unlink()
    shutil.rmtree(run_folder(), ignore_errors=False)
