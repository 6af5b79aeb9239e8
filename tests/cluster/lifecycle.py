"""Startup and shutdown of the whole cluster."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.cluster import (
    argo,
    binaries,
    certificates,
    controlplane,
    current,
    dns,
    enforcement,
    images,
    machine,
    node,
    pod_identity,
    processes,
    stores,
)
from tests.cluster.progress import HarnessError, phase, say
from tests.cluster.settings import cache_folder, kubeconfig, logs, of_current_context, run_folder

_LAST = ("kubelet", "proxy", "scheduler", "controller-manager", "apiserver", "etcd", "containerd")
"""The servers that are stopped last, in order: etcd after the API server, which hangs without it."""


def up() -> None:
    """Bring everything up, after taking down what an earlier run left."""
    _bring_up(_up_in_current if of_current_context() else _up)


def up_bare() -> None:
    """Bring up Kubernetes alone, as an existing cluster for `CLUSTER=current`."""
    if of_current_context():
        raise HarnessError("unset CLUSTER=current: this command starts a Kubernetes of its own")
    _bring_up(_kubernetes)


def _bring_up(bring: Callable[[], None]) -> None:
    if os.geteuid() != 0:
        raise HarnessError("the harness needs root: it creates a bridge, control groups and mounts")
    if run_folder().exists():
        down()
    run_folder().mkdir(parents=True)
    run_folder().chmod(0o711)
    try:
        bring()
    except BaseException:
        say("startup failed; taking down what was started (the logs stay in the cache)")
        keep_logs()
        down()
        raise


def _up() -> None:
    _kubernetes()
    _platform()


def _up_in_current() -> None:
    with phase("the current context"):
        current.find()
    with phase("Debian packages"):
        machine.install_packages(machine.servers())
    binaries.build_servers()
    with phase("images"):
        archives = images.build_all()
    images.bring_in(archives)
    certificates.make_webhook()
    current.listen_for_credentials()
    _platform()


def _kubernetes() -> None:
    with phase("Debian packages"):
        machine.install_packages(machine.servers())
    machine.refuse_another()
    binaries.build_servers()
    with phase("images"):
        archives = images.build_all()
    with phase("network and certificates"):
        machine.set_up_network()
        certificates.make_all()
    with phase("control plane"):
        controlplane.start_all()
    with phase("containerd and images"):
        node.start_containerd()
        images.bring_in(archives)
    with phase("node"):
        node.start_kubelet()
        node.start_proxy()
        enforcement.start()
        dns.start()
    say(f"Kubernetes is up: export KUBECONFIG={kubeconfig()}")


def _platform() -> None:
    with phase("PostgreSQL and the S3 server"):
        stores.start_all()
    with phase("pod identity"):
        pod_identity.start()
    with phase("Argo Workflows"):
        argo.install()
    say(f"up: export KUBECONFIG={kubeconfig()}")


def refresh() -> None:
    """Load the platform's images and objects, built from the current code, into the running cluster."""
    if not kubeconfig().exists():
        raise HarnessError("no cluster is up: make cluster-up")
    with phase("images"):
        images.bring_in(images.build_all())
    with phase("Argo's configuration"):
        stores.prepare_archive()
        argo.configure()


def down() -> None:
    """Stop everything that was started and restore the machine."""
    if not run_folder().exists():
        say("nothing is up")
        return
    with phase("down"), _undisturbed():
        if of_current_context():
            _leave_current()
            return
        for name in ("kubelet", "proxy", "controller-manager", "scheduler"):
            processes.stop(name)
        machine.end_pods()
        others = [name for name in processes.names() if name not in _LAST]
        for name in (*others, *_LAST):
            processes.stop(name)
        _end_shims()
        machine.end_pods()
        machine.unmount()
        machine.remove_control_groups()
        machine.tear_down_network()
        machine.remove_folders()


def _leave_current() -> None:
    """Delete what is in the cluster while the servers still respond, then stop the servers."""
    try:
        if kubeconfig().exists():
            current.clear()
    finally:
        for name in processes.names():
            processes.stop(name)
        current.forget()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore a second Ctrl-C during shutdown, which would otherwise stop half-way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: say("still shutting down")) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_shims() -> None:
    """End the shims that containerd leaves running on purpose; their command lines hold our socket's path."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"containerd-shim" in words[0] and node.socket().encode() in words:
            processes.end(int(entry.name), seconds=2)


def keep_logs() -> None:
    """Copy the servers' logs into the cache, to keep them after the cluster is down."""
    target = cache_folder() / "last-logs"
    shutil.rmtree(target, ignore_errors=True)
    if logs().exists():
        shutil.copytree(logs(), target)
