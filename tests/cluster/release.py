"""The operator as a person installs it: its image, its chart, in the cluster with real nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from box import Box, containers, waiting
from box.image import llamacpp, model, operatorimage
from box.progress import Progress
from cluster.space import Space
from demo.example import MARK
from support.helm import Helm

if TYPE_CHECKING:
    import signal
    from pathlib import Path

NAMESPACE = "allod-system"
VALUES = (
    'image.repository="allod.test/operator"',
    'image.tag="dev"',
    'engines.llamaCpp.image="allod.test/llama.cpp:dev"',
    'engines.vllmCpu.image="allod.test/vllm-cpu:dev"',
)
NOT_THE_DEMOS = f"--labels={MARK}=null"
"""Where `make demo` left its release in a box that is up."""
IMAGES = (operatorimage.IMAGE, llamacpp.IMAGE, model.GGUF_IMAGE)


def built() -> str:
    """Changes with the image behind its name, so that an upgrade in a box that was up really exchanges the operator."""
    return f'podAnnotations={{"allod.test/image":"{operatorimage.IMAGE.digest()[:12]}"}}'


@dataclass(frozen=True)
class Release:
    """An installed chart."""

    box: Box
    helm: Helm

    @classmethod
    def install(cls, box: Box, home: Path) -> Release:
        """Builds what is not built, loads the images and waits until both replicas are ready."""
        for image in IMAGES:
            image.build(Progress())
        box.load([image.path for image in IMAGES])
        made = cls(box, Helm(home, kubeconfig=box.kubeconfig))
        made.helm.run(
            *("upgrade", "--install", "allod", "charts/allod", "--namespace", NAMESPACE, "--create-namespace", "--wait", NOT_THE_DEMOS),
            *(word for value in (*VALUES, built()) for word in ("--set-json", value)),
        )
        return made

    def pods(self) -> list[dict[str, Any]]:
        """The operator's pods, those that leave included."""
        return Space(self.box, NAMESPACE).listed("pod", labels="app.kubernetes.io/name=allod")

    def leader(self) -> str:
        """The name of the pod that holds the lease."""
        holder = Space(self.box, NAMESPACE).get("lease", "allod")["spec"].get("holderIdentity") or ""
        return next((pod["metadata"]["name"] for pod in self.pods() if holder.startswith(pod["metadata"]["name"])), "")

    def signal(self, pod: str, how: signal.Signals) -> None:
        """To the operator's process in that pod."""
        containers.send(self.box.processes(f"{NAMESPACE}/{pod}"), how)

    def restarts(self) -> int:
        """Of all operator containers: a crash shows here."""
        return sum(status["restartCount"] for pod in self.pods() for status in pod["status"].get("containerStatuses", ()))

    def wait_ready(self, seconds: int = 60) -> None:
        """Until every replica says that it is ready."""

        def ready() -> bool:
            found = self.pods()
            return len(found) >= 2 and all(
                status["ready"] for pod in found for status in pod["status"].get("containerStatuses", [{"ready": False}])
            )

        waiting.until("both replicas of the operator are ready", ready, seconds=seconds)
