from __future__ import annotations

from typing import TYPE_CHECKING

from box import Box, archive, gobuild, registry, waiting
from cluster.space import Space, claim, pod

if TYPE_CHECKING:
    from pathlib import Path

MOUNT = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}


def test_a_claim_gets_a_folder_on_its_pods_node_and_loses_it_when_it_is_deleted(space: Space, box: Box) -> None:
    volume = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    space.apply(claim("data"))
    writer = pod("writer", "echo kept > /data/file && exec sleep 1000", container=MOUNT, volumes=volume)
    writer["spec"] |= {"nodeSelector": {"kubernetes.io/hostname": "node2"}, "securityContext": {"runAsUser": 10001, "runAsNonRoot": True}}
    space.run(writer)
    name = space.get("pvc", "data")["spec"]["volumeName"]
    folder = box.node("node2").folder / "lib/allod-volumes" / name
    waiting.until("the file is on node2", (folder / "file").is_file, seconds=10)

    space.kubectl("delete", "pod", "writer")
    space.run(pod("reader", container=MOUNT, volumes=volume))
    assert space.get("pod", "reader")["spec"]["nodeName"] == "node2"
    assert space.inside("reader", "cat /data/file") == "kept\n"

    space.kubectl("delete", "pod/reader", "pvc/data")
    waiting.until("the folder is removed", lambda: not folder.exists(), seconds=10)
    space.wait("delete", f"pv/{name}")


def test_an_image_is_mounted_as_a_volume(space: Space, box: Box, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "model.txt").write_text("weights\n")
    box.load([archive.write(tmp_path / "model.tar", "allod.test/model/trial:1", [tmp_path / "root"])])
    volume = {"name": "data", "image": {"reference": "allod.test/model/trial:1", "pullPolicy": "IfNotPresent"}}
    space.run(pod("reader", container=MOUNT, volumes=[volume]))
    assert space.inside("reader", "cat /data/model.txt") == "weights\n"
    assert "Read-only file system" in space.inside("reader", "touch /data/new 2>&1 || true")


def test_an_image_is_pulled_from_the_registry_and_a_missing_one_is_not(space: Space, box: Box, tmp_path: Path) -> None:
    unlike_others = archive.write(
        tmp_path / "image.tar", "allod.test/trial:1", [gobuild.built().pause], entrypoint=["/pause"], env={"MADE": str(tmp_path)}
    )
    name = registry.push(box, unlike_others, "demo/trial:1")
    pulled = {"name": "main", "image": name, "imagePullPolicy": "Always", "command": ["/pause"]}
    space.apply(pod("missing", container={**pulled, "image": f"{name}.2"}))
    space.run(pod("pulled", container=pulled))
    assert space.get("pod", "pulled")["status"]["containerStatuses"][0]["image"] == name

    def refused() -> bool:
        statuses = space.get("pod", "missing")["status"].get("containerStatuses", ())
        return any("not found" in status["state"].get("waiting", {}).get("message", "") for status in statuses)

    waiting.until("the pull of the missing image has failed", refused, seconds=15)
