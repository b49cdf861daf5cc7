"""The keeper of adapters in real vLLM 0.32: what it loads, exchanges and unloads, and what it refuses that vLLM would have taken."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from allod.adapters.engine import reading
from box import waiting
from support.lora import SMOLLM2_360M, Base, lora
from support.vllm import KEEPER, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTION = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0, "max_tokens": 12}
NARROWER = Base("corp/narrower", 512, 9, 3, 30)
DEEPER = Base("corp/deeper", 576, 9, 3, 40)
FLAGS = ("--enable-lora", "--max-lora-rank", "16", "--max-loras", "4", "--max-cpu-loras", "32", "--max-num-seqs", "8")


class Pod:
    """A server and the volume with its adapters and its list."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder

    def wants(self, **adapters: str) -> None:
        wants(self.folder, **adapters)

    def said(self) -> dict[str, Any]:
        said: dict[str, Any] = self.server.ask("/allod/ready").json["adapters"]
        return said

    def until(self, **versions: str) -> dict[str, Any]:
        """Each of these was tried, and nothing else is kept."""
        waiting.until("the list is followed", lambda: {name: one["version"] for name, one in self.said().items()} == versions, seconds=60)
        return self.said()

    def ask(self, name: str, tokens: int = 12) -> str:
        answer = self.server.ask("/v1/chat/completions", {**QUESTION, "model": name, "max_tokens": tokens})
        return str(answer.json["choices"][0]["message"]["content"]) if answer.status == 200 else str(answer.status)


def wants(folder: Path, **adapters: str) -> None:
    listed = [{"name": name, "version": at, "path": f"/adapters/{at}", "rank": 16} for name, at in adapters.items()]
    (folder / "next").write_text(json.dumps({"adapters": listed}))
    (folder / "next").chmod(0o644)
    (folder / "next").replace(folder / "adapters.json")


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """It wants `one` from its start."""
    folder = tmp_path_factory.mktemp("adapters")
    folder.chmod(0o755)
    for number, name in enumerate(("one", "two", "three"), 1):
        lora(folder / name, seed=number)
    lora(folder / "wide", rank=64)
    for base in (SMOLLM2_360M, NARROWER, DEEPER):
        lora(folder / base.name.rpartition("/")[2], base=base)
    wants(folder, one="one")
    environment = {"ALLOD_ADAPTERS": "/adapters/adapters.json", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
    with serving(*FLAGS, middleware="allod_adapters.Watchdog", beside=[KEEPER], binds={folder: "/adapters"}, **environment) as server:
        yield Pod(server, folder)


def test_a_pod_that_is_ready_answers_with_its_adapter_and_without(pod: Pod) -> None:
    assert pod.said() == {"one": {"version": "one", "refused": ""}}
    base, one = pod.ask("smol"), pod.ask("one")
    assert base == "The capital of France is Paris."
    assert one not in (base, "404")
    listed = {each["id"]: each["parent"] for each in pod.server.ask("/v1/models").json["data"]}
    assert listed == {"smol": None, "one": "smol"}


def test_a_second_one_comes_a_version_changes_and_one_goes(pod: Pod) -> None:
    base, one = pod.ask("smol"), pod.ask("one")
    assert pod.ask("two") == "404"
    began = time.monotonic()
    pod.wants(one="one", two="two")
    waiting.until("two answers", lambda: pod.ask("two", 1) != "404", seconds=30)
    print(f"from the list to the first token of an adapter: {time.monotonic() - began:.2f} s")  # noqa: T201  # the figure in docs/adapters.md
    two = pod.ask("two")
    assert len({base, one, two}) == 3
    pod.wants(one="three", two="two")
    pod.until(one="three", two="two")
    assert pod.ask("one") not in (base, one, two, "404")
    pod.wants(two="two")
    pod.until(two="two")
    assert (pod.ask("one"), pod.ask("two"), pod.ask("smol")) == ("404", two, base)


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("wide", "rank 64 > 16: its adapter_config.json says 64, so set adapters[].rank to 64"),
        ("SmolLM2-360M-Instruct", "model.layers.0.self_attn.q_proj has 576 inputs here and 960 in the adapter"),
        (
            "narrower",
            "another model (corp/narrower): model.layers.0.self_attn.q_proj has 576 inputs here and 512 in the adapter",
        ),
        (
            "deeper",
            "another model (corp/deeper): it changes model.layers.30.self_attn.q_proj, which this one does not have",
        ),
        ("nowhere", "there is no adapter_config.json in /adapters/nowhere: correct adapters[].uri, or put it there"),
    ],
)
def test_what_does_not_fit_is_refused_and_harms_nobody(pod: Pod, folder: str, says: str) -> None:
    pod.wants(two="two", bad=folder)
    said = pod.until(two="two", bad=folder)
    assert said["bad"]["refused"].endswith(says)
    assert pod.ask("bad") == "404"
    assert pod.ask("smol") == "The capital of France is Paris."
    assert pod.server.ask("/allod/ready").status == 200


def test_no_route_that_loads_is_open_to_clients(pod: Pod) -> None:
    for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters", "/adapters/two"):
        assert pod.server.ask(path, {"lora_name": "two", "lora_path": "/adapters/two", "name": "two", "src": "/adapters/two"}).status == 403
    assert pod.ask("../adapters/three", 1) == "404"
    assert pod.ask("two", 1) != "404"


def test_what_the_keeper_asks_counts_for_no_client(pod: Pod) -> None:
    def requests() -> float:
        numbers = reading(pod.server.ask("/metrics").body, ()).counts.numbers
        return numbers["answered"] - numbers["own_answered"]

    before = requests()
    pod.wants(two="two", three="three")
    pod.until(two="two", three="three")
    pod.wants(two="two")
    pod.until(two="two")
    assert requests() == before
