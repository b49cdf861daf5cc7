"""A real Kubernetes cluster on one machine, for tests and demonstrations. README.md beside this file says how it works."""

from box.controlplane import ControlPlane, control_plane
from box.errors import BoxError

__all__ = ["BoxError", "ControlPlane", "control_plane"]
