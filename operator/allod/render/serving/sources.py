"""Where the engine finds the model: the volume that brings it, and the path that the engine is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allod.api.modeldeployment import ModelDeploymentSpec

MODELS = "/models"
"""Where a mounted model stands in every container that reads it."""
VOLUME = "model"


@dataclass(frozen=True, slots=True)
class Source:
    """One model as a pod sees it."""

    location: str
    """What the engine is told: a path, or org/name for a download."""
    volume: dict[str, Any] | None
    """None: the engine downloads the model by itself."""

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """Read-only, always: an engine has no business in changing a model."""
        return [{"name": VOLUME, "mountPath": MODELS, "readOnly": True}] if self.volume else []

    @property
    def volumes(self) -> list[dict[str, Any]]:
        """For the pod."""
        return [{"name": VOLUME} | self.volume] if self.volume else []


def source(spec: ModelDeploymentSpec) -> Source:
    """Turn model.uri into a volume and a path."""
    uri, pull = spec.model.uri, spec.engine.image_pull_policy
    match uri.scheme:
        case "pvc":
            return Source(_inside(uri.path), {"persistentVolumeClaim": {"claimName": uri.claim, "readOnly": True}})
        case "oci":
            return Source(_inside(uri.path), {"image": {"reference": uri.image} | ({"pullPolicy": pull} if pull else {})})
        case "file":
            path = PurePosixPath(uri.path)
            folder, inside = (path.parent, path.name) if path.suffix == ".gguf" else (path, "")
            return Source(_inside(inside), {"hostPath": {"path": str(folder), "type": "Directory"}})
        case _:
            return Source(uri.repository, None)


def _inside(path: str) -> str:
    return f"{MODELS}/{path}" if path else MODELS
