"""The configuration files of a node's programs. Whatever is not said here is the program's default."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from box import addresses, gobuild

if TYPE_CHECKING:
    from pathlib import Path

CONTAINERD = """\
version = 3

[plugins.'io.containerd.internal.v1.opt']
  path = "/var/lib/containerd/opt"      # the default, /opt/containerd, would be made on the machine

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{folder}/registries"

[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true         # root without CAP_SYS_RESOURCE: no sandbox would start

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{sid}/usr/lib/cni"]
  conf_dir = "{folder}/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
"""

REGISTRY = "registry.allod.test"
"""Images of this host are pulled from the box's own registry, without TLS."""


def write(folder: Path, *, name: str, number: int, cgroup: str, pki: Path, sid: Path) -> None:
    """All of them, into the node's folder on the machine; the node sees it under the same path."""
    (folder / "cni").mkdir(parents=True, exist_ok=True)
    (folder / "registries" / REGISTRY).mkdir(parents=True, exist_ok=True)
    (folder / "containerd.toml").write_text(CONTAINERD.format(pause=gobuild.PAUSE_IMAGE, folder=folder, sid=sid))
    (folder / "registries" / REGISTRY / "hosts.toml").write_text(f'server = "http://{addresses.BOX}:5000"\n')
    (folder / "cni" / "10-box.conflist").write_text(_json(cni(number)))
    (folder / "kubelet.json").write_text(_json(kubelet(folder, name, cgroup, pki)))
    (folder / "kube-proxy.json").write_text(_json(kube_proxy(name, pki)))
    (folder / "resolv.conf").write_text(f"nameserver {addresses.BOX}\n")


def cni(number: int) -> dict[str, object]:
    """Each Pod on a routed link of its own (ptp): traffic between two Pods of a node passes the forward hook, where policies stand.

    ipMasq false: a Pod's address must reach Pods of other nodes as it is. dataDir: on a tmpfs, or addresses leak at each crash.
    """
    ipam = {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": addresses.pods(number)}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return {
        "cniVersion": "1.0.0",
        "name": "box",
        "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def kubelet(folder: Path, name: str, cgroup: str, pki: Path) -> dict[str, object]:
    """KubeletConfiguration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failCgroupV1": False,  # from 1.35 the kubelet refuses cgroup v1 unless told so
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}/{name}",  # the whole node is one subtree to remove
        "failSwapOn": False,
        # The disk is the machine's, and so is its pressure: a test must not be evicted for it.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": str(pki / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"{name}.crt"),
        "tlsPrivateKeyFile": str(pki / f"{name}.key"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",  # the default would be made under the machine's /usr
        "resolvConf": str(folder / "resolv.conf"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [addresses.BOX],
        "nodeStatusUpdateFrequency": "5s",
        "podPidsLimit": 4096,
    }


def kube_proxy(name: str, pki: Path) -> dict[str, object]:
    """KubeProxyConfiguration, for a node or for the box itself."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(pki / "proxy.conf")},
        "mode": "nftables",
        "clusterCIDR": addresses.PODS,
        "hostnameOverride": name,
        "conntrack": {"maxPerCore": 0, "min": 0},  # 0: leave the size of the machine's table alone
    }


def _json(document: dict[str, object]) -> str:
    return json.dumps(document, indent=1)
