"""The only node: containerd, the pod network, kubelet and kube-proxy."""

from __future__ import annotations

import json

import yaml

from tests.cluster import processes
from tests.cluster.binaries import program
from tests.cluster.certificates import folder
from tests.cluster.kube import get, kubectl
from tests.cluster.machine import CGROUP, make_control_groups
from tests.cluster.progress import run, wait_for
from tests.cluster.settings import (
    BRIDGE,
    DNS_SERVICE_IP,
    DOMAIN,
    NODE,
    NODE_IP,
    PAUSE_IMAGE,
    POD_CIDR,
    run_folder,
)


def socket() -> str:
    """Return the socket on which containerd listens."""
    return str(run_folder() / "containerd.sock")


def ctr(*arguments: str, timeout: float = 300, check: bool = True) -> str:
    """Run containerd's certificates client in the namespace that kubelet uses."""
    words = ["ctr", "--address", socket(), "--namespace", "k8s.io", *arguments]
    return run(words, timeout=timeout, check=check)


def start_containerd() -> None:
    """Start containerd with settings, socket and folders of its own, apart from any other on the machine."""
    top = run_folder()
    network = {
        "cniVersion": "0.4.0",
        "name": "lightwork",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_CIDR, "gateway": NODE_IP}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(top / "cni"),
                },
            }
        ],
    }
    (top / "cni-config").mkdir(parents=True, exist_ok=True)
    (top / "cni-config" / "10-lightwork.conflist").write_text(json.dumps(network))
    # Without restrict_oom_score_adj, starting a pod's first process would need a capability.
    text = f"""version = 2
root = "{top}/containerd"
state = "{top}/containerd-state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{socket()}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{top}/cni-config"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""
    (top / "containerd.toml").write_text(text)
    processes.start("containerd", ["/usr/bin/containerd", "--config", top / "containerd.toml"])

    def ready() -> bool:
        processes.check("containerd")
        return bool(ctr("version", timeout=10))

    wait_for("containerd", ready, seconds=60)


def start_kubelet() -> None:
    """Start kubelet, and wait until the node is ready."""
    top, certificates = run_folder(), folder()
    make_control_groups()
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_IP,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificates / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(certificates / "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{socket()}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        # Pods request little here, so that many fit on few cores; each may use idle processors.
        "cpuCFSQuota": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_SERVICE_IP],
        "clusterDomain": DOMAIN,
        "resolvConf": str(top / "resolv.conf"),
        "podLogsDir": str(top / "pod-logs"),
        "volumePluginDir": str(top / "volume-plugins"),
        "makeIPTablesUtilChains": False,
        "healthzPort": 0,
        "maxPods": 60,
        "serializeImagePulls": False,
        "registerNode": True,
        # Never delete images, even if the machine's disk is nearly full.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "10s",
    }
    # Our certificates name server only, so that pods' queries never leave the machine.
    (top / "resolv.conf").write_text(f"nameserver {DNS_SERVICE_IP}\n")
    (top / "kubelet.yaml").write_text(yaml.safe_dump(config))
    processes.start(
        "kubelet",
        [
            program("kubelet"),
            f"--config={top / 'kubelet.yaml'}",
            f"--kubeconfig={certificates / 'kubelet.kubeconfig'}",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_IP}",
            f"--root-dir={top / 'kubelet'}",
            f"--cert-dir={top / 'kubelet-certificates'}",
        ],
    )

    def ready() -> bool:
        processes.check("kubelet")
        conditions = get("node", NODE)["status"].get("conditions", [])
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    wait_for("the node", ready, seconds=90, every=0.5)


def start_proxy() -> None:
    """Start kube-proxy, which routes the Services' addresses to their pods."""
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(folder() / "proxy.kubeconfig")},
        "hostnameOverride": NODE,
        "clusterCIDR": POD_CIDR,
        "mode": "iptables",
        "iptables": {"minSyncPeriod": "0s", "localhostNodePorts": False},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    }
    (run_folder() / "proxy.yaml").write_text(yaml.safe_dump(config))
    processes.start("proxy", [program("kube-proxy"), f"--config={run_folder() / 'proxy.yaml'}"])


def wait_for_pod(namespace: str, name: str, *, phase: str, seconds: float) -> None:
    """Wait until a pod is in a phase (`Running`, `Succeeded`)."""
    path = "jsonpath={.status.phase}"
    wait_for(
        f"pod {namespace}/{name}",
        lambda: kubectl("-n", namespace, "get", "pod", name, "-o", path) == phase,
        seconds=seconds,
    )
