"""Models of hf:// addresses: really downloaded by vLLM, from a mirror as docs/install.md describes one, and really refused by it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from box import gobuild, waiting
from cluster.mirror import HTTPS, OTHER, Mirror
from cluster.models import Model, client, smol
from cluster.space import Space, answers
from tutorial.page import Command, File, steps
from tutorial.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box import Box

SECTION = (Path(__file__).parents[2] / "docs/install.md").read_text().partition("\n## A mirror of Hugging Face\n")[2].partition("\n## ")[0]
STEPS = tuple(steps(SECTION))
PAGE: dict[str, Any] = next(yaml.safe_load(step.text) for step in STEPS if isinstance(step, File))
REPOSITORY = PAGE["spec"]["model"]["uri"].removeprefix("hf://")
COMMIT = PAGE["spec"]["model"]["revision"]
START = 300
"""Seconds, as for any vLLM on two cores; an end for want of the model comes after 10 to 35."""
UNKNOWN = "0" * 40


@pytest.fixture(scope="module")
def _mirror(box: Box, _busybox: None, vllm_node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """The mirror, and what the page makes beside a model."""
    folder = tmp_path_factory.mktemp("mirror")
    made = Mirror.make(Space.make(box, "mirror"), vllm_node, folder, REPOSITORY, COMMIT)
    (folder / "token").write_text(f"{made.token}\n")
    follow_the_page(made.space, folder)
    yield made
    made.space.delete()


@pytest.fixture
def mirror(_mirror: Mirror) -> Iterator[Mirror]:
    """With the right token; after the test its models are gone, and the memory that they reserve."""
    give(_mirror, _mirror.token)
    yield _mirror
    _mirror.space.kubectl("delete", "mdl", "--all")
    left = ("get", "pods", "--selector=allod.dev/model", "--output=name")
    waiting.until("their pods are gone", lambda: not _mirror.space.kubectl(*left), seconds=90)


def give(mirror: Mirror, token: str) -> None:
    """Another token into the page's Secret."""
    mirror.space.kubectl("patch", "secret", "hub", "--patch", json.dumps({"stringData": {"token": token}}))


def follow_the_page(space: Space, folder: Path) -> None:
    """Runs the commands of the page as its reader would."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(space.box.kubeconfig.read_text())
    environment = {**os.environ, "PATH": f"{gobuild.built().folder}:{os.environ['PATH']}", "KUBECONFIG": str(kubeconfig)}
    with Shell(folder, environment) as shell:
        assert shell.run(f"kubectl config set-context --current --namespace={space.name}", 10)[1] == 0
        for step in STEPS:
            if isinstance(step, Command):
                output, _ = shell.run(step.text, 30)
                assert step.missing(output) is None, output


def downloaded(mirror: Mirror, node: str, name: str, **changed: Any) -> dict[str, Any]:
    """The page's model under that name, with vLLM for CPUs in place of one for GPUs and this mirror in place of the page's."""
    page, here = PAGE["spec"], smol(node)["spec"]
    endpoint = {"value": f"https://{mirror.host}"}
    env = [variable | (endpoint if variable["name"] == "HF_ENDPOINT" else {}) for variable in page["engine"]["env"]]
    engine = here["engine"] | {"env": [*env, *here["engine"]["env"]]}
    model = {name: value for name, value in (page["model"] | changed).items() if value is not None}
    return PAGE | {"metadata": {"name": name}, "spec": page | here | {"engine": engine, "model": model}}


def test_a_model_waits_for_the_right_token_and_is_then_downloaded_as_it_is_pinned(mirror: Mirror, vllm_node: str) -> None:
    give(mirror, "hf_of_yesterday")
    model = Model.apply(mirror.space, downloaded(mirror, vllm_node, "smollm2"))
    message = model.wait("ModelAvailable", "False", "ModelAccessRefused", seconds=120)
    assert message == f"https://{mirror.host} does not accept the token in Secret hub: put a valid one into it"
    assert model.condition("Ready")["reason"] == "ModelAccessRefused"

    give(mirror, mirror.token)
    model.wait("Ready", "True", seconds=START)
    assert model.ask("What is the capital of France?").strip()
    model.wait("ModelAvailable", "True", "Loaded")
    model.wait("Degraded", "False")

    assert reaches(model, HTTPS)
    assert not reaches(model, OTHER), "the model's own policy opens no other port"
    assert answers(mirror.space, client(mirror.space), f"https://{mirror.host}:{OTHER}/"), "at which others are answered"

    paths = [path for path, status in mirror.requests() if status in (200, 206)]
    assert f"/{REPOSITORY}/resolve/{COMMIT}/model.safetensors" in paths
    assert f"/{REPOSITORY}/resolve/{COMMIT}/tokenizer.json" in paths
    assert [path for path in paths if REPOSITORY in path and f"/{COMMIT}" not in path] == [], "nothing was asked of a branch"


def test_a_repository_that_wants_a_token_is_not_shown_without_one(mirror: Mirror, vllm_node: str) -> None:
    model = Model.apply(mirror.space, downloaded(mirror, vllm_node, "no-token", secretRef=None))
    message = model.wait("ModelAvailable", "False", "ModelNotFound", seconds=120)
    assert f"https://{mirror.host} has no repository {REPOSITORY}, or does not show it to who has no token" in message
    assert "name a Secret with a token in model.secretRef" in message


def test_a_commit_that_the_mirror_does_not_have_is_named(mirror: Mirror, vllm_node: str) -> None:
    model = Model.apply(mirror.space, downloaded(mirror, vllm_node, "no-commit", revision=UNKNOWN))
    message = model.wait("ModelAvailable", "False", "ModelNotFound", seconds=120)
    assert message == f"{REPOSITORY} has no revision {UNKNOWN} on https://{mirror.host}: correct model.revision"
    assert (f"/{REPOSITORY}/resolve/{UNKNOWN}/config.json", 404) in mirror.requests()


def test_a_mirror_whose_authority_the_engine_does_not_know_is_not_asked(mirror: Mirror, vllm_node: str) -> None:
    manifest = downloaded(mirror, vllm_node, "no-ca")
    engine = manifest["spec"]["engine"]
    engine["env"] = [variable for variable in engine["env"] if variable["name"] != "SSL_CERT_FILE"]
    model = Model.apply(mirror.space, manifest)
    message = model.wait("ModelAvailable", "False", "HubUnavailable", seconds=180)
    assert f"the engine cannot download from https://{mirror.host}: " in message
    command = re.search(r"kubectl (logs .+ --previous)", message)
    assert command, message
    waiting.until("the engine is started again", lambda: restarts(model) > 0, seconds=60)
    assert "CERTIFICATE_VERIFY_FAILED" in mirror.space.kubectl(*command[1].split()), "as docs/troubleshooting.md says"


def restarts(model: Model) -> int:
    """Of its engine."""
    return sum(status["restartCount"] for pod in model.pods() for status in pod["status"].get("containerStatuses", ()))


def reaches(model: Model, port: int) -> bool:
    """Whether the model's engine gets a connection to the mirror at that port."""
    asked = f"import socket; socket.create_connection(('hub', {port}), 3)"
    tried = f'python3 -c "{asked}" 2>/dev/null && echo yes || echo no'
    return model.space.kubectl("exec", model.pods()[0]["metadata"]["name"], "-c", "engine", "--", "sh", "-c", tried).strip() == "yes"
