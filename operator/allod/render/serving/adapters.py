"""LoRA adapters in the pods of a revision: volumes, flags, and the file that the keeper follows.

vLLM's own route loads and unloads them, asked by the keeper inside the API server (images/engine/allod_adapters.py); to everybody else
the watchdog keeps it closed. The filesystem resolver would load any folder that a client names, cannot unload, and sees no change.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from allod.domain.names import ADAPTERS
from allod.domain.serving.adapters.adapters import (
    SLOTS,
    configmap_name,
    mount_path,
    orders,
    remembered_room,
    room,
    text,
    text_key,
    volume_name,
)
from allod.render.metadata import metadata

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeployment
    from allod.domain.manifest import Manifest
    from allod.domain.serving.adapters.adapters import Order
    from allod.domain.serving.revision import Revision

FILE = "adapters.json"
FOLDER = "/etc/allod-adapters"
"""Where the file is mounted: as a folder, for kubelet does not renew a file that is mounted by itself."""
VOLUME = "adapters"
MIDDLEWARE = "allod_adapters.Watchdog"
"""The watchdog that keeps adapters too."""
MOST = 32
"""As many as a spec may list: all stay in the host's memory, so that none is read anew from its volume between two requests."""


def flags(model: ModelDeployment) -> list[str]:
    """Of `vllm serve`."""
    space = room(model.spec.adapters)
    if space is None:
        return []
    return ["--enable-lora", f"--max-lora-rank={space.rank}", f"--max-loras={SLOTS}", f"--max-cpu-loras={MOST}"]


def env(model: ModelDeployment) -> dict[str, str]:
    """The second makes vLLM serve the routes that load; who may use them is the watchdog's to say: only itself."""
    return {"ALLOD_ADAPTERS": f"{FOLDER}/{FILE}", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if model.spec.adapters else {}


def volumes(model: ModelDeployment, revision: str) -> list[dict[str, Any]]:
    """The file, and where the adapters are."""
    space = room(model.spec.adapters)
    if space is None:
        return []
    file = {"name": VOLUME, "configMap": {"name": configmap_name(model.metadata.name, revision)}}
    return [file, *({"name": volume_name(each)} | _source(each) for each in space.volumes)]


def mounts(model: ModelDeployment) -> list[dict[str, Any]]:
    """Of those volumes, read-only."""
    space = room(model.spec.adapters)
    if space is None:
        return []
    file = {"name": VOLUME, "mountPath": FOLDER, "readOnly": True}
    return [file, *({"name": volume_name(each), "mountPath": mount_path(each), "readOnly": True} for each in space.volumes)]


def _source(volume: str) -> dict[str, Any]:
    if volume.startswith("pvc://"):
        return {"persistentVolumeClaim": {"claimName": volume.removeprefix("pvc://"), "readOnly": True}}
    return {"hostPath": {"path": str(PurePosixPath(volume.removeprefix("file://"))), "type": "Directory"}}


def ordered(model: ModelDeployment, revision: Revision) -> tuple[Order, ...] | None:
    """What the pods of a revision are to load. None: they know nothing of adapters."""
    space = remembered_room(revision.snapshot)
    return None if space is None else orders(model.spec.adapters, space)


def adapters_configmap(model: ModelDeployment, revision: str, listed: tuple[Order, ...]) -> Manifest:
    """The one thing that changes while the pods of a revision run. A pod that starts finds it there, whether the operator runs or not."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(model, configmap_name(model.metadata.name, revision), revision),
        "data": {FILE: text(listed)},
    }


def nudge(pod: Manifest, listed: tuple[Order, ...]) -> Manifest:
    """An annotation that makes kubelet look at exactly this pod, and so renew its files, now and not within its minute or more."""
    meta = pod["metadata"]
    kept = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": kept | {"annotations": {ADAPTERS: text_key(listed)}}}
