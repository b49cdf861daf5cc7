"""Where the demo happens: the cluster in a box, or the one that kubectl already talks to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field

from box import Box, gobuild
from box.image import operatorimage
from demo.example import ROOT

REFERENCE = re.compile(r"(?P<repository>[^@]+?)(:(?P<tag>[\w][\w.-]*))?(@(?P<digest>sha256:[0-9a-f]{64}))?")
MODEL_URI = "oci://allod.test/model/smollm2:gguf/model.gguf"


class Unusable(Exception):  # noqa: N818 - a sentence for the person, not a class of bug
    """This place cannot run the demo; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Place:
    """How to reach a cluster, and what the chart must be told there."""

    name: str
    """In words, for the person."""
    kubectl: tuple[str, ...]
    helm: tuple[str, ...]
    environment: dict[str, str]
    values: dict[str, str] = field(default_factory=dict)
    model_uri: str = MODEL_URI
    is_box: bool = False
    """Its nodes are on this machine, and so are their processes."""

    @property
    def client_image(self) -> str:
        """An image with Python that its nodes have: the operator's."""
        tag, digest = (self.values.get(f"image.{part}", "") for part in ("tag", "digest"))
        return self.values["image.repository"] + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")

    def run(self, *command: str, stdin: str | None = None) -> str:
        """What the command printed. Raises Unusable with its own words when it fails."""
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=self.environment, cwd=ROOT, check=False)
        if done.returncode:
            raise Unusable(f"{' '.join(command)}\n{(done.stderr or done.stdout).strip()}")
        return done.stdout

    def kube(self, *arguments: str, stdin: str | None = None) -> str:
        """Of kubectl, in the namespace of its context."""
        return self.run(*self.kubectl, *arguments, stdin=stdin)

    def wait(self, model: str, condition: str, seconds: int) -> None:
        """Until the model says so. Raises Unusable with its own sentences when it does not."""
        try:
            self.kube("wait", f"--for=condition={condition}", f"mdl/{model}", f"--timeout={seconds}s")
        except Unusable:
            raise Unusable(self.stuck(f"{model} is not {condition} after {seconds} s", model)) from None

    def stuck(self, what: str, model: str) -> str:
        """What went wrong, with what the model says of itself and where to read on."""
        shown = json.loads(self.kube("get", "mdl", model, "-o", "json")).get("status", {}).get("conditions", [])
        # Degraded is the one whose True is bad.
        bad = [each for each in shown if each["status"] == ("True" if each["type"] == "Degraded" else "False")]
        said = [f"  {each['type']}={each['status']}: {each['message']}" for each in bad]
        return "\n".join([f"{what}.", *said, f"More: kubectl events --for mdl/{model}"])


def box() -> Place:
    """The cluster in a box. Call it when the box is up."""
    programs = gobuild.built()
    return Place(
        name="a cluster in a box",
        kubectl=(str(programs.kubectl),),
        helm=(str(programs.helm),),
        environment={**os.environ, "KUBECONFIG": str(Box().kubeconfig), "KUBECACHEDIR": str(Box().state / "kubectl")},
        values={
            "image.repository": "allod.test/operator",
            "image.tag": "dev",
            "engines.llamaCpp.image": "allod.test/llama.cpp:dev",
            "engines.vllmCpu.image": "allod.test/vllm-cpu:dev",
            # The name stays when the code changes: this exchanges the operator in a box that was up.
            r"podAnnotations.allod\.test/image": operatorimage.IMAGE.digest()[:12],
        },
        is_box=True,
    )


def current() -> Place:
    """The cluster of the current context. Its nodes cannot see this machine's images, so a person must say where they are.

    Context and namespace are those of this moment: a person who turns to another cluster meanwhile does not take the demo along.
    """
    for program in ("kubectl", "helm"):
        if not shutil.which(program):
            raise Unusable(f"{program} is not on PATH; CLUSTER=current needs your own kubectl and helm")
    image, model = os.environ.get("OPERATOR_IMAGE"), os.environ.get("MODEL_URI")
    if not image or not model:
        raise Unusable(
            "CLUSTER=current needs images that your cluster can pull. Build and push the operator's, then name it and a GGUF model:\n"
            "  docker build -f images/operator/Dockerfile -t REGISTRY/allod:0.1.0 . && docker push REGISTRY/allod:0.1.0\n"
            "  make demo CLUSTER=current OPERATOR_IMAGE=REGISTRY/allod:0.1.0 MODEL_URI=pvc://CLAIM/model.gguf\n"
            "docs/volumes.md, section A GGUF file, says where such a file comes from and how it gets onto a volume.\n"
            "LLAMACPP_IMAGE=... replaces the chart's engine image."
        )
    values = chart_image(image)
    if engine := os.environ.get("LLAMACPP_IMAGE"):
        values["engines.llamaCpp.image"] = engine
    context, namespace = _context()
    where = f"context {context}, namespace {namespace}"
    kubectl = ("kubectl", "--context", context, "--namespace", namespace)
    return Place(where, kubectl, ("helm", "--kube-context", context), dict(os.environ), values, model)


def _context() -> tuple[str, str]:
    """Name and namespace of the current one. Raises Unusable with kubectl's own words where there is none."""
    bare = Place("", ("kubectl",), (), dict(os.environ))
    context = bare.kube("config", "current-context").strip()
    return context, bare.kube("config", "view", "--minify", "--output", "jsonpath={.contexts[0].context.namespace}").strip() or "default"


def chart_image(reference: str) -> dict[str, str]:
    """The chart's values for `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`. Raises Unusable where it names neither tag nor digest."""
    found = REFERENCE.fullmatch(reference)
    if not found or not (found["tag"] or found["digest"]):
        raise Unusable(f"OPERATOR_IMAGE={reference} names no tag and no digest: write REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:...")
    return {f"image.{part}": said for part, said in found.groupdict().items() if said}
