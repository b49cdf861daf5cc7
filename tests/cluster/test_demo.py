"""`make demo` as it is typed: on a cluster of one's own, where it is careful, and in the box."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from box import gobuild, waiting
from box.image import llamacpp, operatorimage
from cluster.models import GGUF, Model, chat
from cluster.release import NAMESPACE, NOT_THE_DEMOS, VALUES, built

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.release import Release
    from cluster.space import Space

ROOT = Path(__file__).parents[2]
STREAMED = 5
"""Pieces in which an answer of 64 tokens comes at least, when it is not held back until it is whole."""
STORY = (
    r"operator +helm upgrade --install allod charts/allod\n.*2 replicas, allod-\S+ leads",
    r"model +kubectl apply -f docs/examples/chat\.yaml\n.*chat   revision [0-9a-f]{8}   1/1 ready",
    r'ask +"What is Kubernetes\?"\n +\S+(.|\n)*first word after \d+\.\d s, [1-9]\d* tokens a second',
    r"chat-small answers, \d+\.\d s later",
    r"chat answers again from a new pod: ",
    r"a bad revision is applied: engine\.extraArgs --flash-attention-3",
    r"revision [0-9a-f]{8} was given up: .*--flash-attention-3",
    # Its client gives up after 2 s, which a busy machine may take.
    r"traffic never left the good one: [1-9]\d* requests since the bad one came, [01] of them lost",
    r"the edit is taken back",
    r"from the failure on asked \d+ times: answered (\d+ by (smollm2-135m|chat-small)(, )?){2}; lost \d+ until the standby answered, ",
)
"""What a person reads, in this order."""


@dataclass(frozen=True)
class Person:
    """Somebody with a cluster, kubectl and helm, who checked this repository out."""

    environment: dict[str, str]

    def demo(self, cluster: str) -> tuple[int, list[str]]:
        """Exit code, and what was printed in the pieces in which it came."""
        command = [sys.executable, "-m", "demo", "--cluster", cluster]
        with subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
            printed = running.stdout.fileno() if running.stdout else -1
            came = list(iter(lambda: os.read(printed, 65536), b""))
        return running.returncode, [piece.decode(errors="replace") for piece in came]

    def refused(self) -> str:
        """What the demo says when it does not begin on their cluster."""
        code, came = self.demo("current")
        assert code == 1, "".join(came)
        return "".join(came)

    def types(self, line: str) -> str:
        """What a line of the shell printed; it must succeed."""
        ran = subprocess.run(["bash", "-c", line], env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, f"$ {line}\n{ran.stdout}{ran.stderr}"
        return ran.stdout


@pytest.fixture
def person(space: Space, tmp_path: Path) -> Person:
    """Their context stands in the test's namespace. Their cluster pulls images; ours has them, under these names."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(space.box.kubeconfig.read_text())
    private = {f"HELM_{kind}_HOME": str(tmp_path / kind) for kind in ("CACHE", "CONFIG", "DATA")}
    found = Person(
        {
            **os.environ,
            "PATH": f"{gobuild.built().folder}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
            "KUBECONFIG": str(kubeconfig),
            "OPERATOR_IMAGE": operatorimage.IMAGE_NAME,
            "LLAMACPP_IMAGE": llamacpp.IMAGE_NAME,
            "MODEL_URI": GGUF,
            **private,
        }
    )
    found.types(f"kubectl config set-context --current --namespace={space.name}")
    return found


@pytest.fixture(scope="module")
def installed(release: Release) -> Iterator[Release]:
    """The release of all tests of this folder; as it was again at the end of these, which need it only to begin with."""
    yield release
    release.helm.upgrade(*VALUES, built(), "--install", "--create-namespace", "--wait", NOT_THE_DEMOS)


def told(came: list[str]) -> None:
    """The whole story, in its order, and the answer as a stream."""
    printed, at = "".join(came), 0
    for step in STORY:
        found = re.compile(step).search(printed, at)
        assert found, f"no {step!r} behind character {at} of:\n{printed}"
        at = found.end()
    question, end = printed.index('"What is Kubernetes?"'), printed.index("first word after")
    starts = [sum(map(len, came[:number])) for number in range(len(came))]
    assert sum(question < start < end for start in starts) >= STREAMED, came


def test_a_cluster_of_ones_own_is_left_alone_where_it_must_be_and_left_clean_where_not(
    installed: Release, space: Space, person: Person
) -> None:
    helm, where = installed.helm, f"context box, namespace {space.name}; the operator goes to namespace {NAMESPACE}"
    before = helm.run("history", "allod", "--namespace", NAMESPACE)
    said = person.refused()
    assert where in said
    assert f"the Helm release allod in namespace {NAMESPACE} is Allod's and not of this demo" in said
    assert helm.run("history", "allod", "--namespace", NAMESPACE) == before
    helm.uninstall("--wait")

    mine = Model.apply(space, chat(suspend=True)).seen()
    assert f"ModelDeployment chat in namespace {space.name} is not of this demo" in person.refused()
    assert space.get("mdl", "chat")["metadata"]["resourceVersion"] == mine["metadata"]["resourceVersion"]
    assert "allod" not in helm.run("list", "--all-namespaces", "--short")
    space.kubectl("delete", "mdl", "chat")
    space.box.kubectl("delete", "namespace", NAMESPACE)

    code, came = person.demo("current")
    printed = "".join(came)
    assert code == 0, printed
    assert where in printed
    told(came)
    assert "pod of chat is deleted by force" in printed

    commands = re.findall(r"^  (\S.*)$", printed.partition("End it;")[2], re.MULTILINE)
    assert [command.split()[:2] for command in commands] == [["kubectl", "delete"], ["helm", "uninstall"], ["kubectl", "delete"]]
    for command in commands:
        person.types(command)
    waiting.until("nothing of it is left", lambda: not left(space), seconds=60)


def test_a_box_that_is_up_is_used_and_an_engine_really_hangs_in_it(installed: Release, person: Person) -> None:
    code, came = person.demo("box")
    printed = "".join(came)
    try:
        assert code == 0, printed
        assert "2 nodes Ready" in printed
        told(came)
        assert "its process is stopped, its port stays open" in printed
        assert f"export KUBECONFIG={installed.box.kubeconfig}" in printed
    finally:
        installed.box.kubectl("delete", "modeldeployments", "chat", "chat-small", "--ignore-not-found")


def left(space: Space) -> str:
    """What the demo made and nobody removed; the CRDs stay, as the page says."""
    kinds = "mdl,statefulsets,services,configmaps,controllerrevisions,networkpolicies,poddisruptionbudgets,pods,podmonitors,prometheusrules"
    own = space.kubectl("get", kinds, "--output=name").replace("configmap/kube-root-ca.crt", "").strip()
    everybodys = "namespaces,clusterroles,clusterrolebindings"
    return own + "".join(name for name in space.box.kubectl("get", everybodys, "--output=name").split() if "allod" in name)
