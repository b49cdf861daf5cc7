from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from allod.api.crds import KINDS, manifests
from support.crds import wait_served

if TYPE_CHECKING:
    from box.controlplane import ControlPlane

MODELS = "/apis/allod.dev/v1alpha1/namespaces/default/modeldeployments"


def install(plane: ControlPlane) -> None:
    """Our CRDs as they are now, served."""
    plane.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=yaml.safe_dump_all(manifests()))
    for kind in KINDS:
        wait_served(plane, "allod.dev/v1alpha1", kind.plural)
