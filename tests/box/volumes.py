"""Dynamic local volumes: a claim of the StorageClass `local` gets a folder on the node on which its Pod was scheduled.

`python -m box.agent volumes SERVER PKI STATE`. The scheduler picks the node and writes it on the claim; this agent makes the folder below
the node's own /var/lib and the PersistentVolume, and removes both when the claim is deleted. A size is recorded, not enforced.
"""

from __future__ import annotations

import shutil
import sys
from http import HTTPStatus
from pathlib import Path

from box.api import Api, Object, Refused
from box.mirror import Mirror

PROVISIONER = "allod.test/local"
CLASS: Object = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": PROVISIONER,
    "volumeBindingMode": "WaitForFirstConsumer",
    "reclaimPolicy": "Delete",
}
FOLDER = "allod-volumes"
"""Below the node's /var/lib."""
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


def volume(claim: Object, storage_class: Object) -> Object:
    """The PersistentVolume for a claim whose node is known."""
    meta, spec = claim["metadata"], claim["spec"]
    name, node = f"pvc-{meta['uid']}", meta["annotations"][SELECTED_NODE]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": storage_class["reclaimPolicy"],
            "storageClassName": storage_class["metadata"]["name"],
            "local": {"path": f"/var/lib/{FOLDER}/{name}"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
                }
            },
        },
    }


class Provisioner:
    """Makes and removes folders and PersistentVolumes, which both bear the claim's uid: doing it twice does no harm."""

    def __init__(self, api: Api, state: Path) -> None:
        self.api = api
        self.state = state

    def provision(self, claim: Object, storage_class: Object) -> None:
        """Also after a crash between the two steps: both may have been done before."""
        made = volume(claim, storage_class)
        folder = self._folder(claim["metadata"]["annotations"][SELECTED_NODE], made["metadata"]["name"])
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # the Pod's user is not known; fsGroup is the kubelet's matter
        try:
            self.api.send("POST", VOLUMES, made)
        except Refused as refused:
            if refused.status != HTTPStatus.CONFLICT:
                raise

    def remove(self, released: Object) -> None:
        """The files first: while the object is there, this is tried again."""
        terms = released["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        node, name = terms[0]["matchExpressions"][0]["values"][0], released["metadata"]["name"]
        shutil.rmtree(self._folder(node, name), ignore_errors=True)
        try:
            self.api.send("DELETE", f"{VOLUMES}/{name}")
        except Refused as refused:
            if refused.status != HTTPStatus.NOT_FOUND:
                raise

    def _folder(self, node: str, name: str) -> Path:
        return self.state / node / "lib" / FOLDER / name


def install(api: Api) -> None:
    """The StorageClass; a box that came up again has it."""
    if not any(found["metadata"]["name"] == CLASS["metadata"]["name"] for found in api.items(CLASSES)):
        api.send("POST", CLASSES, CLASS)


def main(server: str, pki: str, state: str) -> None:
    api = Api(server, Path(pki))
    provisioner = Provisioner(api, Path(state))
    mirror = Mirror(api, claims="/api/v1/persistentvolumeclaims", volumes=VOLUMES, classes=CLASSES)
    for seen in mirror.changes(at_least_every=5):  # what failed is tried again then
        ours = {found["metadata"]["name"]: found for found in seen["classes"] if found["provisioner"] == PROVISIONER}
        try:
            for claim in seen["claims"]:
                waiting = not claim["spec"].get("volumeName") and SELECTED_NODE in claim["metadata"].get("annotations", {})
                if waiting and claim["spec"].get("storageClassName") in ours:
                    provisioner.provision(claim, ours[claim["spec"]["storageClassName"]])
            for found in seen["volumes"]:
                mine = found["metadata"].get("annotations", {}).get(PROVISIONED_BY) == PROVISIONER
                deletes = found["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
                if mine and deletes and found["status"].get("phase") == "Released" and "deletionTimestamp" not in found["metadata"]:
                    provisioner.remove(found)
        except (OSError, Refused) as error:
            print(error, file=sys.stderr, flush=True)
