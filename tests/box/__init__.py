"""A real Kubernetes cluster on one machine, for tests and demonstrations. README.md beside this file says how it works."""

from box.box import Box
from box.controlplane import ControlPlane, control_plane
from box.door import Door
from box.errors import BoxError
from box.node import Node

__all__ = ["Box", "BoxError", "ControlPlane", "Door", "Node", "control_plane"]
