"""Models of hf:// addresses: really downloaded by vLLM, from a mirror as docs/install.md describes one, and really refused by it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from allod.render.merge import merge
from box import gobuild, waiting
from cluster.mirror import HTTPS, OTHER, Mirror
from cluster.models import Model, client, smol
from cluster.space import Space, answers
from tutorial.page import File, steps
from tutorial.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from box import Box

SECTION = (Path(__file__).parents[2] / "docs/install.md").read_text().partition("\n## A mirror of Hugging Face\n")[2].partition("\n## ")[0]
STEPS = tuple(steps(SECTION))
FILES: dict[str, Any] = {step.name: yaml.safe_load(step.text) for step in STEPS if isinstance(step, File)}
PAGE, CACHED = FILES["mirror.yaml"], FILES["cached.yaml"]
REPOSITORY = PAGE["spec"]["model"]["uri"].removeprefix("hf://")
COMMIT = PAGE["spec"]["model"]["revision"]
START = 300
"""Seconds, as for any vLLM on two cores."""
REFUSED = 30
"""Seconds until a model that is not given is told of: the pod's start, and a question or two."""
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
            if isinstance(step, File):
                (folder / step.name).write_text(step.text)
            else:
                output, _ = shell.run(step.text, 30)
                assert step.missing(output) is None, output


def downloaded(mirror: Mirror, node: str, name: str, page: dict[str, Any] = PAGE, **changed: Any) -> dict[str, Any]:
    """The page's model under that name, with vLLM for CPUs in place of one for GPUs and this mirror in place of the page's."""
    spec, here = page["spec"], smol(node)["spec"]
    endpoint = {"value": f"https://{mirror.host}"}
    env = [variable | (endpoint if variable["name"] == "HF_ENDPOINT" else {}) for variable in spec["engine"]["env"]]
    engine = here["engine"] | {"env": [*env, *here["engine"]["env"]]}
    model = {name: value for name, value in (spec["model"] | changed).items() if value is not None}
    return page | {"metadata": {"name": name}, "spec": spec | here | {"engine": engine, "model": model}}


def cannot(mirror: Mirror) -> str:
    """How a sentence about a mirror begins that gives no answer of its own."""
    return f"the engine cannot download {REPOSITORY} from https://{mirror.host}"


def test_a_model_waits_for_the_right_token_and_is_then_downloaded_as_it_is_pinned(mirror: Mirror, vllm_node: str) -> None:
    give(mirror, "hf_of_yesterday")
    model = Model.apply(mirror.space, downloaded(mirror, vllm_node, "smollm2", merge(PAGE, CACHED)))
    message = model.wait("ModelAvailable", "False", "ModelAccessRefused", seconds=REFUSED)
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
    comes_back_without_its_hub(mirror, model)


def comes_back_without_its_hub(mirror: Mirror, model: Model) -> None:
    """Another pod of the same revision: the claim has the files."""
    (first,) = model.pods()
    name, uid = first["metadata"]["name"], first["metadata"]["uid"]
    with mirror.away():
        mirror.space.kubectl("delete", "pod", name)
        waiting.until("its pod is another", lambda: [pod["metadata"]["uid"] for pod in model.pods()] not in ([], [uid]), seconds=60)
        model.wait("Ready", "True", seconds=START)
        assert f"vLLM starts from the files of {REPOSITORY} that are there" in mirror.space.kubectl("logs", name, "-c", "engine")
    assert model.ask("What is the capital of France?").strip()
    assert mirror.downloads("model.safetensors") == 1


def test_a_repository_that_wants_a_token_is_not_shown_without_one(mirror: Mirror, vllm_node: str) -> None:
    model = Model.apply(mirror.space, downloaded(mirror, vllm_node, "no-token", secretRef=None))
    message = model.wait("ModelAvailable", "False", "ModelAccessRefused", seconds=REFUSED)
    wants = f"https://{mirror.host} wants a token for {REPOSITORY}, or has no such repository"
    assert message == f"{wants}: name a Secret with a token in model.secretRef, or correct model.uri"


def test_a_commit_that_the_mirror_does_not_have_is_named(mirror: Mirror, vllm_node: str) -> None:
    model = Model.apply(mirror.space, downloaded(mirror, vllm_node, "no-commit", revision=UNKNOWN))
    message = model.wait("ModelAvailable", "False", "ModelNotFound", seconds=REFUSED)
    assert message == f"{REPOSITORY} has no revision {UNKNOWN} on https://{mirror.host}: correct model.revision"
    assert (f"/api/models/{REPOSITORY}/revision/{UNKNOWN}", 404) in mirror.requests()


def test_a_mirror_whose_authority_the_engine_does_not_know_is_not_asked(mirror: Mirror, vllm_node: str) -> None:
    manifest = downloaded(mirror, vllm_node, "no-ca")
    engine = manifest["spec"]["engine"]
    engine["env"] = [variable for variable in engine["env"] if variable["name"] != "SSL_CERT_FILE"]
    model = Model.apply(mirror.space, manifest)
    message = model.wait("ModelAvailable", "False", "HubUnavailable", seconds=REFUSED)
    assert message.startswith(f"{cannot(mirror)}: the certificate of {mirror.host}:{HTTPS} is not trusted (")
    assert message.endswith("; put its authority into the file that SSL_CERT_FILE in engine.env names")


def test_packets_that_vanish_on_their_way_to_the_mirror_are_told_within_a_minute(mirror: Mirror, vllm_node: str) -> None:
    manifest = downloaded(mirror, vllm_node, "dropped")
    variable = next(each for each in manifest["spec"]["engine"]["env"] if each["name"] == "HF_ENDPOINT")
    variable["value"] = f"https://{mirror.host}:{OTHER}"
    model = Model.apply(mirror.space, manifest)
    message = model.wait("ModelAvailable", "False", "HubUnavailable", seconds=60)
    why = f"no connection to {mirror.host}:{OTHER} within 10 s; a NetworkPolicy or a firewall is between"
    assert message == f"{cannot(mirror)}:{OTHER}: {why}, and the model's own policy opens TCP 443 alone"


def reaches(model: Model, port: int) -> bool:
    """Whether the model's engine gets a connection to the mirror at that port."""
    asked = f"import socket; socket.create_connection(('hub', {port}), 3)"
    tried = f'python3 -c "{asked}" 2>/dev/null && echo yes || echo no'
    return model.space.kubectl("exec", model.pods()[0]["metadata"]["name"], "-c", "engine", "--", "sh", "-c", tried).strip() == "yes"
