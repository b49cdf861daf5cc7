"""The watchdog of a vLLM with LoRA adapters: it also keeps them as a file asks for them.

Stock vLLM loads it: `vllm serve ... --enable-lora --middleware allod_adapters.Watchdog`, with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and with
watchdog.py and its parts beside it. It needs the standard library alone.

The file (ALLOD_ADAPTERS) is {"adapters": [{"name", "version", "path", "rank"}]}. What it lists is loaded, what it no longer lists is
unloaded, what has another version is exchanged; heartbeats then end with "adapters": {name: {"version", "refused"}}, where `refused` is a
sentence or empty. vLLM's own routes do the work, asked from inside: to clients they stay closed. A new pod is ready only after each
adapter was tried once, so that no client meets one that does not know them yet.

Why an adapter is read here before vLLM gets it: measured on 0.32, vLLM answers 200 to an adapter made for a narrower model, or for one
with more layers, and computes nonsense with it. Why an adapter is exchanged by unload and load, with requests held for that moment: what
is loaded in place (`load_inplace`) is read from its disk again at every step of the engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import struct
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import allod_verdict
import watchdog
from watchdog import ASKED, LOG

if TYPE_CHECKING:
    from allod_exchange import App, Message, Receive, Send

LOOK: Final = 0.25  # seconds between looks at the file: one stat
AGAIN: Final = 5.0  # seconds between looks at the files of an adapter that was refused
PAUSE: Final = 30.0  # seconds until what may be over is tried again; doubled each time
LONGEST_PAUSE: Final = 900.0
PATIENCE: Final = 120.0  # seconds that vLLM may take for one adapter
CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
LONGEST_HEADER: Final = 1 << 26  # bytes of a safetensors header
LONGEST: Final = 300  # characters of a sentence
HALF: Final = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")
WORDS: Final = re.compile(r"Worker failed with error '(.*)', please check", re.DOTALL)
PACKED: Final = frozenset({"U8", "I8", "I32", "I64"})  # of quantized weights whose shapes are not the layer's

Shapes = dict[str, tuple[int, int]]


class RefusedError(Exception):
    """An adapter that does not fit, in a sentence. Only another file can mend it."""


class PassingError(Exception):
    """An adapter that could not be loaded now, in a sentence."""


@dataclass(frozen=True, slots=True)
class Order:
    """One adapter that is wanted."""

    name: str
    version: str
    path: str
    rank: int


@dataclass(slots=True)
class Kept:
    """What became of it."""

    version: str
    refused: str = ""
    loaded: str = ""  # the path that vLLM has under this name, which may be an older version's
    files: object = None  # as they were when it was refused
    looked_at: float = 0.0
    tries: int = 0  # in a row that ended with what may be over
    due: float = inf  # when it is tried again though nobody wrote to its files


def orders(text: str) -> dict[str, Order]:
    """What a file asks for, by name."""
    listed = (Order(one["name"], one["version"], one["path"], int(one["rank"])) for one in json.loads(text)["adapters"])
    return {order.name: order for order in listed}


def header(path: Path) -> dict[str, Any]:
    """Of a safetensors file, by tensor. RefusedError when it is not whole."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else LONGEST_HEADER + 1  # noqa: PLR2004 - the format's own
        if length > LONGEST_HEADER:
            raise RefusedError(f"{path.name} is no safetensors file")
        found: dict[str, Any] = json.loads(file.read(length))
    found.pop("__metadata__", None)
    size = 8 + length + max((int(tensor["data_offsets"][1]) for tensor in found.values()), default=0)
    if path.stat().st_size < size:
        raise RefusedError(f"{path.name} has {path.stat().st_size} bytes of {size}: it is not whole, or still being written")
    return found


def hub_cache() -> Path:
    """Where vLLM's downloads are."""
    return Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", ""), "hub"))


def base_shapes(model: str, cache: Path) -> Shapes:
    """Outputs and inputs of each layer of the model, by the names in its checkpoint; empty when that cannot be read.

    `model` is a folder, or a repository that vLLM has downloaded into the folder `cache`.
    """
    folder = Path(model)
    if not folder.is_dir():
        folder = max(cache.glob(f"models--{model.replace('/', '--')}/snapshots/*/"), default=folder)
    shapes: Shapes = {}
    for path in folder.glob("*.safetensors"):
        for name, tensor in header(path).items():
            if name.endswith(".weight") and len(tensor["shape"]) == 2 and tensor["dtype"] not in PACKED:  # noqa: PLR2004 - a matrix
                shapes[name.removesuffix(".weight")] = tuple(tensor["shape"])
    return shapes


def check(order: Order, base: Shapes) -> None:
    """RefusedError when it does not fit. It is read to its end, so that vLLM finds it in memory and stands still for a moment only."""
    folder = Path(order.path)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise RefusedError(f"there is no {name} in {folder}: correct adapters[].uri, or put it there")
    try:
        config = json.loads((folder / CONFIG).read_text())
        ranks = [config["r"], *(config.get("rank_pattern") or {}).values()]
        kind, rank = config["peft_type"], max(int(rank) for rank in ranks)
        tensors = header(folder / WEIGHTS)
        if kind != "LORA":
            raise RefusedError(f"{CONFIG} says peft_type {kind}, and vLLM takes LORA alone")
        if rank > order.rank:
            raise RefusedError(f"rank {rank} > {order.rank}: its {CONFIG} says {rank}, so set adapters[].rank to {rank}")
        fits(tensors, base, str(config.get("base_model_name_or_path")))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RefusedError(f"{folder} cannot be read as a LoRA adapter of PEFT: {error!r}") from error
    with (folder / WEIGHTS).open("rb") as file:
        while file.read(1 << 20):
            pass


def fits(tensors: dict[str, Any], base: Shapes, made_for: str) -> None:
    """RefusedError when the adapter was made for another model. Layers of other names than the checkpoint's are vLLM's to judge."""
    halves = [(found[1], found[2], tensor["shape"]) for name, tensor in tensors.items() if (found := HALF.fullmatch(name))]
    if not halves:
        raise RefusedError(f"{WEIGHTS} has no lora_A and lora_B: it is no LoRA adapter of PEFT")
    if not any(layer in base for layer, _, _ in halves):
        return
    other = f"it was made for another model ({made_for})"
    for layer, half, shape in halves:
        if layer not in base:
            raise RefusedError(f"{other}: it changes {layer}, which this one does not have")
        outputs, inputs = base[layer]
        mine, theirs, what = (shape[1], inputs, "inputs") if half == "A" else (shape[0], outputs, "outputs")
        if mine != theirs:
            raise RefusedError(f"{other}: {layer} has {theirs} {what} here and {mine} in the adapter")


def files(order: Order) -> object:
    """Changes when somebody writes to the adapter."""
    found = []
    for name in (CONFIG, WEIGHTS):
        try:
            status = (Path(order.path) / name).stat()
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append((0, 0))
    return found


@dataclass
class Engine(allod_verdict.Engine):
    """Not ready before each adapter was tried once."""

    tried: bool = False

    @property
    def fault(self) -> str:
        """Why it may take no traffic; empty when it may."""
        return super().fault or ("" if self.tried else "starting: its adapters are not loaded yet")


@dataclass(slots=True)
class Adapters:
    """What is wanted and what is kept."""

    wanted: dict[str, Order] = field(default_factory=dict)
    kept: dict[str, Kept] = field(default_factory=dict)
    seen: object = None  # the file as it was read
    trouble: str = ""  # why it could not be read
    base: Shapes | None = None

    def document(self) -> dict[str, Any]:
        """For heartbeats."""
        return {name: {"version": kept.version, "refused": kept.refused} for name, kept in sorted(self.kept.items())}


class Watchdog(watchdog.Watchdog):
    """One in each API server process; with adapters vLLM allows no more than one."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.file = Path(os.environ["ALLOD_ADAPTERS"])
        self.engine: Engine = Engine(self.engine.threshold)
        self.adapters = Adapters()
        self.keeping: asyncio.Task[None] | None = None
        self.open = asyncio.Event()  # cleared for the moment in which an adapter is exchanged
        self.open.set()

    def begin(self, scope: Message) -> None:
        """Starts to watch, and to keep."""
        super().begin(scope)
        self.keeping = asyncio.get_running_loop().create_task(self.keep())

    async def exchange(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request for the model: none meets the moment between an adapter's old version and its new one."""
        await self.open.wait()
        await super().exchange(scope, receive, send)

    def document(self, *, ok: bool) -> bytes:
        """What probes and heartbeats say. The adapters come last: who reads them compares the end of the line with the one before."""
        return super().document(ok=ok)[:-1] + b', "adapters": ' + json.dumps(self.adapters.document()).encode() + b"}"

    async def keep(self) -> None:
        """Follows the file for as long as the server lives. Whatever goes wrong, requests are not to suffer from it."""
        while True:
            try:
                self.read()
                await self.follow()
            except Exception as error:  # noqa: BLE001 - see above; the next look tries again
                LOG.warning("adapters: %r", error)
            self.engine.tried = True
            await asyncio.sleep(LOOK)

    def read(self) -> None:
        """The file, when it is another one: kubelet exchanges it as a whole. One that cannot be read changes nothing."""
        adapters = self.adapters
        try:
            status = self.file.stat()
            now = (status.st_ino, status.st_mtime_ns)
            if now != adapters.seen:
                adapters.wanted, adapters.seen, adapters.trouble = orders(self.file.read_text()), now, ""
        except (OSError, ValueError, TypeError, KeyError) as error:
            if str(error) != adapters.trouble:
                LOG.warning("adapters: the list cannot be read and stays as it was: %r", error)
            adapters.trouble = str(error)

    async def follow(self) -> None:
        """One step from what is kept to what is wanted, adapter by adapter."""
        adapters, now = self.adapters, asyncio.get_running_loop().time()
        for name in [name for name in adapters.kept if name not in adapters.wanted]:
            if adapters.kept[name].loaded:
                await self.unload(name)
            del adapters.kept[name]
            LOG.info("adapter %s is no longer wanted", name)
        for name, order in adapters.wanted.items():
            before = adapters.kept.get(name)
            if before is None or before.version != order.version or (before.refused and self.again(before, order, now)):
                kept = Kept(order.version, loaded=before.loaded if before else "", files=files(order), looked_at=now)
                kept.tries = before.tries if before and before.version == order.version else 0
                await self.bring(order, kept)
                adapters.kept[name] = kept  # only now: until then heartbeats tell what was before

    def again(self, kept: Kept, order: Order, now: float) -> bool:
        """Whether a refused one is worth another try: somebody wrote to its files, or what was in its way may be over."""
        if now - kept.looked_at < AGAIN:
            return False
        kept.looked_at = now
        return now >= kept.due or files(order) != kept.files

    async def bring(self, order: Order, kept: Kept) -> None:
        """Loads one adapter, in place of its older version if there is one. That one stays when the new one is refused."""
        await asyncio.to_thread(self.open_base)
        try:
            await asyncio.to_thread(check, order, self.adapters.base or {})
            old = kept.loaded
            await self.swap(order, kept)
        except Exception as error:  # noqa: BLE001 - whatever is in its files, only this adapter may suffer from it
            self.refuse(order, kept, error)
        else:
            LOG.info("adapter %s is loaded from %s%s", order.name, order.path, f" in place of {old}" if old else "")

    def refuse(self, order: Order, kept: Kept, error: Exception) -> None:
        """Notes why it is not loaded, and when to try again."""
        stays = "; the version before it goes on answering" if kept.loaded else ""
        again = ""
        if not isinstance(error, RefusedError):
            pause = min(PAUSE * 2**kept.tries, LONGEST_PAUSE)
            kept.tries += 1
            kept.due = asyncio.get_running_loop().time() + pause
            again = f"; it is tried again after {pause:.0f} s"
        said = str(error) if isinstance(error, (RefusedError, PassingError)) else repr(error)
        kept.refused = f"{said[:LONGEST]}{stays}{again}"
        LOG.warning("adapter %s is refused: %s", order.name, kept.refused)

    def open_base(self) -> None:
        """Reads the shapes of the model, once."""
        if self.adapters.base is None:
            config = getattr(getattr(getattr(self.inside.get("app"), "state", None), "vllm_config", None), "model_config", None)
            try:
                self.adapters.base = base_shapes(str(getattr(config, "model", "")), hub_cache())
            except Exception as error:  # noqa: BLE001 - see above
                LOG.warning("adapters: the model's files cannot be read, so vLLM alone judges what fits: %r", error)
                self.adapters.base = {}

    async def swap(self, order: Order, kept: Kept) -> None:
        """While an old version goes, requests wait; if the new one fails, the old one comes back. `kept.loaded` says which one there is."""
        old = kept.loaded
        if not old:
            if kept.tries:  # what gave no answer in time may have been loaded since
                await self.unload(order.name)
            await self.load(order.name, order.path)
            kept.loaded = order.path
            return
        self.open.clear()
        try:
            await self.unload(order.name)
            kept.loaded = ""
            try:
                await self.load(order.name, order.path)
                kept.loaded = order.path
            except Exception as error:
                await self.restore(order.name, old, error)
                kept.loaded = old
                raise
        finally:
            self.open.set()

    async def restore(self, name: str, old: str, error: Exception) -> None:
        """Loads the old version again."""
        try:
            await self.unload(name)
            await self.load(name, old)
        except Exception as worse:  # noqa: BLE001 - both go on, in one sentence
            raise PassingError(f"{error}; nor was the version before it loaded again: {worse}") from error

    async def load(self, name: str, path: str) -> None:
        """By vLLM's route. RefusedError with vLLM's own words; PassingError when the fault may be the engine's."""
        status, body = await self.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        if status != 200:  # noqa: PLR2004 - HTTP's OK
            said, judged = words(body)
            kind = RefusedError if judged or status < 500 else PassingError  # noqa: PLR2004 - HTTP's own
            raise kind(f"vLLM does not load it: {said}")

    async def unload(self, name: str) -> None:
        """By vLLM's route. One that it does not have is as good as unloaded.

        It counts as a request of ours. A load counts nowhere: vLLM leaves every path with /load in it out of its counters (measured).
        """
        status, _ = await self.post("/v1/unload_lora_adapter", {"lora_name": name})
        ASKED.labels({2: "answered", 5: "failed"}.get(status // 100, "refused")).inc()

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """Through the application's own routes."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.request(path, json.dumps(body).encode())
        except TimeoutError:
            raise PassingError(f"vLLM gave no answer within {PATIENCE:g} s") from None


def words(body: bytes) -> tuple[str, bool]:
    """What vLLM says in an error, and whether its worker read the adapter and found it wrong: it answers 500 then, too (0.32)."""
    try:
        said = str(json.loads(body)["error"]["message"])
    except (ValueError, TypeError, KeyError):
        return body.decode(errors="replace"), False
    found = WORDS.search(said)
    return (found[1], True) if found else (said, False)
