"""The keeper of adapters around a vLLM that answers as 0.32 does; the real one is in tests/vllm. Files are real, and so is the time."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

import allod_adapters
from allod.api.adapter import Adapter
from allod.domain.serving.adapters.adapters import Room, text
from allod.domain.serving.adapters.adapters import orders as ordered
from allod_adapters import Order, RefusedError, base_shapes, check, header, hub_cache, orders
from support.lora import SMOLLM2, SMOLLM2_360M, Base, checkpoint, lora
from unit.engine.fake import Client, Engine, serving, whole_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from allod_exchange import Message, Receive, Send

CHAT = "/v1/chat/completions"
DORA = "vLLM does not yet support DoRA."
SMALL = Base("corp/small", 64, 4, 2, 2, head=16)
WIDER = Base("corp/wider", 128, 4, 2, 2, head=32)
NARROWER = Base("corp/narrower", 32, 2, 2, 2, head=16)
DEEPER = Base("corp/deeper", 64, 4, 2, 3, head=16)
OTHER_HEADS = Base("corp/heads", 64, 4, 4, 2, head=16)


class Vllm(Engine):
    """With the routes that load: what it is asked, and in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: dict[str, str] = {}
        self.asked: list[str] = []
        self.refuses = ""
        self.breaks: set[str] = set()
        """Folders for which it answers 500 of its own fault."""
        self.held = asyncio.Event()
        self.held.set()
        self.handlers |= {"/v1/load_lora_adapter": Vllm.load, "/v1/unload_lora_adapter": Vllm.unload}  # type: ignore[dict-item]  # of ours

    async def load(self, _scope: Message, receive: Receive, send: Send) -> None:
        body = json.loads(await whole_body(receive))
        self.asked.append(f"load {body['lora_name']} {body['lora_path'].rpartition('/')[2]}")
        await self.held.wait()
        if {folder for folder in self.breaks if body["lora_path"].endswith(folder)}:
            await reply(send, 500, {"error": {"message": "CUDA error: unspecified launch failure"}})
            return
        fails = self.refuses and body["lora_path"].endswith(self.refuses)
        if not fails:
            self.loaded[body["lora_name"]] = body["lora_path"]
        words = (
            "Call to add_lora method failed: Worker failed with error 'vLLM does not yet support DoRA.', please check the stack trace above"
        )
        await reply(send, 500 if fails else 200, {"error": {"message": words}} if fails else {})

    async def unload(self, _scope: Message, receive: Receive, send: Send) -> None:
        body = json.loads(await whole_body(receive))
        self.asked.append(f"unload {body['lora_name']}")
        await reply(send, 200 if self.loaded.pop(body["lora_name"], "") else 404, {})


async def reply(send: Send, status: int, body: dict[str, Any]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


class Pod:
    """A volume with adapters, the list, and a server that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "adapters.json"
        self.vllm = Vllm()
        self.client: Client
        checkpoint(folder / "model", SMALL)

    def wants(self, **adapters: str | tuple[str, int]) -> None:
        """By name: a folder of the volume, and the rank that it may have. Kubelet exchanges the file as a whole."""
        listed = [(name, *(where if isinstance(where, tuple) else (where, 16))) for name, where in adapters.items()]
        document = [{"name": name, "version": f"{at}-{rank}", "path": str(self.folder / at), "rank": rank} for name, at, rank in listed]
        (self.folder / "next").write_text(json.dumps({"adapters": document}))
        (self.folder / "next").replace(self.file)

    async def said(self) -> dict[str, Any]:
        said: dict[str, Any] = (await self.client.ready()).json["adapters"]
        return said

    async def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while not true(said := await self.said()):  # noqa: ASYNC110  # a client can only ask again
                await asyncio.sleep(0.02)
        return said

    async def until_known(self, *names: str) -> dict[str, Any]:
        """Each was tried."""
        return await self.until(lambda said: sorted(said) == sorted(names))


@pytest.fixture
async def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pod]:
    """It wants `one`."""
    monkeypatch.setenv("ALLOD_ADAPTERS", str(tmp_path / "adapters.json"))
    monkeypatch.setattr(allod_adapters, "LOOK", 0.01)
    monkeypatch.setattr(allod_adapters, "AGAIN", 0.1)
    monkeypatch.setattr(allod_adapters.Watchdog, "open_base", lambda keeper: base_of(keeper, tmp_path / "model"))
    made = Pod(tmp_path)
    for number, name in enumerate(("one", "two", "three")):
        lora(tmp_path / name, base=SMALL, seed=number)
    made.wants(one="one")
    async with serving(made.vllm, allod_adapters.Watchdog) as made.client:
        yield made


def base_of(keeper: allod_adapters.Watchdog, folder: Path) -> None:
    """The application of this test has no vllm_config that would name its model."""
    keeper.adapters.base = base_shapes(str(folder), folder)


async def test_a_pod_is_ready_only_when_its_adapters_were_tried(pod: Pod) -> None:
    pod.vllm.held.clear()
    await asyncio.sleep(0.3)
    assert await pod.client.fault() in (
        "starting: the engine has not made its first step",
        "starting: its adapters are not loaded yet",
    )
    pod.vllm.held.set()
    await pod.client.until_ready()
    assert await pod.said() == {"one": {"version": "one-16", "refused": ""}}


async def test_adapters_come_change_and_go_as_the_list_says(pod: Pod) -> None:
    await pod.client.until_ready()
    pod.wants(one="one", two="two")
    await pod.until_known("one", "two")
    pod.wants(one="three", two="two")
    await pod.until(lambda said: bool(said["one"]["version"] == "three-16"))
    pod.wants(two="two")
    await pod.until_known("two")
    assert pod.vllm.asked == ["load one one", "load two two", "unload one", "load one three", "unload one"]
    assert pod.vllm.loaded == {"two": str(pod.folder / "two")}


async def test_a_list_that_says_the_same_asks_nothing_of_vllm(pod: Pod) -> None:
    await pod.client.until_ready()
    pod.vllm.asked.clear()
    pod.wants(one="one")
    await asyncio.sleep(0.2)
    assert pod.vllm.asked == []


async def test_a_list_that_cannot_be_read_changes_nothing(pod: Pod) -> None:
    await pod.client.until_ready()
    for broken in ("", "{}", "[]", '{"adapters": [{}]}', '{"adapters": 1}'):
        pod.file.write_text(broken)
        await asyncio.sleep(0.05)
    pod.file.unlink()
    await asyncio.sleep(0.05)
    assert await pod.said() == {"one": {"version": "one-16", "refused": ""}}
    assert pod.vllm.loaded == {"one": str(pod.folder / "one")}


async def test_requests_wait_while_an_adapter_is_exchanged_and_at_no_other_time(pod: Pod) -> None:
    await pod.client.until_ready()
    pod.vllm.held.clear()
    pod.wants(one="one", two="two")
    await asyncio.sleep(0.2)
    assert (await pod.client.ask(CHAT, method="POST")).status == 200, "a new one holds up nobody"
    pod.vllm.held.set()
    await pod.until_known("one", "two")
    pod.vllm.held.clear()
    pod.wants(one="three", two="two")
    await asyncio.sleep(0.2)
    asking = asyncio.create_task(pod.client.ask(CHAT, method="POST"))
    await asyncio.sleep(0.1)
    assert not asking.done()
    pod.vllm.held.set()
    assert (await asking).status == 200


async def test_a_version_that_does_not_fit_leaves_the_one_before_it(pod: Pod) -> None:
    await pod.client.until_ready()
    lora(pod.folder / "wide", base=SMALL, rank=32)
    pod.wants(one="wide")
    said = await pod.until(lambda said: bool(said["one"]["version"] == "wide-16"))
    assert said["one"]["refused"].startswith(
        "rank 32 > 16: its adapter_config.json says 32, so set adapters[].rank to 32; the version before"
    )
    assert pod.vllm.loaded == {"one": str(pod.folder / "one")}
    pod.wants()
    await pod.until_known()
    assert pod.vllm.loaded == {}


async def test_a_version_that_vllm_refuses_gives_way_to_the_one_before_it(pod: Pod) -> None:
    await pod.client.until_ready()
    pod.vllm.refuses = "two"
    pod.wants(one="two")
    said = await pod.until(lambda said: bool(said["one"]["refused"]))
    assert said["one"]["refused"] == ("vLLM does not load it: vLLM does not yet support DoRA.; the version before it goes on answering")
    assert pod.vllm.loaded == {"one": str(pod.folder / "one")}


async def test_a_strange_file_harms_only_its_own_adapter(pod: Pod) -> None:
    await pod.client.until_ready()
    (pod.folder / "odd").mkdir()
    (pod.folder / "odd/adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}')
    odd = b'{"base_model.model.x.lora_A.weight": {"data_offsets": [0, 0]}}'
    (pod.folder / "odd/adapter_model.safetensors").write_bytes(len(odd).to_bytes(8, "little") + odd)
    pod.wants(odd="odd", two="two")
    said = await pod.until_known("odd", "two")
    assert said["odd"]["refused"] == f"{pod.folder}/odd cannot be read as a LoRA adapter of PEFT: KeyError('shape')"
    assert said["two"]["refused"] == ""


async def test_an_adapter_that_is_being_loaded_is_not_told_as_loaded(pod: Pod) -> None:
    await pod.client.until_ready()
    pod.vllm.held.clear()
    pod.wants(one="three", two="two")
    await asyncio.sleep(0.3)
    assert await pod.said() == {"one": {"version": "one-16", "refused": ""}}
    pod.vllm.held.set()
    await pod.until_known("one", "two")


async def test_a_vllm_that_never_answers_is_a_refusal_and_no_end_of_service(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    await pod.client.until_ready()
    monkeypatch.setattr(allod_adapters, "PATIENCE", 0.2)
    pod.vllm.held.clear()
    pod.wants(one="one", two="two")
    said = await pod.until_known("one", "two")
    assert said["two"]["refused"] == "vLLM gave no answer within 0.2 s; it is tried again after 30 s"
    assert (await pod.client.ask(CHAT, method="POST")).status == 200
    pod.vllm.held.set()


async def test_what_broke_in_passing_is_tried_again_and_leaves_the_version_before_it(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allod_adapters, "PAUSE", 0.2)
    await pod.client.until_ready()
    pod.vllm.breaks = {"two"}
    pod.wants(one="two")
    said = await pod.until(lambda said: bool(said["one"]["refused"]))
    broke = (
        "vLLM does not load it: CUDA error: unspecified launch failure; the version before it goes on answering; it is tried again after"
    )
    assert said["one"]["refused"].startswith(broke)
    assert pod.vllm.loaded == {"one": str(pod.folder / "one")}
    pod.vllm.breaks = set()
    await pod.until(lambda said: not said["one"]["refused"])
    assert pod.vllm.loaded == {"one": str(pod.folder / "two")}


async def test_when_neither_version_can_be_loaded_that_is_said_and_the_new_one_comes_later(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allod_adapters, "PAUSE", 0.2)
    await pod.client.until_ready()
    pod.vllm.breaks = {"one", "two"}
    pod.wants(one="two")
    said = await pod.until(lambda said: bool(said["one"]["refused"]))
    assert "nor was the version before it loaded again: vLLM does not load it: CUDA error" in said["one"]["refused"]
    assert "goes on answering" not in said["one"]["refused"]
    pod.vllm.breaks = set()
    await pod.until(lambda said: not said["one"]["refused"])
    assert pod.vllm.loaded == {"one": str(pod.folder / "two")}


async def test_what_was_refused_is_tried_again_when_somebody_writes_to_it_and_not_before(pod: Pod) -> None:
    await pod.client.until_ready()
    pod.wants(one="one", late="late")
    said = await pod.until_known("one", "late")
    missing = f"there is no adapter_config.json in {pod.folder}/late: correct adapters[].uri, or put it there"
    assert said["late"]["refused"] == missing
    lora(pod.folder / "late", base=SMALL)
    await pod.until(lambda said: not said["late"]["refused"])
    pod.vllm.refuses = "bad"
    lora(pod.folder / "bad", base=SMALL)
    pod.wants(one="one", late="late", bad="bad")
    await pod.until_known("one", "late", "bad")
    pod.vllm.asked.clear()
    await asyncio.sleep(0.5)
    assert pod.vllm.asked == []


async def test_clients_reach_none_of_the_routes_that_load(pod: Pod) -> None:
    await pod.client.until_ready()
    for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters", "/adapters/one"):
        assert (await pod.client.ask(path, method="POST")).status == 403
    assert pod.vllm.loaded == {"one": str(pod.folder / "one")}


@pytest.mark.parametrize(
    ("made", "rank", "says"),
    [
        ({}, 8, ""),
        ({"rank": 64}, 16, "rank 64 > 16: its adapter_config.json says 64, so set adapters[].rank to 64"),
        ({"base": WIDER}, 16, "corp/wider): model.layers.0.self_attn.q_proj has 64 inputs here and 128 in the adapter"),
        ({"base": NARROWER}, 16, "corp/narrower): model.layers.0.self_attn.q_proj has 64 inputs here and 32 in the adapter"),
        ({"base": OTHER_HEADS}, 16, "corp/heads): model.layers.0.self_attn.v_proj has 32 outputs here and 64 in the adapter"),
        ({"base": DEEPER}, 16, "corp/deeper): it changes model.layers.2.self_attn.q_proj, which this one does not have"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_adapter_that_does_not_fit_is_refused_with_numbers(tmp_path: Path, made: dict[str, Any], rank: int, says: str) -> None:
    lora(tmp_path / "a", **{"base": SMALL} | made)
    base = base_shapes(str(checkpoint(tmp_path / "model", SMALL)), tmp_path)
    try:
        check(Order("a", "1", str(tmp_path / "a"), rank), base)
        said = ""
    except RefusedError as error:
        said = str(error)
    assert said.endswith(says)
    assert bool(said) == bool(says)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("no JSON", "cannot be read as a LoRA adapter of PEFT"),
        ("[]", "cannot be read as a LoRA adapter of PEFT"),
        ('{"peft_type": "LORA"}', "KeyError('r')"),
        ('{"peft_type": "IA3", "r": 8}', "says peft_type IA3"),
        ('{"peft_type": "LORA", "r": 8, "rank_pattern": {"q_proj": 24}}', "rank 24 > 16"),
    ],
)
def test_a_config_that_is_none_is_refused(tmp_path: Path, config: str, says: str) -> None:
    (lora(tmp_path / "a", base=SMALL) / "adapter_config.json").write_text(config)
    with pytest.raises(RefusedError) as refused:
        check(Order("a", "1", str(tmp_path / "a"), 16), {})
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("cut", "says"),
    [(lambda data: data[:-4], "it is not whole"), (lambda data: data[:4], "no safetensors"), (lambda _: b"\xff" * 64, "no safetensors")],
    ids=["short", "stump", "noise"],
)
def test_weights_that_are_not_whole_are_refused(tmp_path: Path, cut: Callable[[bytes], bytes], says: str) -> None:
    weights = lora(tmp_path / "a", base=SMALL) / "adapter_model.safetensors"
    weights.write_bytes(cut(weights.read_bytes()))
    with pytest.raises(RefusedError, match=says):
        check(Order("a", "1", str(tmp_path / "a"), 16), {})


def test_layers_of_other_names_than_the_checkpoints_are_left_to_vllm(tmp_path: Path) -> None:
    lora(tmp_path / "a", base=WIDER)
    check(Order("a", "1", str(tmp_path / "a"), 16), {"language_model.model.layers.0.self_attn.q_proj": (64, 64)})


@pytest.mark.parametrize(("variable", "below"), [("HF_HOME", "hub"), ("HF_HUB_CACHE", ".")])
def test_a_downloaded_models_shapes_are_found_in_vllms_cache(
    variable: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tmp_path))
    checkpoint(tmp_path / below / "models--corp--small/snapshots/0123abc", SMALL)
    assert base_shapes("corp/small", hub_cache())["model.layers.1.self_attn.v_proj"] == (32, 64)
    assert base_shapes("corp/none", hub_cache()) == {}


def test_packed_weights_say_nothing_of_shapes(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", SMALL, dtype="I32")
    assert header(folder / "model.safetensors")
    assert base_shapes(str(folder), tmp_path) == {}


def test_the_fixtures_are_made_for_the_models_that_they_name() -> None:
    assert (SMOLLM2.out("q_proj"), SMOLLM2.out("v_proj"), SMOLLM2_360M.out("v_proj")) == (576, 192, 320)


def test_the_keeper_reads_what_the_operator_writes() -> None:
    adapter = Adapter.model_validate({"name": "fraud", "uri": "pvc://loras/fraud/v7", "rank": 8})
    (order,) = ordered([adapter], Room(16, ("pvc://loras",)))
    assert orders(text([order])) == {"fraud": Order("fraud", order.version, order.path, 8)}
